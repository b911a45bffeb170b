"""The bases of datasets that are lists of files, and of those whose photographs are files."""

from abc import abstractmethod
from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import fields
from pathlib import Path
from typing import Any, Generic, Protocol, TypeVar, runtime_checkable

import numpy as np
from jaxtyping import UInt8

from rilievo.datasets.base import Absent, Dataset, Request, checked_ids
from rilievo.datasets.files import find_entry, text_lines
from rilievo.io.limits import printable
from rilievo.io.photo import read_photo

Entry = TypeVar("Entry")


class Listed(Dataset, Generic[Entry]):
    """A dataset with a record of files for each image; ``__init__`` sets ``_files`` by id."""

    _files: Mapping[str, Entry]

    @abstractmethod
    def __init__(self, request: Request) -> None:
        """Find the files."""

    def _entry(self, id: str) -> Entry:
        """Look up the files of one image."""
        return find_entry(self._files, id, self.request.root)

    def _choose(self, found: Mapping[str, Entry], list_file: Path | None) -> None:
        """Set ``_files``, ``ids`` and ``absent``: the split's order, or that of the user's list."""
        asked, where = tuple(found), printable(self.request.root)
        if list_file is not None:
            where = printable(list_file)
            asked = tuple(line.text for line in text_lines(list_file))
        present: dict[str, Entry] = {}
        absent: list[Absent] = []
        for id in checked_ids(asked, where):
            if id not in found:
                absent.append(Absent(id=id, reason=f"named in {where}, not found"))
            elif (missing := _missing(found[id])) is not None:
                absent.append(Absent(id=id, reason=f"there is no {printable(missing)}"))
            else:
                present[id] = found[id]
        self._files, self.ids, self.absent = present, tuple(present), tuple(absent)


def _missing(entry: Any) -> Path | None:
    for each in fields(entry):
        path = getattr(entry, each.name)
        if isinstance(path, Path) and not path.is_file():
            return path
    return None


@runtime_checkable
class _HasImage(Protocol):
    """The files of one entry, with that of its photograph."""

    @property
    def image(self) -> Path: ...


Files = TypeVar("Files", bound=_HasImage)


class PhotoFiles(Listed[Files]):
    """A dataset whose photographs are files: the field ``image`` of its records."""

    def image(self, id: str) -> UInt8[np.ndarray, "h w 3"]:
        """The photograph, upright, RGB."""
        return read_photo(self._entry(id).image, own_depth=False).pixels

    def photo_file(self, id: str) -> Path | None:
        """The photograph's own file."""
        return self._entry(id).image

    def _keep_present(
        self,
        files: Mapping[str, Files],
        needed: Callable[[Files], Iterable[Path | None]],
        names: Callable[[Path], Collection[str]],
    ) -> list[Absent]:
        """Set ``_files`` to the entries whose needed files exist, and return the others."""
        present: dict[str, Files] = {}
        absent: list[Absent] = []
        for id, each in files.items():
            missing = next(
                (path for path in needed(each) if path and path.name not in names(path.parent)),
                None,
            )
            if missing is None:
                present[id] = each
            else:
                absent.append(Absent(id=id, reason=f"{printable(missing)} is missing"))
        self._files = present
        return absent
