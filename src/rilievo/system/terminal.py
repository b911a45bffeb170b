"""Wrap text to the width of a terminal, and style it; files and pipes get plain lines."""

import os
import re
import sys
from typing import TextIO

_MIN_COLUMNS = 20
"""Width of wrapped text in a terminal that is narrower or states a wrong width."""
_MIN_HELP_WIDTH, _MAX_HELP_WIDTH = 50, 100
"""Least and most characters of a line of help."""
_DEFAULT_TERMINAL_SIZE = (80, 24)
_FIRST_COLUMN = r" *\S+(?: \S+)* {2,}(?=\S)"
"""First column of a line with two columns, which are two spaces or more apart."""


def terminal_columns(stream: TextIO | None) -> int | None:
    """Width of a terminal in characters, or None for files, pipes and terminals of unknown size."""
    if stream is None or not stream.isatty():
        return None
    try:
        user_columns = int(os.environ.get("COLUMNS", "0"))
        columns = user_columns or os.get_terminal_size(stream.fileno()).columns
    except (ValueError, OSError):
        return None
    return max(_MIN_COLUMNS, columns) if columns > 0 else None


def help_width() -> int:
    """Most characters of a line of help."""
    import shutil  # Imported on demand, because most commands show no help.

    columns = shutil.get_terminal_size(_DEFAULT_TERMINAL_SIZE).columns
    return max(_MIN_HELP_WIDTH, min(_MAX_HELP_WIDTH, columns))


def wrap_for_terminal(text: str, stream: TextIO | None) -> str:
    """Wrap lines to a terminal's width; text for files and pipes stays as it is."""
    width = terminal_columns(stream)
    if width is None:
        return text
    return "\n".join(wrap_line(line, width) for line in text.split("\n"))


def wrap_line(line: str, width: int, indent: int | None = None) -> str:
    """Wrap a line between words, to ``width`` characters. A line with styles stays as it is.

    All lines but the first begin with ``indent`` spaces. By default, they begin below the second
    column if there are two columns and the first is narrow, and otherwise two spaces deeper.
    """
    has_styles = "\x1b" in line
    if len(line) <= width or has_styles:
        return line
    from textwrap import wrap  # Imported on demand, because most lines are short.

    if indent is None:
        indent = _continuation_indent(line, width)
    return "\n".join(
        wrap(
            line,
            width,
            subsequent_indent=" " * indent,
            break_long_words=False,
            break_on_hyphens=False,
        )
    )


def _continuation_indent(line: str, width: int) -> int:
    first_column = re.match(_FIRST_COLUMN, line)
    if first_column is not None and 2 * first_column.end() <= width:
        return first_column.end()
    own_indent = len(line) - len(line.lstrip())
    return own_indent + 2


def bold(text: str, stream: TextIO | None = None) -> str:
    """Make text bold if a stream, by default the standard output, shows styles."""
    return _add_style(text, "1", stream)


def dim(text: str, stream: TextIO | None = None) -> str:
    """Make text dim if a stream, by default the standard output, shows styles."""
    return _add_style(text, "2", stream)


def _add_style(text: str, code: str, stream: TextIO | None) -> str:
    stream = sys.stdout if stream is None else stream
    if not _shows_styles(stream):
        return text
    styled = (f"\x1b[{code}m{line}\x1b[0m" if line.strip() else line for line in text.split("\n"))
    return "\n".join(styled)


def _shows_styles(stream: TextIO | None) -> bool:
    if stream is None or not stream.isatty():
        return False
    if os.environ.get("TERM") == "dumb" or os.environ.get("NO_COLOR"):
        return False
    is_old_console = sys.platform == "win32" and "WT_SESSION" not in os.environ
    return not is_old_console
