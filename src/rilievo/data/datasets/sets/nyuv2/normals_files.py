"""True normals of NYU's labelled images, and GeoNet's training files."""

import threading
from collections.abc import Callable
from functools import lru_cache, partial
from pathlib import Path
from typing import NamedTuple

import numpy as np

from rilievo.arrays.shapes import Float, Mask, Pixels, Vectors
from rilievo.data.datasets.loaders import MaskedValues, masked_metres
from rilievo.data.datasets.mat_file import Hdf5MatFile, read_mat
from rilievo.data.datasets.pickled_arrays import read_gzip_pickle
from rilievo.data.datasets.sets.nyuv2.layout import Listing, NyuLayout, read_image_list
from rilievo.data.datasets.text_files import find_entry, names_in
from rilievo.errors import InputError
from rilievo.geometry.intrinsics import pinhole_K, rays
from rilievo.io.files.limits import is_whole
from rilievo.io.files.names import shortened

SIZE = (480, 640)
K = pinhole_K(518.8579, 519.4696, 325.5824, 253.7362)
"""Intrinsics at ``SIZE`` [px], also of depth."""

_SHORTEST = 0.5
_UNPACKING = threading.Lock()

NormalsOf = Callable[[int], MaskedValues]

# GeoNet's files hold the image minus twice its mean.
_GEONET_SHIFT = 2 * np.array([122.175, 116.169, 103.508], np.float32)
_ROUNDING = 2.0


def find_normals_reader(folder: Path) -> NormalsOf | None:
    """Reader of normals by index from 0, if any."""
    for place in (folder, folder / "surfacenormal_metadata"):
        if (place / "all_normals.pklz").is_file():
            return partial(_read_ladicky_normals, place / "all_normals.pklz")
    for place in (folder, folder / "gt"):
        if (place / "norm_gt_l.mat").is_file():
            masks = place / "masks.mat"
            stored = Hdf5MatFile(place / "norm_gt_l.mat")
            return partial(
                _read_geonet_normals, stored, Hdf5MatFile(masks) if masks.is_file() else None
            )
    return None


def _read_ladicky_normals(path: Path, index: int) -> MaskedValues:
    """Normals of ``all_normals.pklz``, whose names count from 1."""
    # Without the lock, every prefetching thread would unpack the file.
    with _UNPACKING:
        content = _read_ladicky_arrays(path)
    if index + 1 not in content.places:
        raise InputError(f"{path}: has no normals of image {index + 1}")
    place = content.places[index + 1]
    mask = None if content.masks is None else content.masks[place] != 0
    return inward_normals(np.moveaxis(content.normals[place], -1, 0), mask, path)


def _read_geonet_normals(
    stored: Hdf5MatFile, masks: Hdf5MatFile | None, index: int
) -> MaskedValues:
    normals = stored.slice("norm_gt_l", index).transpose(0, 2, 1)
    mask = None if masks is None else masks.slice("masks", index).T != 0
    return inward_normals(normals, mask, stored.path)


class _LadickyArrays(NamedTuple):
    normals: np.ndarray
    masks: np.ndarray | None
    places: dict[int, int]


@lru_cache(maxsize=1)
def _read_ladicky_arrays(path: Path) -> _LadickyArrays:
    content = read_gzip_pickle(path)
    contents = sorted(content) if isinstance(content, dict) else type(content).__name__
    if not (isinstance(content, dict) and {"all_normals", "all_filenames"} <= set(content)):
        raise InputError(
            f"{path}: holds {contents}, expected 'all_normals', 'all_filenames' and "
            "'all_valid_depth_masks'"
        )
    normals = np.asarray(content["all_normals"])
    names = [str(name) for name in content["all_filenames"]]
    masks = content.get("all_valid_depth_masks")
    masks = None if masks is None else np.asarray(masks)
    fits = normals.ndim == 4 and normals.shape[3] == 3 and len(normals) == len(names)
    if not fits or (masks is not None and masks.shape != normals.shape[:3]):
        raise InputError(
            f"{path}: has normals {normals.shape}, {len(names)} names and masks "
            f"{None if masks is None else masks.shape}, expected (1449, 480, 640, 3), 1449 and "
            "(1449, 480, 640)"
        )
    if wrong := [name for name in names if not is_whole(name)]:
        raise InputError(f"{path}: has names that are no numbers, such as {shortened(wrong[0])}")
    return _LadickyArrays(normals, masks, {int(name): place for place, name in enumerate(names)})


def inward_normals(
    outward: Float[np.ndarray, "3 h w"],
    mask: Mask | None,
    path: Path,
) -> MaskedValues:
    """Negate and normalise outward normals (x right, y down, z forward)."""
    if mask is not None and mask.shape != outward.shape[1:]:
        raise InputError(f"{path}: has normals of {outward.shape[1:]} and a mask of {mask.shape}")
    length = np.sqrt(np.square(outward, dtype=np.float32).sum(axis=0))
    valid = np.isfinite(length) & (length > _SHORTEST)
    if mask is not None:
        valid &= mask
    scale = np.where(valid, -1 / np.where(valid, length, 1), 0).astype(np.float32)
    values = np.where(valid, outward, 0).astype(np.float32) * scale
    _refuse_normals_facing_away(values, valid, path)
    return MaskedValues(values, valid)


def _refuse_normals_facing_away(
    normals: Vectors,
    valid: Mask,
    path: Path,
) -> None:
    if valid.shape != SIZE:
        return
    away = (normals * rays(K, *SIZE)).sum(axis=0) > 0
    share = float(away[valid].mean()) if valid.any() else 0.0
    if share > 0.5:
        raise InputError(
            f"{path}: {share:.0%} of the normals point away from the camera once turned as this "
            "layout needs: they have another convention, so export them with (0, 0, 1) for a wall "
            "seen head-on, x right and y down"
        )


class GeoNetFolder(NyuLayout):
    """GeoNet's training files (Qi et al. 2018), without a split.

    Images are 481 x 641, whose last row and column are dropped, and stored minus twice their mean.
    """

    what = "the training files of GeoNet (.mat with img, depth, norm)"
    variants = ("normals", "raw", "depth_normals")

    def __init__(self, root: Path, files: dict[str, Path]) -> None:
        self.root, self._files = root, files

    def listing(self, split: str, list_file: Path | None) -> Listing:
        """All images."""
        if list_file is not None:
            words = {f"{id}{end}": id for id in self._files for end in ("", ".mat")}
            return read_image_list(list_file, words, {}, "ids are the files' names")
        if split not in ("all", "train"):
            raise InputError(
                f"{self.root}: GeoNet's files are for training and hold no '{split}'; take the "
                "split 'train' or 'all'"
            )
        return Listing(ids=tuple(self._files))

    def image(self, id: str) -> Pixels:
        """Read the photograph with its mean."""
        path = find_entry(self._files, id, self.root)
        shifted = _cut_to_480_rows_640_columns(path, "img", read_mat(path, "img")["img"], axes=3)
        values = np.rint(shifted.astype(np.float32) + _GEONET_SHIFT)
        if values.min() < -_ROUNDING or values.max() > 255 + _ROUNDING:
            raise InputError(
                f"{path}: 'img' and twice the mean make {values.min():g} to {values.max():g}, "
                "expected 0 to 255: is it one of GeoNet's files?"
            )
        # The mean used by GeoNet differs in the last digit, so black and white leave the range.
        return np.clip(values, 0, 255).astype(np.uint8)

    def depth(self, id: str, variant: str) -> MaskedValues:
        """Read depth [m]; zero is unknown."""
        path = find_entry(self._files, id, self.root)
        return masked_metres(
            _cut_to_480_rows_640_columns(path, "depth", read_mat(path, "depth")["depth"], axes=2)
        )

    def normals(self, id: str) -> MaskedValues:
        """Read normals within the mask."""
        path = find_entry(self._files, id, self.root)
        arrays = read_mat(path)
        if "norm" not in arrays:
            raise InputError(f"{path}: has no variable 'norm'")
        normals = np.moveaxis(
            _cut_to_480_rows_640_columns(path, "norm", arrays["norm"], axes=3), -1, 0
        )
        mask = None
        if "mask" in arrays:
            mask = _cut_to_480_rows_640_columns(path, "mask", arrays["mask"], axes=2) != 0
        return inward_normals(normals.astype(np.float32), mask, path)


def find_geonet(root: Path) -> dict[str, Path] | None:
    """GeoNet's files by stem, if any."""
    names = sorted(name for name in names_in(root) if name.endswith(".mat"))
    if not names or not {"img", "norm"} <= set(read_mat(root / names[0])):
        return None
    return {Path(name).stem: root / name for name in names}


def _cut_to_480_rows_640_columns(
    path: Path, name: str, array: np.ndarray, *, axes: int
) -> np.ndarray:
    if array.ndim != axes or array.shape[0] < SIZE[0] or array.shape[1] < SIZE[1]:
        raise InputError(f"{path}: '{name}' is {array.shape}, expected 481 x 641 pixels")
    return array[: SIZE[0], : SIZE[1]]
