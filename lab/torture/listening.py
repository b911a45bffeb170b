"""Run ``rilievo``, and say when it listens to Ctrl-C and when it is over.

    python -m lab.torture.listening ARGUMENT...

Python's own start cannot be interrupted without a traceback, nor does its end matter any more.
"""

import sys
import time

from rilievo.cli import run
from rilievo.system import signals

_begin = signals.install_handlers


def _listen() -> None:
    _begin()
    print("listening", flush=True, file=sys.stderr)


def main() -> int:
    """Run the command of the arguments."""
    signals.install_handlers = _listen
    try:
        return run()
    finally:
        print("over at", time.monotonic(), flush=True, file=sys.stderr)


if __name__ == "__main__":
    sys.exit(main())
