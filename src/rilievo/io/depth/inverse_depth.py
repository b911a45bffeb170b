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
from rilievo.io.depth.wrapping import find_wrap

SURFACES_ARE_STRAIGHT = (
    "flat surfaces are straight in its numbers, as they are in inverse depth and disparity, and "
    "not in depth: if it is inverse depth, depth is 1 over the numbers, and if it is disparity, "
    "focal length times baseline over the numbers"
)
STRAIGHT = (
    "flat surfaces are straight in its numbers, as they are in a z-buffer, inverse depth and "
    "disparity, and not in depth: write depth in metres"
)
SURFACES_BEND = (
    "flat surfaces bend in its numbers as they do in depth, and are not straight as in inverse "
    "depth and disparity: if it is depth, say so by its kind"
)
_FULL_SCALES = (1.0, 255.0, 65535.0)
"""Largest numbers of maps that were stretched to a full scale."""
_BUFFER_MEDIAN, _LEAST_BUFFER_MEDIAN, _FAR_PLANE = 0.9, 0.5, 0.01
"""Least medians of a z-buffer, over its end, without and with exact numbers, and least share of
pixels at its end."""
_FEWEST_FILLED, _MOST_AT_END, _FULL = 1000, 0.005, 0.95
"""Fewest pixels that fill the range of a type, largest share of them at its end, and least number
of those before it, over it."""
_MOST_SIDE = 640  # [px], to which larger maps are thinned out
_RAMP_SIDE, _RAMP_ERROR = 64, 2e-3
"""Side to which maps are thinned out to see a ramp [px], and its largest error over its range."""
_FEWEST_OF_RAMP = 100
_WINDOWS_ACROSS, _LEAST_WINDOW = 12, 8
_SLOPES = (0.08, 0.6)
"""Range of the change from the middle of a window to its border, over the middle, that shows it."""
_MOST_RESIDUAL = 0.1
"""Largest residual of a smooth surface, over its slope."""
_MOST_RELATIVE_RESIDUAL = 0.02
"""Largest residual of a smooth surface, over its values."""
_MOST_CURVATURE_ERROR = 0.05
"""Largest error of a curvature, over that of depth, in numbers that are exact but for rounding."""
_FEWEST_WINDOWS = 10
_LEAST_NUMBER = 1e-12
"""Numbers below it, and above 1 over it, are no depth in any unit, but bytes in the wrong order."""
_SAME_RATIO = 0.15
"""Largest difference of a ratio from 0 or 1 that counts for inverse depth or depth."""
_LEAST_SHARE, _TIMES_MORE = 0.3, 4.0
"""Least share of the surfaces that are straight in inverse depth, and ratio to those that bend.

Of 125 true maps of eleven datasets none is taken for inverse depth, and of their inverses 58 are;
most others have too few smooth and slanted surfaces (``lab/studies/judge_inverse_depth.py``)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Surfaces:
    """Smooth surfaces of windows: value, slope along the gradient, curvature there, residual.

    The errors are those of the curvatures, if the residuals are noise or rounding.
    """

    values: Values
    slopes: Values
    curvatures: Values
    residuals: Values
    errors: Values


def inverse_depth_warnings(
    stored: Shaped[np.ndarray, "h w"], values: Float64[np.ndarray, "h w"], valid: Mask
) -> tuple[str, ...]:
    """Doubts, a sentence each, that numbers are depth, as they are inverse or normalised.

    Args:
        stored: Numbers as they stand in the file.
        values: Depth that they are taken for, of which ``valid`` says where it is.
        valid: Pixels with depth.
    """
    doubts = [*normalized_range_warnings(stored)]
    known = _is_positive(stored)
    # The map may have been resized to the photograph.
    known &= valid if valid.shape == stored.shape else True
    # Depth that starts again near zero bends too little there.
    if find_wrap(stored, known) is not None:
        return tuple(doubts)
    buffer = z_buffer_warning(stored)
    if buffer is not None:
        return (buffer,)
    if has_straight_surfaces(values, valid):
        doubts.append(SURFACES_ARE_STRAIGHT)
    return tuple(doubts)


def straight_surface_warnings(values: Float64[np.ndarray, "h w"], valid: Mask) -> tuple[str, ...]:
    """Doubt that depth in one file of many is inverse depth, by the shape of its surfaces.

    A map that is one ramp alone is not doubted, because such maps are made up to try a program.
    """
    if not has_straight_surfaces(values, valid) or _is_one_ramp(values, valid):
        return ()
    starts_again = find_wrap(values, valid) is not None
    return () if starts_again else (SURFACES_ARE_STRAIGHT,)


def bent_surface_warnings(depth: Float64[np.ndarray, "h w"], valid: Mask) -> tuple[str, ...]:
    """Doubt that the inverse of a map that is taken for inverse depth or disparity is depth.

    Args:
        depth: 1 over the numbers, in any unit.
        valid: Pixels with depth.
    """
    return (SURFACES_BEND,) if straight_surface_warnings(depth, valid) else ()


def _is_one_ramp(values: Float64[np.ndarray, "h w"], valid: Mask) -> bool:
    """Whether all values lie on one linear function of the pixel."""
    step = math.ceil(max(values.shape) / _RAMP_SIDE)
    v, u = np.nonzero(valid[::step, ::step])
    if len(u) < _FEWEST_OF_RAMP:
        return False  # Such as every second pixel, of which the thinned map has none.
    numbers = values[::step, ::step][v, u]
    terms = np.stack([np.ones(u.size), u, v], axis=1)
    fitted = terms @ np.linalg.lstsq(terms, numbers, rcond=None)[0]
    return bool(np.abs(fitted - numbers).max() < _RAMP_ERROR * np.ptp(numbers))


def _is_positive(stored: Shaped[np.ndarray, "h w"]) -> Mask:
    with np.errstate(invalid="ignore"):
        return np.isfinite(stored) & (stored > 0)


def normalized_range_warnings(
    stored: Shaped[np.ndarray, "h w"], *, is_guess: bool = False
) -> Iterator[str]:
    """Yield a doubt about numbers that fill a full scale.

    Args:
        stored: Numbers as they stand in the file.
        is_guess: Whether nothing says their unit, so that maps that were divided by their farthest
            depth alone are doubted too.
    """
    if stored.dtype.kind != "f":
        largest = float(np.iinfo(stored.dtype).max)
        if stored.dtype.itemsize == 2 and _fills_type(stored, largest, is_guess=is_guess):
            yield (
                f"its numbers fill the whole range to {largest:.0f} without a gap, as maps do that "
                "were normalised, each for itself, whose unit is not known: say 'scale' if it is"
            )
        return
    finite = stored[np.isfinite(stored)]
    if finite.size and finite.min() == 0 and _fills_a_full_scale(finite):
        yield (
            f"its numbers go from 0 to {finite.max():g} exactly, as normalised maps do, whose unit "
            "is not known"
        )


def _fills_a_full_scale(numbers: Values) -> bool:
    """Whether numbers end at a full scale and use its upper half; a mark of "none" is alone."""
    largest = float(numbers.max())
    others = numbers[numbers < largest]
    return largest in _FULL_SCALES and bool(others.max(initial=0) > largest / 2)


def z_buffer_warning(stored: Shaped[np.ndarray, "h w"], unit: float | None = None) -> str | None:
    """Doubt about numbers that a z-buffer has, which ends at 1 or at a type's largest number.

    Args:
        stored: Numbers as they stand in the file.
        unit: Metres of a number that are declared; None if none are.
    """
    known = _is_positive(stored)
    if np.count_nonzero(known) < _FEWEST_FILLED:
        return None
    largest = float(stored[known].max())
    end = _end_of_scale(stored, largest)
    plane = np.where(known, stored, 0).astype(np.float64)
    inside = known & (plane < (largest if end is None else end))
    numbers = plane[inside]
    scale = largest if end is None else end
    # Where the end is not known, only numbers that are packed tightly look like a z-buffer.
    least = _BUFFER_MEDIAN if end is None else _LEAST_BUFFER_MEDIAN
    if numbers.size < _FEWEST_FILLED or np.median(numbers) < least * scale:
        return None
    has_far_plane = np.count_nonzero(known & (plane == end)) > _FAR_PLANE * stored.size
    if not has_far_plane and _is_one_ramp(plane, inside):
        return None
    is_buffer = _is_straight_to_rounding(plane, inside)
    if end is None:
        return STRAIGHT if is_buffer else None
    if is_buffer is None:
        # A z-buffer is linear in inverse depth, and ends at its far plane.
        is_metres = stored.dtype.kind == "f" and unit == 1
        is_packed = np.quantile(numbers, 0.01) > _LEAST_BUFFER_MEDIAN * end
        is_buffer = np.median(numbers) > _BUFFER_MEDIAN * end and is_packed and not is_metres
        is_buffer = is_buffer and (has_far_plane or has_straight_surfaces(end - plane, inside))
    if not is_buffer:
        return None
    share = "number" if end == 1 else f"number / {end:.0f}"
    return (
        f"its numbers lie close below {end:.0f}, as those of a z-buffer do: if it is one, depth is "
        f"near * far / (far - {share} * (far - near))"
    )


def _end_of_scale(stored: Shaped[np.ndarray, "h w"], largest: float) -> float | None:
    """Largest number of the scale: 1 of floating-point numbers, else that of 16, 24 or 32 bits."""
    if stored.dtype.kind == "f":
        return 1.0 if largest <= 1 else None
    ends = (float(2**bits - 1) for bits in (16, 24, 32))
    end = next((end for end in ends if largest <= end), None)
    return end if stored.dtype.itemsize > 1 else None


def _fills_type(stored: Shaped[np.ndarray, "h w"], largest: float, *, is_guess: bool) -> bool:
    """Whether numbers go without a gap up to the largest of the type, which few pixels hold.

    They begin near 0 too, unless the unit is a guess: then maps that were divided by their farthest
    depth are meant as well. A map that was stretched has the number 0 at its nearest pixels.
    """
    known = stored[stored > 0]
    if known.size < _FEWEST_FILLED or known.max() != largest:
        return False
    low, high = np.quantile(known[known < largest], (0.001, 0.999))
    zeros = 1 - known.size / stored.size
    is_stretched = 0 < zeros <= _MOST_AT_END and low < largest / 5
    begins_near_zero = is_guess or is_stretched or low < largest / 50
    has_few_at_end = np.mean(known == largest) <= _MOST_AT_END
    return bool(begins_near_zero and has_few_at_end and high > _FULL * largest)


def has_straight_surfaces(values: Float64[np.ndarray, "h w"], valid: Mask) -> bool:
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
    surfaces = _surfaces_of_map(values, valid)
    if surfaces is None:
        return None
    relative_slopes = surfaces.slopes / surfaces.values
    is_clear = (relative_slopes > _SLOPES[0]) & (relative_slopes < _SLOPES[1])
    is_clear &= surfaces.residuals < _MOST_RESIDUAL * surfaces.slopes
    is_clear &= surfaces.residuals < _MOST_RELATIVE_RESIDUAL * surfaces.values
    return _shares_of_surfaces(surfaces, is_clear)


def _is_straight_to_rounding(values: Float64[np.ndarray, "h w"], valid: Mask) -> bool | None:
    """Whether surfaces are straight in exact numbers, however little these change in a window.

    Returns:
        None if the numbers are too noisy or too coarse to tell.
    """
    surfaces = _surfaces_of_map(values, valid)
    if surfaces is None:
        return None
    is_clear = surfaces.slopes < _SLOPES[1] * surfaces.values
    is_clear &= surfaces.residuals < _MOST_RESIDUAL * surfaces.slopes
    of_depth = surfaces.slopes**2 / surfaces.values
    is_clear &= surfaces.errors < _MOST_CURVATURE_ERROR * of_depth
    shares = _shares_of_surfaces(surfaces, is_clear)
    if shares is None:
        return None
    return shares.straight > _LEAST_SHARE and shares.straight > _TIMES_MORE * shares.bent


def _surfaces_of_map(values: Float64[np.ndarray, "h w"], valid: Mask) -> _Surfaces | None:
    step = math.ceil(max(values.shape) / _MOST_SIDE)
    thin = np.where(valid, values, np.nan)[::step, ::step]
    windows = _whole_windows(thin)
    return None if len(windows) < _FEWEST_WINDOWS else _fit_surfaces(windows)


def _shares_of_surfaces(surfaces: _Surfaces, is_clear: Mask) -> _BendingShares | None:
    """Shares by weight of the surfaces that tell something; None if these are too few."""
    if np.count_nonzero(is_clear) < _FEWEST_WINDOWS:
        return None
    of_depth = surfaces.slopes[is_clear] ** 2 / surfaces.values[is_clear]
    ratios = surfaces.curvatures[is_clear] / of_depth
    weights = (surfaces.slopes[is_clear] / surfaces.values[is_clear]) ** 2
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
    with np.errstate(invalid="ignore"):
        is_usable = (windows > _LEAST_NUMBER) & (windows < 1 / _LEAST_NUMBER)
    return windows[is_usable.all(axis=1)]


def _fit_surfaces(windows: Float64[np.ndarray, "n p"]) -> _Surfaces:
    """Fit a surface of the second degree to each window, whose border is at 1."""
    side = math.isqrt(windows.shape[1])
    place = (np.arange(side) - (side - 1) / 2) / (side / 2)
    y, x = (each.ravel() for each in np.meshgrid(place, place, indexing="ij"))
    terms = np.stack([np.ones_like(x), x, y, x * x, x * y, y * y], axis=1)
    inverse = np.linalg.pinv(terms)
    coefficients = windows @ inverse.T
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
        errors=residuals * float(np.linalg.norm(inverse[3:], axis=1).max()),
    )
