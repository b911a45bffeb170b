"""Notice a sensor's map of distances along the rays that is read as depth along the axis.

A plane has inverse depth p = a + b x + c y, which is linear in the ray (x, y, 1) of a pixel. Its
inverse distance is p / ‖(x, y, 1)‖. So the inverse of a map of planes is
p (1 + bend (1 / ‖(x, y, 1)‖ - 1)), with a bend of 0 if the map holds depth, and of 1 if it holds
distances. The bend is fitted in each patch of the map that is flat enough, and the quartiles of all
patches decide.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from rilievo.arrays.shapes import Field, Float64
from rilievo.geometry.cameras.camera import Camera, CameraSource

_PATCH_FRACTION = 0.2
"""Side of the square patches in which planes are fitted, as a fraction of the map's width."""
_PATCH_SAMPLES = 45
"""Number of pixels along the side of a patch that are used in a large map, about."""
_MIN_MEASURED_FRACTION = 0.6
"""Fraction of a patch that must be measured."""
_MAX_PLANE_ERROR = 0.03
"""Largest relative error of a patch that counts as flat, besides the bend that is looked for."""
_MIN_ERROR = 2e-4
"""Least relative error of a patch, so that exact maps do not divide by 0."""
_MIN_PATCHES = 6
"""Least number of patches, each counted by its weight."""
_TYPICAL_BEND = (0.7, 1.4)
_LEAST_QUARTILE, _GREATEST_QUARTILE = 0.5, 1.6
"""Limits on median and quartiles of the bend, which is 0 for depth and 1 for distances."""


def is_probably_distance(measured: Field, camera: Camera) -> bool:
    """Whether surfaces of a map bend as flat ones do if it holds distances along the rays.

    False if the camera is not that of a pinhole, or is not certain, or if there are too few smooth
    surfaces to tell. Of 146 maps of eight sets none is taken for distances. Of the same maps as
    distances, all 32 without noise are, and a fifth of the others. True depth of a round surface
    that fills the picture, such as a sphere of 2 m that begins 2 m away, is taken for distances.

    Args:
        measured: Measured depth [m], 0 in its gaps.
        camera: Camera for the pixels of the map.
    """
    if camera.lens.has_unit_rays or camera.source in (CameraSource.ASSUMED, CameraSource.PREDICTED):
        return False
    # A large map is sampled, because some thousand pixels of a patch tell enough.
    side_length = math.sqrt(measured.size)
    step = max(1, int(_PATCH_FRACTION * side_length) // _PATCH_SAMPLES)
    depth = measured[::step, ::step].astype(np.float64)
    rows, columns = np.indices(depth.shape) * step
    rays = camera.rays(np.stack([columns, rows]).reshape(2, -1).astype(np.float64))
    rays = rays.reshape(3, *depth.shape)

    side = max(8, int(_PATCH_FRACTION * depth.shape[1]))
    fits: list[_BendFit] = []
    for top in range(0, depth.shape[0] - side + 1, side // 2):
        for left in range(0, depth.shape[1] - side + 1, side // 2):
            patch = slice(top, top + side), slice(left, left + side)
            is_measured = (depth[patch] > 0) & np.isfinite(depth[patch])
            if np.mean(is_measured) < _MIN_MEASURED_FRACTION:
                continue
            fit = _fit_bend(1 / depth[patch][is_measured], rays[:, *patch][:, is_measured])
            if fit is not None:
                fits.append(fit)
    return _bend_like_distances(fits)


@dataclass(frozen=True, slots=True, kw_only=True)
class _BendFit:
    """Bend of a patch: 0 for depth, 1 for distances.

    Its weight is the effect of a bend of 1 against the noise.
    """

    bend: float
    weight: float


def _fit_bend(
    inverse_depth: Float64[np.ndarray, "n"], rays: Float64[np.ndarray, "3 n"]
) -> _BendFit | None:
    """Fit a plane and its bend to the inverse of what the map holds, by least squares.

    ``rays`` have a depth of 1. Returns None if the patch is not flat.
    """
    relative = inverse_depth / np.mean(inverse_depth)
    # The columns span all planes, and are orthonormal.
    plane_basis, _ = np.linalg.qr(np.stack([np.ones_like(relative), rays[0], rays[1]], axis=1))
    plane = plane_basis @ (plane_basis.T @ relative)
    change = plane * (1 / np.linalg.norm(rays, axis=0) - 1)
    # Only the part of the change that no plane explains tells the bend.
    bent = change - plane_basis @ (plane_basis.T @ change)
    bent_size = float(np.sqrt(np.mean(np.square(bent))))
    if bent_size == 0:
        return None
    deviation = relative - plane
    bend = float(np.mean(bent * deviation)) / bent_size**2
    error = float(np.sqrt(np.mean(np.square(deviation - bend * bent))))
    if not error <= _MAX_PLANE_ERROR:  # also if it is NaN
        return None
    return _BendFit(bend=bend, weight=bent_size / max(error, _MIN_ERROR))


def _bend_like_distances(fits: Sequence[_BendFit]) -> bool:
    """Whether the weighted quartiles of bends lie around 1, and there are enough patches."""
    bends = np.array([fit.bend for fit in fits])
    weights = np.array([fit.weight for fit in fits])
    if not weights.any():
        return False
    # The effective number of patches (Kish): equal weights count each patch as one.
    if weights.sum() ** 2 / np.square(weights).sum() < _MIN_PATCHES:
        return False
    order = np.argsort(bends)
    cumulative = np.cumsum(weights[order]) / weights.sum()
    lower, median, upper = bends[order][np.searchsorted(cumulative, (0.25, 0.5, 0.75))]
    least_median, greatest_median = _TYPICAL_BEND
    is_typical = least_median < median < greatest_median
    return bool(is_typical and lower > _LEAST_QUARTILE and upper < _GREATEST_QUARTILE)
