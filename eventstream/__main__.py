"""`python -m eventstream`."""

import sys

from eventstream.cli.main import main

if __name__ == "__main__":
    sys.exit(main())
