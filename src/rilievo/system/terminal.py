"""Text on a terminal: wrapped to its width, with styles; files and pipes get plain lines."""

import os
import re
import sys
from typing import TextIO

_NARROWEST = 20
_HELP = (50, 100)  # least and most characters of a line
_KEY = r" *\S+(?: \S+)* {2,}(?=\S)"


def terminal_columns(stream: TextIO | None) -> int | None:
    """Columns of a terminal; None for files and pipes."""
    if stream is None or not stream.isatty():
        return None
    try:
        columns = int(os.environ.get("COLUMNS", "0"))
        columns = columns or os.get_terminal_size(stream.fileno()).columns
    except (ValueError, OSError):
        return None
    return max(_NARROWEST, columns) if columns > 0 else None


def help_width() -> int:
    """Most characters of a line of help."""
    import shutil  # most commands show no help

    least, most = _HELP
    return max(least, min(most, shutil.get_terminal_size((80, 24)).columns))


def wrap_for_terminal(text: str, stream: TextIO | None) -> str:
    """Wrap lines to a terminal's width; unchanged for files and pipes."""
    width = terminal_columns(stream)
    if width is None:
        return text
    return "\n".join(wrap_line(line, width) for line in text.split("\n"))


def wrap_line(line: str, width: int, indent: int | None = None) -> str:
    """Wrap a line at words; further lines are indented as its first column, or two more."""
    if len(line) <= width or "\x1b" in line:
        return line
    from textwrap import wrap  # most lines are short

    if indent is None:
        key = re.match(_KEY, line)
        indent = len(line) - len(line.lstrip()) + 2
        indent = key.end() if key and 2 * key.end() <= width else indent
    return "\n".join(
        wrap(
            line,
            width,
            subsequent_indent=" " * indent,
            break_long_words=False,
            break_on_hyphens=False,
        )
    )


def bold(text: str, stream: TextIO | None = None) -> str:
    """Bold text, plain where a stream shows no styles."""
    return _add_style(text, "1", stream)


def dim(text: str, stream: TextIO | None = None) -> str:
    """Dim text, likewise."""
    return _add_style(text, "2", stream)


def _add_style(text: str, code: str, stream: TextIO | None) -> str:
    stream = sys.stdout if stream is None else stream
    shows = stream is not None and stream.isatty() and os.environ.get("TERM") != "dumb"
    old = sys.platform == "win32" and "WT_SESSION" not in os.environ
    if not shows or old or os.environ.get("NO_COLOR"):
        return text
    lines = text.split("\n")
    return "\n".join(f"\x1b[{code}m{line}\x1b[0m" if line.strip() else line for line in lines)
