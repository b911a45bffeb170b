"""Folders whose frames are named by number."""

from dataclasses import dataclass
from pathlib import Path

from rilievo.datasets.files import found_in, names_in
from rilievo.errors import InputError
from rilievo.io.limits import printable


@dataclass(frozen=True, slots=True, kw_only=True)
class Numbered:
    """Frames of a folder.

    Attributes:
        files: Files in the order of their numbers.
        numbers: Numbers in the names of the files.
    """

    files: tuple[Path, ...]
    numbers: tuple[int, ...]


def numbered_files(folder: Path) -> Numbered:
    """List the frames of a folder: PNG as published, or JPEG converted from it; PNG has priority.

    Raises:
        InputError: If there is no frame.
    """
    found: dict[int, Path] = {}
    # PNG comes after JPEG, so that it replaces the JPEG made from it.
    for name in sorted(names_in(folder), key=lambda name: (name.endswith(".png"), name)):
        stem, _, suffix = name.rpartition(".")
        if stem.isdecimal() and suffix in ("png", "jpg"):
            found[int(stem)] = folder / name
    if not found:
        raise InputError(
            f"{printable(folder)}: frames such as 0000000005.png are expected, found "
            f"{found_in(folder)}"
        )
    numbers = tuple(sorted(found))
    return Numbered(files=tuple(found[number] for number in numbers), numbers=numbers)
