"""Photographs of NYU Depth V2 and their depth maps, paired by the names of their files."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from rilievo.data.datasets.dataset import Absent
from rilievo.data.datasets.text_files import names_in
from rilievo.errors import InputError
from rilievo.io.files.names import printable

PHOTO_SUFFIXES = (".jpg", ".jpeg", ".png")
_PHOTO_FOLDERS = ("rgb", "images", "image")
_DEPTH_FOLDERS = ("depth", "depths")
_MAX_FOLDER_DEPTH = 3
"""Levels of folders below the root: a folder around all, the split, and the scene."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Pair:
    """Files of one image."""

    photo: Path
    depth: Path


@dataclass(frozen=True, slots=True, kw_only=True)
class Pairs:
    """Complete pairs by id, and images that lack one of the two files."""

    complete: Mapping[str, Pair]
    absent: Mapping[str, Absent]


def find_pairs(root: Path) -> Pairs | None:
    """Pair the files in two folders, such as ``rgb`` and ``depth``, by their names.

    Returns:
        The pairs, or None if one of the folders is missing.
    """
    photos = next((root / name for name in _PHOTO_FOLDERS if (root / name).is_dir()), None)
    depths = next((root / name for name in _DEPTH_FOLDERS if (root / name).is_dir()), None)
    if photos is None or depths is None:
        return None
    return _pair_files(
        _paths_by_id(photos), _paths_by_id(depths), photo_folder=photos, depth_folder=depths
    )


def find_sync_pairs(root: Path) -> Pairs | None:
    """Pair ``rgb_NNNNN`` and ``sync_depth_NNNNN`` in the folders of scenes.

    Returns:
        The pairs, or None if there are no photographs, or no depth maps.
    """
    photos: dict[str, Path] = {}
    depths: dict[str, Path] = {}
    for path in _picture_files(root, _MAX_FOLDER_DEPTH):
        folder = path.parent.relative_to(root).as_posix()
        number = _parse_image_name(path.name)
        if number is None or number == path.stem:  # the name has neither of the prefixes
            continue
        image_id = number if folder == "." else f"{folder}/{number}"
        if path.name.startswith("sync_depth_"):
            depths[image_id] = path
        else:
            photos[image_id] = path
    if not (photos and depths):
        return None
    return _pair_files(photos, depths, photo_folder=root, depth_folder=root)


def has_sync_names(pairs: Pairs) -> bool:
    """Whether a depth map is called ``sync_depth_NNNNN``."""
    depths = (pair.depth for pair in pairs.complete.values())
    return any(depth.name.startswith("sync_depth_") for depth in depths)


def _pair_files(
    photos: Mapping[str, Path],
    depths: Mapping[str, Path],
    *,
    photo_folder: Path,
    depth_folder: Path,
) -> Pairs:
    """Pair files by id; the folders are named in the reasons why an image is absent."""
    complete: dict[str, Pair] = {}
    absent: dict[str, Absent] = {}
    for image_id in sorted(set(photos) | set(depths)):
        if image_id in photos and image_id in depths:
            complete[image_id] = Pair(photo=photos[image_id], depth=depths[image_id])
        elif image_id in photos:
            reason = f"{printable(photos[image_id])} has no depth map in {printable(depth_folder)}"
            absent[image_id] = Absent(id=image_id, reason=reason)
        else:
            reason = f"{printable(depths[image_id])} has no photograph in {printable(photo_folder)}"
            absent[image_id] = Absent(id=image_id, reason=reason)
    return Pairs(complete=complete, absent=absent)


def _paths_by_id(folder: Path) -> dict[str, Path]:
    """List the pictures in a folder by their names without prefix and suffix."""
    paths: dict[str, Path] = {}
    for name in sorted(names_in(folder)):
        image_id = _parse_image_name(name)
        if image_id is None:
            continue
        if image_id in paths:
            raise InputError(
                f"{folder / name}: the image '{image_id}' exists twice, also as "
                f"{paths[image_id].name}; keep only one"
            )
        paths[image_id] = folder / name
    return paths


def _parse_image_name(name: str) -> str | None:
    """Remove prefix and suffix, as in "00045" from "rgb_00045.jpg"; None if it is no picture."""
    path = Path(name)
    if path.suffix.lower() not in PHOTO_SUFFIXES:
        return None
    return path.stem.removeprefix("sync_depth_").removeprefix("rgb_")


def _picture_files(folder: Path, max_depth: int) -> Iterator[Path]:
    """Yield the pictures in a folder, and in its subfolders up to ``max_depth`` levels below."""
    for name in sorted(names_in(folder)):
        path = folder / name
        if path.suffix.lower() in PHOTO_SUFFIXES:
            yield path
        elif max_depth and path.is_dir():
            yield from _picture_files(path, max_depth - 1)
