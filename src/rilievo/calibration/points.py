"""Metres from known points, lengths and rectangles.

Fits have the least sum of absolute log errors, so that a mistyped size stands out; least squares
would spread its error over all of them.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np

from rilievo.alignment.fit import Fit, FitSpace, check_depth_map, golden_argmin, to_depth
from rilievo.arrays.shapes import Int, Points, Values, Vector
from rilievo.calibration.correction_field import (
    MIN_POSITIONS,
    CorrectionField,
    fit_correction_field,
    multiply_by_field,
)
from rilievo.calibration.readings import (
    DepthReading,
    SizeReading,
    known_point_pixel,
    pixel_index,
    read_size,
)
from rilievo.calibration.sizes import (
    Known,
    KnownCircle,
    KnownLength,
    KnownPoint,
    KnownRectangle,
)
from rilievo.errors import CalibrationError, UndeterminedError
from rilievo.geometry.cameras.camera import Camera
from rilievo.records.depth_map import DepthKind, DepthMap
from rilievo.records.prediction_record import Calibration

MAX_SCALE_RATIO = 3.0
"""Largest ratio of the scales that single known sizes imply; beyond it they contradict each
other."""
MAX_CERTAIN_SCALE_RATIO = 1.5
"""Largest ratio of the scales of single known sizes without a warning that they contradict each
other."""
MIN_MAJORITY_SIZES = 5
"""Fewest known sizes with which the fit follows the majority, and a minority may contradict it."""
KNOWN_LENGTHS, KNOWN_RECTANGLES = "known lengths", "known rectangles"
KNOWN_CIRCLES = "known circles"
"""``Calibration.method`` of metres from lengths, rectangles or circles alone."""
MAX_PAIRS = 2_016
"""Most pairs of points whose lines are tried; of more pairs, this many are drawn at random."""

_MAX_EQUAL_SCALE_RATIO = 1.2
"""Largest ratio of the scales of fewer than ``MIN_MAJORITY_SIZES`` sizes without a note that one of
them may be wrong."""
_MAX_CERTAIN_SIZE_RATIO = 1.3
"""Largest ratio of a fitted size to the known one, either way, without a warning on that size."""
_MIN_SIZE_RATIO = float(np.finfo(np.float64).eps)
"""Least ratio of a fitted size to the known one, so that the ratios can be divided."""
_MIN_DIFFERENCE_FRACTION = 1e-3
"""Least difference of a map's values at two points of different depth, over the map's range."""
_OFFSET_COUNT, _OFFSET_DECADES = 241, 3.0
"""Number of offsets that are tried, and their decades below and above the map's range."""
_EQUAL_COST_DIFFERENCE = 1e-3
"""Largest difference of the cost from its minimum with which an offset fits as well."""
_MAX_EQUAL_FRACTION = 0.5
"""Largest fraction of the offsets that fit as well as the best if the sizes determine it."""
_MIN_UNSCALED_SIZE = 1e-300
"""Least size before it is scaled, so that its logarithm is finite."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Residual:
    """Difference of a known size by the calibrated depth from what the user stated.

    Attributes:
        metres: Difference [m].
        relative: Difference as a fraction of the stated size.
    """

    known: Known
    metres: float
    relative: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Floor:
    """Plane that was found as the floor.

    Attributes:
        normal: Unit normal, up, in the camera frame.
        height: Height of the camera, in the map's unit.
        area: Fraction of the pixels with depth that lie on it.
        inliers: The same fraction of the pixels that face up in the lower half of the picture.
        misfit: Relative difference of depth from the plane that eight in ten of its pixels stay
            below.
        points: Points in the camera frame to which the plane was fitted, in the map's unit.
    """

    normal: Vector
    height: float
    area: float
    inliers: float
    misfit: float
    points: Points


@dataclass(frozen=True, slots=True, kw_only=True)
class Calibrated:
    """Depth in metres, and how it was calibrated.

    Attributes:
        fit: Conversion to metres, which holds for other maps of the same scale, too.
        residuals: Difference of each known size from the fit.
        floor: Floor that gave the scale; None if known sizes did.
        field: Correction that was applied after the fit; None if there was none.
        lost: Number of pixels whose depth was not positive after the fit; they are invalid now.
        warning: Warnings joined by "; "; None if there are none.
    """

    depth: DepthMap
    fit: Fit
    residuals: tuple[Residual, ...] = ()
    floor: Floor | None = None
    field: CorrectionField | None = None
    lost: int = 0
    warning: str | None = None


def calibrate(
    depth: DepthMap,
    sizes: Sequence[Known],
    *,
    camera: Camera | None = None,
    smooth: bool = True,
    judge: bool = True,
) -> Calibrated:
    """Scale a depth map to metres by known points, lengths and rectangles.

    Affine kinds need two sizes at different depths. From five sizes on, a smooth field corrects
    depth where it predicts the sizes better.

    Examples:
        >>> values = np.full((4, 4), 2, np.float32)
        >>> depth = rilievo.DepthMap(values=values, kind=rilievo.DepthKind.UP_TO_SCALE)
        >>> rilievo.calibrate(depth, [rilievo.KnownPoint(u=1, v=2, metres=3)]).depth
        DepthMap(4x4, metric 3 to 3 m)

    Args:
        depth: Map of any kind.
        sizes: Points, lengths and rectangles in its pixels.
        camera: Intrinsics, for lengths, rectangles and distances along rays.
        smooth: Whether a field may correct depth. Otherwise, ``fit`` also holds for other maps.
        judge: Whether sizes that contradict each other give a warning or an error. It is False for
            depth of instruments, whose ranges are widened instead.

    Raises:
        InputError: If ``depth`` is no depth map.
        CalibrationError: If sizes lie outside the map, are too few or at one depth, lack a camera,
            or contradict each other.
    """
    check_depth_map(depth)
    min_sizes = 1 if depth.is_depth else 2
    if len(sizes) < min_sizes:
        raise UndeterminedError(_too_few_sizes_message(depth.kind, len(sizes)))
    _require_different_pixels(depth, [size for size in sizes if isinstance(size, KnownPoint)])

    readings = [read_size(depth, size, camera) for size in sizes]
    fit = _fit_readings(depth, readings)
    residuals = [_residual_of_fit(reading, fit) for reading in readings]
    field = _fit_residual_field(readings, residuals, depth) if smooth else None
    if field is not None:
        residuals = _residuals_after_field(field, readings, residuals, depth)

    warnings: list[str] = []
    if judge and len(readings) > min_sizes:
        warnings += _suspicious_size_warnings(residuals)
    if judge:
        warnings += _contradiction_warnings(residuals)
    calibrated = calibrate_by_fit(depth, fit, residuals=residuals, warnings=warnings)
    if field is None:
        return calibrated
    return replace(calibrated, depth=multiply_by_field(calibrated.depth, field), field=field)


def _too_few_sizes_message(kind: DepthKind, count: int) -> str:
    if count == 0:
        return (
            "no known point or length is given; write a point as u,v,metres, or a length as "
            "u1,v1,u2,v2,metres"
        )
    return (
        "one known point or length does not determine both the scale and the shift of depth of "
        f"kind '{kind}': give a second one that is clearly nearer or farther"
    )


def _require_different_pixels(depth: DepthMap, points: Sequence[KnownPoint]) -> None:
    """Raise ``CalibrationError`` if two points lie on one pixel, or one outside the map."""
    point_by_pixel: dict[tuple[int, int], KnownPoint] = {}
    for point in points:
        pixel = pixel_index(depth, known_point_pixel(point))
        if pixel in point_by_pixel:
            raise CalibrationError(
                f"known points {point_by_pixel[pixel]} and {point} lie on the same pixel: "
                "keep only one"
            )
        point_by_pixel[pixel] = point


def _fit_readings(depth: DepthMap, readings: Sequence[SizeReading]) -> Fit:
    """Fit the scale of a map, and the shift of an affine one, to known sizes."""
    if depth.is_depth:
        return _fit_median_scale(readings)
    depth_readings = [reading for reading in readings if isinstance(reading, DepthReading)]
    has_lengths = len(depth_readings) < len(readings)
    if has_lengths:
        return fit_scale_and_shift(depth, readings)
    values = np.array([reading.value for reading in depth_readings])
    metres = np.array([reading.metres for reading in depth_readings])
    return fit_line_through_two_points(values, metres, depth)


def _residual_of_fit(reading: SizeReading, fit: Fit) -> Residual:
    return _make_residual(reading, reading.measure(fit.metres) / reading.metres - 1)


def _make_residual(reading: SizeReading, relative: float) -> Residual:
    """Residual in the metres that the user stated, for example along the ray of a laser."""
    known = reading.known
    # The depth of the middle of a rectangle or circle follows from what the user stated.
    is_outline = isinstance(known, KnownRectangle | KnownCircle)
    stated = reading.metres if is_outline else known.metres
    return Residual(known=known, metres=relative * stated, relative=relative)


def _fit_residual_field(
    readings: Sequence[SizeReading], residuals: Sequence[Residual], depth: DepthMap
) -> CorrectionField | None:
    """Fit a field that corrects the residuals of a fit; None if they are not smooth."""
    if len(readings) < MIN_POSITIONS:
        return None
    pixels = [reading.middle for reading in readings]
    log_factors = [-math.log1p(residual.relative) for residual in residuals]
    return fit_correction_field(pixels, log_factors, depth.shape)


def _residuals_after_field(
    field: CorrectionField,
    readings: Sequence[SizeReading],
    residuals: Sequence[Residual],
    depth: DepthMap,
) -> list[Residual]:
    """Residuals that remain after a field has corrected depth."""
    positions = np.array([reading.middle for reading in readings], np.float64) / depth.shape[1]
    factors = np.exp(field.log_factors(positions)).tolist()
    return [
        _make_residual(reading, factor * (residual.relative + 1) - 1)
        for reading, residual, factor in zip(readings, residuals, factors, strict=True)
    ]


def _suspicious_size_warnings(residuals: Sequence[Residual]) -> list[str]:
    """Warning on each size that the fit misses by a large factor."""
    return [
        f"{_size_name(residual)} is suspicious: the value measured in the fitted depth differs "
        f"from it by {100 * residual.relative:+.0f}%, so check its columns, rows and metres"
        for residual in residuals
        if not 1 / _MAX_CERTAIN_SIZE_RATIO <= residual.relative + 1 <= _MAX_CERTAIN_SIZE_RATIO
    ]


def _contradiction_warnings(residuals: Sequence[Residual]) -> list[str]:
    """Warn of known sizes that imply different scales, or refuse them if they differ too much."""
    size_ratios = [max(residual.relative + 1, _MIN_SIZE_RATIO) for residual in residuals]
    scale_ratio = max(size_ratios) / min(size_ratios)
    has_majority = len(size_ratios) >= MIN_MAJORITY_SIZES
    if scale_ratio <= MAX_CERTAIN_SCALE_RATIO:
        return [] if has_majority else _unequal_scale_notes(scale_ratio)

    is_far_off = [not 1 / MAX_SCALE_RATIO <= ratio <= MAX_SCALE_RATIO for ratio in size_ratios]
    most_agree = has_majority and 2 * sum(is_far_off) < len(size_ratios)
    if scale_ratio > MAX_SCALE_RATIO and not most_agree:
        raise _contradiction_error(residuals, size_ratios, scale_ratio)
    return [
        f"{_contradiction_text(scale_ratio)}: expect errors of this size, or check their columns, "
        "rows and metres"
    ]


def _contradiction_error(
    residuals: Sequence[Residual], size_ratios: Sequence[float], scale_ratio: float
) -> CalibrationError:
    """Error for known sizes that differ too much, which names the one to check, or both of two.

    Args:
        residuals: Difference of each known size from the fit.
        size_ratios: Ratio of each fitted size to the known one.
        scale_ratio: Ratio of the largest of these to the smallest.
    """
    fault = f"{_contradiction_text(scale_ratio)}, above the limit of {MAX_SCALE_RATIO:g}"
    if len(residuals) == 2:
        first, second = residuals  # Both differ equally from their median.
        return CalibrationError(
            f"{fault}: check the columns, rows and metres of {_size_name(first)} and "
            f"{_size_name(second)}"
        )
    farthest = residuals[int(np.argmax(np.abs(np.log(size_ratios))))]
    return CalibrationError(
        f"{fault}: {_size_name(farthest)} differs most from the others; check its columns, rows "
        "and metres, or leave it out"
    )


def _contradiction_text(scale_ratio: float) -> str:
    return f"the known sizes contradict each other by a factor of {scale_ratio:.3g}"


def _unequal_scale_notes(scale_ratio: float) -> list[str]:
    """Note on few known sizes that agree no better than a network's depth lets them."""
    if scale_ratio <= _MAX_EQUAL_SCALE_RATIO:
        return []
    return [
        f"the known sizes differ by a factor of {scale_ratio:.3g}: the error of the depth can "
        "explain this, but so can a wrong size, so check their columns, rows and metres"
    ]


def _size_name(residual: Residual) -> str:
    return f"known {residual.known.noun} {residual.known}"


def calibrate_by_fit(
    depth: DepthMap,
    fit: Fit,
    *,
    residuals: Sequence[Residual] = (),
    floor: Floor | None = None,
    warnings: Sequence[str] = (),
) -> Calibrated:
    """Apply a fit to a map. Depth that is not positive becomes invalid, with a warning.

    Raises:
        CalibrationError: If no pixel has a positive depth.
    """
    metres = to_depth(depth, fit)
    valid = depth.valid & (metres > 0) & np.isfinite(metres)
    if not valid.any():
        raise CalibrationError(
            "the fitted scale and shift leave no pixel with a positive depth: check the columns, "
            "rows and metres of the known sizes"
        )
    depth_count = int(depth.valid.sum())
    lost_count = int(depth_count - valid.sum())
    all_warnings = list(warnings)
    if depth.kind is DepthKind.METRIC:
        all_warnings.append(f"the model's own metric depth was multiplied by {fit.scale:.4g}")
    if lost_count:
        metres[~valid] = 0  # Invalid pixels have the depth 0.
        all_warnings.append(
            f"the fit leaves {lost_count} of {depth_count} pixels without a positive depth, so no "
            "depth is stored there"
        )
    return Calibrated(
        depth=DepthMap(values=metres, kind=DepthKind.METRIC, valid=valid),
        fit=fit,
        residuals=tuple(residuals),
        floor=floor,
        lost=lost_count,
        warning="; ".join(all_warnings) or None,
    )


def calibration_record(calibrated: Calibrated, texts: Sequence[str]) -> Calibration:
    """Summarise a calibration for predictions and files; ``texts`` state the known sizes."""
    bend = None
    if calibrated.field is not None:
        # Ratio of the largest to the smallest correction of depth.
        depth = calibrated.depth
        factors = calibrated.field.factors(depth.shape)[depth.valid]
        bend = round(float(factors.max() / factors.min()), 3)
    return Calibration(
        method=_method_name(calibrated),
        asked=tuple(texts),
        space=calibrated.fit.space,
        scale=calibrated.fit.scale,
        shift=calibrated.fit.shift,
        residuals=tuple(residual.metres for residual in calibrated.residuals),
        bend=bend,
        warning=calibrated.warning,
    )


def _method_name(calibrated: Calibrated) -> str:
    """Name of the source of metres, as records and learned errors have it."""
    if calibrated.floor is not None:
        return "camera height"
    kinds = {type(residual.known) for residual in calibrated.residuals}
    if len(kinds) > 1:
        return "known points and lengths"
    [kind] = kinds or {KnownLength}
    names = {
        KnownPoint: "known points",
        KnownLength: KNOWN_LENGTHS,
        KnownRectangle: KNOWN_RECTANGLES,
        KnownCircle: KNOWN_CIRCLES,
    }
    return names[kind]


def _fit_median_scale(readings: Sequence[SizeReading]) -> Fit:
    """Fit the scale of depth up to scale: the median, in logarithms, of the sizes' scales."""
    unscaled = np.array([reading.measure(lambda value: value) for reading in readings])
    metres = np.array([reading.metres for reading in readings])
    scale = float(np.exp(np.median(np.log(metres / unscaled))))
    residual = float(np.sqrt(np.mean(np.square(scale * unscaled - metres))))
    return Fit(
        space=FitSpace.DEPTH, scale=scale, shift=0.0, residual=residual, pixels=len(readings)
    )


def fit_line_through_two_points(values: Values, metres: Values, depth: DepthMap) -> Fit:
    """Fit scale and shift of an affine map to points, by the best line through two of them.

    Of the lines through all pairs of points, it has the least sum of absolute log errors.

    ``values`` are those of the map at the points, and ``metres`` the known depth there.

    Raises:
        UndeterminedError: If all points have about the same value.
        CalibrationError: If the scale is not positive.
    """
    is_inverse = depth.kind is DepthKind.AFFINE_INVERSE
    # The map is linear in this quantity, depth or inverse depth.
    target = 1 / metres if is_inverse else metres
    map_values = depth.values[depth.valid]
    # The zero of an affine map is arbitrary, so differences are compared with the map's range.
    map_range = float(map_values.max()) - float(map_values.min())
    first, second = _index_pairs(values)
    is_apart = np.abs(values[second] - values[first]) > _MIN_DIFFERENCE_FRACTION * map_range
    if not is_apart.any():
        raise UndeterminedError(
            "the depth map has the same value at all known points, which does not determine its "
            "shift: add a point that is clearly nearer or farther"
        )
    scale, shift = _best_line_through_pair(values, target, first[is_apart], second[is_apart])
    if scale <= 0:
        raise CalibrationError(
            f"the known points give a scale of {scale:.4g}, which is not positive: points "
            "that you state to be nearer are farther in the map; check their columns, rows "
            "and metres"
        )
    residual = float(np.sqrt(np.mean(np.square(scale * values + shift - target))))
    space = FitSpace.INVERSE if is_inverse else FitSpace.DEPTH
    return Fit(space=space, scale=scale, shift=shift, residual=residual, pixels=values.size)


def _best_line_through_pair(
    values: Values, target: Values, first: Int[np.ndarray, "p"], second: Int[np.ndarray, "p"]
) -> tuple[float, float]:
    """Scale and shift of the line with the least sum of absolute log errors.

    It is one of the lines target = scale * value + shift through the points ``first`` and
    ``second`` of each pair.
    """
    scales = (target[second] - target[first]) / (values[second] - values[first])
    shifts = target[first] - scales * values[first]
    ratios = (scales[:, None] * values + shifts[:, None]) / target
    # A line that is not positive at all points cannot be the best.
    errors = np.abs(np.log(np.where(ratios > 0, ratios, np.inf))).sum(axis=1)
    best = int(errors.argmin())
    return float(scales[best]), float(shifts[best])


def _index_pairs(values: Values) -> tuple[Int[np.ndarray, "p"], Int[np.ndarray, "p"]]:
    """Indices of the first and the second point of all pairs of different points.

    Of more than ``MAX_PAIRS`` pairs, this many are drawn at random, and the points with the
    smallest and the largest value are added as one more pair.
    """
    pair_count = values.size * (values.size - 1) // 2
    if pair_count <= MAX_PAIRS:
        return np.triu_indices(values.size, 1)
    generator = np.random.default_rng(0)
    first = generator.integers(0, values.size, MAX_PAIRS)
    # A step from 1 to size - 1, around the end, leads to any point but the first one.
    steps = generator.integers(1, values.size, MAX_PAIRS)
    second = (first + steps) % values.size
    return np.append(first, values.argmin()), np.append(second, values.argmax())


def fit_scale_and_shift(depth: DepthMap, readings: Sequence[SizeReading]) -> Fit:
    """Fit scale and shift of an affine map to sizes, with the least sum of absolute log errors.

    A length is not linear in depth. So the shift is searched, and the best scale follows for each
    shift: it is the median, in logarithms, of the scales that the sizes imply. The search goes over
    ``offset``, the lowest value at a known size after the shift.

    Raises:
        UndeterminedError: If all sizes lie at about the same depth.
    """
    is_inverse = depth.kind is DepthKind.AFFINE_INVERSE
    lowest_value = min(value for reading in readings for value in reading.values)
    log_metres = np.log([reading.metres for reading in readings])

    def log_scales(offset: float) -> Values:
        """Log scale that each size implies with this offset."""
        unscaled_shift = offset - lowest_value

        def unscaled_depth(value: float) -> float:
            return 1 / (value + unscaled_shift) if is_inverse else value + unscaled_shift

        unscaled_sizes = [reading.measure(unscaled_depth) for reading in readings]
        return log_metres - np.log(np.maximum(unscaled_sizes, _MIN_UNSCALED_SIZE))

    def cost(offset: float) -> float:
        """Sum of absolute log errors with the best scale."""
        logs = log_scales(offset)
        return float(np.abs(logs - np.median(logs)).sum())

    map_values = depth.values[depth.valid].astype(np.float64)
    map_range = max(float(map_values.max() - map_values.min()), 1e-12)
    offset = _search_offset(cost, map_range)
    unscaled_shift = offset - lowest_value
    scale = float(np.exp(np.median(log_scales(offset))))
    if is_inverse:
        # metres = scale / (value + unscaled_shift), and so 1 / metres is linear in the value.
        return _fit_with_residual(readings, FitSpace.INVERSE, 1 / scale, unscaled_shift / scale)
    return _fit_with_residual(readings, FitSpace.DEPTH, scale, scale * unscaled_shift)


def _search_offset(cost: Callable[[float], float], map_range: float) -> float:
    """Find the positive offset of least cost, on a grid of six decades, then by golden section.

    Raises:
        UndeterminedError: If most offsets have about the same cost.
    """
    offsets = map_range * np.logspace(-_OFFSET_DECADES, _OFFSET_DECADES, _OFFSET_COUNT)
    costs = np.array([cost(offset) for offset in offsets])
    best = int(costs.argmin())
    fits_as_well = costs < costs[best] + _EQUAL_COST_DIFFERENCE
    if np.mean(fits_as_well) > _MAX_EQUAL_FRACTION:
        raise UndeterminedError(
            "all known points and lengths are at the same depth, which does not determine "
            "the shift of the depth map: add a point or a length that is clearly nearer or farther"
        )
    log_low = np.log(offsets[max(best - 1, 0)])
    log_high = np.log(offsets[min(best + 1, _OFFSET_COUNT - 1)])
    log_offset = golden_argmin(
        lambda log_offset: cost(np.exp(log_offset)), log_low, log_high, steps=80
    )
    return float(np.exp(log_offset))


def _fit_with_residual(
    readings: Sequence[SizeReading], space: FitSpace, scale: float, shift: float
) -> Fit:
    """Make the record of a fit, with the RMSE at the known sizes [m]."""
    fit = Fit(space=space, scale=scale, shift=shift, residual=0.0, pixels=len(readings))
    errors = [reading.measure(fit.metres) - reading.metres for reading in readings]
    return replace(fit, residual=float(np.sqrt(np.mean(np.square(errors)))))
