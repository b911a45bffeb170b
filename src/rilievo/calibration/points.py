"""Metres from known points and lengths.

The sum of absolute log errors is least, so that a mistyped fact stands out, where least squares
would spread it.
"""

import math
from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from rilievo.alignment import Fit, FitSpace, check_depth_map
from rilievo.alignment.fit import golden_minimum
from rilievo.calibration.readings import Fact, fact_of, pixel_of, place
from rilievo.calibration.record import (
    LEAST_PLACES,
    Calibrated,
    Field,
    Residual,
    bent,
    calibrated,
    find_field,
)
from rilievo.calibration.sizes import Known, KnownPoint
from rilievo.depth_map import DepthKind, DepthMap
from rilievo.errors import CalibrationError, UndeterminedError
from rilievo.geometry.cameras.camera import Camera
from rilievo.shapes import Int, Values

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
        raise UndeterminedError(_too_few(depth.kind, len(sizes)))
    _refuse_shared_pixels(
        depth, [measurement for measurement in sizes if isinstance(measurement, KnownPoint)]
    )
    facts = [fact_of(depth, measurement, camera) for measurement in sizes]
    if depth.is_depth:
        fit = _scale(facts)
    elif any(fact.rays is not None for fact in facts):
        fit = fit_scale_and_shift(depth, facts)
    else:
        x, metres = ([fact.x[0] for fact in facts], [fact.metres for fact in facts])
        fit = scale_and_shift(np.array(x), np.array(metres), depth)
    residuals = [_residual(fact, fit) for fact in facts]
    field = _field(facts, residuals, depth) if smooth else None
    if field is not None:
        residuals = _after(field, facts, residuals, depth)
    remarks: list[str] = []
    if judge:
        remarks += _suspicions(residuals) if len(facts) > least else []
        remarks += _contradictions(residuals)
    result = calibrated(depth, fit, residuals=residuals, remarks=remarks)
    return (
        result if field is None else replace(result, depth=bent(result.depth, field), field=field)
    )


def _field(facts: Sequence[Fact], residuals: Sequence[Residual], depth: DepthMap) -> Field | None:
    if len(facts) < LEAST_PLACES:
        return None
    logs = [-math.log1p(residual.relative) for residual in residuals]
    return find_field([fact.middle for fact in facts], logs, depth.shape)


def _after(
    field: Field, facts: Sequence[Fact], residuals: Sequence[Residual], depth: DepthMap
) -> list[Residual]:
    places = np.array([fact.middle for fact in facts], np.float64) / depth.shape[1]
    factors = np.exp(field.logs(places))
    return [
        Residual(
            known=residual.known,
            metres=factor * (fact.metres + residual.metres) - fact.metres,
            relative=factor * (residual.relative + 1) - 1,
        )
        for residual, fact, factor in zip(residuals, facts, map(float, factors), strict=True)
    ]


def _residual(fact: Fact, fit: Fit) -> Residual:
    estimate = fact.says(fit.metres)
    return Residual(
        known=fact.known, metres=estimate - fact.metres, relative=estimate / fact.metres - 1
    )


def _too_few(kind: DepthKind, count: int) -> str:
    if count == 0:
        return "no known point or length is given: a point is u,v,metres"
    return (
        f"one known point or length does not determine both scale and shift of a map of kind "
        f"'{kind}': give a second one, clearly nearer or farther"
    )


def _refuse_shared_pixels(depth: DepthMap, points: Sequence[KnownPoint]) -> None:
    first: dict[tuple[int, int], KnownPoint] = {}
    for point in points:
        pixel = place(depth, pixel_of(point))
        if pixel in first:
            raise CalibrationError(
                f"known points {first[pixel]} and {point} lie on the same pixel: keep one"
            )
        first[pixel] = point


def _scale(facts: Sequence[Fact]) -> Fit:
    says = np.array([fact.says(lambda x: x) for fact in facts])
    metres = np.array([fact.metres for fact in facts])
    scale = float(np.exp(np.median(np.log(metres / says))))
    residual = float(np.sqrt(np.mean(np.square(scale * says - metres))))
    return Fit(space=FitSpace.DEPTH, scale=scale, shift=0.0, residual=residual, pixels=len(facts))


def scale_and_shift(x: Values, metres: Values, depth: DepthMap) -> Fit:
    """Fit the line through two points that is nearest to all, with positive depth everywhere."""
    inverse = depth.kind is DepthKind.AFFINE_INVERSE
    y = 1 / metres if inverse else metres
    inside = depth.values[depth.valid]
    # Values of an affine kind have no zero, so their spread is judged by the map's range.
    alike = 1e-3 * (float(inside.max()) - float(inside.min()))
    first, second = _pairs(x)
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


def _pairs(x: Values) -> tuple[Int[np.ndarray, "p"], Int[np.ndarray, "p"]]:
    if x.size * (x.size - 1) // 2 <= MOST_PAIRS:
        return np.triu_indices(x.size, 1)
    generator = np.random.default_rng(0)
    first = generator.integers(0, x.size, MOST_PAIRS)
    second = (first + generator.integers(1, x.size, MOST_PAIRS)) % x.size
    return np.append(first, x.argmin()), np.append(second, x.argmax())


def _name(residual: Residual) -> str:
    return f"known {residual.known.noun} {residual.known}"


def _suspicions(residuals: Sequence[Residual]) -> list[str]:
    return [
        f"{_name(residual)} is suspicious: the fit is off there by {100 * residual.relative:+.0f} %"
        for residual in residuals
        if not 1 / SUSPICIOUS <= residual.relative + 1 <= SUSPICIOUS
    ]


def _contradictions(residuals: Sequence[Residual]) -> list[str]:
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
            f"{differ}, more than {CONTRADICTORY:g}: {_name(farthest)} is the farthest from the "
            "others; check its columns, rows and metres, or leave it out"
        )
    return [f"{differ} (at best 1): expect errors of that order"]


def fit_scale_and_shift(depth: DepthMap, facts: Sequence[Fact]) -> Fit:
    """Fit scale and shift with the least sum of absolute log errors.

    A length is not linear in depth, so the ratio shift / scale is searched, on a grid of six
    decades, then by golden section.
    """
    is_inverse = depth.kind is DepthKind.AFFINE_INVERSE
    x = np.array([value for fact in facts for value in fact.x])
    inside = depth.values[depth.valid].astype(np.float64)
    span = max(float(inside.max() - inside.min()), 1e-12)
    # Depth up to scale is x + k (or its inverse), positive at every known fact.
    offsets = span * np.logspace(-_DECADES, _DECADES, _GRID)

    def logs(offset: float) -> Values:
        k = offset - float(x.min())
        says = [fact.says(lambda x: 1 / (x + k) if is_inverse else x + k) for fact in facts]
        return np.log([fact.metres for fact in facts]) - np.log(np.maximum(says, 1e-300))

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
    offset = float(np.exp(golden_minimum(lambda log: cost(np.exp(log)), low, high, steps=80)))
    scale, k = float(np.exp(np.median(logs(offset)))), offset - float(x.min())
    if is_inverse:
        return _fit(facts, FitSpace.INVERSE, 1 / scale, k / scale)
    return _fit(facts, FitSpace.DEPTH, scale, scale * k)


def _fit(facts: Sequence[Fact], space: FitSpace, scale: float, shift: float) -> Fit:
    fit = Fit(space=space, scale=scale, shift=shift, residual=0.0, pixels=len(facts))
    misses = [fact.says(fit.metres) - fact.metres for fact in facts]
    return replace(fit, residual=float(np.sqrt(np.mean(np.square(misses)))))
