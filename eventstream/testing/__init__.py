"""What plugin authors test with: contract suites for stores and ledgers, and a plain node to run them on."""
