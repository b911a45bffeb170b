"""Standard output and standard error, which may be closed, full, or read by nobody any more."""

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TextIO

from rilievo.errors import OutputError, RilievoError

NOBODY_READS = 141
"""Exit code when the reader of standard output left, as shells know it: 128 + SIGPIPE."""


def open_closed() -> None:
    """Give the program somewhere to write where it was started with a closed stream.

    Python has None there, which few libraries expect; and the next file that is opened would get
    the number of the closed stream, and what a library in C says on it.
    """
    if sys.stdout is None:
        sys.stdout = open(os.devnull, "w")  # noqa: SIM115
    if sys.stderr is None:
        sys.stderr = open(os.devnull, "w")  # noqa: SIM115


@contextmanager
def printing() -> Iterator[None]:
    """What is within may print on standard output, and may end the program as ``--help`` does.

    Raises:
        OutputError: If standard output takes nothing, for instance on a full disk.
        SystemExit: Without a word, if its reader left.
    """
    try:
        try:
            yield
        finally:
            sys.stdout.flush()
    except RilievoError:
        raise
    except BrokenPipeError:
        _give_up(sys.stdout)
        raise SystemExit(NOBODY_READS) from None
    except OSError as error:
        _give_up(sys.stdout)
        raise OutputError(f"standard output cannot be written: {error.strerror}") from error


def complain(text: str) -> None:
    """Print on standard error; where that fails too, nothing is left to say it on."""
    try:
        print(text, file=sys.stderr, flush=True)
    except OSError:
        _give_up(sys.stderr)


def _give_up(stream: TextIO) -> None:
    """Let what it still holds go nowhere: the interpreter would fail at it once more, at its end.

    https://docs.python.org/3/library/signal.html#note-on-sigpipe
    """
    os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())
