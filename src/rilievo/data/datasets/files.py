"""Helpers for loaders: names in folders, lines of text, stored depth maps."""

import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TypeVar

import numpy as np

from rilievo.errors import InputError
from rilievo.frozen import frozen
from rilievo.io.files.limits import check_regular, printable, reason, unreadable
from rilievo.io.numbers import read_numbers
from rilievo.shapes import UInt

Entry = TypeVar("Entry")

_LONGEST_LINE = 4 * 2**20
"""Characters of a line; COLMAP writes all points of an image into one."""
_SHOWN = 6
"""Names of a folder that messages show."""


@frozen
class Line:
    """One line of a text file.

    Attributes:
        number: Line number, from 1.
        text: Text without surrounding white space; never empty.
    """

    number: int
    text: str


def text_lines(path: Path) -> Iterator[Line]:
    """Yield the lines of a text file that are neither empty nor comments ("#")."""
    check_regular(path)
    try:
        text = path.read_text(encoding="utf-8-sig")
    except OSError as error:
        raise InputError(f"{path}: cannot be read ({reason(error)})") from error
    except UnicodeDecodeError as error:
        raise InputError(
            f"{path}: is no text in UTF-8 (byte {error.start}); a text file is expected"
        ) from error
    for number, line in enumerate(text.splitlines(), 1):
        if len(line) > _LONGEST_LINE:
            raise InputError(f"{path}: line {number} has {len(line):,} characters, too many")
        stripped = line.strip()
        if stripped and not stripped.startswith("#"):
            yield Line(number=number, text=stripped)


def scene_of(id: str, root: Path, *, names: int = 1) -> str:
    """Scene of an id: its leading folders, or the root's own name where it has none.

    Args:
        id: Id of an image, such as ``chess/seq-01/frame-000000``.
        root: Root of the dataset.
        names: Number of trailing parts of the id that belong to the image, not the scene.
    """
    return "/".join(id.split("/")[:-names]) or root.absolute().name


def numbers_of(text: str) -> tuple[float, ...] | None:
    """Numbers of a line, separated by white space; None where it holds anything else."""
    try:
        return tuple(float(word) for word in text.split())
    except ValueError:
        return None


def read_counts(path: Path, *, bits: int = 16) -> UInt[np.ndarray, "h w"]:
    """Read the stored integers of a depth map, a grey PNG or PGM."""
    numbers = read_numbers(path)
    if numbers.dtype != np.dtype(f"uint{bits}") or numbers.ndim != 2:
        raise InputError(
            f"{path}: has {numbers.dtype} numbers of shape {numbers.shape}, but depth is stored "
            f"here as {bits} bits of grey; fetch the original file again"
        )
    return numbers


def names_in(folder: Path) -> frozenset[str]:
    """Names in a folder, without links to nothing; empty where there is no such folder."""
    try:
        with os.scandir(folder) as entries:
            return frozenset(
                entry.name for entry in entries if not entry.is_symlink() or os.path.exists(entry)
            )
    except (FileNotFoundError, NotADirectoryError, ValueError):  # a name with a NUL is no folder's
        return frozenset()
    except OSError as error:
        raise InputError(f"{folder}: cannot be read ({reason(error)})") from error


def found_in(folder: Path) -> str:
    """Contents of a folder for error messages: its first names, and the number of others."""
    if not folder.is_dir():
        return "a file" if folder.exists() else "no such folder"
    names = sorted(names_in(folder))
    if not names:
        return "an empty folder"
    more = f" and {len(names) - _SHOWN} more" if len(names) > _SHOWN else ""
    return ", ".join(printable(name) for name in names[:_SHOWN]) + more


def walk(top: Path, *, links: bool = False) -> Iterator[tuple[str, list[str], list[str]]]:
    """Walk like ``os.walk``, but raise for unreadable folders, which it would take for empty.

    Args:
        top: Folder to start from; one that does not exist yields nothing.
        links: Whether to follow links to folders; the caller must avoid cycles.
    """

    def refuse(error: OSError) -> None:
        if not isinstance(error, (FileNotFoundError, NotADirectoryError)):
            raise unreadable(error, top) from error

    return os.walk(top, onerror=refuse, followlinks=links)


def find_entry(entries: Mapping[str, Entry], id: str, root: Path) -> Entry:
    """Look up the entry of one image."""
    if id not in entries:
        raise InputError(f"{root}: has no image '{id}' in this split")
    return entries[id]
