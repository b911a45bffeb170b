"""Measure how flat surfaces bend in the values of a map, which tells depth from inverse depth.

The inverse depth of a plane is a linear function of the pixel, and so is its disparity, with any
factor and shift. Its depth z is the reciprocal of a linear function, and bends: with the slope g
along its gradient, half of its second derivative is g² / z. The curvature ratio, which is that half
second derivative over g² / z, is therefore 1 in depth and 0 in inverse depth.
"""

import math
from dataclasses import dataclass

import numpy as np

from rilievo.arrays.shapes import Float64, Mask, Values

_MAX_SIDE = 640  # [px]; larger maps are subsampled
_WINDOWS_ACROSS = 12
_MIN_WINDOW = 8  # [px], side of a window in which a surface is fitted
_MIN_WINDOWS = 10
_MIN_VALUE = 1e-12
"""Values below it, or above its reciprocal, are bytes in the wrong order, and no depth."""

# Limits on the surfaces that are informative, relative to the value in the middle of the window.
_MIN_SLOPE, _MAX_SLOPE = 0.08, 0.6  # change from the middle to the border
_MAX_RESIDUAL = 0.02  # of a smooth surface
_MAX_RESIDUAL_TO_SLOPE = 0.1  # relative to the slope
_MAX_CURVATURE_ERROR = 0.05  # relative to depth's curvature, in values exact but for rounding

_MAX_RATIO_ERROR = 0.15
"""Largest difference of the curvature ratio from 0 or 1 for inverse depth or depth."""
_MIN_STRAIGHT_FRACTION, _MIN_STRAIGHT_RATIO = 0.3, 4.0
"""Minimum fraction of surfaces that are straight, and its ratio to those that bend, in a map of
inverse depth. Of 125 true maps of eleven datasets none is taken for inverse depth, and of their
inverses 58 are. Most others have too few smooth and slanted surfaces
(``lab/studies/judge_inverse_depth.py``)."""

_RAMP_SIDE = 64  # [px], to which maps are subsampled to detect a ramp
_MAX_RAMP_ERROR = 2e-3  # relative to the range of the values
_MIN_RAMP_PIXELS = 100


@dataclass(frozen=True, slots=True, kw_only=True)
class _Surfaces:
    """Quadratic surfaces fitted to windows whose coordinates go from -1 to 1.

    Attributes:
        values: Values in the middle.
        slopes: Slopes along the gradient.
        curvatures: Half of the second derivatives along the gradient.
        residuals: Root mean square errors of the fit.
        curvature_errors: Largest errors of the curvatures that such residuals may cause.
    """

    values: Values
    slopes: Values
    curvatures: Values
    residuals: Values
    curvature_errors: Values


@dataclass(frozen=True, slots=True, kw_only=True)
class _SurfaceFractions:
    """Fractions of the surfaces that are straight in the values, and that bend as depth does."""

    straight: float
    bent: float

    @property
    def are_straight(self) -> bool:
        is_frequent = self.straight > _MIN_STRAIGHT_FRACTION
        return is_frequent and self.straight > _MIN_STRAIGHT_RATIO * self.bent


def has_straight_surfaces(values: Float64[np.ndarray, "h w"], valid: Mask) -> bool:
    """Whether surfaces are straight in the values, as in inverse depth; False if few are found."""
    fractions = _slanted_surface_fractions(values, valid)
    return fractions is not None and fractions.are_straight


def flat_surface_fraction(values: Float64[np.ndarray, "h w"], valid: Mask) -> float:
    """Return the fraction of smooth, slanted surfaces that are flat if the values are depth.

    Return 0 if too few such surfaces are found.
    """
    fractions = _slanted_surface_fractions(values, valid)
    return 0.0 if fractions is None else fractions.bent


def is_straight_to_rounding(values: Float64[np.ndarray, "h w"], valid: Mask) -> bool | None:
    """Whether surfaces are straight in exact values, however little these change in a window.

    Returns:
        None if the values are too noisy or too coarse to tell.
    """
    surfaces = _find_surfaces(values, valid)
    if surfaces is None:
        return None
    depth_curvatures = surfaces.slopes**2 / surfaces.values
    is_clear = surfaces.slopes < _MAX_SLOPE * surfaces.values
    is_clear &= surfaces.residuals < _MAX_RESIDUAL_TO_SLOPE * surfaces.slopes
    is_clear &= surfaces.curvature_errors < _MAX_CURVATURE_ERROR * depth_curvatures
    fractions = _surface_fractions(surfaces, is_clear)
    return None if fractions is None else fractions.are_straight


def is_one_ramp(values: Float64[np.ndarray, "h w"], valid: Mask) -> bool:
    """Whether all values lie on one linear function of the pixel, fitted by least squares."""
    step = math.ceil(max(values.shape) / _RAMP_SIDE)
    v, u = np.nonzero(valid[::step, ::step])
    if len(u) < _MIN_RAMP_PIXELS:
        return False  # Such as a map of every second pixel, all of which the subsampling skips.
    samples = values[::step, ::step][v, u]
    design_matrix = np.stack([np.ones(u.size), u, v], axis=1)
    coefficients = np.linalg.lstsq(design_matrix, samples, rcond=None)[0]
    residuals = np.abs(design_matrix @ coefficients - samples)
    return bool(residuals.max() < _MAX_RAMP_ERROR * np.ptp(samples))


def _slanted_surface_fractions(
    values: Float64[np.ndarray, "h w"], valid: Mask
) -> _SurfaceFractions | None:
    """Classify the smooth surfaces that change visibly in their window; None if there are few."""
    surfaces = _find_surfaces(values, valid)
    if surfaces is None:
        return None
    relative_slopes = surfaces.slopes / surfaces.values
    is_clear = (relative_slopes > _MIN_SLOPE) & (relative_slopes < _MAX_SLOPE)
    is_clear &= surfaces.residuals < _MAX_RESIDUAL_TO_SLOPE * surfaces.slopes
    is_clear &= surfaces.residuals < _MAX_RESIDUAL * surfaces.values
    return _surface_fractions(surfaces, is_clear)


def _surface_fractions(surfaces: _Surfaces, is_clear: Mask) -> _SurfaceFractions | None:
    """Classify the clear surfaces by their curvature ratio; None if there are too few.

    Steeper surfaces count more, because their curvature is measured better.
    """
    if np.count_nonzero(is_clear) < _MIN_WINDOWS:
        return None
    slopes = surfaces.slopes[is_clear]
    values = surfaces.values[is_clear]
    # 0 if planes are straight in the values, as in inverse depth, and 1 if they bend as in depth.
    curvature_ratios = surfaces.curvatures[is_clear] / (slopes**2 / values)
    weights = (slopes / values) ** 2
    straight = weights[np.abs(curvature_ratios) < _MAX_RATIO_ERROR].sum() / weights.sum()
    bent = weights[np.abs(curvature_ratios - 1) < _MAX_RATIO_ERROR].sum() / weights.sum()
    return _SurfaceFractions(straight=float(straight), bent=float(bent))


def _find_surfaces(values: Float64[np.ndarray, "h w"], valid: Mask) -> _Surfaces | None:
    """Fit surfaces to the windows of a map that have no gaps; None if there are too few."""
    step = math.ceil(max(values.shape) / _MAX_SIDE)
    subsampled = np.where(valid, values, np.nan)[::step, ::step]
    windows = _complete_windows(subsampled)
    return None if len(windows) < _MIN_WINDOWS else _fit_surfaces(windows)


def _complete_windows(values: Float64[np.ndarray, "h w"]) -> Float64[np.ndarray, "n p"]:
    """Cut the map into square windows that overlap by half, and keep those without gaps.

    Each row of the result has the pixels of one window.
    """
    side = max(_MIN_WINDOW, values.shape[1] // _WINDOWS_ACROSS)
    windows_by_shift = []
    for top in (0, side // 2):
        for left in (0, side // 2):
            shifted = values[top:, left:]
            row_count, column_count = shifted.shape[0] // side, shifted.shape[1] // side
            cropped = shifted[: row_count * side, : column_count * side]
            blocks = cropped.reshape(row_count, side, column_count, side).swapaxes(1, 2)
            windows_by_shift.append(blocks.reshape(-1, side * side))
    windows = np.concatenate(windows_by_shift)
    with np.errstate(invalid="ignore"):
        is_usable = (windows > _MIN_VALUE) & (windows < 1 / _MIN_VALUE)
    return windows[is_usable.all(axis=1)]


def _fit_surfaces(windows: Float64[np.ndarray, "n p"]) -> _Surfaces:
    """Fit c0 + c1 x + c2 y + c3 x² + c4 xy + c5 y² to each window by least squares."""
    side = math.isqrt(windows.shape[1])
    positions = (np.arange(side) - (side - 1) / 2) / (side / 2)  # -1 to 1 across the window
    y, x = (grid.ravel() for grid in np.meshgrid(positions, positions, indexing="ij"))
    design_matrix = np.stack([np.ones_like(x), x, y, x * x, x * y, y * y], axis=1)
    pseudo_inverse = np.linalg.pinv(design_matrix)
    coefficients = windows @ pseudo_inverse.T
    residuals = np.sqrt(((windows - coefficients @ design_matrix.T) ** 2).mean(axis=1))

    middle, slope_x, slope_y, xx, xy, yy = coefficients.T
    slopes = np.hypot(slope_x, slope_y)
    # Without a slope there is no direction; any finite one will do, as such surfaces do not count.
    divisors = np.where(slopes > 0, slopes, 1)
    direction_x, direction_y = slope_x / divisors, slope_y / divisors
    # Half of the second derivative along the unit vector d is c3 dx² + c4 dx dy + c5 dy².
    curvatures = xx * direction_x**2 + xy * direction_x * direction_y + yy * direction_y**2
    # Error propagation: noise of the values enters the quadratic terms by these rows.
    noise_gain = float(np.linalg.norm(pseudo_inverse[3:], axis=1).max())
    return _Surfaces(
        # A surface that is not positive in the middle is no depth. Infinity makes it fail the
        # limits, which are relative to the value.
        values=np.where(middle > 0, middle, np.inf),
        slopes=slopes,
        curvatures=curvatures,
        residuals=residuals,
        curvature_errors=residuals * noise_gain,
    )
