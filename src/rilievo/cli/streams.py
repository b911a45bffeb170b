"""Standard streams, which may be closed or full."""

import codecs
import os
import re
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from io import TextIOWrapper
from itertools import zip_longest
from typing import TextIO

from rilievo.errors import OutputError, RilievoError
from rilievo.errors.messages import for_terminal
from rilievo.system.terminal import bold, dim, terminal_columns, wrap_for_terminal, wrap_line

NOBODY_READS = 141
"""Exit code without a reader: 128 + SIGPIPE."""

_LISTED = 5
_PLAIN: Mapping[str, str] = {
    **{"→": "->", "←": "<-", "↑": "^", "↓": "v", "≥": ">=", "≤": "<=", "±": "+-", "×": "x"},
    **{"−": "-", "–": "-", "—": "-", "’": "'", "“": '"', "”": '"', "‖": "||", "°": "deg", "⁄": "/"},
}


def open_streams() -> None:
    """Make the standard streams writable: otherwise the next file gets a closed stream's number."""
    if sys.stdout is None:
        sys.stdout = open(os.devnull, "w", encoding="utf-8")  # noqa: SIM115
    if sys.stderr is None:
        sys.stderr = open(os.devnull, "w", encoding="utf-8")  # noqa: SIM115
    codecs.register_error("rilievo", _encode_nearest_ascii)
    for stream in (sys.stdout, sys.stderr):
        # Others were asked for by the user: PYTHONIOENCODING=ascii:xmlcharrefreplace.
        usual = ("strict", "surrogateescape", "backslashreplace")
        if isinstance(stream, TextIOWrapper) and stream.errors in usual:
            stream.reconfigure(errors="rilievo")


def _encode_nearest_ascii(error: UnicodeError) -> tuple[str | bytes, int]:
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
    """Handle failures of standard output in the block."""
    try:
        try:
            yield
        finally:
            sys.stdout.flush()
    except RilievoError:
        raise
    except BrokenPipeError:
        _redirect_to_null(sys.stdout)
        raise SystemExit(NOBODY_READS) from None
    except OSError as error:
        if error.errno is None:  # a library's own, as Pillow's of a file that it does not know
            raise
        _redirect_to_null(sys.stdout)
        raise OutputError(f"standard output cannot be written: {error.strerror}") from error


def say(text: str, *, flush: bool = False) -> None:
    """Print text, wrapped to the width of a terminal."""
    print(wrap_for_terminal(text, sys.stdout), flush=flush)


def complain(text: str) -> None:
    """Print a message to standard error; a terminal shows its hint faintly."""
    lines = [_dim_hint(line) for line in text.split("\n")]
    try:
        print("\n".join(lines), file=sys.stderr, flush=True)
    except OSError:
        _redirect_to_null(sys.stderr)


def _dim_hint(line: str) -> str:
    """Dim a tip, or what follows the last semicolon; a message without a hint stays as it is."""
    wrapped = wrap_for_terminal(line, sys.stderr)
    if line.startswith("tip: "):
        return dim(wrapped, sys.stderr)
    # A semicolon without a space after it is part of a name.
    with_hint = re.fullmatch(r"(.*;)(\s.*)", wrapped, flags=re.DOTALL)
    if with_hint is None:
        return wrapped
    problem, hint = with_hint.groups()
    return f"{problem}{dim(hint, sys.stderr)}"


def _redirect_to_null(stream: TextIO) -> None:
    os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())


def table(header: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Format columns with a rule under the header, wrapped on narrow terminals."""
    natural = _column_widths((header, *rows), len)
    least = _column_widths((header, *rows), _least_width)
    width = terminal_columns(sys.stdout) or sum(natural) + _GAP * len(natural)
    room = width - _GAP * (len(natural) - 1)
    if sum(least) > room:
        return "\n".join(_row_as_list(header, row, width) for row in rows)
    widths = list(natural)
    while sum(widths) > room:
        widest = max((w, -at) for at, w in enumerate(widths) if w > least[at])
        widths[-widest[1]] -= 1
    rule = ["  ".join("-" * width for width in widths)]
    head = [*_table_lines(header, widths), *rule] if any(header) else []
    return "\n".join([*head, *(line for row in rows for line in _table_lines(row, widths, bold))])


_GAP, _SHORT = 2, 8


def _least_width(cell: str) -> int:
    return len(cell) if len(cell) <= _SHORT else max(map(len, cell.split()))


def _column_widths(rows: Sequence[Sequence[str]], measure: Callable[[str], int]) -> list[int]:
    return [max(measure(row[column]) for row in rows) for column in range(len(rows[0]))]


def _table_lines(
    row: Sequence[str], widths: Sequence[int], style: Callable[[str], str] = str
) -> Iterator[str]:
    parts = [
        [cell] if len(cell) <= width else wrap_line(cell, width, 0).split("\n")
        for cell, width in zip(row, widths, strict=True)
    ]
    for line in zip_longest(*parts, fillvalue=""):
        cells = (cell.ljust(width) for cell, width in zip(line, widths, strict=True))
        text = "  ".join(cells).rstrip()
        yield f"{style(line[0])}{text[len(line[0]) :]}" if line[0] else text


def _row_as_list(header: Sequence[str], row: Sequence[str], width: int) -> str:
    facts = [f"{head} {cell}".strip() for head, cell in zip(header[1:], row[1:], strict=True)]
    facts = [fact for fact, cell in zip(facts, row[1:], strict=True) if cell]
    return f"{bold(row[0])}\n{wrap_line('  ' + '; '.join(facts), width, 2)}"


def fault_lines(images: Sequence[str], predictions: Sequence[str]) -> Iterator[str]:
    """First few faults, a line each."""
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
    """Number with its noun: 1 run, 2 runs."""
    return f"{count} {noun}{'' if count == 1 else 's'}"
