"""Names of files: on one line in messages, each once, and addresses.

Names may be addresses, also s3://bucket/key.
"""

import re
from collections import Counter
from collections.abc import Iterable, Sequence
from pathlib import Path

from rilievo.errors.messages import escape_unprintable

_ADDRESS = r"(?P<scheme>[a-z][a-z0-9+.-]+):/+(?P<rest>.*)"


def printable(path: Path | str) -> str:
    """Path on one line, as messages show it."""
    return escape_unprintable(str(path)) or "''"


def shortened(text: str, max_characters: int = 80) -> str:
    """Printable text that fits on a line."""
    shown = printable(text[: max_characters + 1])
    return shown if len(text) <= max_characters else f"{shown[:max_characters]}..."


def relative_printable(path: Path) -> str:
    """Printable path, from the working folder where it lies inside."""
    working_folder = Path.cwd()
    if path.is_relative_to(working_folder):
        return printable(path.relative_to(working_folder))
    return printable(path)


def number_duplicates(names: Iterable[str]) -> list[str]:
    """Names, numbered where they occur twice; case is ignored."""
    taken: set[str] = set()
    unique = []
    for name in names:
        candidate, number = name, 1
        while candidate.lower() in taken:
            number += 1
            candidate = f"{name}-{number}"
        taken.add(candidate.lower())
        unique.append(candidate)
    return unique


def unique_names(files: Sequence[str]) -> list[str]:
    """Stems of files, or names where stems are equal."""
    stems = Counter(Path(name).stem.lower() for name in files)
    return number_duplicates(
        Path(name).stem if stems[Path(name).stem.lower()] == 1 else name for name in files
    )


def address_or_none(name: str | Path) -> str | None:
    """Address with ``//``; None for paths and ``file://``."""
    match = _address_match(name)
    if match is None or match["scheme"] == "file":
        return None
    return f"{match['scheme']}://{match['rest']}"


def local_path(name: str | Path) -> str:
    """Path of a ``file://`` address; other names unchanged."""
    match = _address_match(name)
    if match is None or match["scheme"] != "file":
        return str(name)
    return "/" + match["rest"].lstrip("/")


def _address_match(name: str | Path) -> re.Match[str] | None:
    text = str(name)
    return re.fullmatch(_ADDRESS, text, re.DOTALL) if ":/" in text else None
