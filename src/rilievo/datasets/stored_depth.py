"""Converts stored depth, distance or disparity to depth [m] along the optical axis."""

from pathlib import Path

import numpy as np
from jaxtyping import Bool, Float32, Float64, Shaped

from rilievo.datasets.folder_layout import DepthLayout, StoredKind
from rilievo.errors import InputError
from rilievo.geometry.intrinsics import rays


def depth_of_stored(
    stored: Shaped[np.ndarray, "h w"],
    layout: DepthLayout,
    K: Float64[np.ndarray, "3 3"] | None,
    path: Path,
) -> tuple[Float32[np.ndarray, "h w"], Bool[np.ndarray, "h w"]]:
    """Convert stored numbers to depth [m], zero where unknown, and a mask of known pixels.

    Args:
        stored: Numbers as stored in the file.
        layout: Description of the numbers.
        K: Intrinsics at this size [px]; required for distance and disparity.
        path: Path for error messages.

    Raises:
        InputError: If the file has 8 bits and no scale is given: it is then most likely a picture
            of depth, not a measurement.
    """
    if stored.dtype == np.uint8 and layout.scale is None:
        raise InputError(
            f"{path}: has 8 bits, which are mostly a picture of depth; if they are depth, say "
            "their scale in the YAML"
        )
    known = np.isfinite(stored) & ~np.isin(stored, layout.invalid) & ~sky_of_stored(stored, layout)
    values = np.where(known, stored, 1).astype(np.float64) * _scale(stored, layout) + layout.offset
    if layout.kind is StoredKind.DISPARITY:
        assert K is not None, "a layout is checked when it is read"
        assert layout.baseline is not None, "the same"
        known &= values > 0
        values = K[0, 0] * layout.baseline / np.where(known, values, 1)
    elif layout.kind is StoredKind.DISTANCE:
        assert K is not None, "a layout is checked when it is read"
        values = values / np.linalg.norm(rays(K, *stored.shape), axis=0)
    known &= (values > 0) & (values >= layout.min_depth)
    most = np.finfo(np.float32).max if layout.max_depth is None else layout.max_depth
    known &= values <= most
    return np.where(known, values, 0).astype(np.float32), known


def sky_of_stored(
    stored: Shaped[np.ndarray, "h w"], layout: DepthLayout
) -> Bool[np.ndarray, "h w"]:
    """Mask of pixels whose stored numbers mean that there is no surface."""
    return np.isin(stored, layout.sky)


def _scale(stored: np.ndarray, layout: DepthLayout) -> float:
    if layout.scale is not None:
        return layout.scale
    millimetres = stored.dtype.kind in "ui" and layout.kind is not StoredKind.DISPARITY
    return 0.001 if millimetres else 1.0
