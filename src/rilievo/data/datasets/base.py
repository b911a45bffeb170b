"""The base class of datasets: a list of ids, each an image with its ground truth, read lazily.

A loader finds its files at construction and reports missing ones then; pixels are read one image
at a time. Image and truth are read separately, because scoring needs no colours. Loaders hold only
paths, so that they can be sent to other processes.
"""

import tomllib
from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import field, fields
from functools import cache
from pathlib import Path
from typing import Any, ClassVar

import numpy as np

from rilievo.errors import InputError, MissingFileError, OptionError, suggest
from rilievo.foreign_names import ForeignNames
from rilievo.frozen import frozen
from rilievo.io.outside.depth_numbers import NumberReading
from rilievo.shapes import Pixels
from rilievo.types import Camera, Sample, Truth


@frozen
class DatasetCard:
    """Description of a dataset.

    Attributes:
        name: Name in ``DATASETS``.
        title: Name that its authors use, with the year.
        summary: One line: contents, sensor and range.
        homepage: Address of the download page.
        licence: SPDX identifier, or the authors' words.
        commercial: Whether the licence allows commercial use.
        gigabytes: Size of the download [GB]; None where the user decides.
        layout: Tree of the unpacked download with the contents of each file, several lines.
        splits: Names of the official splits, the one that papers score first.
        counts: Number of images of each split in the papers; empty where the user decides.
        variants: Choices of ground truth or crop, the default first.
        normals: Source of true normals; None where there are none.
        extra: Extra of rilievo that is needed for reading it; None for the core.
        needs_root: Whether the dataset lies on disk; False for a generated one.
        caveats: Limitations of the ground truth, one line each.
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
    """Card of one of rilievo's own datasets, from ``cards.toml``."""
    table = dict(_own_cards()[name])
    for key in table.keys() & {"splits", "variants", "caveats"}:
        table[key] = tuple(table[key])
    return DatasetCard(name=name, **table)


@cache
def _own_cards() -> Mapping[str, Mapping[str, Any]]:
    return tomllib.loads(Path(__file__).with_name("cards.toml").read_text(encoding="utf-8"))


@frozen
class Request:
    """Request for a part of a dataset.

    Attributes:
        root: Folder (or file) of the unpacked download.
        split: One of the card's splits.
        variant: One of the card's variants.
        list_file: The user's own list, one image per line, in place of the split's; the form of a
            line depends on the dataset.
    """

    root: Path
    split: str
    variant: str
    list_file: Path | None = None


@frozen
class Absent:
    """An entry of the split that cannot be read, such as one with a missing file.

    Attributes:
        id: Id of the entry.
        reason: Error message, such as the missing file and the place where it was expected.
    """

    id: str
    reason: str


class Dataset(ForeignNames, ABC):
    """Images with ground truth; made by ``rilievo.data.datasets.open_dataset``.

    Attributes:
        request: The request that opened the dataset.
        ids: Unique ids of all entries whose files exist, in the split's order.
        absent: Entries of the split without their files. No entry is silently left out.

    A loader sets ``card``, and ``ids`` and ``absent`` in ``__init__``, and reads in ``image`` and
    ``truth``. Its ids are relative paths without suffix, such as ``kitchen/0001``.
    """

    card: ClassVar[DatasetCard]
    request: Request
    ids: tuple[str, ...]
    absent: tuple[Absent, ...] = ()

    @abstractmethod
    def __init__(self, request: Request) -> None:
        """Find the files.

        Raises:
            InputError: If the root does not hold this dataset; the message says what was expected
                and what was found.
        """

    @abstractmethod
    def image(self, id: str) -> Pixels:
        """The photograph, RGB.

        Raises:
            InputError: If its file is broken.
        """

    def wide_camera(self, id: str, shape: tuple[int, int]) -> Camera | None:
        """Camera of an image (height, width) that models see in perspective views; mostly None."""
        return None

    @property
    def splits(self) -> tuple[str, ...]:
        """Splits of this download: the card's, or those that the user declares."""
        return self.card.splits

    @property
    def camera_advice(self) -> str:
        """Advice on giving intrinsics to images without them; empty where there is none."""
        return ""

    @property
    def listed(self) -> tuple[str, ...] | None:
        """Ids of all entries of the split in its order, including absent ones.

        None where some are absent and the loader does not record their position.
        """
        return None if self.absent else self.ids

    def photo_file(self, id: str) -> Path | None:
        """The file that holds ``image(id)`` unchanged; None where there is no such file.

        Files with an EXIF orientation count, since viewers turn them upright as rilievo does.
        """
        return None

    @property
    def first_missing(self) -> str:
        """Note on the first entry that is not here, to follow a message; empty where all are."""
        return f"; the first that is missing: {self.absent[0].reason}" if self.absent else ""

    @abstractmethod
    def truth(self, id: str) -> Truth:
        """Ground truth at the photograph's size.

        Raises:
            InputError: If a file is broken.
        """

    def scene(self, id: str) -> str | None:
        """Scene or sequence of an image, as of its truth; None where none is stated."""
        return self.truth(id).scene

    def reading(self, id: str) -> NumberReading | None:
        """Facts about how true depth is read, of data that nobody declared; None of others."""
        return None

    def sample(self, id: str) -> Sample:
        """Photograph and ground truth.

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
    """Check that ids are unique and safe as file names, and return them as a tuple.

    Raises:
        InputError: If an id is repeated or unsafe.
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


def check_request(request: Request, card: DatasetCard) -> None:
    """Refuse an unknown split or variant, and a root that does not exist.

    Raises:
        OptionError: If the split or the variant is unknown.
        MissingFileError: If the root does not exist.
    """
    for what, choice, choices in (
        ("split", request.split, card.splits),
        ("variant", request.variant, card.variants),
    ):
        if choice not in choices:
            raise OptionError(
                f"dataset '{card.name}' has no {what} '{choice}'; {suggest(choice, choices)}"
            )
    if not request.root.exists():
        raise MissingFileError(
            f"{request.root}: there is no such folder; 'rilievo datasets {card.name}' says where "
            "to get it and how it lies on disk"
        )


def spread(ids: Sequence[str], most: int | None) -> tuple[str, ...]:
    """Choose up to ``most`` of the ids, evenly spread, in their order."""
    if most is None or most >= len(ids):
        return tuple(ids)
    places = np.linspace(0, len(ids) - 1, most).round()
    return tuple(ids[int(place)] for place in places)
