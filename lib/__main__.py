"""Run the press from the command line: `python -m sightglass`."""

import sys

from sightglass.press.cli import main

if __name__ == "__main__":
    sys.exit(main())
