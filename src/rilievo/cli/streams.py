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
from rilievo.errors.messages import count_text, for_terminal
from rilievo.system.terminal import bold, dim, terminal_columns, wrap_for_terminal, wrap_line

NO_READER = 141
"""Exit code if nobody reads standard output: 128 + SIGPIPE."""

_MAX_LISTED_FAULTS = 5
_ASCII: Mapping[str, str] = {
    **{"→": "->", "←": "<-", "↑": "^", "↓": "v", "≥": ">=", "≤": "<=", "±": "+-", "×": "x"},
    **{"−": "-", "–": "-", "—": "-", "’": "'", "“": '"', "”": '"', "‖": "||", "°": "deg", "⁄": "/"},
}
"""Replacements for characters that a terminal cannot show."""


def open_streams() -> None:
    """Make sure that any text can be written to the standard streams.

    A closed stream is replaced by the null device. Otherwise, the next file that is opened would
    get its descriptor, and messages would be written into that file.
    """
    if sys.stdout is None:
        sys.stdout = open(os.devnull, "w", encoding="utf-8")  # noqa: SIM115
    if sys.stderr is None:
        sys.stderr = open(os.devnull, "w", encoding="utf-8")  # noqa: SIM115
    codecs.register_error("rilievo", _encode_nearest_ascii)
    for stream in (sys.stdout, sys.stderr):
        # Any other handler is the user's, such as PYTHONIOENCODING=ascii:xmlcharrefreplace.
        default_errors = ("strict", "surrogateescape", "backslashreplace")
        if isinstance(stream, TextIOWrapper) and stream.errors in default_errors:
            stream.reconfigure(errors="rilievo")


def _encode_nearest_ascii(error: UnicodeError) -> tuple[str | bytes, int]:
    """Error handler of ``codecs``: replace a character that a stream cannot encode.

    Returns:
        The replacement, and the position at which encoding goes on.
    """
    if not isinstance(error, UnicodeEncodeError):
        raise error
    character = error.object[error.start]
    end = error.start + 1
    if "\udc80" <= character <= "\udcff":  # a byte of a file name that is not UTF-8
        return bytes([ord(character) - 0xDC00]), end
    import unicodedata  # most programs never need it

    # An accented letter is decomposed into the letter and its accent, which is left out.
    parts = unicodedata.normalize("NFKD", character)
    ascii_text = "".join(_ASCII.get(part, part if part.isascii() else "") for part in parts)
    return ascii_text or _greek_letter_name(unicodedata.name(character, "")) or "?", end


def _greek_letter_name(character_name: str) -> str:
    """Name of a Greek letter, such as "delta" for "GREEK SMALL LETTER DELTA"; "" for others."""
    script, _, letter_name = character_name.partition(" LETTER ")
    return letter_name.lower() if script.startswith("GREEK") else ""


@contextmanager
def printing() -> Iterator[None]:
    """Turn failures to write standard output in the block into errors for the user.

    Raises:
        OutputError: If standard output cannot be written.
        SystemExit: If nobody reads it any more.
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
        if error.errno is None:  # raised by a library, such as Pillow for an unknown file format
            raise
        _redirect_to_null(sys.stdout)
        raise OutputError(f"cannot write to standard output: {error.strerror}") from error


def say(text: str, *, flush: bool = False) -> None:
    """Print text, wrapped to the width of a terminal."""
    print(wrap_for_terminal(text, sys.stdout), flush=flush)


def print_to_stderr(text: str) -> None:
    """Print an error or a note to standard error; a terminal shows its hint dimmed."""
    lines = [_dim_hint(line) for line in text.split("\n")]
    try:
        print("\n".join(lines), file=sys.stderr, flush=True)
    except OSError:
        _redirect_to_null(sys.stderr)


def _dim_hint(line: str) -> str:
    """Dim a tip, or the hint after the last semicolon of a message, if it has one."""
    wrapped = wrap_for_terminal(line, sys.stderr)
    if line.startswith("tip: "):
        return dim(wrapped, sys.stderr)
    # A semicolon without a space after it belongs to a name.
    match = re.fullmatch(r"(.*;)(\s.*)", wrapped, flags=re.DOTALL)
    if match is None:
        return wrapped
    problem, hint = match.groups()
    return f"{problem}{dim(hint, sys.stderr)}"


def _redirect_to_null(stream: TextIO) -> None:
    os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())


def format_table(header: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Format a table in columns, or as a list if the terminal is too narrow for columns.

    Cells are wrapped if necessary. A header of empty strings is left out.
    """
    full_widths = _column_widths((header, *rows), len)
    min_widths = _column_widths((header, *rows), _min_width)
    width_of_gaps = _COLUMN_GAP * (len(full_widths) - 1)
    # Without a terminal, no column is narrowed.
    unlimited_width = sum(full_widths) + _COLUMN_GAP + width_of_gaps
    terminal_width = terminal_columns(sys.stdout) or unlimited_width
    width_for_cells = terminal_width - width_of_gaps
    if sum(min_widths) > width_for_cells:
        return "\n".join(_row_as_list(header, row, terminal_width) for row in rows)

    widths = _shrink_columns(full_widths, min_widths, width_for_cells)
    lines = []
    if any(header):
        lines += _table_lines(header, widths)
        lines.append((" " * _COLUMN_GAP).join("-" * width for width in widths))
    for row in rows:
        lines += _table_lines(row, widths, first_cell_style=bold)
    return "\n".join(lines)


_COLUMN_GAP = 2
"""Number of spaces between two columns."""
_MAX_UNWRAPPED_LENGTH = 8
"""Length up to which a cell is never wrapped [characters]."""


def _shrink_columns(
    full_widths: Sequence[int], min_widths: Sequence[int], available: int
) -> list[int]:
    """Make the widest columns narrower, one character at a time, until all columns fit."""
    widths = list(full_widths)
    while sum(widths) > available:
        shrinkable = [i for i, width in enumerate(widths) if width > min_widths[i]]
        widest = max(shrinkable, key=lambda i: widths[i])
        widths[widest] -= 1
    return widths


def _min_width(cell: str) -> int:
    if len(cell) <= _MAX_UNWRAPPED_LENGTH:
        return len(cell)
    return max(len(word) for word in cell.split())


def _column_widths(rows: Sequence[Sequence[str]], measure: Callable[[str], int]) -> list[int]:
    return [max(measure(row[column]) for row in rows) for column in range(len(rows[0]))]


def _table_lines(
    row: Sequence[str], widths: Sequence[int], first_cell_style: Callable[[str], str] = str
) -> Iterator[str]:
    """Yield the lines of a row, whose cells are wrapped to the widths of the columns."""
    lines_of_cells = [
        [cell] if len(cell) <= width else wrap_line(cell, width, 0).split("\n")
        for cell, width in zip(row, widths, strict=True)
    ]
    for first_cell, *other_cells in zip_longest(*lines_of_cells, fillvalue=""):
        padded = [
            cell.ljust(width)
            for cell, width in zip((first_cell, *other_cells), widths, strict=True)
        ]
        line = (" " * _COLUMN_GAP).join(padded).rstrip()
        # Styles are added after padding, because their codes have no width.
        rest = line[len(first_cell) :]
        yield f"{first_cell_style(first_cell)}{rest}" if first_cell else line


def _row_as_list(header: Sequence[str], row: Sequence[str], width: int) -> str:
    """Format a row as its first cell, and below it the other cells with their headers."""
    cells = [
        f"{title} {cell}".strip() for title, cell in zip(header[1:], row[1:], strict=True) if cell
    ]
    return f"{bold(row[0])}\n{wrap_line('  ' + '; '.join(cells), width, 2)}"


def fault_lines(images: Sequence[str], predictions: Sequence[str]) -> Iterator[str]:
    """Yield lines that list images and predictions that cannot be shown, the first few of each."""
    for noun, faults in (
        ("image", images),
        ("prediction", predictions),
    ):
        if faults:
            yield f"{count_text(len(faults), noun)} cannot be shown:"
            yield from (f"  {for_terminal(fault)}" for fault in faults[:_MAX_LISTED_FAULTS])
        if len(faults) > _MAX_LISTED_FAULTS:
            yield f"  ... and {len(faults) - _MAX_LISTED_FAULTS} more"
