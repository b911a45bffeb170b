"""What every dataset is: a list of ids on disk, each an image with its truth, read when asked for.

A loader finds its files when it is made, and says then what is missing; pixels are read one image
at a time. Image and truth are read apart, because scoring needs no colours. Loaders hold paths
alone, so that they can be sent to other processes.
"""

from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from typing import ClassVar

import numpy as np
from jaxtyping import UInt8

from rilievo.datasets.card import DatasetCard
from rilievo.errors import InputError, MissingFileError, OptionError, suggest
from rilievo.io.limits import printable
from rilievo.types import Sample, Truth


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """Which part of a dataset is asked for.

    Attributes:
        root: The folder (or file) that the download unpacked to.
        split: One of the card's.
        variant: One of the card's.
        list_file: The user's own list of ids, one a line, in place of the split's; what a line
            says is the dataset's business.
    """

    root: Path
    split: str
    variant: str
    list_file: Path | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Absent:
    """An entry of the split that cannot be read, known without opening a picture.

    Attributes:
        id: As it would have been.
        reason: Which file is missing, and where it was expected.
    """

    id: str
    reason: str


class Dataset(ABC):
    """Images with ground truth; made by ``rilievo.datasets.open_dataset``.

    Attributes:
        request: What was asked for.
        ids: Of all entries whose files are there, in the split's order, each once.
        absent: Entries of the split without their files. Nothing is silently left out.

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
            InputError: If the root is not this dataset: what was expected there, what was found.
        """

    @abstractmethod
    def image(self, id: str) -> UInt8[np.ndarray, "h w 3"]:
        """The photograph, RGB.

        Raises:
            InputError: If its file is broken.
        """

    @property
    def splits(self) -> tuple[str, ...]:
        """Splits of this download: the card's, or where the user declares them, those declared."""
        return self.card.splits

    @property
    def camera_advice(self) -> str:
        """What gives the images intrinsics that come without; empty where nothing does."""
        return ""

    @property
    def listed(self) -> tuple[str, ...] | None:
        """Ids of all entries of the split in its order, those of ``absent`` too.

        None where some are absent and the loader does not keep their place.
        """
        return None if self.absent else self.ids

    def photo_file(self, id: str) -> Path | None:
        """The file that shows ``image(id)`` and nothing else; None where there is no such file.

        Files with an EXIF orientation count: whoever shows them turns them upright, as we do.
        """
        return None

    @abstractmethod
    def truth(self, id: str) -> Truth:
        """Ground truth at the photograph's size.

        Raises:
            InputError: If a file is broken.
        """

    def sample(self, id: str) -> Sample:
        """Photograph and ground truth.

        Raises:
            InputError: If a file is broken, or the two differ in size.
        """
        truth = self.truth(id)
        known = {part.name: getattr(truth, part.name) for part in fields(Truth)}
        return Sample(image=self.image(id), **known)

    def __len__(self) -> int:
        return len(self.ids)

    def __getitem__(self, index: int) -> Sample:
        return self.sample(self.ids[index])

    def __iter__(self) -> Iterator[Sample]:
        return (self.sample(id) for id in self.ids)


def checked_ids(ids: Sequence[str], where: str) -> tuple[str, ...]:
    """The ids as a tuple, once each is found to be unique and safe as a file's name.

    Raises:
        InputError: If one is not.
    """
    seen: set[str] = set()
    for id in ids:
        parts = id.split("/")
        if not all(parts) or {".", ".."} & set(parts) or "\\" in id or "\0" in id:
            raise InputError(f"{where}: '{printable(id)}' is no relative path, which an id is")
        if id in seen:
            raise InputError(
                f"{where}: the id '{printable(id)}' is there twice; every image is scored once"
            )
        seen.add(id)
    return tuple(ids)


def check_request(request: Request, card: DatasetCard) -> None:
    """Refuse a split or variant that the dataset has not, and a root that is not there.

    Raises:
        OptionError: If the split or the variant is unknown.
        MissingFileError: If the root does not exist.
    """
    for what, asked, known in (
        ("split", request.split, card.splits),
        ("variant", request.variant, card.variants),
    ):
        if asked not in known:
            raise OptionError(
                f"dataset '{card.name}' has no {what} '{asked}'; {suggest(asked, known)}"
            )
    if not request.root.exists():
        raise MissingFileError(
            f"{request.root}: there is no such folder; 'rilievo datasets {card.name}' says where "
            "to get it and how it lies on disk"
        )
