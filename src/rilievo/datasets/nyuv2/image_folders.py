"""NYU Depth V2 as folders of pictures: the "sync" export, and the labelled images by number."""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TypeVar

import numpy as np
from jaxtyping import UInt8

from rilievo.datasets.base import Absent
from rilievo.datasets.files import find_entry, read_counts, text_lines
from rilievo.datasets.nyuv2.layout import (
    DepthTruth,
    Layout,
    Listing,
    NormalsTruth,
    listed,
    of_metres,
    recorded_scene,
)
from rilievo.datasets.nyuv2.normals_files import NormalsSource
from rilievo.datasets.nyuv2.official import LABELLED, official_indices
from rilievo.datasets.nyuv2.pairs import PHOTO_SUFFIXES, Pairs
from rilievo.errors import InputError
from rilievo.io.limits import printable
from rilievo.io.numbers import read_map
from rilievo.io.photo import read_photo

Entry = TypeVar("Entry")

_MILLIMETRES = 1000.0
_STEPS_PER_METRE = 25.5


class SyncFolders(Layout):
    """``rgb_NNNNN.jpg`` beside ``sync_depth_NNNNN.png``, 16 bits, millimetres.

    Lee et al. (2019, BTS) made it and most later programs read it: of the raw recordings a folder
    a scene, and of the labelled set ``train`` and ``test`` with a folder a kind of room. Depth is
    raw. An id is the path without prefix and suffix, such as ``test/kitchen/00045``.
    """

    what = "the 'sync' export (rgb_NNNNN.jpg with sync_depth_NNNNN.png)"
    variants = ("raw", "depth_normals")

    def __init__(self, root: Path, pairs: Pairs) -> None:
        self.root, self._pairs = root, pairs

    def listing(self, split: str, list_file: Path | None) -> Listing:
        """By the folders ``test`` and ``train``, where there are some."""
        found, absent = self._pairs.found, self._pairs.absent
        if list_file is not None:
            return listed(
                list_file,
                _by_word({id: id for id in found}),
                _by_word(absent),
                "lines are as kitchen/rgb_00045.jpg or kitchen/00045",
            )
        if split == "all":
            return Listing(ids=tuple(found), absent=tuple(absent.values()))
        if not any(split in id.split("/")[:-1] for id in found):
            raise InputError(
                f"{printable(self.root)}: these frames have no folder '{split}', so which are "
                f"'{split}' is not known: give a list (--list), or take the split 'all'"
            )
        return Listing(
            ids=tuple(id for id in found if split in id.split("/")[:-1]),
            absent=tuple(absent[id] for id in absent if split in id.split("/")[:-1]),
        )

    def image(self, id: str) -> UInt8[np.ndarray, "h w 3"]:
        """The JPEG."""
        return read_photo(find_entry(self._pairs.found, id, self.root).photo).pixels

    def scene(self, id: str) -> str | None:
        """The recording, where a folder names it."""
        return recorded_scene(id)

    def depth(self, id: str, variant: str) -> DepthTruth:
        """Millimetres; 0 is a hole."""
        return _of_millimetres(find_entry(self._pairs.found, id, self.root).truth)


class LabelledImages(Layout):
    """The labelled images by number, as many mirrors have them: ``rgb`` and ``depth`` folders.

    Depth of 16 bits is millimetres with 0 for a hole; of 8 bits it is in-painted and in steps of
    3.9 cm, metres = (v + 0.5) / 25.5. Whether the holes are filled the first picture tells.
    """

    def __init__(self, root: Path, pairs: Pairs, normals: NormalsSource | None) -> None:
        self.root, self._pairs, self._normals = root, pairs, normals
        first = next(iter(pairs.found.values())).truth
        numbers = read_map(first)
        self._is_8_bit = numbers.dtype == np.uint8
        holes = not self._is_8_bit and bool((numbers == 0).any())
        bits = 8 if self._is_8_bit else 16
        self._held = "raw" if holes else "filled"
        self.what = f"labelled images with {self._held} depth of {bits} bits"
        self._first = self._first_number()
        self.variants = (self._held, "depth_normals")
        if normals is not None:
            self.variants += ("normals",)

    def listing(self, split: str, list_file: Path | None) -> Listing:
        """By ``test.txt`` and ``train.txt`` if they lie beside the folders, else by number."""
        found, absent = self._pairs.found, self._pairs.absent
        if list_file is None and split != "all":
            list_file = self.root / f"{split}.txt"
            if not list_file.is_file():
                return self._official(split)
        if list_file is not None:
            named = {line.text.split()[0] for line in text_lines(list_file)}
            gone = {
                name: Absent(id=name, reason=f"{printable(name)} is in neither folder")
                for name in named - set(found)
                if name.isdecimal()
            }
            words = {id: id for id in found}
            return listed(list_file, words, {**gone, **absent}, "ids are as 0045")
        return Listing(ids=tuple(found), absent=tuple(absent.values()))

    def image(self, id: str) -> UInt8[np.ndarray, "h w 3"]:
        """The picture."""
        return read_photo(find_entry(self._pairs.found, id, self.root).photo).pixels

    def depth(self, id: str, variant: str) -> DepthTruth:
        """Millimetres, or steps of 3.9 cm."""
        path = find_entry(self._pairs.found, id, self.root).truth
        if not self._is_8_bit:
            return _of_millimetres(path)
        steps = read_counts(path, bits=8)
        metres = (steps.astype(np.float32) + 0.5) / np.float32(_STEPS_PER_METRE)
        return DepthTruth(values=metres, valid=steps > 0)

    def normals(self, id: str) -> NormalsTruth | None:
        """From the file of normals beside the folders."""
        if self._normals is None:
            return None
        return self._normals.read(int(id) - (self._first or 0))

    def _first_number(self) -> int | None:
        """0 or 1: how the images are counted; None where their names do not tell."""
        numbers = {int(id) for id in self._pairs.found if id.isdecimal()}
        if 0 in numbers:
            return 0
        return 1 if LABELLED in numbers else None

    def _official(self, split: str) -> Listing:
        if self._first is None:
            raise InputError(
                f"{printable(self.root)}: names of the images do not tell whether they count from "
                f"0 or 1, so which are '{split}' is not known: put {split}.txt beside the folders, "
                "give a list, or take the split 'all'"
            )
        by_number = {int(id): id for id in self._pairs.found if id.isdecimal()}
        ids, absent = [], []
        for index in official_indices(split):
            number = index + self._first
            if number in by_number:
                ids.append(by_number[number])
            else:
                name = f"{number:04d}"
                reason = f"no pair of this number in {printable(self.root)}"
                absent.append(self._pairs.absent.get(name, Absent(id=name, reason=reason)))
        return Listing(ids=tuple(ids), absent=tuple(absent))


def _by_word(images: Mapping[str, Entry]) -> dict[str, Entry]:
    """Images by what a line of a list may say of them: lists name files below ``test`` or ``sync``.

    What could mean two images means none, so that a longer form must be given.
    """
    known: dict[str, Entry] = {}
    twice: set[str] = set()
    for id, image in images.items():
        for word in _words(id):
            if word in known:
                twice.add(word)
            known[word] = image
    return {word: image for word, image in known.items() if word not in twice}


def _words(id: str) -> Iterator[str]:
    parts = id.split("/")
    for start in range(max(1, len(parts) - 1)):
        folder = "".join(f"{part}/" for part in parts[start:-1])
        yield f"{folder}{parts[-1]}"
        for suffix in PHOTO_SUFFIXES:
            yield f"{folder}rgb_{parts[-1]}{suffix}"


def _of_millimetres(path: Path) -> DepthTruth:
    return of_metres(read_counts(path).astype(np.float32) / np.float32(_MILLIMETRES))
