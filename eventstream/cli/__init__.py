"""The `eventstream` program: one module per command."""
