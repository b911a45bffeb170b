"""Notice a sensor's map of distances along the rays that is read as depth along the axis.

A plane has inverse depth p = a + b x + c y, which is linear in the ray (x, y, 1) of a pixel. Its
inverse distance is p / ‖(x, y, 1)‖. So the inverse of a map of planes is
p (1 + bend (1 / ‖(x, y, 1)‖ - 1)), with a bend of 0 if the map holds depth, and of 1 if it holds
distances. The bend is fitted in each patch of the map that is flat enough, and the quartiles of all
patches decide.
"""

import math
from collections.abc import Iterator, Sequence
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
_MIN_MEDIAN_BEND, _MAX_MEDIAN_BEND = 0.7, 1.4
_MIN_LOWER_QUARTILE, _MAX_UPPER_QUARTILE = 0.5, 1.6
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
    mean_side = math.sqrt(measured.size)
    step = max(1, int(_PATCH_FRACTION * mean_side) // _PATCH_SAMPLES)
    depth = measured[::step, ::step].astype(np.float64)
    rows, columns = np.indices(depth.shape) * step
    rays = camera.rays(np.stack([columns, rows]).reshape(2, -1).astype(np.float64))
    rays = rays.reshape(3, *depth.shape)

    fits: list[_BendFit] = []
    for patch in _patches(depth.shape):
        is_measured = (depth[patch] > 0) & np.isfinite(depth[patch])
        if np.mean(is_measured) < _MIN_MEASURED_FRACTION:
            continue
        fit = _fit_bend(1 / depth[patch][is_measured], rays[:, *patch][:, is_measured])
        if fit is not None:
            fits.append(fit)
    return _bend_like_distances(fits)


def _patches(shape: tuple[int, ...]) -> Iterator[tuple[slice, slice]]:
    """Rows and columns of square patches all over a map; neighbours overlap by half."""
    height, width = shape
    side = max(8, int(_PATCH_FRACTION * width))
    for top in range(0, height - side + 1, side // 2):
        for left in range(0, width - side + 1, side // 2):
            yield slice(top, top + side), slice(left, left + side)


@dataclass(frozen=True, slots=True, kw_only=True)
class _BendFit:
    """Bend of a patch, as the docstring of the module defines it: 0 for depth, 1 for distances.

    Attributes:
        weight: By how much a bend of 1 changes the patch, over the error of the fit. Only this
            change tells depth from distances.
    """

    bend: float
    weight: float


def _fit_bend(
    inverse_values: Float64[np.ndarray, "n"], rays: Float64[np.ndarray, "3 n"]
) -> _BendFit | None:
    """Fit a plane and its bend to a patch by least squares, in two steps.

    The first step fits the plane alone, p = a + b x + c y. If the map holds distances, the patch
    differs from it by p (1 / ‖(x, y, 1)‖ - 1). Another plane explains a part of this difference.
    The second step compares the rest of it with the residuals of the first, and their ratio is the
    bend.

    Args:
        inverse_values: Inverse of what the map holds.
        rays: Ray (x, y, 1) of each pixel.

    Returns:
        The bend; None if the patch is not flat, or too small to show a bend.
    """
    relative_values = inverse_values / np.mean(inverse_values)
    # The columns span all planes, and are orthonormal, so that B Bᵀ projects on the planes.
    x, y, _ = rays
    plane_basis, _ = np.linalg.qr(np.stack([np.ones_like(relative_values), x, y], axis=1))
    plane = plane_basis @ (plane_basis.T @ relative_values)
    residuals = relative_values - plane

    change_by_distance = plane * (1 / np.linalg.norm(rays, axis=0) - 1)
    plane_of_change = plane_basis @ (plane_basis.T @ change_by_distance)
    curvature = change_by_distance - plane_of_change
    rms_curvature = float(np.sqrt(np.mean(np.square(curvature))))
    if rms_curvature == 0:
        return None
    bend = float(np.mean(curvature * residuals)) / rms_curvature**2
    error = float(np.sqrt(np.mean(np.square(residuals - bend * curvature))))
    is_flat = error <= _MAX_PLANE_ERROR  # False if it is NaN
    if not is_flat:
        return None
    return _BendFit(bend=bend, weight=rms_curvature / max(error, _MIN_ERROR))


def _bend_like_distances(fits: Sequence[_BendFit]) -> bool:
    """Whether the weighted quartiles of bends lie around 1, and there are enough patches."""
    bends = np.array([fit.bend for fit in fits])
    weights = np.array([fit.weight for fit in fits])
    if not weights.any():
        return False
    # The effective number of patches (Kish): equal weights count each patch as one.
    effective_count = weights.sum() ** 2 / np.square(weights).sum()
    if effective_count < _MIN_PATCHES:
        return False
    order = np.argsort(bends)
    cumulative_weights = np.cumsum(weights[order]) / weights.sum()
    quartile_indices = np.searchsorted(cumulative_weights, (0.25, 0.5, 0.75))
    lower_quartile, median, upper_quartile = bends[order][quartile_indices]
    has_typical_median = _MIN_MEDIAN_BEND < median < _MAX_MEDIAN_BEND
    has_typical_quartiles = (
        lower_quartile > _MIN_LOWER_QUARTILE and upper_quartile < _MAX_UPPER_QUARTILE
    )
    return bool(has_typical_median and has_typical_quartiles)
