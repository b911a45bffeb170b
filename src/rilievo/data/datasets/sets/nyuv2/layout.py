"""Layouts of NYU Depth V2."""

import re
from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from rilievo.arrays.shapes import Pixels
from rilievo.data.datasets.dataset import Absent
from rilievo.data.datasets.loaders import MaskedValues
from rilievo.data.datasets.text_files import find_entry, names_in, text_lines
from rilievo.errors import InputError
from rilievo.io.files.names import printable
from rilievo.io.photographs.photo import read_photo

PHOTO_SUFFIXES = (".jpg", ".jpeg", ".png")
_PHOTO_FOLDERS = ("rgb", "images", "image")
_DEPTH_FOLDERS = ("depth", "depths")

# Levels of folders: a folder around all, the split, and the scene.
_DEEPEST = 3
_RECORDING = re.compile(r"\w+_\d{4}[a-z]?")
LABELLED = 1449


@dataclass(frozen=True, slots=True, kw_only=True)
class Pair:
    """Files of one image."""

    photo: Path
    truth: Path


@dataclass(frozen=True, slots=True, kw_only=True)
class Pairs:
    """Complete pairs by id, and images without a partner."""

    found: Mapping[str, Pair]
    absent: Mapping[str, Absent]


def find_pairs(root: Path) -> Pairs | None:
    """Pairs of two folders by stem, if any."""
    photos = next((root / name for name in _PHOTO_FOLDERS if (root / name).is_dir()), None)
    depths = next((root / name for name in _DEPTH_FOLDERS if (root / name).is_dir()), None)
    if photos is None or depths is None:
        return None
    return _pair_files(_paths_by_id(photos), _paths_by_id(depths), within=(photos, depths))


def find_sync(root: Path) -> Pairs | None:
    """Pairs in folders of scenes, if any."""
    photos: dict[str, Path] = {}
    depths: dict[str, Path] = {}
    for path in _picture_files(root, _DEEPEST):
        folder = path.parent.relative_to(root).as_posix()
        stem = _id_of_file_name(path.name)
        if stem is None or stem == path.stem:
            continue
        id = stem if folder == "." else f"{folder}/{stem}"
        (depths if path.name.startswith("sync_depth_") else photos)[id] = path
    if not (photos and depths):
        return None
    return _pair_files(photos, depths, within=(root, root))


def carries_sync_names(pairs: Pairs) -> bool:
    """Whether depth has names of "sync"."""
    return any(pair.truth.name.startswith("sync_depth_") for pair in pairs.found.values())


def _pair_files(
    photos: Mapping[str, Path], depths: Mapping[str, Path], *, within: tuple[Path, Path]
) -> Pairs:
    pairs: dict[str, Pair] = {}
    absent: dict[str, Absent] = {}
    for id in sorted(set(photos) | set(depths)):
        if id in photos and id in depths:
            pairs[id] = Pair(photo=photos[id], truth=depths[id])
        elif id in photos:
            reason = f"{printable(photos[id])} has no depth map in {printable(within[1])}"
            absent[id] = Absent(id=id, reason=reason)
        else:
            reason = f"{printable(depths[id])} has no photograph in {printable(within[0])}"
            absent[id] = Absent(id=id, reason=reason)
    return Pairs(found=pairs, absent=absent)


def _paths_by_id(folder: Path) -> dict[str, Path]:
    paths: dict[str, Path] = {}
    for name in sorted(names_in(folder)):
        id = _id_of_file_name(name)
        if id is None:
            continue
        if id in paths:
            raise InputError(
                f"{folder / name}: the image '{id}' is there twice, also as {paths[id].name}; keep "
                "one"
            )
        paths[id] = folder / name
    return paths


def _id_of_file_name(name: str) -> str | None:
    path = Path(name)
    if path.suffix.lower() not in PHOTO_SUFFIXES:
        return None
    return path.stem.removeprefix("sync_depth_").removeprefix("rgb_")


def _picture_files(folder: Path, deepest: int) -> Iterator[Path]:
    for name in sorted(names_in(folder)):
        path = folder / name
        if path.suffix.lower() in PHOTO_SUFFIXES:
            yield path
        elif deepest and path.is_dir():
            yield from _picture_files(path, deepest - 1)


@dataclass(frozen=True, slots=True, kw_only=True)
class Listing:
    """Images of a split."""

    ids: tuple[str, ...]
    absent: tuple[Absent, ...] = ()


class NyuLayout(ABC):
    """Layout on disk."""

    root: Path
    what: str
    variants: tuple[str, ...]

    @abstractmethod
    def listing(self, split: str, list_file: Path | None) -> Listing:
        """Images of a split or list."""

    @abstractmethod
    def image(self, id: str) -> Pixels:
        """Read the photograph."""

    @abstractmethod
    def depth(self, id: str, variant: str) -> MaskedValues | None:
        """Read true depth, if any."""

    def normals(self, id: str) -> MaskedValues | None:
        """Read true normals, if any."""
        return None

    def scene(self, id: str) -> str | None:
        """Recording, if known."""
        return None


class PairedLayout(NyuLayout):
    """Layout with a file of truth for each photograph."""

    def __init__(self, root: Path, pairs: Pairs) -> None:
        self.root, self._pairs = root, pairs

    def image(self, id: str) -> Pixels:
        """Read the photograph."""
        return read_photo(self._pair(id).photo, own_depth=False).pixels

    def _pair(self, id: str) -> Pair:
        return find_entry(self._pairs.found, id, self.root)


def recorded_scene(id: str) -> str | None:
    """Recording in the id: ``kitchen_0045a``, not ``kitchen``."""
    return next((part for part in id.split("/")[:-1] if _RECORDING.fullmatch(part)), None)


def read_image_list(
    list_file: Path, ids: Mapping[str, str], absent: Mapping[str, Absent], what: str
) -> Listing:
    """Read ids, each the first word of a line."""
    listed_ids: list[str] = []
    missing: list[Absent] = []
    for line in text_lines(list_file):
        word = line.text.split()[0].lstrip("/")
        if word in ids:
            listed_ids.append(ids[word])
        elif word in absent:
            missing.append(absent[word])
        else:
            raise InputError(f"{list_file}:{line.number}: there is no image '{word}'; {what}")
    return Listing(ids=tuple(listed_ids), absent=tuple(missing))


def official_indices(split: str) -> tuple[int, ...]:
    """Sorted indices of labelled images of a split, from 0."""
    if split == "all":
        return tuple(range(LABELLED))
    test = _official_test_indices()
    if split == "test":
        return test
    return tuple(sorted(set(range(LABELLED)) - set(test)))


def _official_test_indices() -> tuple[int, ...]:
    indices: list[int] = []
    for line in text_lines(Path(__file__).with_name("official_test.txt")):
        for run in line.text.split():
            first, _, last = run.partition("-")
            indices += range(int(first), int(last or first) + 1)
    return tuple(indices)
