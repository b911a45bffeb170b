"""Finds pairs of photographs and ground truth by their names."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from rilievo.datasets.base import Absent
from rilievo.datasets.files import names_in
from rilievo.errors import InputError
from rilievo.io.limits import printable

PHOTO_SUFFIXES = (".jpg", ".jpeg", ".png")
_PHOTO_FOLDERS = ("rgb", "images", "image")
_DEPTH_FOLDERS = ("depth", "depths")
# Levels of folders: a folder around all, the split, and the scene.
_DEEPEST = 3


@dataclass(frozen=True, slots=True, kw_only=True)
class Pair:
    """Files of one image."""

    photo: Path
    truth: Path


@dataclass(frozen=True, slots=True, kw_only=True)
class Pairs:
    """Files of all images.

    Attributes:
        found: Complete pairs by id, sorted.
        absent: Images without a partner, by id.
    """

    found: Mapping[str, Pair]
    absent: Mapping[str, Absent]


def find_pairs(root: Path) -> Pairs | None:
    """Pair photographs and depth in two folders, by stem; None without two such folders."""
    photos = next((root / name for name in _PHOTO_FOLDERS if (root / name).is_dir()), None)
    depths = next((root / name for name in _DEPTH_FOLDERS if (root / name).is_dir()), None)
    if photos is None or depths is None:
        return None
    return _paired(_by_id(photos, root), _by_id(depths, root), within=(photos, depths))


def find_sync(root: Path) -> Pairs | None:
    """Pair photographs and depth side by side in folders of scenes; None if there are none."""
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
    """Whether the depth files have names of the "sync" export."""
    return any(pair.truth.name.startswith("sync_depth_") for pair in pairs.found.values())


def _paired(
    photos: Mapping[str, Path], depths: Mapping[str, Path], *, within: tuple[Path, Path]
) -> Pairs:
    found: dict[str, Pair] = {}
    absent: dict[str, Absent] = {}
    for id in sorted(set(photos) | set(depths)):
        if id in photos and id in depths:
            found[id] = Pair(photo=photos[id], truth=depths[id])
        elif id in photos:
            reason = f"{printable(photos[id])} has no depth map in {printable(within[1])}"
            absent[id] = Absent(id=id, reason=reason)
        else:
            reason = f"{printable(depths[id])} has no photograph in {printable(within[0])}"
            absent[id] = Absent(id=id, reason=reason)
    return Pairs(found=found, absent=absent)


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
    """Name of a picture without suffix and the export's prefixes; None for other files."""
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
