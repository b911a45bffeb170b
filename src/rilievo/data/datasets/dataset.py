"""Base class of datasets: ids of images with ground truth, read lazily."""

import tomllib
from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, fields
from functools import cache
from pathlib import Path
from typing import Any, ClassVar

import numpy as np

from rilievo.arrays.shapes import Pixels
from rilievo.errors import InputError
from rilievo.geometry.cameras.camera import Camera
from rilievo.io.depth.interpretation import DepthInterpretation
from rilievo.records.sample import Sample, Truth


@dataclass(frozen=True, slots=True, kw_only=True)
class DatasetCard:
    """Description of a dataset.

    Attributes:
        title: Authors' name, with the year.
        summary: Contents, sensor and range in one line.
        licence: SPDX identifier, or the authors' words.
        gigabytes: Size of the download.
        layout: Tree of the download.
        splits: Official splits, that of papers first.
        variants: Choices of truth or crop, the default first.
    """

    name: str
    title: str
    summary: str
    homepage: str
    licence: str
    commercial: bool
    gigabytes: float | None = None
    layout: str
    splits: tuple[str, ...]
    counts: Mapping[str, int] = field(default_factory=dict)
    variants: tuple[str, ...] = ("default",)
    normals: str | None = None
    extra: str | None = None
    needs_root: bool = True
    caveats: tuple[str, ...] = ()


def own_card(name: str) -> DatasetCard:
    """Card in ``cards.toml``."""
    table = dict(_read_own_cards()[name])
    for key in table.keys() & {"splits", "variants", "caveats"}:
        table[key] = tuple(table[key])
    return DatasetCard(name=name, **table)


@cache
def _read_own_cards() -> Mapping[str, Mapping[str, Any]]:
    return tomllib.loads(Path(__file__).with_name("cards.toml").read_text(encoding="utf-8"))


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """Request for a part of a dataset; ``list_file`` has the user's own list of images."""

    name: str
    root: Path
    split: str
    variant: str
    list_file: Path | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Absent:
    """Entry that cannot be read, with the reason."""

    id: str
    reason: str


class Dataset(ABC):
    """Images with ground truth, from ``open_dataset``.

    A loader sets ``card``, ``ids`` and ``absent``, and reads in ``image`` and ``truth``. Ids are
    unique relative paths without suffix.
    """

    card: ClassVar[DatasetCard]
    request: Request
    ids: tuple[str, ...]
    absent: tuple[Absent, ...] = ()

    @abstractmethod
    def __init__(self, request: Request) -> None:
        """Find the files.

        Raises:
            InputError: If the root does not hold this dataset.
        """

    @abstractmethod
    def image(self, id: str) -> Pixels:
        """Read the photograph.

        Raises:
            InputError: If its file is broken.
        """

    def wide_camera(self, id: str, shape: tuple[int, int]) -> Camera | None:
        """Camera of a lens that models see in perspective views, if any."""
        return None

    @property
    def splits(self) -> tuple[str, ...]:
        """Splits of this download."""
        return self.card.splits

    @property
    def camera_advice(self) -> str:
        """Advice on giving intrinsics, if any."""
        return ""

    @property
    def camera_note(self) -> str | None:
        """What was chosen in the file of the cameras, if anything."""
        return None

    @property
    def listed(self) -> tuple[str, ...] | None:
        """Ids of the split with absent ones; None if their position is unknown."""
        return None if self.absent else self.ids

    def photo_file(self, id: str) -> Path | None:
        """File that holds ``image(id)`` unchanged, if any; EXIF orientation is allowed."""
        return None

    @property
    def first_missing(self) -> str:
        """Note on the first absent entry, if any."""
        return f"; the first that is missing: {self.absent[0].reason}" if self.absent else ""

    @abstractmethod
    def truth(self, id: str) -> Truth:
        """Read the truth at the photograph's size.

        Raises:
            InputError: If a file is broken.
        """

    def scene(self, id: str) -> str | None:
        """Scene or sequence, if stated."""
        return self.truth(id).scene

    def reading(self, id: str) -> DepthInterpretation | None:
        """Facts about numbers that nobody declared; otherwise None."""
        return None

    def sample(self, id: str) -> Sample:
        """Photograph and truth.

        Raises:
            InputError: If a file is broken, or the two differ in size.
        """
        truth = self.truth(id)
        parts = {part.name: getattr(truth, part.name) for part in fields(Truth)}
        return Sample(image=self.image(id), **parts)

    def __len__(self) -> int:
        return len(self.ids)

    def __getitem__(self, index: int) -> Sample:
        return self.sample(self.ids[index])

    def __iter__(self) -> Iterator[Sample]:
        return (self.sample(id) for id in self.ids)


def checked_ids(ids: Sequence[str], where: str) -> tuple[str, ...]:
    """Check that ids are unique and safe as file names.

    Raises:
        InputError: If an id is not.
    """
    unique_ids: set[str] = set()
    for id in ids:
        parts = id.split("/")
        if not all(parts) or {".", ".."} & set(parts) or "\\" in id or "\0" in id:
            raise InputError(f"{where}: '{id}' is no relative path, which an id is")
        if id in unique_ids:
            raise InputError(f"{where}: the id '{id}' is there twice; every image is scored once")
        unique_ids.add(id)
    return tuple(ids)


def evenly_spread(ids: Sequence[str], most: int | None) -> tuple[str, ...]:
    """Choose up to ``most`` ids."""
    if most is None or most >= len(ids):
        return tuple(ids)
    places = np.linspace(0, len(ids) - 1, most).round()
    return tuple(ids[int(place)] for place in places)
