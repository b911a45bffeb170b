"""``python -m making``: train an embedded model by a recipe."""

import sys

from making.command import run

if __name__ == "__main__":
    sys.exit(run())
