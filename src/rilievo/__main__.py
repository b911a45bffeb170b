"""``python -m rilievo``."""

import sys

from rilievo.cli import run

sys.exit(run())
