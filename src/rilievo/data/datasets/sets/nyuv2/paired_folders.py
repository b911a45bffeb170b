"""Layouts of NYU Depth V2 with a depth map beside each photograph."""

import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TypeVar

import numpy as np

from rilievo.arrays.shapes import Pixels
from rilievo.data.datasets.dataset import Absent
from rilievo.data.datasets.loaders import MaskedValues, read_grey_integers, read_steps
from rilievo.data.datasets.sets.nyuv2.layout import (
    LABELLED_IMAGES,
    Listing,
    NyuLayout,
    official_indices,
    read_image_list,
)
from rilievo.data.datasets.sets.nyuv2.normals_files import NormalsReader
from rilievo.data.datasets.sets.nyuv2.pairs import PHOTO_SUFFIXES, Pair, Pairs
from rilievo.data.datasets.text_files import find_entry, text_lines
from rilievo.errors import InputError
from rilievo.errors.messages import OptionName, Text
from rilievo.io.files.names import printable
from rilievo.io.numbers import read_map
from rilievo.io.photographs.photo import read_photo

Entry = TypeVar("Entry")

_STEPS_PER_METRE = 1000.0  # of 16-bit depth
_COARSE_STEPS_PER_METRE = 25.5  # of 8-bit depth
_RECORDING = re.compile(r"\w+_\d{4}[a-z]?")


class PairedLayout(NyuLayout):
    """Layout with a depth map for each photograph."""

    def __init__(self, root: Path, pairs: Pairs) -> None:
        self.root, self._pairs = root, pairs

    def image(self, id: str) -> Pixels:
        """Read the photograph."""
        return read_photo(self._pair(id).photo, own_depth=False).pixels

    def _pair(self, image_id: str) -> Pair:
        return find_entry(self._pairs.complete, image_id, self.root)


class SyncedFrames(PairedLayout):
    """Video frames with depth of the same time, in folders of their scenes (Lee et al. 2019, BTS).

    A photograph is ``SCENE/rgb_NNNNN.jpg``, and its depth ``SCENE/sync_depth_NNNNN.png`` [mm].
    """

    description = "the 'sync' export (rgb_NNNNN.jpg with sync_depth_NNNNN.png)"
    variants = ("raw", "depth_normals")

    def listing(self, split: str, list_file: Path | None) -> Listing:
        """List the images of the user's list, or those below a folder with the split's name."""
        if list_file is not None:
            return self._listing_of_file(list_file)
        if split == "all":
            return Listing(
                ids=tuple(self._pairs.complete), absent=tuple(self._pairs.absent.values())
            )
        return self._listing_of_split_folder(split)

    def _listing_of_file(self, list_file: Path) -> Listing:
        """List the images of the user's list, which may shorten their ids."""
        own_ids = {image_id: image_id for image_id in self._pairs.complete}
        return read_image_list(
            list_file,
            _by_unique_spelling(own_ids),
            _by_unique_spelling(self._pairs.absent),
            expected="lines look like kitchen/rgb_00045.jpg or kitchen/00045",
        )

    def _listing_of_split_folder(self, split: str) -> Listing:
        """List the images below a folder with the name of the split."""
        ids = tuple(image_id for image_id in self._pairs.complete if _has_folder(image_id, split))
        if not ids:
            raise InputError(
                path=self.root,
                problem=Text(
                    f"there is no folder '{split}', so rilievo does not know which frames are in "
                    f"the split '{split}'; give a list file with ",
                    OptionName("list"),
                    ", or choose the split 'all'",
                ),
            )
        absent = tuple(
            image for image_id, image in self._pairs.absent.items() if _has_folder(image_id, split)
        )
        return Listing(ids=ids, absent=absent)

    def scene(self, id: str) -> str | None:
        """Recording among the folders of the id."""
        return recorded_scene(id)

    def depth(self, id: str, variant: str) -> MaskedValues:
        """Read depth [m]; 0 is a hole."""
        return read_steps(self._pair(id).depth, steps=_STEPS_PER_METRE)


class NumberedImages(PairedLayout):
    """The labelled images in two folders, ``rgb`` and ``depth``, named by their numbers.

    16-bit depth is in millimetres, and 0 is a hole. In 8-bit depth holes are filled, and a number v
    is (v + 0.5) / 25.5 metres.
    """

    def __init__(self, root: Path, pairs: Pairs, normals_reader: NormalsReader | None) -> None:
        super().__init__(root, pairs)
        self._normals_reader = normals_reader
        first_pair = next(iter(pairs.complete.values()))
        numbers = read_map(first_pair.depth)
        self._is_8_bit = numbers.dtype == np.uint8
        has_holes = not self._is_8_bit and bool((numbers == 0).any())
        bits = 8 if self._is_8_bit else 16
        depth_variant = "raw" if has_holes else "filled"
        self.description = f"labelled images with {depth_variant} depth in {bits} bits"
        if self._is_8_bit:
            self.depth_deviations = (
                "the ground-truth depth is an in-painted copy of NYU Depth V2 with 8 bits, in "
                "steps of 3.9 cm, so compare its scores only with others on this copy",
            )
        self._first_number = self._find_first_number()
        self.variants = (depth_variant, "depth_normals")
        if normals_reader is not None:
            self.variants += ("normals",)

    def listing(self, split: str, list_file: Path | None) -> Listing:
        """List the images of the user's list, of SPLIT.txt, or of the official split."""
        images, absent = self._pairs.complete, self._pairs.absent
        if list_file is None and split != "all":
            list_file = self.root / f"{split}.txt"
            if not list_file.is_file():
                return self._listing_of_official_split(split)
        if list_file is None:
            return Listing(ids=tuple(images), absent=tuple(absent.values()))

        listed_names = {line.text.split()[0] for line in text_lines(list_file)}
        without_files = {
            name: Absent(id=name, reason="it has neither a photograph nor a depth map")
            for name in listed_names - set(images)
            if name.isdecimal()
        }
        return read_image_list(
            list_file,
            {image_id: image_id for image_id in images},
            {**without_files, **absent},
            expected="ids look like 0045",
        )

    def depth(self, id: str, variant: str) -> MaskedValues:
        """Read depth [m] from 16 or 8 bits."""
        path = self._pair(id).depth
        if not self._is_8_bit:
            return read_steps(path, steps=_STEPS_PER_METRE)
        numbers = read_grey_integers(path, bits=8)
        metres = (numbers.astype(np.float32) + 0.5) / np.float32(_COARSE_STEPS_PER_METRE)
        return MaskedValues(values=metres, valid=numbers > 0)

    def normals(self, id: str) -> MaskedValues | None:
        """Read true normals from their own file; None if there is no such file."""
        if self._normals_reader is None:
            return None
        return self._normals_reader(int(id) - (self._first_number or 0))

    def _find_first_number(self) -> int | None:
        """Find out whether the images are counted from 0 or 1; None if the names do not show it."""
        numbers = {int(image_id) for image_id in self._pairs.complete if image_id.isdecimal()}
        if 0 in numbers:
            return 0
        return 1 if LABELLED_IMAGES in numbers else None

    def _listing_of_official_split(self, split: str) -> Listing:
        """List the images of an official split by their numbers."""
        if self._first_number is None:
            raise InputError(
                f"{self.root}: the image names do not show whether they count from 0 or 1, so "
                f"rilievo does not know which images are in the split '{split}'; put {split}.txt "
                "beside the folders, give a list file, or choose the split 'all'"
            )
        by_number = {
            int(image_id): image_id for image_id in self._pairs.complete if image_id.isdecimal()
        }
        ids, absent = [], []
        for index in official_indices(split):
            number = index + self._first_number
            if number in by_number:
                ids.append(by_number[number])
            else:
                name = f"{number:04d}"
                reason = f"{printable(self.root)} has no photograph and depth map of this number"
                absent.append(self._pairs.absent.get(name, Absent(id=name, reason=reason)))
        return Listing(ids=tuple(ids), absent=tuple(absent))


def recorded_scene(image_id: str) -> str | None:
    """Find the recording among the folders of an id: ``kitchen_0045a``, but not ``kitchen``."""
    return next((part for part in image_id.split("/")[:-1] if _RECORDING.fullmatch(part)), None)


def _has_folder(image_id: str, name: str) -> bool:
    return name in image_id.split("/")[:-1]


def _by_unique_spelling(entries: Mapping[str, Entry]) -> dict[str, Entry]:
    """Index entries by all spellings of their ids, except spellings that several ids share."""
    by_spelling: dict[str, Entry] = {}
    ambiguous: set[str] = set()
    for image_id, entry in entries.items():
        for spelling in _spellings_of_id(image_id):
            if spelling in by_spelling:
                ambiguous.add(spelling)
            by_spelling[spelling] = entry
    return {spelling: entry for spelling, entry in by_spelling.items() if spelling not in ambiguous}


def _spellings_of_id(image_id: str) -> Iterator[str]:
    """Yield an id with fewer and fewer of its first folders, each also as the photograph's name."""
    parts = image_id.split("/")
    for start in range(max(1, len(parts) - 1)):
        folder = "".join(f"{part}/" for part in parts[start:-1])
        yield f"{folder}{parts[-1]}"
        for suffix in PHOTO_SUFFIXES:
            yield f"{folder}rgb_{parts[-1]}{suffix}"
