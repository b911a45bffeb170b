"""Standard output and standard error, which may be closed, full or no longer read; and tables."""

import os
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import TextIO

from rilievo.errors import OutputError, RilievoError

NOBODY_READS = 141
"""Exit code when the reader of standard output has left: 128 + SIGPIPE, as in shells."""

_LISTED = 5
"""Faults of one sort that are printed."""


def open_closed() -> None:
    """Open replacements for standard streams that were closed at the start.

    Python sets them to None, which few libraries expect; and the next opened file would get the
    number of the closed stream, with everything that C libraries print there.
    """
    if sys.stdout is None:
        sys.stdout = open(os.devnull, "w")  # noqa: SIM115
    if sys.stderr is None:
        sys.stderr = open(os.devnull, "w")  # noqa: SIM115


@contextmanager
def printing() -> Iterator[None]:
    """Handle failures of standard output in the block, which may exit as ``--help`` does."""
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
        if error.errno is None:  # a library's own, as Pillow's of a file that it does not know
            raise
        _give_up(sys.stdout)
        raise OutputError(f"standard output cannot be written: {error.strerror}") from error


def complain(text: str) -> None:
    """Print to standard error; if that fails too, the error is ignored."""
    try:
        print(text, file=sys.stderr, flush=True)
    except OSError:
        _give_up(sys.stderr)


def _give_up(stream: TextIO) -> None:
    """Discard buffered output, which the interpreter would otherwise fail to write at exit.

    https://docs.python.org/3/library/signal.html#note-on-sigpipe
    """
    os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())


def table(header: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Format columns as wide as their widest cell, with a rule under the header."""
    widths = [max(len(row[column]) for row in (header, *rows)) for column in range(len(header))]
    lines = [
        "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()
        for row in (header, *rows)
    ]
    lines.insert(1, "  ".join("-" * width for width in widths))
    return "\n".join(lines)


def fault_lines(images: Sequence[str], predictions: Sequence[str]) -> Iterator[str]:
    """Lines about the images and the predictions that cannot be shown, the first few of each."""
    for what, lines in (
        ("images that cannot be shown", images),
        ("predictions that cannot be shown", predictions),
    ):
        if lines:
            yield f"{len(lines)} {what}:"
            yield from (f"  {line}" for line in lines[:_LISTED])
        if len(lines) > _LISTED:
            yield f"  ... and {len(lines) - _LISTED} more"


def amount(count: int, noun: str) -> str:
    """A number of things: 1 run, 2 runs."""
    return f"{count} {noun}{'' if count == 1 else 's'}"
