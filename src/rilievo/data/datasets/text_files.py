"""Text files, numbers and folders of datasets."""

import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from rilievo.errors import InputError
from rilievo.io.files.limits import check_regular, reason, unreadable
from rilievo.io.files.names import printable

Entry = TypeVar("Entry")
_MAX_LINE_CHARACTERS = 4 * 2**20
_MAX_NAMES_SHOWN = 6


@dataclass(frozen=True, slots=True, kw_only=True)
class Line:
    """Numbered line of a text file, without outer white space."""

    number: int
    text: str


def text_lines(path: Path) -> Iterator[Line]:
    """Yield the lines of a file that are neither empty nor comments ("#").

    Raises:
        InputError: If the file cannot be read, is no text in UTF-8, or has a line of over 4 MiB.
    """
    check_regular(path)
    try:
        text = path.read_text(encoding="utf-8-sig")
    except OSError as error:
        raise InputError(f"{path}: cannot be read ({reason(error)})") from error
    except UnicodeDecodeError as error:
        raise InputError(
            f"{path}: is not valid UTF-8 (byte {error.start}); expected a text file"
        ) from error
    for number, line in enumerate(text.splitlines(), 1):
        if len(line) > _MAX_LINE_CHARACTERS:
            raise InputError(
                f"{path}: line {number} has {len(line):,} characters, expected at most "
                f"{_MAX_LINE_CHARACTERS:,}"
            )
        stripped = line.strip()
        if stripped and not stripped.startswith("#"):
            yield Line(number=number, text=stripped)


def scene_by_folders(image_id: str, root: Path, *, names: int = 1) -> str:
    """Scene of an id: its folders without the last ``names`` parts, or the root's name."""
    return "/".join(image_id.split("/")[:-names]) or root.absolute().name


def parse_numbers(text: str) -> tuple[float, ...] | None:
    """Parse a line of numbers; None if any word is not a number."""
    try:
        return tuple(float(word) for word in text.split())
    except ValueError:
        return None


def names_in(folder: Path) -> frozenset[str]:
    """List the names in a folder, without dangling links; empty if there is no such folder."""
    try:
        with os.scandir(folder) as entries:
            return frozenset(
                entry.name for entry in entries if not entry.is_symlink() or os.path.exists(entry)
            )
    except (FileNotFoundError, NotADirectoryError, ValueError):  # a name with a NUL is no folder's
        return frozenset()
    except OSError as error:
        raise InputError(f"{folder}: cannot be read ({reason(error)})") from error


def contents_text(folder: Path) -> str:
    """Describe for a message what a folder contains: its first six names, or why there are none."""
    if not folder.is_dir():
        return "a file" if folder.exists() else "no such folder"
    names = sorted(names_in(folder))
    if not names:
        return "an empty folder"
    more = f" and {len(names) - _MAX_NAMES_SHOWN} more" if len(names) > _MAX_NAMES_SHOWN else ""
    return ", ".join(printable(name) for name in names[:_MAX_NAMES_SHOWN]) + more


def walk(top: Path, *, links: bool = False) -> Iterator[tuple[str, list[str], list[str]]]:
    """``os.walk`` that raises for unreadable folders."""

    def raise_unless_missing(error: OSError) -> None:
        if not isinstance(error, (FileNotFoundError, NotADirectoryError)):
            raise unreadable(error, top) from error

    return os.walk(top, onerror=raise_unless_missing, followlinks=links)


def find_entry(entries: Mapping[str, Entry], image_id: str, root: Path) -> Entry:
    """Find the entry of an image.

    Raises:
        InputError: If the split has no such image.
    """
    if image_id not in entries:
        raise InputError(f"{root}: has no image '{image_id}' in this split")
    return entries[image_id]
