"""What loaders ask of a download: its folders, its lines of text, its pictures of depth."""

import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

import numpy as np
from jaxtyping import UInt

from rilievo.errors import InputError
from rilievo.io.limits import check_regular, printable, reason, unreadable
from rilievo.io.numbers import read_numbers

Entry = TypeVar("Entry")

_SHOWN = 6


@dataclass(frozen=True, slots=True, kw_only=True)
class Line:
    """One line of a text file.

    Attributes:
        number: From 1, as editors count.
        text: Without surrounding white space; never empty.
    """

    number: int
    text: str


def text_lines(path: Path) -> Iterator[Line]:
    """The lines of a text file that say something: neither empty nor a comment after "#".

    Raises:
        InputError: If it cannot be read, or is not UTF-8.
    """
    check_regular(path)
    try:
        text = path.read_text(encoding="utf-8-sig")
    except OSError as error:
        raise InputError(f"{printable(path)}: cannot be read ({reason(error)})") from error
    except UnicodeDecodeError as error:
        raise InputError(
            f"{printable(path)}: is no text in UTF-8 (byte {error.start}); a text file is expected"
        ) from error
    for number, line in enumerate(text.splitlines(), 1):
        stripped = line.strip()
        if stripped and not stripped.startswith("#"):
            yield Line(number=number, text=stripped)


def scene_of(id: str, root: Path, *, names: int = 1) -> str:
    """The folders of an id, which name its scene; the root's own name where it has none.

    Args:
        id: Of an image, such as ``chess/seq-01/frame-000000``.
        root: Of the dataset.
        names: How many names at the end of the id are the image's own.
    """
    return "/".join(id.split("/")[:-names]) or root.absolute().name


def numbers_of(text: str) -> tuple[float, ...] | None:
    """The numbers of a line, between white space; None where it holds anything else."""
    try:
        return tuple(float(word) for word in text.split())
    except ValueError:
        return None


def read_counts(path: Path, *, bits: int = 16) -> UInt[np.ndarray, "h w"]:
    """The stored whole numbers of a depth map: a grey PNG or PGM.

    Raises:
        InputError: If it is broken, or not so many bits of grey: then somebody converted it, and
            its numbers are no longer those of the dataset.
    """
    numbers = read_numbers(path)
    if numbers.dtype != np.dtype(f"uint{bits}") or numbers.ndim != 2:
        raise InputError(
            f"{printable(path)}: has {numbers.dtype} numbers of shape {numbers.shape}, but depth "
            f"is stored here as {bits} bits of grey; fetch the original file again"
        )
    return numbers


def names_in(folder: Path) -> frozenset[str]:
    """The names in a folder; none where there is no such folder.

    Raises:
        InputError: If the folder may not be read.
    """
    try:
        return frozenset(each.name for each in folder.iterdir())
    except (FileNotFoundError, NotADirectoryError):
        return frozenset()
    except OSError as error:
        raise InputError(f"{printable(folder)}: cannot be read ({reason(error)})") from error


def found_in(folder: Path) -> str:
    """What is in a folder, for the end of a message: its first names, and how many more."""
    if not folder.is_dir():
        return "a file" if folder.exists() else "no such folder"
    names = sorted(names_in(folder))
    if not names:
        return "an empty folder"
    more = f" and {len(names) - _SHOWN} more" if len(names) > _SHOWN else ""
    return ", ".join(printable(name) for name in names[:_SHOWN]) + more


def walk(top: Path, *, links: bool = False) -> Iterator[tuple[str, list[str], list[str]]]:
    """``os.walk``, but a folder that may not be read is an error, where that takes it for empty.

    Args:
        top: Where to begin; what is not there has nothing below it.
        links: Whether to follow links to folders; the caller keeps out of circles.

    Raises:
        InputError: If a folder may not be read.
    """

    def refuse(error: OSError) -> None:
        if not isinstance(error, (FileNotFoundError, NotADirectoryError)):
            raise unreadable(error, top) from error

    return os.walk(top, onerror=refuse, followlinks=links)


def find_entry(entries: Mapping[str, Entry], id: str, root: Path) -> Entry:
    """The files of one image.

    Raises:
        InputError: If the dataset has no such id.
    """
    if id not in entries:
        raise InputError(f"{printable(root)}: has no image '{printable(id)}' in this split")
    return entries[id]
