"""Bases of datasets that are lists of files."""

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import fields
from functools import cache
from pathlib import Path
from typing import Any, Generic, Protocol, TypeVar, runtime_checkable

import numpy as np
from jaxtyping import UInt8

from rilievo.data.datasets.base import Absent, Dataset, checked_ids
from rilievo.data.datasets.files import find_entry, names_in, text_lines
from rilievo.io.files.limits import printable
from rilievo.io.photographs.photo import read_photo

Entry = TypeVar("Entry")


def _paths(entry: Any) -> Iterator[Path]:
    values = (getattr(entry, each.name) for each in fields(entry))
    return (each for each in values if isinstance(each, Path))


class Listed(Dataset, Generic[Entry]):
    """A dataset with a record of files for each image, which ``_keep`` or ``_choose`` sets."""

    _files: Mapping[str, Entry]
    _order: tuple[str, ...]

    @property
    def listed(self) -> tuple[str, ...]:
        """Ids of the whole list, in its order."""
        return self._order

    def _entry(self, id: str) -> Entry:
        """Look up the files of one image."""
        return find_entry(self._files, id, self.request.root)

    def _keep(
        self,
        entries: Mapping[str, Entry | None],
        needed: Callable[[Entry], Iterable[Path | None]] = _paths,
        unknown: str = "",
    ) -> None:
        """Set the ids of entries whose files exist; the others are absent.

        Args:
            entries: Files of every id, in the split's order; None for an id that has none.
            needed: Function that gives the files without which an entry is absent; by default all
                paths of its record.
            unknown: Reason why an entry without files is absent.
        """
        # With a cache, since folders may have a hundred thousand files.
        names = cache(names_in)
        present: dict[str, Entry] = {}
        absent: list[Absent] = []
        for id, each in entries.items():
            paths = () if each is None else needed(each)
            lost = (path for path in paths if path and path.name not in names(path.parent))
            missing = next(lost, None)
            if each is None:
                absent.append(Absent(id=id, reason=unknown))
            elif missing is not None:
                absent.append(Absent(id=id, reason=f"{printable(missing)} is missing"))
            else:
                present[id] = each
        self._files, self._order = present, tuple(entries)
        self.ids, self.absent = tuple(present), tuple(absent)

    def _choose(
        self,
        found: Mapping[str, Entry],
        list_file: Path | None,
        needed: Callable[[Entry], Iterable[Path | None]] = _paths,
    ) -> None:
        """Keep the images of the split, or of the user's list.

        Args:
            found: Records with paths in some fields, by id, in the split's order.
            list_file: File with one id per line, which replaces the split's list.
            needed: Function that gives the files without which an entry is absent.
        """
        asked, where = tuple(found), printable(self.request.root)
        if list_file is not None:
            where = printable(list_file)
            asked = tuple(line.text for line in text_lines(list_file))
        chosen = {id: found.get(id) for id in checked_ids(asked, where)}
        self._keep(chosen, needed, unknown=f"named in {where}, not found")


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
