"""Whether the numbers of a map are inverse depth or disparity, by the shape of its surfaces.

The inverse depth of a plane is a linear function of the pixel, and so is its disparity, with any
factor and shift. Its depth z is the inverse of one, and bends: along its gradient g its second
derivative is 2 g² / z. The ratio of both is near 1 in depth, and near 0 in inverse depth.
"""

import math
from dataclasses import dataclass

import numpy as np

from rilievo.arrays.shapes import Float64, Mask, Shaped, Values

LOOKS_INVERSE = (
    "flat surfaces are straight in its numbers, as they are in inverse depth and disparity, and "
    "not in depth: if it is inverse depth, depth is 1 over the numbers, and if it is disparity, "
    "focal length times baseline over the numbers"
)
_FULL_SCALES = (1.0, 255.0, 65535.0)
"""Largest numbers of maps that were stretched to a full scale."""
_MOST_SIDE = 640  # [px], to which larger maps are thinned out
_WINDOWS_ACROSS, _LEAST_WINDOW = 12, 8
_SLOPES = (0.08, 0.6)
"""Range of the change from the middle of a window to its border, over the middle, that shows it."""
_MOST_RESIDUAL = 0.1
"""Largest residual of a smooth surface, over its slope."""
_MOST_RELATIVE_RESIDUAL = 0.02
"""Largest residual of a smooth surface, over its values."""
_FEWEST_WINDOWS = 10
_SAME_RATIO = 0.15
"""Largest difference of a ratio from 0 or 1 that counts for inverse depth or depth."""
_LEAST_SHARE, _TIMES_MORE = 0.3, 4.0
"""Least share of the surfaces that are straight in inverse depth, and ratio to those that bend.

Of 125 true maps of eleven datasets none is taken for inverse depth, and of their inverses 58 are;
most others have too few smooth and slanted surfaces (``lab/studies/judge_inverse_depth.py``)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Surfaces:
    """Smooth surfaces of windows: value, slope along the gradient, curvature there, residual."""

    values: Values
    slopes: Values
    curvatures: Values
    residuals: Values


def doubts_about_inverse(
    stored: Shaped[np.ndarray, "h w"], values: Float64[np.ndarray, "h w"], valid: Mask
) -> tuple[str, ...]:
    """Doubts, a sentence each, that numbers are depth, as they are inverse or normalised.

    Args:
        stored: Numbers as they stand in the file.
        values: Depth that they are taken for, of which ``valid`` says where it is.
        valid: Pixels with depth.
    """
    doubts = []
    finite = stored[np.isfinite(stored)] if stored.dtype.kind == "f" else stored
    is_normalised = finite.size > 0 and finite.min() == 0 and float(finite.max()) in _FULL_SCALES
    if stored.dtype.kind == "f" and is_normalised:
        doubts.append(
            f"its numbers go from 0 to {finite.max():g} exactly, as normalised maps do, whose unit "
            "is not known"
        )
    if looks_inverse(values, valid):
        doubts.append(LOOKS_INVERSE)
    return tuple(doubts)


def looks_inverse(values: Float64[np.ndarray, "h w"], valid: Mask) -> bool:
    """Whether surfaces in a map are straight, as in inverse depth; False if there are too few."""
    shares = _bending_shares(values, valid)
    if shares is None:
        return False
    return shares.straight > _LEAST_SHARE and shares.straight > _TIMES_MORE * shares.bent


def flatness(values: Float64[np.ndarray, "h w"], valid: Mask) -> float:
    """Share of the smooth, slanted surfaces that are flat if values are depth; 0 if too few."""
    shares = _bending_shares(values, valid)
    return 0.0 if shares is None else shares.bent


@dataclass(frozen=True, slots=True, kw_only=True)
class _BendingShares:
    """Shares of the surfaces that are straight in the values, and that bend as depth does."""

    straight: float
    bent: float


def _bending_shares(values: Float64[np.ndarray, "h w"], valid: Mask) -> _BendingShares | None:
    step = math.ceil(max(values.shape) / _MOST_SIDE)
    thin = np.where(valid, values, np.nan)[::step, ::step]
    windows = _whole_windows(thin)
    if len(windows) < _FEWEST_WINDOWS:
        return None
    surfaces = _fit_surfaces(windows)
    relative_slopes = surfaces.slopes / surfaces.values
    is_clear = (relative_slopes > _SLOPES[0]) & (relative_slopes < _SLOPES[1])
    is_clear &= surfaces.residuals < _MOST_RESIDUAL * surfaces.slopes
    is_clear &= surfaces.residuals < _MOST_RELATIVE_RESIDUAL * surfaces.values
    if np.count_nonzero(is_clear) < _FEWEST_WINDOWS:
        return None
    of_depth = surfaces.slopes[is_clear] ** 2 / surfaces.values[is_clear]
    ratios = surfaces.curvatures[is_clear] / of_depth
    weights = relative_slopes[is_clear] ** 2
    straight = weights[np.abs(ratios) < _SAME_RATIO].sum() / weights.sum()
    bent = weights[np.abs(ratios - 1) < _SAME_RATIO].sum() / weights.sum()
    return _BendingShares(straight=float(straight), bent=float(bent))


def _whole_windows(
    plane: Float64[np.ndarray, "h w"],
) -> Float64[np.ndarray, "n p"]:
    """Pixels of square windows without gaps that overlap by half, a row each."""
    side = max(_LEAST_WINDOW, plane.shape[1] // _WINDOWS_ACROSS)
    parts = []
    for top in (0, side // 2):
        for left in (0, side // 2):
            shifted = plane[top:, left:]
            rows, columns = shifted.shape[0] // side, shifted.shape[1] // side
            cut = shifted[: rows * side, : columns * side]
            blocks = cut.reshape(rows, side, columns, side).swapaxes(1, 2)
            parts.append(blocks.reshape(-1, side * side))
    windows = np.concatenate(parts)
    return windows[np.isfinite(windows).all(axis=1) & (windows > 0).all(axis=1)]


def _fit_surfaces(windows: Float64[np.ndarray, "n p"]) -> _Surfaces:
    """Fit a surface of the second degree to each window, whose border is at 1."""
    side = math.isqrt(windows.shape[1])
    place = (np.arange(side) - (side - 1) / 2) / (side / 2)
    y, x = (each.ravel() for each in np.meshgrid(place, place, indexing="ij"))
    terms = np.stack([np.ones_like(x), x, y, x * x, x * y, y * y], axis=1)
    coefficients = windows @ np.linalg.pinv(terms).T
    residuals = np.sqrt(((windows - coefficients @ terms.T) ** 2).mean(axis=1))
    middle, right, down, xx, xy, yy = coefficients.T
    slopes = np.hypot(right, down)
    safe = np.where(slopes > 0, slopes, 1)
    across, along = right / safe, down / safe
    curvatures = xx * across**2 + xy * across * along + yy * along**2
    return _Surfaces(
        # A surface that passes zero in the middle of its window is no depth.
        values=np.where(middle > 0, middle, np.inf),
        slopes=slopes,
        curvatures=curvatures,
        residuals=residuals,
    )
