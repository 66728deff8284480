"""`python -m gail_suite` is `gail-suite`."""

import sys

from gail_suite.commands.cli import main

if __name__ == "__main__":
    sys.exit(main())
