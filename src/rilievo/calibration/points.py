"""Metres from known points and lengths.

The sum of absolute log errors is least, so that a mistyped fact stands out, where least squares
would spread it.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from PIL import Image

from rilievo.alignment import Fit, FitSpace, check_depth_map, to_depth
from rilievo.alignment.fit import golden_argmin
from rilievo.arrays.shapes import Float32, Float64, Int, Positions, Values, Vector
from rilievo.calibration.plane_support import PlaneSupport
from rilievo.calibration.ranges import KNOWN_LENGTHS, KNOWN_RECTANGLES
from rilievo.calibration.readings import (
    DepthReading,
    SizeReading,
    known_point_pixel,
    pixel_index,
    read_size,
)
from rilievo.calibration.sizes import Known, KnownPoint, KnownRectangle
from rilievo.errors import CalibrationError, UndeterminedError
from rilievo.geometry.cameras.camera import Camera
from rilievo.records.depth_map import DepthKind, DepthMap
from rilievo.records.prediction_record import Calibration

# Fewer places show chance.
LEAST_PLACES = 5
# More are merged by median.
MOST_PLACES = 600
# Variance of the field over a place's noise.
_STRENGTHS = (0.5, 2.0, 8.0, 32.0)
# Deviations of the kernel, in widths.
_REACHES = (0.2, 0.4, 0.8)
# Outliers are farther from the median logarithm.
_MOST_LOG = 1.0
_FIELD_GRID = 48


@dataclass(frozen=True, slots=True, kw_only=True)
class CorrectionField:
    """Smooth correction factor over the picture.

    Attributes:
        places: Columns and rows of kernels, over the width.
        pull: Weights of kernels.
        offset: Log factor far from all.
        reach: Deviation of the kernel, in widths.
    """

    places: Positions
    pull: Values
    offset: float
    reach: float

    def log_factors(self, at: Float64[np.ndarray, "m 2"]) -> Float64[np.ndarray, "m"]:
        """Log factor at places, over the width."""
        return self.offset + _gaussian_kernel(at, self.places, self.reach) @ self.pull

    def factors(self, shape: tuple[int, int]) -> Float32[np.ndarray, "h w"]:
        """Factor at every pixel, upsampled from a grid (bicubic)."""
        height, width = shape
        rows, columns = min(height, _FIELD_GRID), min(width, _FIELD_GRID)
        # Centres of the grid's cells, as the upsampling assumes.
        v = ((np.arange(rows) + 0.5) * height / rows - 0.5) / width
        u = ((np.arange(columns) + 0.5) * width / columns - 0.5) / width
        at = np.stack(np.meshgrid(u, v), axis=-1).reshape(-1, 2)
        logs = self.log_factors(at).reshape(rows, columns).astype(np.float32)
        enlarged = Image.fromarray(logs).resize((width, height), Image.Resampling.BICUBIC)
        return np.exp(np.asarray(enlarged, np.float32))


def fit_correction_field(
    places: Sequence[tuple[float, float]], logs: Sequence[float], shape: tuple[int, int]
) -> CorrectionField | None:
    """Fit a field; None where a single factor does as well."""
    at, y = np.array(places, np.float64) / shape[1], np.array(logs, np.float64)
    is_near = np.abs(y - np.median(y)) <= _MOST_LOG
    at, y = _cell_medians(at[is_near], y[is_near])
    if len(y) < LEAST_PLACES:
        return None
    best, least = (
        None,
        _required_error_ratio(len(y)) * _leave_one_out_error(at, y, 0.0, _REACHES[0]),
    )
    for reach in _REACHES:
        for strength in _STRENGTHS:
            miss = _leave_one_out_error(at, y, strength, reach)
            if miss < least:
                best, least = (strength, reach), miss
    if best is None:
        return None
    strength, reach = best
    inverse, offset = _inverse_and_mean(at, y, strength, reach)
    return CorrectionField(
        places=at, pull=strength * inverse @ (y - offset), offset=offset, reach=reach
    )


def multiply_by_field(depth: DepthMap, field: CorrectionField) -> DepthMap:
    """Multiply depth by a smooth field."""
    values = depth.values * np.where(depth.valid, field.factors(depth.shape), 1)
    return DepthMap(values=values, kind=DepthKind.METRIC, valid=depth.valid)


def _gaussian_kernel(
    a: Positions, b: Float64[np.ndarray, "m 2"], reach: float
) -> Float64[np.ndarray, "n m"]:
    squares = np.square(a[:, None] - b[None]).sum(axis=-1)
    return np.exp(-squares / (2 * reach * reach))


def _inverse_and_mean(
    at: Positions, y: Values, strength: float, reach: float
) -> tuple[Float64[np.ndarray, "n n"], float]:
    inverse = np.linalg.inv(strength * _gaussian_kernel(at, at, reach) + np.eye(len(y)))
    weights = inverse.sum(axis=0)
    return inverse, float(weights @ y / weights.sum())


def _leave_one_out_error(at: Positions, y: Values, strength: float, reach: float) -> float:
    """Mean absolute error, in closed form (Rasmussen and Williams, eq. 5.12)."""
    inverse, _ = _inverse_and_mean(at, y, strength, reach)
    weights = inverse.sum(axis=0)
    without = inverse - np.outer(weights, weights) / weights.sum()
    return float(np.abs(without @ y / np.diag(without)).mean())


def _required_error_ratio(count: int) -> float:
    # One in twenty of 200 noise sets reaches it.
    return min(0.85, 0.4 + 0.028 * count)


def _cell_medians(
    at: Positions, y: Values
) -> tuple[Float64[np.ndarray, "m 2"], Float64[np.ndarray, "m"]]:
    if len(y) <= MOST_PLACES:
        return at, y
    # Cells at the far sides may be cut, so fewer whole cells fit than the limit: hence 1.1.
    side = 1.1 * np.sqrt(float(np.prod(np.maximum(np.ptp(at, axis=0), 1e-9))) / MOST_PLACES)
    side = max(side, 1.1 * float(np.ptp(at, axis=0).max()) / MOST_PLACES)
    cells = np.floor((at - at.min(axis=0)) / max(side, 1e-9)).astype(int)
    _, index = np.unique(cells, axis=0, return_inverse=True)
    order = np.argsort(index.reshape(-1), kind="stable")
    groups = np.split(order, np.flatnonzero(np.diff(index.reshape(-1)[order])) + 1)
    places = np.array([at[group].mean(axis=0) for group in groups])
    return places, np.array([np.median(y[group]) for group in groups])


@dataclass(frozen=True, slots=True, kw_only=True)
class Residual:
    """Difference of fitted depth and a known fact [m], also as a share of the known value."""

    known: Known
    metres: float
    relative: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Floor:
    """Plane that was chosen as the floor.

    Attributes:
        normal: Unit normal, up, in the camera frame.
        height: Height of the camera, in the map's unit.
        area: Share of valid pixels.
        inliers: Share of the lower half's upward pixels.
        misfit: Relative difference of depth from the plane that eight in ten of its pixels stay
            below.
        support: Points of the floor, to which the plane was fitted.
    """

    normal: Vector
    height: float
    area: float
    inliers: float
    misfit: float
    support: PlaneSupport


@dataclass(frozen=True, slots=True, kw_only=True)
class Calibrated:
    """Depth in metres, and its calibration.

    Attributes:
        fit: Conversion to metres, also of maps of the same scale.
        field: Correction after the fit.
        lost: Pixels without positive depth, now invalid.
        warning: Warnings joined by "; ".
    """

    depth: DepthMap
    fit: Fit
    residuals: tuple[Residual, ...] = ()
    floor: Floor | None = None
    field: CorrectionField | None = None
    lost: int = 0
    warning: str | None = None


def calibrate_by_fit(
    depth: DepthMap,
    fit: Fit,
    *,
    residuals: Sequence[Residual] = (),
    floor: Floor | None = None,
    remarks: Sequence[str] = (),
) -> Calibrated:
    """Apply a fit; depth that is not positive is invalid, with a warning."""
    remarks = list(remarks)
    if depth.kind is DepthKind.METRIC:
        remarks.append(f"the model's own metres were multiplied by {fit.scale:.4g}")
    metres = to_depth(depth, fit)
    valid = depth.valid & (metres > 0) & np.isfinite(metres)
    lost = int(depth.valid.sum() - valid.sum())
    if not valid.any():
        raise CalibrationError("the fitted scale and shift leave no pixel with a positive depth")
    if lost:
        metres[~valid] = 0
        remarks.append(
            f"{lost} of {depth.valid.sum()} pixels have no positive depth after the fit and are "
            "now invalid"
        )
    return Calibrated(
        depth=DepthMap(values=metres, kind=DepthKind.METRIC, valid=valid),
        fit=fit,
        residuals=tuple(residuals),
        floor=floor,
        lost=lost,
        warning="; ".join(remarks) or None,
    )


def calibration_record(calibrated: Calibrated, texts: Sequence[str]) -> Calibration:
    """Summarise a calibration for predictions and files."""
    kinds = {type(residual.known) for residual in calibrated.residuals}
    method = KNOWN_LENGTHS
    if calibrated.floor is not None:
        method = "camera height"
    elif len(kinds) > 1:
        method = "known points and lengths"
    elif kinds == {KnownPoint}:
        method = "known points"
    elif kinds == {KnownRectangle}:
        method = KNOWN_RECTANGLES
    bend = None
    if calibrated.field is not None:
        depth = calibrated.depth
        factors = calibrated.field.factors(depth.shape)[depth.valid]
        bend = round(float(factors.max() / factors.min()), 3)
    return Calibration(
        method=method,
        asked=tuple(texts),
        space=calibrated.fit.space,
        scale=calibrated.fit.scale,
        shift=calibrated.fit.shift,
        residuals=tuple(residual.metres for residual in calibrated.residuals),
        bend=bend,
        warning=calibrated.warning,
    )


# A fact whose fitted value differs by more than this factor, either way, gives a warning.
SUSPICIOUS = 1.3

# Factors by which the scales of single facts may differ before a warning, and before an error.
DOUBTFUL, CONTRADICTORY = 1.5, 3.0

# From this many facts on, the fit is that of most of them: it is refused only if most disagree.
MANY = 5

# Most pairs of points whose lines are tried; of more pairs, this many are drawn at random.
MOST_PAIRS = 2_016
# Least ratio of a fitted size to the known.
_LEAST_RATIO = float(np.finfo(np.float64).eps)

_GRID, _DECADES = 241, 3.0

# The shift is undetermined if over half of all ratios cost less than this above the best (sum of
# absolute logarithms).
_FLAT = 1e-3


def calibrate(
    depth: DepthMap,
    sizes: Sequence[Known],
    *,
    camera: Camera | None = None,
    smooth: bool = True,
    judge: bool = True,
) -> Calibrated:
    """Scale a depth map to metres by known points and lengths.

    Affine kinds need two facts at different depths. From five on, a smooth field corrects depth
    where it predicts facts better.

    Examples:
        >>> values = np.full((4, 4), 2, np.float32)
        >>> depth = rilievo.DepthMap(values=values, kind=rilievo.DepthKind.UP_TO_SCALE)
        >>> rilievo.calibrate(depth, [rilievo.KnownPoint(u=1, v=2, metres=3)]).depth
        DepthMap(4x4, metric 3 to 3 m)

    Args:
        depth: Map of any kind.
        sizes: Points and lengths in its pixels.
        camera: Intrinsics, for lengths and rays.
        smooth: Whether a field may correct depth; else ``fit`` serves other maps.
        judge: Whether contradictions warn or raise; False for instruments.

    Raises:
        InputError: If ``depth`` is no depth map.
        CalibrationError: If facts are outside, too few or alike, lack a camera, or contradict.
    """
    check_depth_map(depth)
    least = 1 if depth.is_depth else 2
    if len(sizes) < least:
        raise UndeterminedError(_too_few_facts_message(depth.kind, len(sizes)))
    _refuse_shared_pixels(
        depth, [measurement for measurement in sizes if isinstance(measurement, KnownPoint)]
    )
    readings = [read_size(depth, measurement, camera) for measurement in sizes]
    depth_readings = [reading for reading in readings if isinstance(reading, DepthReading)]
    if depth.is_depth:
        fit = _fit_median_scale(readings)
    elif len(depth_readings) < len(readings):
        fit = fit_scale_and_shift(depth, readings)
    else:
        values = np.array([reading.value for reading in depth_readings])
        metres = np.array([reading.metres for reading in depth_readings])
        fit = fit_line_through_two_points(values, metres, depth)
    residuals = [_fact_residual(reading, fit) for reading in readings]
    field = _fit_residual_field(readings, residuals, depth) if smooth else None
    if field is not None:
        residuals = _residuals_after_field(field, readings, residuals, depth)
    remarks: list[str] = []
    if judge:
        remarks += _suspicious_fact_remarks(residuals) if len(readings) > least else []
        remarks += _contradiction_remarks(residuals)
    result = calibrate_by_fit(depth, fit, residuals=residuals, remarks=remarks)
    return (
        result
        if field is None
        else replace(result, depth=multiply_by_field(result.depth, field), field=field)
    )


def _fit_residual_field(
    readings: Sequence[SizeReading], residuals: Sequence[Residual], depth: DepthMap
) -> CorrectionField | None:
    if len(readings) < LEAST_PLACES:
        return None
    logs = [-math.log1p(residual.relative) for residual in residuals]
    return fit_correction_field([reading.middle for reading in readings], logs, depth.shape)


def _residuals_after_field(
    field: CorrectionField,
    readings: Sequence[SizeReading],
    residuals: Sequence[Residual],
    depth: DepthMap,
) -> list[Residual]:
    places = np.array([reading.middle for reading in readings], np.float64) / depth.shape[1]
    factors = np.exp(field.log_factors(places))
    return [
        _residual(reading, factor * (residual.relative + 1) - 1)
        for residual, reading, factor in zip(residuals, readings, map(float, factors), strict=True)
    ]


def _fact_residual(reading: SizeReading, fit: Fit) -> Residual:
    return _residual(reading, reading.measure(fit.metres) / reading.metres - 1)


def _residual(reading: SizeReading, relative: float) -> Residual:
    """Residual in the direction that was measured: of a laser's distance, along its ray."""
    known = reading.known
    stated = reading.metres if isinstance(known, KnownRectangle) else known.metres
    return Residual(known=known, metres=relative * stated, relative=relative)


def _too_few_facts_message(kind: DepthKind, count: int) -> str:
    if count == 0:
        return "no known point or length is given: a point is u,v,metres"
    return (
        f"one known point or length does not determine both scale and shift of a map of kind "
        f"'{kind}': give a second one, clearly nearer or farther"
    )


def _refuse_shared_pixels(depth: DepthMap, points: Sequence[KnownPoint]) -> None:
    first: dict[tuple[int, int], KnownPoint] = {}
    for point in points:
        pixel = pixel_index(depth, known_point_pixel(point))
        if pixel in first:
            raise CalibrationError(
                f"known points {first[pixel]} and {point} lie on the same pixel: keep one"
            )
        first[pixel] = point


def _fit_median_scale(readings: Sequence[SizeReading]) -> Fit:
    says = np.array([reading.measure(lambda value: value) for reading in readings])
    metres = np.array([reading.metres for reading in readings])
    scale = float(np.exp(np.median(np.log(metres / says))))
    residual = float(np.sqrt(np.mean(np.square(scale * says - metres))))
    return Fit(
        space=FitSpace.DEPTH, scale=scale, shift=0.0, residual=residual, pixels=len(readings)
    )


def fit_line_through_two_points(x: Values, metres: Values, depth: DepthMap) -> Fit:
    """Fit the line through two points with least absolute log error."""
    inverse = depth.kind is DepthKind.AFFINE_INVERSE
    y = 1 / metres if inverse else metres
    inside = depth.values[depth.valid]
    # Values of an affine kind have no zero, so their spread is judged by the map's range.
    alike = 1e-3 * (float(inside.max()) - float(inside.min()))
    first, second = _index_pairs(x)
    apart = np.abs(x[second] - x[first]) > alike
    if not apart.any():
        raise UndeterminedError(
            "all known points have the same predicted depth, which does not determine a shift: "
            "give one that is clearly nearer or farther"
        )
    first, second = first[apart], second[apart]
    scales = (y[second] - y[first]) / (x[second] - x[first])
    shifts = y[first] - scales * x[first]
    ratios = (scales[:, None] * x + shifts[:, None]) / y
    misses = np.abs(np.log(np.where(ratios > 0, ratios, np.inf))).sum(axis=1)
    best = int(misses.argmin())
    scale, shift = float(scales[best]), float(shifts[best])
    if scale <= 0:
        raise CalibrationError(
            f"the known points give a scale of {scale:.4g}, which is not positive: what they say "
            "is nearer, the map says is farther; check their order and their columns and rows"
        )
    residual = float(np.sqrt(np.mean(np.square(scale * x + shift - y))))
    space = FitSpace.INVERSE if inverse else FitSpace.DEPTH
    return Fit(space=space, scale=scale, shift=shift, residual=residual, pixels=x.size)


def _index_pairs(x: Values) -> tuple[Int[np.ndarray, "p"], Int[np.ndarray, "p"]]:
    if x.size * (x.size - 1) // 2 <= MOST_PAIRS:
        return np.triu_indices(x.size, 1)
    generator = np.random.default_rng(0)
    first = generator.integers(0, x.size, MOST_PAIRS)
    second = (first + generator.integers(1, x.size, MOST_PAIRS)) % x.size
    return np.append(first, x.argmin()), np.append(second, x.argmax())


def _fact_name(residual: Residual) -> str:
    return f"known {residual.known.noun} {residual.known}"


def _suspicious_fact_remarks(residuals: Sequence[Residual]) -> list[str]:
    return [
        f"{_fact_name(residual)} is suspicious: the fit is off there by "
        f"{100 * residual.relative:+.0f} %"
        for residual in residuals
        if not 1 / SUSPICIOUS <= residual.relative + 1 <= SUSPICIOUS
    ]


def _contradiction_remarks(residuals: Sequence[Residual]) -> list[str]:
    fitted = [max(residual.relative + 1, _LEAST_RATIO) for residual in residuals]
    factor = max(fitted) / min(fitted)
    if factor <= DOUBTFUL:
        return []
    farthest = max(zip(residuals, fitted, strict=True), key=lambda pair: abs(np.log(pair[1])))[0]
    differ = f"the scales that what is known implies differ by a factor of {factor:.3g}"
    far_off = sum(not 1 / CONTRADICTORY <= scale <= CONTRADICTORY for scale in fitted)
    agree = len(fitted) >= MANY and 2 * far_off < len(fitted)
    if factor > CONTRADICTORY and not agree:
        raise CalibrationError(
            f"{differ}, more than {CONTRADICTORY:g}: {_fact_name(farthest)} is the farthest from "
            "the others; check its columns, rows and metres, or leave it out"
        )
    return [f"{differ} (at best 1): expect errors of that order"]


def fit_scale_and_shift(depth: DepthMap, readings: Sequence[SizeReading]) -> Fit:
    """Fit scale and shift with the least sum of absolute log errors.

    A length is not linear in depth, so the ratio shift / scale is searched, on a grid of six
    decades, then by golden section.
    """
    is_inverse = depth.kind is DepthKind.AFFINE_INVERSE
    x = np.array([value for reading in readings for value in reading.values])
    inside = depth.values[depth.valid].astype(np.float64)
    span = max(float(inside.max() - inside.min()), 1e-12)
    # Depth up to scale is x + k (or its inverse), positive at every known fact.
    offsets = span * np.logspace(-_DECADES, _DECADES, _GRID)

    def logs(offset: float) -> Values:
        k = offset - float(x.min())
        says = [
            reading.measure(lambda x: 1 / (x + k) if is_inverse else x + k) for reading in readings
        ]
        return np.log([reading.metres for reading in readings]) - np.log(np.maximum(says, 1e-300))

    def cost(offset: float) -> float:
        logarithms = logs(offset)
        return float(np.abs(logarithms - np.median(logarithms)).sum())

    costs = np.array([cost(offset) for offset in offsets])
    best = int(costs.argmin())
    if np.mean(costs < costs[best] + _FLAT) > 0.5:
        raise UndeterminedError(
            "what is known lies at one depth, which does not determine a shift: give a point or a "
            "length that is clearly nearer or farther"
        )
    low, high = (np.log(offsets[at]) for at in (max(best - 1, 0), min(best + 1, _GRID - 1)))
    offset = float(np.exp(golden_argmin(lambda log: cost(np.exp(log)), low, high, steps=80)))
    scale, k = float(np.exp(np.median(logs(offset)))), offset - float(x.min())
    if is_inverse:
        return _fit_record(readings, FitSpace.INVERSE, 1 / scale, k / scale)
    return _fit_record(readings, FitSpace.DEPTH, scale, scale * k)


def _fit_record(
    readings: Sequence[SizeReading], space: FitSpace, scale: float, shift: float
) -> Fit:
    fit = Fit(space=space, scale=scale, shift=shift, residual=0.0, pixels=len(readings))
    misses = [reading.measure(fit.metres) - reading.metres for reading in readings]
    return replace(fit, residual=float(np.sqrt(np.mean(np.square(misses)))))
