"""Helpers of loaders."""

import os
import re
from collections.abc import Iterator, Mapping
from enum import StrEnum
from pathlib import Path, PurePosixPath
from typing import TypeVar

import numpy as np

from rilievo.errors import InputError
from rilievo.frozen import frozen
from rilievo.io.files.limits import check_regular, printable, reason, unreadable
from rilievo.io.numbers import read_numbers
from rilievo.shapes import Mask, Shaped, UInt, Vectors

Entry = TypeVar("Entry")

_LONGEST_LINE = 4 * 2**20
_SHOWN = 6


@frozen
class Line:
    """Numbered line of a text file, without outer white space."""

    number: int
    text: str


def text_lines(path: Path) -> Iterator[Line]:
    """Yield lines that are neither empty nor comments ("#")."""
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
    """Folders of an id without the last ``names`` parts, or the root's name."""
    return "/".join(id.split("/")[:-names]) or root.absolute().name


def numbers_of(text: str) -> tuple[float, ...] | None:
    """Numbers of a line, if it has nothing else."""
    try:
        return tuple(float(word) for word in text.split())
    except ValueError:
        return None


def read_counts(path: Path, *, bits: int = 16) -> UInt[np.ndarray, "h w"]:
    """Read integers of a grey PNG or PGM."""
    numbers = read_numbers(path)
    if numbers.dtype != np.dtype(f"uint{bits}") or numbers.ndim != 2:
        raise InputError(
            f"{path}: has {numbers.dtype} numbers of shape {numbers.shape}, but depth is stored "
            f"here as {bits} bits of grey; fetch the original file again"
        )
    return numbers


def names_in(folder: Path) -> frozenset[str]:
    """Names in a folder, without dangling links."""
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
    """Contents of a folder, in words."""
    if not folder.is_dir():
        return "a file" if folder.exists() else "no such folder"
    names = sorted(names_in(folder))
    if not names:
        return "an empty folder"
    more = f" and {len(names) - _SHOWN} more" if len(names) > _SHOWN else ""
    return ", ".join(printable(name) for name in names[:_SHOWN]) + more


def walk(top: Path, *, links: bool = False) -> Iterator[tuple[str, list[str], list[str]]]:
    """``os.walk`` that raises for unreadable folders."""

    def raise_unless_missing(error: OSError) -> None:
        if not isinstance(error, (FileNotFoundError, NotADirectoryError)):
            raise unreadable(error, top) from error

    return os.walk(top, onerror=raise_unless_missing, followlinks=links)


def find_entry(entries: Mapping[str, Entry], id: str, root: Path) -> Entry:
    """Find the entry of an image."""
    if id not in entries:
        raise InputError(f"{root}: has no image '{id}' in this split")
    return entries[id]


# Rounding to 8 bits changes the length of a unit vector by less than 0.01. Holes are black, grey
# or white, with lengths 1.73, 0 and 1.73.
_LENGTHS = (0.7, 1.3)


class NormalAxes(StrEnum):
    """Axes of stored normals."""

    OPENCV = "opencv"
    """Ours: x right, y down, z forward; a wall is (0, 0, -1)."""
    OPENGL = "opengl"
    """x right, y up, z towards the viewer; a wall is (0, 0, 1)."""
    DSINE = "dsine"
    """x right, y down, z forward, away from the camera; a wall is (0, 0, 1)."""


_SIGNS: Mapping[NormalAxes, tuple[int, int, int]] = {
    NormalAxes.OPENCV: (1, 1, 1),
    NormalAxes.OPENGL: (1, -1, -1),
    NormalAxes.DSINE: (-1, -1, -1),
}


def normals_of_stored(
    stored: Shaped[np.ndarray, "h w 3"], axes: NormalAxes, path: Path
) -> tuple[Vectors, Mask]:
    """Convert stored normals to ours; integers are colours, and lengths far from 1 are holes."""
    if stored.ndim != 3 or stored.shape[2] != 3:
        raise InputError(f"{path}: has shape {stored.shape}, expected normals, (height, width, 3)")
    with np.errstate(over="ignore", invalid="ignore"):
        vectors = np.moveaxis(stored, 2, 0).astype(np.float32)
    if stored.dtype.kind in "ui":
        vectors = vectors * np.float32(2 / np.iinfo(stored.dtype).max) - np.float32(1)
    # Vectors that are infinite, or whose squares are, are holes.
    with np.errstate(over="ignore", invalid="ignore"):
        length = np.sqrt(np.sum(vectors * vectors, axis=0))
        valid = (length > _LENGTHS[0]) & (length < _LENGTHS[1])
    if not valid.any():
        raise InputError(f"{path}: no pixel has a vector of unit length, so these are no normals")
    signs = np.array(_SIGNS[axes], np.float32)[:, None, None]
    unit = vectors * signs / np.where(valid, length, np.float32(1))
    return np.where(valid, unit, np.float32(0)), valid


def files_by_id(folder: Path, pattern: str) -> dict[str, Path]:
    """Find files of a pattern, by sorted id; links are followed, hidden files not.

    ``{id}`` is any text, ``*`` any without "/".
    """
    fits = _regex_of_pattern(pattern)
    head = pattern.split("{id}")[0].split("*")[0]
    start = folder / head[: head.rfind("/") + 1]
    files: dict[str, Path] = {}
    for place, folders, names in walk(start, links=True):
        folders[:] = [
            name for name in folders if not name.startswith(".") and not _leads_back(place, name)
        ]
        for name in names:
            path = Path(place, name)
            match = fits.fullmatch(path.relative_to(folder).as_posix())
            if match is None or name.startswith("."):
                continue
            if match["id"] in files:
                raise InputError(
                    f"{path} and {files[match['id']].name} both fit '{pattern}' with the id "
                    f"'{match['id']}': say more in the pattern"
                )
            files[match["id"]] = path
    return dict(sorted(files.items()))


def _leads_back(place: str, name: str) -> bool:
    """Whether a link leads to an ancestor."""
    path = os.path.join(place, name)
    if not os.path.islink(path):
        return False
    target, here = os.path.realpath(path), os.path.realpath(place)
    return os.path.commonpath([target, here]) == target


def expected_path(folder: Path, pattern: str, id: str) -> Path:
    """Path of the file of an id."""
    return folder / PurePosixPath(pattern.replace("{id}", id))


def _regex_of_pattern(pattern: str) -> re.Pattern[str]:
    pieces = []
    named = False
    for piece in re.split(r"(\{id\}|\*)", pattern.removeprefix("./")):
        if piece == "{id}":
            pieces.append("(?P=id)" if named else "(?P<id>.+)")
            named = True
        else:
            pieces.append("[^/]*" if piece == "*" else re.escape(piece))
    # Names may contain line breaks.
    return re.compile("".join(pieces), re.DOTALL)
