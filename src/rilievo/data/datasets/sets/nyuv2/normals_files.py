"""True normals of NYU Depth V2's labelled images, which others computed and published."""

import threading
from collections.abc import Callable
from functools import lru_cache, partial
from pathlib import Path
from typing import NamedTuple

import numpy as np

from rilievo.arrays.shapes import Float, Mask, Vectors
from rilievo.data.datasets.loaders import MaskedValues
from rilievo.data.datasets.mat_file import Hdf5MatFile
from rilievo.data.datasets.pickled_arrays import read_gzip_pickle
from rilievo.errors import InputError
from rilievo.errors.messages import count_text
from rilievo.geometry.intrinsics import pinhole_K, rays
from rilievo.io.files.limits import is_whole
from rilievo.io.files.names import shortened

SIZE = (480, 640)
"""Size of the labelled images [px]."""
K = pinhole_K(518.8579, 519.4696, 325.5824, 253.7362)
"""Intrinsics of the labelled images and of their depth [px]."""

_MIN_LENGTH = 0.5  # of a stored vector that is a normal
_UNPACKING_LOCK = threading.Lock()

NormalsReader = Callable[[int], MaskedValues]
"""Function that reads the normals of a labelled image, by its index from 0."""


def find_normals_reader(folder: Path) -> NormalsReader | None:
    """Find Ladický's or GeoNet's normals in or below a folder; None if there are none."""
    for parent in (folder, folder / "surfacenormal_metadata"):
        if (parent / "all_normals.pklz").is_file():
            return partial(_read_ladicky_normals, parent / "all_normals.pklz")
    for parent in (folder, folder / "gt"):
        if (parent / "norm_gt_l.mat").is_file():
            masks = parent / "masks.mat"
            stored = Hdf5MatFile(parent / "norm_gt_l.mat")
            return partial(
                _read_geonet_normals, stored, Hdf5MatFile(masks) if masks.is_file() else None
            )
    return None


def _read_ladicky_normals(path: Path, index: int) -> MaskedValues:
    """Read the normals of an image from ``all_normals.pklz``, whose names count from 1."""
    # Without the lock, every prefetching thread would unpack the file.
    with _UNPACKING_LOCK:
        content = _read_ladicky_arrays(path)
    if index + 1 not in content.rows:
        raise InputError(f"{path}: has no normals for image {index + 1}")
    row = content.rows[index + 1]
    mask = None if content.masks is None else content.masks[row] != 0
    return orient_normals_inward(np.moveaxis(content.normals[row], -1, 0), mask, path)


def _read_geonet_normals(
    stored: Hdf5MatFile, masks: Hdf5MatFile | None, index: int
) -> MaskedValues:
    normals = stored.slice("norm_gt_l", index).transpose(0, 2, 1)
    mask = None if masks is None else masks.slice("masks", index).T != 0
    return orient_normals_inward(normals, mask, stored.path)


class _LadickyArrays(NamedTuple):
    """Normals and masks of all images, and the row of an image by its number from 1."""

    normals: np.ndarray
    masks: np.ndarray | None
    rows: dict[int, int]


@lru_cache(maxsize=1)
def _read_ladicky_arrays(path: Path) -> _LadickyArrays:
    """Unpack the file, and check the shapes of its arrays and its names."""
    content = read_gzip_pickle(path)
    contents = sorted(content) if isinstance(content, dict) else type(content).__name__
    if not (isinstance(content, dict) and {"all_normals", "all_filenames"} <= set(content)):
        raise InputError(
            f"{path}: contains {contents}, expected 'all_normals', 'all_filenames' and "
            "'all_valid_depth_masks'"
        )
    normals = np.asarray(content["all_normals"])
    names = [str(name) for name in content["all_filenames"]]
    masks = content.get("all_valid_depth_masks")
    masks = None if masks is None else np.asarray(masks)
    normals_fit = normals.ndim == 4 and normals.shape[3] == 3 and len(normals) == len(names)
    masks_fit = masks is None or masks.shape == normals.shape[:3]
    if not (normals_fit and masks_fit):
        raise InputError(
            f"{path}: has normals of shape {normals.shape}, masks of shape "
            f"{None if masks is None else masks.shape} and {count_text(len(names), 'name')}, "
            "expected the shapes (1449, 480, 640, 3) and (1449, 480, 640), and 1,449 names"
        )
    not_numbers = [name for name in names if not is_whole(name)]
    if not_numbers:
        raise InputError(
            f"{path}: has image names that are not numbers, such as {shortened(not_numbers[0])}"
        )
    return _LadickyArrays(normals, masks, {int(name): row for row, name in enumerate(names)})


def orient_normals_inward(
    outward: Float[np.ndarray, "3 h w"], mask: Mask | None, path: Path
) -> MaskedValues:
    """Negate normals that point away from the camera, and scale them to length 1.

    The axes are x right, y down, z forward. Without a mask, all pixels with a vector have normals.

    Raises:
        InputError: If the mask has another size, or most of the result points away.
    """
    if mask is not None and mask.shape != outward.shape[1:]:
        raise InputError(
            f"{path}: the normals have the shape {outward.shape[1:]}, but the mask has {mask.shape}"
        )
    length = np.sqrt(np.square(outward, dtype=np.float32).sum(axis=0))
    valid = np.isfinite(length) & (length > _MIN_LENGTH)
    if mask is not None:
        valid &= mask
    # Invalid lengths are replaced by 1, so that nothing is divided by 0.
    scale = np.where(valid, -1 / np.where(valid, length, 1), 0).astype(np.float32)
    values = np.where(valid, outward, 0).astype(np.float32) * scale
    _check_normals_face_camera(values, valid, path)
    return MaskedValues(values, valid)


def _check_normals_face_camera(normals: Vectors, valid: Mask, path: Path) -> None:
    """Check that at least half of the normals face the camera, by the rays of its pixels."""
    if valid.shape != SIZE:
        return
    is_away = (normals * rays(K, *SIZE)).sum(axis=0) > 0
    fraction = float(is_away[valid].mean()) if valid.any() else 0.0
    if fraction > 0.5:
        raise InputError(
            f"{path}: {fraction:.0%} of the normals point away from the camera, so they "
            "follow a different convention; export them with x right and y down, and (0, 0, 1) for "
            "a wall seen head-on"
        )
