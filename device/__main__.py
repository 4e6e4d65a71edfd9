"""`python -m device` and the command `moodify`."""

from __future__ import annotations

import sys

from device import cli


def main() -> None:
    """Run the command line and end with its status."""
    sys.exit(cli.main())


if __name__ == "__main__":
    main()
