"""Print to the standard streams, which may be closed, full, or without a reader."""

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

NO_READER = 141
"""Exit code if nobody reads the output: 128 + SIGPIPE."""

_MAX_LISTED_FAULTS = 5
_ASCII: Mapping[str, str] = {
    **{"→": "->", "←": "<-", "↑": "^", "↓": "v", "≥": ">=", "≤": "<=", "±": "+-", "×": "x"},
    **{"−": "-", "–": "-", "—": "-", "’": "'", "“": '"', "”": '"', "‖": "||", "°": "deg", "⁄": "/"},
}
"""Characters in place of those that a terminal cannot show."""


def open_streams() -> None:
    """Make the standard streams writable, whatever is written to them.

    A closed stream is opened, because otherwise the next file that is opened would get its number.
    """
    if sys.stdout is None:
        sys.stdout = open(os.devnull, "w", encoding="utf-8")  # noqa: SIM115
    if sys.stderr is None:
        sys.stderr = open(os.devnull, "w", encoding="utf-8")  # noqa: SIM115
    codecs.register_error("rilievo", _encode_nearest_ascii)
    for stream in (sys.stdout, sys.stderr):
        # The user asks for other ways, such as PYTHONIOENCODING=ascii:xmlcharrefreplace.
        default_errors = ("strict", "surrogateescape", "backslashreplace")
        if isinstance(stream, TextIOWrapper) and stream.errors in default_errors:
            stream.reconfigure(errors="rilievo")


def _encode_nearest_ascii(error: UnicodeError) -> tuple[str | bytes, int]:
    """Replace a character that a stream cannot encode (``codecs.register_error``)."""
    if not isinstance(error, UnicodeEncodeError):
        raise error
    character, end = error.object[error.start], error.start + 1
    if "\udc80" <= character <= "\udcff":  # a byte of a file name that is not UTF-8
        return bytes([ord(character) - 0xDC00]), end
    import unicodedata  # most programs never need it

    parts = unicodedata.normalize("NFKD", character)
    ascii_text = "".join(_ASCII.get(part, part if part.isascii() else "") for part in parts)
    script, _, letter_name = unicodedata.name(character, "").partition(" LETTER ")
    greek = letter_name.lower() if script.startswith("GREEK") else ""
    return ascii_text or greek or "?", end


@contextmanager
def printing() -> Iterator[None]:
    """Turn failures of standard output in the block into errors for the user.

    Raises:
        OutputError: If it cannot be written.
        SystemExit: If nobody reads it.
    """
    try:
        try:
            yield
        finally:
            sys.stdout.flush()
    except RilievoError:
        raise
    except BrokenPipeError:
        _redirect_to_null(sys.stdout)
        raise SystemExit(NO_READER) from None
    except OSError as error:
        if error.errno is None:  # of a library, such as Pillow's for a file that it does not know
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
    """Format a table for the terminal: in columns, or as a list if it is too narrow for them.

    Cells are wrapped where necessary. A header of empty strings is left out.
    """
    full_widths = _column_widths((header, *rows), len)
    min_widths = _column_widths((header, *rows), _min_width)
    terminal_width = terminal_columns(sys.stdout) or sum(full_widths) + _GAP * len(full_widths)
    available = terminal_width - _GAP * (len(full_widths) - 1)
    if sum(min_widths) > available:
        return "\n".join(_row_as_list(header, row, terminal_width) for row in rows)

    widths = _shrink_columns(full_widths, min_widths, available)
    lines = []
    if any(header):
        lines += _table_lines(header, widths)
        lines.append("  ".join("-" * width for width in widths))
    for row in rows:
        lines += _table_lines(row, widths, bold)
    return "\n".join(lines)


_GAP = 2
"""Spaces between two columns."""
_MAX_UNWRAPPED = 8
"""Length up to which a cell is never wrapped."""


def _shrink_columns(
    full_widths: Sequence[int], min_widths: Sequence[int], available: int
) -> list[int]:
    """Make the widest columns narrower until all fit."""
    widths = list(full_widths)
    while sum(widths) > available:
        shrinkable = [i for i, width in enumerate(widths) if width > min_widths[i]]
        widest = max(shrinkable, key=lambda i: widths[i])
        widths[widest] -= 1
    return widths


def _min_width(cell: str) -> int:
    return len(cell) if len(cell) <= _MAX_UNWRAPPED else max(map(len, cell.split()))


def _column_widths(rows: Sequence[Sequence[str]], measure: Callable[[str], int]) -> list[int]:
    return [max(measure(row[column]) for row in rows) for column in range(len(rows[0]))]


def _table_lines(
    row: Sequence[str], widths: Sequence[int], style: Callable[[str], str] = str
) -> Iterator[str]:
    """Yield the lines of a row; ``style`` is that of its first cell."""
    wrapped_cells = [
        [cell] if len(cell) <= width else wrap_line(cell, width, 0).split("\n")
        for cell, width in zip(row, widths, strict=True)
    ]
    for line in zip_longest(*wrapped_cells, fillvalue=""):
        cells = [cell.ljust(width) for cell, width in zip(line, widths, strict=True)]
        text = "  ".join(cells).rstrip()
        yield f"{style(line[0])}{text[len(line[0]) :]}" if line[0] else text


def _row_as_list(header: Sequence[str], row: Sequence[str], width: int) -> str:
    """Row as text: the first cell, and below it the other ones with their headers."""
    cells = [
        f"{title} {cell}".strip() for title, cell in zip(header[1:], row[1:], strict=True) if cell
    ]
    return f"{bold(row[0])}\n{wrap_line('  ' + '; '.join(cells), width, 2)}"


def fault_lines(images: Sequence[str], predictions: Sequence[str]) -> Iterator[str]:
    """Yield lines that list the first few images and predictions that cannot be shown."""
    for subject, faults in (
        ("images that cannot be shown", images),
        ("predictions that cannot be shown", predictions),
    ):
        if faults:
            yield f"{len(faults)} {subject}:"
            yield from (f"  {for_terminal(fault)}" for fault in faults[:_MAX_LISTED_FAULTS])
        if len(faults) > _MAX_LISTED_FAULTS:
            yield f"  ... and {len(faults) - _MAX_LISTED_FAULTS} more"


def amount(count: int, noun: str) -> str:
    """Count with its noun, such as "1 run" or "2 runs"."""
    return f"{count} {noun}{'' if count == 1 else 's'}"
