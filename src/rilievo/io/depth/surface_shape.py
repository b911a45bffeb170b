"""How flat surfaces bend in the numbers of a map, which tells depth from inverse depth.

The inverse depth of a plane is a linear function of the pixel, and so is its disparity, with any
factor and shift. Its depth z is the inverse of one, and bends: along its gradient g its second
derivative is 2 g² / z. The ratio of both is near 1 in depth, and near 0 in inverse depth.
"""

import math
from dataclasses import dataclass

import numpy as np

from rilievo.arrays.shapes import Float64, Mask, Values

_MAX_SIDE = 640  # [px], to which larger maps are thinned out
_WINDOWS_ACROSS = 12
_MIN_WINDOW = 8  # [px], side of a window in which a surface is fitted
_MIN_WINDOWS = 10
_MIN_NUMBER = 1e-12
"""Numbers below it, and above 1 over it, are no depth in any unit, but bytes in the wrong order."""

# Limits on the surfaces that tell something, relative to the value in the middle of the window.
_MIN_SLOPE, _MAX_SLOPE = 0.08, 0.6  # change from the middle to the border
_MAX_RESIDUAL = 0.02  # of a smooth surface
_MAX_RESIDUAL_TO_SLOPE = 0.1  # relative to the slope
_MAX_CURVATURE_ERROR = 0.05  # relative to depth's curvature, in numbers exact but for rounding

_MAX_RATIO_ERROR = 0.15
"""Largest difference from 0 or 1 at which the ratio of curvatures counts for inverse depth or
depth."""
_MIN_STRAIGHT_SHARE, _MIN_STRAIGHT_RATIO = 0.3, 4.0
"""Least share of the surfaces that are straight in inverse depth, and ratio to those that bend.

Of 125 true maps of eleven datasets none is taken for inverse depth, and of their inverses 58 are;
most others have too few smooth and slanted surfaces (``lab/studies/judge_inverse_depth.py``)."""

_RAMP_SIDE = 64  # [px], to which maps are thinned out to see a ramp
_MAX_RAMP_ERROR = 2e-3  # relative to the range of the values
_MIN_RAMP_PIXELS = 100


@dataclass(frozen=True, slots=True, kw_only=True)
class _Surfaces:
    """Smooth surfaces fitted to windows, in values of the map; a window's border is at 1.

    Attributes:
        values: Values in the middle.
        slopes: Slopes along the gradient.
        curvatures: Half of the second derivatives along the gradient.
        residuals: Root mean square errors of the fit.
        errors: Errors of the curvatures, if the residuals are noise or rounding.
    """

    values: Values
    slopes: Values
    curvatures: Values
    residuals: Values
    errors: Values


@dataclass(frozen=True, slots=True, kw_only=True)
class _SurfaceShares:
    """Shares of the surfaces that are straight in the values, and that bend as depth does."""

    straight: float
    bent: float

    @property
    def are_straight(self) -> bool:
        return (
            self.straight > _MIN_STRAIGHT_SHARE and self.straight > _MIN_STRAIGHT_RATIO * self.bent
        )


def has_straight_surfaces(values: Float64[np.ndarray, "h w"], valid: Mask) -> bool:
    """Whether surfaces are straight in the values, as in inverse depth; False if there are few."""
    shares = _slanted_surface_shares(values, valid)
    return shares is not None and shares.are_straight


def flat_surface_share(values: Float64[np.ndarray, "h w"], valid: Mask) -> float:
    """Share of the smooth, slanted surfaces that are flat if the values are depth; 0 if few."""
    shares = _slanted_surface_shares(values, valid)
    return 0.0 if shares is None else shares.bent


def is_straight_to_rounding(values: Float64[np.ndarray, "h w"], valid: Mask) -> bool | None:
    """Whether surfaces are straight in exact numbers, however little these change in a window.

    Returns:
        None if the numbers are too noisy or too coarse to tell.
    """
    surfaces = _find_surfaces(values, valid)
    if surfaces is None:
        return None
    depth_curvatures = surfaces.slopes**2 / surfaces.values
    is_clear = surfaces.slopes < _MAX_SLOPE * surfaces.values
    is_clear &= surfaces.residuals < _MAX_RESIDUAL_TO_SLOPE * surfaces.slopes
    is_clear &= surfaces.errors < _MAX_CURVATURE_ERROR * depth_curvatures
    shares = _surface_shares(surfaces, is_clear)
    return None if shares is None else shares.are_straight


def is_one_ramp(values: Float64[np.ndarray, "h w"], valid: Mask) -> bool:
    """Whether all values lie on one linear function of the pixel."""
    step = math.ceil(max(values.shape) / _RAMP_SIDE)
    v, u = np.nonzero(valid[::step, ::step])
    if len(u) < _MIN_RAMP_PIXELS:
        return False  # Such as every second pixel, of which the thinned map has none.
    numbers = values[::step, ::step][v, u]
    terms = np.stack([np.ones(u.size), u, v], axis=1)
    fitted = terms @ np.linalg.lstsq(terms, numbers, rcond=None)[0]
    return bool(np.abs(fitted - numbers).max() < _MAX_RAMP_ERROR * np.ptp(numbers))


def _slanted_surface_shares(
    values: Float64[np.ndarray, "h w"], valid: Mask
) -> _SurfaceShares | None:
    """Shares of the smooth surfaces that change visibly in their window; None if there are few."""
    surfaces = _find_surfaces(values, valid)
    if surfaces is None:
        return None
    relative_slopes = surfaces.slopes / surfaces.values
    is_clear = (relative_slopes > _MIN_SLOPE) & (relative_slopes < _MAX_SLOPE)
    is_clear &= surfaces.residuals < _MAX_RESIDUAL_TO_SLOPE * surfaces.slopes
    is_clear &= surfaces.residuals < _MAX_RESIDUAL * surfaces.values
    return _surface_shares(surfaces, is_clear)


def _surface_shares(surfaces: _Surfaces, is_clear: Mask) -> _SurfaceShares | None:
    """Shares by weight of the surfaces that tell something; None if these are too few."""
    if np.count_nonzero(is_clear) < _MIN_WINDOWS:
        return None
    slopes, values = surfaces.slopes[is_clear], surfaces.values[is_clear]
    ratios = surfaces.curvatures[is_clear] / (slopes**2 / values)
    weights = (slopes / values) ** 2
    straight = weights[np.abs(ratios) < _MAX_RATIO_ERROR].sum() / weights.sum()
    bent = weights[np.abs(ratios - 1) < _MAX_RATIO_ERROR].sum() / weights.sum()
    return _SurfaceShares(straight=float(straight), bent=float(bent))


def _find_surfaces(values: Float64[np.ndarray, "h w"], valid: Mask) -> _Surfaces | None:
    """Fit surfaces to the windows of a map that have no gaps; None if there are too few."""
    step = math.ceil(max(values.shape) / _MAX_SIDE)
    thinned = np.where(valid, values, np.nan)[::step, ::step]
    windows = _complete_windows(thinned)
    return None if len(windows) < _MIN_WINDOWS else _fit_surfaces(windows)


def _complete_windows(values: Float64[np.ndarray, "h w"]) -> Float64[np.ndarray, "n p"]:
    """Pixels of square windows without gaps that overlap by half, a row each."""
    side = max(_MIN_WINDOW, values.shape[1] // _WINDOWS_ACROSS)
    parts = []
    for top in (0, side // 2):
        for left in (0, side // 2):
            shifted = values[top:, left:]
            rows, columns = shifted.shape[0] // side, shifted.shape[1] // side
            cut = shifted[: rows * side, : columns * side]
            blocks = cut.reshape(rows, side, columns, side).swapaxes(1, 2)
            parts.append(blocks.reshape(-1, side * side))
    windows = np.concatenate(parts)
    with np.errstate(invalid="ignore"):
        is_usable = (windows > _MIN_NUMBER) & (windows < 1 / _MIN_NUMBER)
    return windows[is_usable.all(axis=1)]


def _fit_surfaces(windows: Float64[np.ndarray, "n p"]) -> _Surfaces:
    """Fit a surface of the second degree to each window."""
    side = math.isqrt(windows.shape[1])
    positions = (np.arange(side) - (side - 1) / 2) / (side / 2)
    y, x = (grid.ravel() for grid in np.meshgrid(positions, positions, indexing="ij"))
    terms = np.stack([np.ones_like(x), x, y, x * x, x * y, y * y], axis=1)
    inverse = np.linalg.pinv(terms)
    coefficients = windows @ inverse.T
    residuals = np.sqrt(((windows - coefficients @ terms.T) ** 2).mean(axis=1))

    middle, slope_x, slope_y, xx, xy, yy = coefficients.T
    slopes = np.hypot(slope_x, slope_y)
    divisors = np.where(slopes > 0, slopes, 1)
    direction_x, direction_y = slope_x / divisors, slope_y / divisors
    curvatures = xx * direction_x**2 + xy * direction_x * direction_y + yy * direction_y**2
    return _Surfaces(
        # A surface that passes zero in the middle of its window is no depth.
        values=np.where(middle > 0, middle, np.inf),
        slopes=slopes,
        curvatures=curvatures,
        residuals=residuals,
        errors=residuals * float(np.linalg.norm(inverse[3:], axis=1).max()),
    )
