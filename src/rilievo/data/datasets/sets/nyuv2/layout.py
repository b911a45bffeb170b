"""Layouts of NYU Depth V2, and pairs of files by name."""

import re
from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping
from pathlib import Path

from rilievo.data.datasets.base import Absent
from rilievo.data.datasets.files import find_entry, names_in, text_lines
from rilievo.data.datasets.photo_files import MaskedValues
from rilievo.errors import InputError
from rilievo.frozen import frozen
from rilievo.io.files.limits import printable
from rilievo.io.lens_files import pinhole_K
from rilievo.io.photographs.photo import read_photo
from rilievo.shapes import Pixels

PHOTO_SUFFIXES = (".jpg", ".jpeg", ".png")
_PHOTO_FOLDERS = ("rgb", "images", "image")
_DEPTH_FOLDERS = ("depth", "depths")
# Levels of folders: a folder around all, the split, and the scene.
_DEEPEST = 3
_RECORDING = re.compile(r"\w+_\d{4}[a-z]?")
SIZE = (480, 640)
"""(height, width) as recorded [px]."""
K = pinhole_K(518.8579, 519.4696, 325.5824, 253.7362)
"""Intrinsics at ``SIZE`` [px], also of depth."""
LABELLED = 1449
"""Number of labelled images."""


@frozen
class Pair:
    """Files of one image."""

    photo: Path
    truth: Path


@frozen
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
    return _paired(_by_id(photos, root), _by_id(depths, root), within=(photos, depths))


def find_sync(root: Path) -> Pairs | None:
    """Pairs in folders of scenes, if any."""
    photos: dict[str, Path] = {}
    depths: dict[str, Path] = {}
    for path in _files(root, _DEEPEST):
        folder = path.parent.relative_to(root).as_posix()
        stem = _stem(path.name)
        if stem is None or stem == path.stem:
            continue
        id = stem if folder == "." else f"{folder}/{stem}"
        (depths if path.name.startswith("sync_depth_") else photos)[id] = path
    if not (photos and depths):
        return None
    return _paired(photos, depths, within=(root, root))


def carries_sync_names(pairs: Pairs) -> bool:
    """Whether depth has names of "sync"."""
    return any(pair.truth.name.startswith("sync_depth_") for pair in pairs.found.values())


def _paired(
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


def _by_id(folder: Path, root: Path) -> dict[str, Path]:
    paths: dict[str, Path] = {}
    for name in sorted(names_in(folder)):
        id = _stem(name)
        if id is None:
            continue
        if id in paths:
            raise InputError(
                f"{folder / name}: the image '{id}' is there twice, also as {paths[id].name}; keep "
                "one"
            )
        paths[id] = folder / name
    return paths


def _stem(name: str) -> str | None:
    path = Path(name)
    if path.suffix.lower() not in PHOTO_SUFFIXES:
        return None
    return path.stem.removeprefix("sync_depth_").removeprefix("rgb_")


def _files(folder: Path, deepest: int) -> Iterator[Path]:
    for name in sorted(names_in(folder)):
        path = folder / name
        if path.suffix.lower() in PHOTO_SUFFIXES:
            yield path
        elif deepest and path.is_dir():
            yield from _files(path, deepest - 1)


@frozen
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
    """Layout of a file of truth a photograph."""

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


def listed(
    list_file: Path, ids: Mapping[str, str], absent: Mapping[str, Absent], what: str
) -> Listing:
    """Read a list of images by the first word of a line, in any form."""
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
    test = _listed_test()
    if split == "test":
        return test
    return tuple(sorted(set(range(LABELLED)) - set(test)))


def _listed_test() -> tuple[int, ...]:
    indices: list[int] = []
    for line in text_lines(Path(__file__).with_name("official_test.txt")):
        for run in line.text.split():
            first, _, last = run.partition("-")
            indices += range(int(first), int(last or first) + 1)
    return tuple(indices)
