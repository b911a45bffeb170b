"""NYU Depth V2 as folders: "sync", or labelled images by number."""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TypeVar

import numpy as np

from rilievo.data.datasets.base import Absent
from rilievo.data.datasets.files import read_counts, text_lines
from rilievo.data.datasets.photo_files import MaskedValues, read_steps
from rilievo.data.datasets.sets.nyuv2.layout import (
    LABELLED,
    PHOTO_SUFFIXES,
    Listing,
    PairedLayout,
    Pairs,
    listed,
    official_indices,
    recorded_scene,
)
from rilievo.data.datasets.sets.nyuv2.normals_files import NormalsOf
from rilievo.errors import InputError
from rilievo.io.files.limits import printable
from rilievo.io.numbers import read_map
from rilievo.messages import literal

Entry = TypeVar("Entry")

_MILLIMETRES = 1000.0
_STEPS_PER_METRE = 25.5


class SyncFolders(PairedLayout):
    """``rgb_NNNNN.jpg`` beside ``sync_depth_NNNNN.png`` [mm] (Lee et al. 2019, BTS).

    Ids are such as ``test/kitchen/00045``.
    """

    what = "the 'sync' export (rgb_NNNNN.jpg with sync_depth_NNNNN.png)"
    variants = ("raw", "depth_normals")

    def listing(self, split: str, list_file: Path | None) -> Listing:
        """Images of a split by folders, or of a list."""
        pairs, absent = self._pairs.found, self._pairs.absent
        if list_file is not None:
            return listed(
                list_file,
                _by_word({id: id for id in pairs}),
                _by_word(absent),
                "lines are as kitchen/rgb_00045.jpg or kitchen/00045",
            )
        if split == "all":
            return Listing(ids=tuple(pairs), absent=tuple(absent.values()))
        ids = tuple(id for id in pairs if split in id.split("/")[:-1])
        if not ids:
            raise InputError(
                path=self.root,
                problem=(
                    f"these frames have no folder '{literal(split)}', so which are "
                    f"'{literal(split)}' is not known: give a list ({{list}}), or take "
                    "the split 'all'"
                ),
            )
        return Listing(
            ids=ids,
            absent=tuple(absent[id] for id in absent if split in id.split("/")[:-1]),
        )

    def scene(self, id: str) -> str | None:
        """Recording, if a folder names it."""
        return recorded_scene(id)

    def depth(self, id: str, variant: str) -> MaskedValues:
        """Read millimetres; 0 is a hole."""
        return read_steps(self._pair(id).truth, steps=_MILLIMETRES)


class LabelledImages(PairedLayout):
    """Labelled images by number in ``rgb`` and ``depth``.

    16 bits are millimetres with holes; 8 bits are in-painted: metres = (v + 0.5) / 25.5.
    """

    def __init__(self, root: Path, pairs: Pairs, normals: NormalsOf | None) -> None:
        super().__init__(root, pairs)
        self._normals = normals
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
        """Images of ``test.txt`` or ``train.txt``, else by number."""
        images, absent = self._pairs.found, self._pairs.absent
        if list_file is None and split != "all":
            list_file = self.root / f"{split}.txt"
            if not list_file.is_file():
                return self._official(split)
        if list_file is not None:
            named = {line.text.split()[0] for line in text_lines(list_file)}
            gone = {
                name: Absent(id=name, reason=f"{printable(name)} is in neither folder")
                for name in named - set(images)
                if name.isdecimal()
            }
            words = {id: id for id in images}
            return listed(list_file, words, {**gone, **absent}, "ids are as 0045")
        return Listing(ids=tuple(images), absent=tuple(absent.values()))

    def depth(self, id: str, variant: str) -> MaskedValues:
        """Read millimetres, or steps of 3.9 cm."""
        path = self._pair(id).truth
        if not self._is_8_bit:
            return read_steps(path, steps=_MILLIMETRES)
        steps = read_counts(path, bits=8)
        metres = (steps.astype(np.float32) + 0.5) / np.float32(_STEPS_PER_METRE)
        return MaskedValues(values=metres, valid=steps > 0)

    def normals(self, id: str) -> MaskedValues | None:
        """Read true normals beside the folders."""
        if self._normals is None:
            return None
        return self._normals(int(id) - (self._first or 0))

    def _first_number(self) -> int | None:
        numbers = {int(id) for id in self._pairs.found if id.isdecimal()}
        if 0 in numbers:
            return 0
        return 1 if LABELLED in numbers else None

    def _official(self, split: str) -> Listing:
        if self._first is None:
            raise InputError(
                f"{self.root}: names of the images do not tell whether they count from 0 or 1, so "
                f"which are '{split}' is not known: put {split}.txt beside the folders, give a "
                "list, or take the split 'all'"
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
    entries: dict[str, Entry] = {}
    twice: set[str] = set()
    for id, image in images.items():
        for word in _words(id):
            if word in entries:
                twice.add(word)
            entries[word] = image
    return {word: image for word, image in entries.items() if word not in twice}


def _words(id: str) -> Iterator[str]:
    parts = id.split("/")
    for start in range(max(1, len(parts) - 1)):
        folder = "".join(f"{part}/" for part in parts[start:-1])
        yield f"{folder}{parts[-1]}"
        for suffix in PHOTO_SUFFIXES:
            yield f"{folder}rgb_{parts[-1]}{suffix}"
