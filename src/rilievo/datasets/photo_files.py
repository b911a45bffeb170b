"""The base of datasets in which every photograph is a file of its own."""

from abc import abstractmethod
from collections.abc import Callable, Collection, Iterable, Mapping
from pathlib import Path
from typing import Generic, Protocol, TypeVar, runtime_checkable

import numpy as np
from jaxtyping import UInt8

from rilievo.datasets.base import Absent, Dataset, Request
from rilievo.datasets.files import find_entry
from rilievo.io.limits import printable
from rilievo.io.photo import read_photo


@runtime_checkable
class _HasImage(Protocol):
    """The files of one entry, with that of its photograph."""

    @property
    def image(self) -> Path: ...


Files = TypeVar("Files", bound=_HasImage)


class PhotoFiles(Dataset, Generic[Files]):
    """A dataset whose photographs are files.

    A loader also sets ``_files`` in ``__init__``: the files of every id in ``ids``, one of them the
    photograph, ``image``.
    """

    _files: Mapping[str, Files]

    @abstractmethod
    def __init__(self, request: Request) -> None:
        """Find the files.

        Raises:
            InputError: If the root does not hold this dataset.
        """

    def image(self, id: str) -> UInt8[np.ndarray, "h w 3"]:
        """The photograph, upright, RGB.

        Raises:
            InputError: If its file is broken.
        """
        return read_photo(self._entry(id).image, own_depth=False).pixels

    def photo_file(self, id: str) -> Path | None:
        """The photograph's own file."""
        return self._entry(id).image

    def _entry(self, id: str) -> Files:
        """Look up the files of one image.

        Raises:
            InputError: If the dataset has no such id.
        """
        return find_entry(self._files, id, self.request.root)

    def _keep_present(
        self,
        files: Mapping[str, Files],
        needed: Callable[[Files], Iterable[Path | None]],
        names: Callable[[Path], Collection[str]],
    ) -> list[Absent]:
        """Set ``_files`` to the entries whose needed files exist, and return the others.

        Args:
            files: Files of every id, in the split's order.
            needed: Function that gives the files without which an entry is absent; None counts as
                a file that is there.
            names: ``names_in`` with a cache, since folders may have a hundred thousand files.
        """
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
