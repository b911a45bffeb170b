"""Names of files: printable, without duplicates, in natural order, and told apart from addresses.

Names may also be addresses, such as s3://bucket/key.
"""

import re
from collections import Counter
from collections.abc import Iterable, Sequence
from pathlib import Path

from rilievo.errors.messages import escape_unprintable

_ADDRESS = r"(?P<scheme>[a-z][a-z0-9+.-]+):/+(?P<rest>.*)"


def printable(path: Path | str) -> str:
    """Path as messages show it, on one line."""
    return escape_unprintable(str(path)) or "''"


def shortened(text: str, max_characters: int = 80) -> str:
    """Printable text that fits on a line, cut after ``max_characters``."""
    shown_text = printable(text[: max_characters + 1])
    return shown_text if len(text) <= max_characters else f"{shown_text[:max_characters]}..."


def relative_printable(path: Path) -> str:
    """Printable path, relative to the working folder if it lies inside."""
    working_folder = Path.cwd()
    if path.is_relative_to(working_folder):
        return printable(path.relative_to(working_folder))
    return printable(path)


def number_duplicates(names: Iterable[str]) -> list[str]:
    """Add numbers to names that occur more than once, such as ``cat-2``; case is ignored."""
    taken_names: set[str] = set()
    numbered = []
    for name in names:
        candidate, number = name, 1
        while candidate.lower() in taken_names:
            number += 1
            candidate = f"{name}-{number}"
        taken_names.add(candidate.lower())
        numbered.append(candidate)
    return numbered


def unique_names(files: Sequence[str]) -> list[str]:
    """Make a unique name for each file: its stem, or its whole name if the stem is not unique."""
    stem_counts = Counter(Path(name).stem.lower() for name in files)
    return number_duplicates(
        Path(name).stem if stem_counts[Path(name).stem.lower()] == 1 else name for name in files
    )


def natural_sort_key(name: str) -> tuple[tuple[int, str], ...]:
    """Return a sort key in which digits count as numbers: ``frame2`` is before ``frame10``."""
    words = re.split(r"(\d+)", name)  # texts and digits in turn
    return tuple((int(word), word) if word.isdecimal() else (-1, word) for word in words)


def address_or_none(name: str | Path) -> str | None:
    """Address with exactly two slashes after its scheme; None for paths and ``file://``."""
    match = _address_match(name)
    if match is None or match["scheme"] == "file":
        return None
    return f"{match['scheme']}://{match['rest']}"


def local_path(name: str | Path) -> str:
    """Path in a ``file://`` address; other names are returned unchanged."""
    match = _address_match(name)
    if match is None or match["scheme"] != "file":
        return str(name)
    return "/" + match["rest"].lstrip("/")


def _address_match(name: str | Path) -> re.Match[str] | None:
    text = str(name)
    return re.fullmatch(_ADDRESS, text, re.DOTALL) if ":/" in text else None
