"""``python -m lab.making``: train an embedded model by a recipe."""

import sys

from lab.making.command import run

if __name__ == "__main__":
    sys.exit(run())
