"""Base class of datasets: ids of images with ground truth, read lazily."""

from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import ClassVar

import numpy as np

from rilievo.arrays.shapes import Pixels
from rilievo.errors import InputError, OptionError
from rilievo.geometry.cameras.camera import Camera
from rilievo.io.depth.interpretation import DepthInterpretation
from rilievo.records.sample import Sample, Truth


@dataclass(frozen=True, slots=True, kw_only=True)
class DatasetCard:
    """Description of a dataset.

    Attributes:
        name: Name in rilievo.
        title: Authors' name, with the year.
        summary: Contents, sensor and range in one line.
        homepage: Where to get it.
        licence: SPDX identifier, or the authors' words.
        commercial: Whether the licence allows commercial use.
        gigabytes: Size of the download; None if unknown.
        layout: Tree of the download.
        splits: Official splits; the first is the one that papers use.
        counts: Number of images in each split, according to papers.
        variants: Choices of ground truth or crop, the default first.
        normals: How the normals were made; None if the dataset has none.
        extra: Extra of rilievo that is needed; None if the core is enough.
        needs_root: Whether the dataset needs a download.
        caveats: What to know before its numbers are compared.
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


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """Request for a part of a dataset.

    ``root`` is the folder of the download. ``list_file`` is the user's own list of ids, in place of
    the split's.
    """

    name: str
    root: Path
    split: str
    variant: str
    list_file: Path | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Absent:
    """Image that cannot be read, with the reason."""

    id: str
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ViewPair:
    """Ids of two images that show the same object or scene from different viewpoints."""

    first: str
    second: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ViewPairs:
    """Pairs of images between which correspondences are scored.

    Attributes:
        pairs: Pairs whose files are all there.
        absent: Pairs that cannot be read, by the id of the first image or of both.
    """

    pairs: tuple[ViewPair, ...]
    absent: tuple[Absent, ...] = ()


class Dataset(ABC):
    """Images with ground truth, from ``open_dataset``.

    A loader sets ``card``, ``ids`` and ``absent``, and reads in ``image`` and ``truth``. Ids are
    unique relative paths without suffix.
    """

    card: ClassVar[DatasetCard]
    request: Request
    ids: tuple[str, ...]
    absent: tuple[Absent, ...] = ()
    deviations: tuple[str, ...] = ()
    """How this download differs from the published data, a sentence each, for the results."""

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
        """Camera of an image whose lens is no pinhole; None for a pinhole or an unknown camera.

        Models see such an image in perspective views.
        """
        return None

    @property
    def splits(self) -> tuple[str, ...]:
        """Splits that this download has."""
        return self.card.splits

    @property
    def camera_advice(self) -> str:
        """Advice on how to give intrinsics, which follows a message; "" without advice."""
        return ""

    @property
    def camera_note(self) -> str | None:
        """Sentence on which of several cameras was chosen; None if there was no choice."""
        return None

    @property
    def listed(self) -> tuple[str, ...] | None:
        """Ids of the split in its order, with absent ones; None if their places are unknown."""
        return None if self.absent else self.ids

    def photo_file(self, id: str) -> Path | None:
        """File with exactly the pixels of ``image(id)``, up to EXIF's orientation, or None."""
        return None

    @property
    def first_missing(self) -> str:
        """Text on the first absent image, which follows a message; "" if none is absent."""
        if not self.absent:
            return ""
        first = self.absent[0]
        return f"; for example, '{first.id}' is missing: {first.reason}"

    @abstractmethod
    def truth(self, id: str) -> Truth:
        """Read the ground truth at the photograph's size.

        Raises:
            InputError: If a file is broken.
        """

    def scene(self, id: str) -> str | None:
        """Scene or sequence of an image; None if the dataset does not state it."""
        return self.truth(id).scene

    def view_pairs(self) -> ViewPairs:
        """Pairs of views of the same object or scene, for scores of correspondence.

        The ground truth of both images must have depth [m], a camera and a pose in one world frame.

        Raises:
            OptionError: If the dataset has no such pairs.
        """
        raise OptionError(
            f"dataset '{self.card.name}' has no pairs of views: choose navi, scannet-pairs, or a "
            "dataset of your own whose class has view_pairs"
        )

    def reading(self, id: str) -> DepthInterpretation | None:
        """How the numbers of the depth file were interpreted; None if the dataset defines them."""
        return None

    def left_out_notes(self, id: str) -> tuple[str, ...]:
        """Sentences on ground truth of an image that the user's own limits or masks leave out."""
        return ()

    def sample(self, id: str) -> Sample:
        """Read the photograph and the ground truth.

        Raises:
            InputError: If a file is broken, or the two differ in size.
        """
        truth = self.truth(id)
        truth_fields = {field.name: getattr(truth, field.name) for field in fields(Truth)}
        return Sample(image=self.image(id), **truth_fields)

    def __len__(self) -> int:
        return len(self.ids)

    def __getitem__(self, index: int) -> Sample:
        return self.sample(self.ids[index])

    def __iter__(self) -> Iterator[Sample]:
        return (self.sample(image_id) for image_id in self.ids)


def checked_ids(ids: Sequence[str], where: str) -> tuple[str, ...]:
    """Check that ids are unique, and relative paths that are safe as names of files.

    ``where`` is the file or folder that lists them, for messages.

    Raises:
        InputError: If an id is not.
    """
    unique_ids: set[str] = set()
    for image_id in ids:
        parts = image_id.split("/")
        has_odd_part = not all(parts) or not {".", ".."}.isdisjoint(parts)
        if has_odd_part or "\\" in image_id or "\0" in image_id:
            raise InputError(
                f"{where}: the id '{image_id}' must be a relative path without '.', '..' or "
                "backslashes"
            )
        if image_id in unique_ids:
            raise InputError(
                f"{where}: the id '{image_id}' occurs twice, but every image is scored only once; "
                "remove one of the two"
            )
        unique_ids.add(image_id)
    return tuple(ids)


def evenly_spread(ids: Sequence[str], limit: int | None) -> tuple[str, ...]:
    """Choose up to ``limit`` evenly spread ids, or all if it is None."""
    if limit is None or limit >= len(ids):
        return tuple(ids)
    indices = np.linspace(0, len(ids) - 1, limit).round().astype(int)
    return tuple(ids[index] for index in indices)
