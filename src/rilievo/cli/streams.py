"""Standard output and standard error, which may be closed, full or unable to write; tables."""

import codecs
import os
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from io import TextIOWrapper
from typing import TextIO

from rilievo.errors import OutputError, RilievoError
from rilievo.messages import for_terminal

NOBODY_READS = 141
"""Exit code when the reader of standard output has left: 128 + SIGPIPE, as in shells."""

_LISTED = 5
"""Faults of one sort that are printed."""
_PLAIN: Mapping[str, str] = {
    **{"→": "->", "←": "<-", "↑": "^", "↓": "v", "≥": ">=", "≤": "<=", "±": "+-", "×": "x"},
    **{"−": "-", "–": "-", "—": "-", "’": "'", "“": '"', "”": '"', "‖": "||", "°": "deg", "⁄": "/"},
}
"""Spellings of characters for consoles that lack them."""


def open_streams() -> None:
    """Make the standard streams writable, whatever the start of the program left of them.

    Python sets those that were closed to None, which few libraries expect; and the next opened file
    would get the number of the closed stream, with everything that C libraries print there. Those
    of a console that lacks a character, such as one of Windows, write another in its place.
    """
    if sys.stdout is None:
        sys.stdout = open(os.devnull, "w", encoding="utf-8")  # noqa: SIM115
    if sys.stderr is None:
        sys.stderr = open(os.devnull, "w", encoding="utf-8")  # noqa: SIM115
    codecs.register_error("rilievo", _nearest)
    for stream in (sys.stdout, sys.stderr):
        # Others were asked for by the user: PYTHONIOENCODING=ascii:xmlcharrefreplace.
        usual = ("strict", "surrogateescape", "backslashreplace")
        if isinstance(stream, TextIOWrapper) and stream.errors in usual:
            stream.reconfigure(errors="rilievo")


def _nearest(error: UnicodeError) -> tuple[str | bytes, int]:
    """Write a character that the encoding lacks as plain text: an arrow as ->, e for an accent.

    A byte of a file's name that is no character is written as it is.
    """
    if not isinstance(error, UnicodeEncodeError):
        raise error
    letter, end = error.object[error.start], error.start + 1
    if "\udc80" <= letter <= "\udcff":
        return bytes([ord(letter) - 0xDC00]), end
    import unicodedata  # most programs need it never

    parts = unicodedata.normalize("NFKD", letter)
    plain = "".join(_PLAIN.get(part, part if part.isascii() else "") for part in parts)
    kind, _, name = unicodedata.name(letter, "").partition(" LETTER ")
    greek = name.lower() if kind.startswith("GREEK") else ""
    return plain or greek or "?", end


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
            yield from (f"  {for_terminal(line)}" for line in lines[:_LISTED])
        if len(lines) > _LISTED:
            yield f"  ... and {len(lines) - _LISTED} more"


def amount(count: int, noun: str) -> str:
    """A number of things: 1 run, 2 runs."""
    return f"{count} {noun}{'' if count == 1 else 's'}"
