"""What the layouts of NYU Depth V2 share: interface, lists of images, official splits."""

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from rilievo.arrays.shapes import Pixels
from rilievo.data.datasets.dataset import Absent
from rilievo.data.datasets.loaders import MaskedValues
from rilievo.data.datasets.text_files import text_lines
from rilievo.errors import InputError

LABELLED_IMAGES = 1449
"""Number of images in the labelled set."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Listing:
    """Ids of the readable images of a split, and the images that cannot be read."""

    ids: tuple[str, ...]
    absent: tuple[Absent, ...] = ()


class NyuLayout(ABC):
    """NYU Depth V2 as it lies on disk.

    Attributes:
        root: Folder or file of the download.
        description: The layout in words, for messages.
        variants: Kinds of ground truth that it has.
        depth_deviations: How its depth differs from the published one, a sentence each.
    """

    root: Path
    description: str
    variants: tuple[str, ...]
    depth_deviations: tuple[str, ...] = ()

    @abstractmethod
    def listing(self, split: str, list_file: Path | None) -> Listing:
        """List the images of a split, or of the user's list if there is one."""

    @abstractmethod
    def image(self, id: str) -> Pixels:
        """Read the photograph."""

    @abstractmethod
    def depth(self, id: str, variant: str) -> MaskedValues | None:
        """Read depth [m], ``raw`` with holes or ``filled``; None if the layout has none."""

    def normals(self, id: str) -> MaskedValues | None:
        """Read true normals; None if the layout has none."""
        return None

    def scene(self, id: str) -> str | None:
        """Scene that was recorded, such as "kitchen_0004"; None if it is not known."""
        return None


def read_image_list(
    list_file: Path,
    ids_by_word: Mapping[str, str],
    absent_by_word: Mapping[str, Absent],
    *,
    expected: str,
) -> Listing:
    """Read a list of images, each named by the first word of a line.

    Args:
        list_file: The list.
        ids_by_word: Id of an image by each word that may name it.
        absent_by_word: Images that cannot be read, by each word that may name them.
        expected: How words look, for the message about a word that names no image.
    """
    listed_ids: list[str] = []
    absent: list[Absent] = []
    for line in text_lines(list_file):
        word = line.text.split()[0].lstrip("/")
        if word in ids_by_word:
            listed_ids.append(ids_by_word[word])
        elif word in absent_by_word:
            absent.append(absent_by_word[word])
        else:
            raise InputError(f"{list_file}:{line.number}: there is no image '{word}'; {expected}")
    return Listing(ids=tuple(listed_ids), absent=tuple(absent))


def official_indices(split: str) -> tuple[int, ...]:
    """Sorted indices, from 0, of the labelled images in ``test``, ``train`` or ``all``."""
    if split == "all":
        return tuple(range(LABELLED_IMAGES))
    test = _official_test_indices()
    if split == "test":
        return test
    return tuple(sorted(set(range(LABELLED_IMAGES)) - set(test)))


def _official_test_indices() -> tuple[int, ...]:
    """Read the indices in ``official_test.txt``, which has words such as "0" and "13-14"."""
    indices: list[int] = []
    for line in text_lines(Path(__file__).with_name("official_test.txt")):
        for word in line.text.split():
            first, _, last = word.partition("-")
            indices += range(int(first), int(last or first) + 1)
    return tuple(indices)
