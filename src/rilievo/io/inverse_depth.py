"""Whether the numbers of a map are inverse depth or disparity, by the shape of its surfaces.

The inverse depth of a plane is a linear function of the pixel, and so is its disparity, with any
factor and shift. Its depth z is the inverse of one, and bends: along its gradient g its second
derivative is 2 g² / z. The ratio of both is near 1 in depth, and near 0 in inverse depth.
"""

import math
from collections.abc import Iterator
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
_BUFFER_MEDIAN, _FAR_PLANE = 0.9, 0.01
"""Least median of a z-buffer, and share of pixels at its end."""
_FEWEST_FILLED, _MOST_AT_END = 1000, 0.001
"""Fewest pixels that fill the range of a type, and largest share of them at its end."""
_MOST_SIDE = 640  # [px], to which larger maps are thinned out
_RAMP_SIDE, _RAMP_ERROR = 64, 2e-3
"""Side to which maps are thinned out to see a ramp [px], and its largest error over its range."""
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
    doubts = [*doubts_about_normalised(stored)]
    if looks_inverse(values, valid):
        doubts.append(LOOKS_INVERSE)
    return tuple(doubts)


def doubts_about_surfaces(values: Float64[np.ndarray, "h w"], valid: Mask) -> tuple[str, ...]:
    """Doubt that depth in one file of many is inverse depth, by the shape of its surfaces.

    A map that is one ramp alone is not doubted, because such maps are made up to try a program.
    """
    if not looks_inverse(values, valid) or _is_one_ramp(values, valid):
        return ()
    return (LOOKS_INVERSE,)


def _is_one_ramp(values: Float64[np.ndarray, "h w"], valid: Mask) -> bool:
    """Whether all values lie on one linear function of the pixel."""
    step = math.ceil(max(values.shape) / _RAMP_SIDE)
    v, u = np.nonzero(valid[::step, ::step])
    numbers = values[::step, ::step][v, u]
    terms = np.stack([np.ones(u.size), u, v], axis=1)
    fitted = terms @ np.linalg.lstsq(terms, numbers, rcond=None)[0]
    return bool(np.abs(fitted - numbers).max() < _RAMP_ERROR * np.ptp(numbers))


def doubts_about_normalised(stored: Shaped[np.ndarray, "h w"]) -> Iterator[str]:
    """Yield a doubt about numbers that fill a full scale, or that a z-buffer has."""
    if stored.dtype.kind != "f":
        largest = float(np.iinfo(stored.dtype).max)
        if stored.dtype.itemsize == 2 and _fills_type(stored, largest):
            yield (
                f"its numbers fill the whole range to {largest:.0f} without a gap, as maps do that "
                "were normalised, each for itself, whose unit is not known: say 'scale' if it is"
            )
        return
    finite = stored[np.isfinite(stored)]
    if not finite.size:
        return
    if finite.min() == 0 and float(finite.max()) in _FULL_SCALES:
        yield (
            f"its numbers go from 0 to {finite.max():g} exactly, as normalised maps do, whose unit "
            "is not known"
        )
    elif finite.min() > 0 and finite.max() <= 1 and np.median(finite) > _BUFFER_MEDIAN:
        # A z-buffer is linear in inverse depth, and ends at 1.
        share = np.mean(finite == 1)
        below = stored.astype(np.float64)
        if share > _FAR_PLANE or looks_inverse(1 - below, np.isfinite(stored) & (stored < 1)):
            yield (
                "its numbers lie close below 1, as those of a z-buffer do: if it is one, depth is "
                "near * far / (far - number * (far - near))"
            )


def _fills_type(stored: Shaped[np.ndarray, "h w"], largest: float) -> bool:
    """Whether numbers go from near 0 to the largest of the type, which few pixels hold."""
    known = stored[stored > 0]
    if known.size < _FEWEST_FILLED or known.max() != largest:
        return False
    if np.mean(known == largest) > _MOST_AT_END:
        return False
    low, high = np.quantile(known, (0.001, 0.999))
    return bool(low < largest / 50 and high > 0.9 * largest)


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
