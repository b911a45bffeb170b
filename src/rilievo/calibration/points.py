"""Metres from points whose distance is known, and from lengths.

Scale, and shift where the kind has one, are those with the least sum of absolute errors in the
logarithm: of the few facts a user measures one is easily a slip of the pen or of the mouse, and
least squares would spread that error over all of them, while here the others are met and the slip
stands out.
"""

import math
from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from jaxtyping import Float64, Int

from rilievo.alignment import Fit, FitSpace, check_depth_map
from rilievo.calibration.fact import Fact, fact_of, pixel_of
from rilievo.calibration.field import LEAST_PLACES, Field, bent, find_field
from rilievo.calibration.known import Known, KnownPoint
from rilievo.calibration.lengths import KnownLength
from rilievo.calibration.readings import place
from rilievo.calibration.record import Calibrated, Residual, calibrated
from rilievo.calibration.shift import fit_scale_and_shift
from rilievo.errors import CalibrationError
from rilievo.types import Camera, DepthKind, DepthMap

# A fact that is off by more than this factor, either way, deserves a look.
SUSPICIOUS = 1.3
# The scales that single facts imply differ by this factor: worth a look, and beyond use.
DOUBTFUL, CONTRADICTORY = 1.5, 3.0
# Lines through every two points are tried up to this many; beyond, as many drawn at random.
MOST_PAIRS = 2_016


def calibrate(
    depth: DepthMap,
    known: Sequence[Known],
    *,
    camera: Camera | None = None,
    smooth: bool = True,
    judge: bool = True,
) -> Calibrated:
    """Bring a depth map to metres by known points and known lengths.

    Kinds ``UP_TO_SCALE`` and ``METRIC`` take one fact or more: the scale is the median ratio in
    the logarithm (of two, the geometric mean), and that metres were scaled is said. Kinds
    ``AFFINE`` and ``AFFINE_INVERSE`` take two or more, at different depths, for scale and shift,
    fitted in depth or in inverse depth. Of five facts or more, a smooth field bends depth towards
    them where it predicts each from the others clearly better than one factor does.

    Args:
        depth: Of any kind.
        known: Points in the pixels of ``depth``, and straight lengths between two of them. Where
            a length lies on a straight surface, its ends are read off all of its pixels.
        camera: Intrinsics of the photograph, needed for lengths, and where a point was measured
            along its ray.
        smooth: Whether a smooth field may bend depth; without, ``fit`` is all there is, and serves
            other maps of the same scale.
        judge: Whether facts that contradict one another are warned of and refused. Of an
            instrument's many points some always do.

    Raises:
        InputError: If ``depth`` is no depth map.
        CalibrationError: If a point lies outside the image or where depth is invalid, two share a
            pixel, they are too few or too alike for the kind, a ray has no camera, they
            contradict the map so that near becomes far, or one another so that the scales which
            they imply differ by more than ``CONTRADICTORY``.
    """
    check_depth_map(depth)
    least = 1 if depth.is_depth else 2
    if len(known) < least:
        raise CalibrationError(_too_few(depth.kind, len(known)))
    _refuse_shared_pixels(depth, [each for each in known if isinstance(each, KnownPoint)])
    facts = [fact_of(depth, each, camera) for each in known]
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
    """What a field leaves of each residual."""
    places = np.array([fact.middle for fact in facts], np.float64) / depth.shape[1]
    factors = np.exp(field.logs(places))
    return [
        Residual(
            known=each.known,
            metres=factor * (fact.metres + each.metres) - fact.metres,
            relative=factor * (each.relative + 1) - 1,
        )
        for each, fact, factor in zip(residuals, facts, map(float, factors), strict=True)
    ]


def _residual(fact: Fact, fit: Fit) -> Residual:
    def metres(x: float) -> float:
        y = fit.scale * x + fit.shift
        return 1 / y if fit.space is FitSpace.INVERSE else y

    found = fact.says(metres)
    return Residual(known=fact.known, metres=found - fact.metres, relative=found / fact.metres - 1)


def _too_few(kind: DepthKind, count: int) -> str:
    if count == 0:
        return "no known point or length is given: a point is u,v,metres"
    return (
        f"one known point or length does not determine both scale and shift of a map of kind "
        f"'{kind}': give a second one, clearly nearer or farther"
    )


def _refuse_shared_pixels(depth: DepthMap, known: Sequence[KnownPoint]) -> None:
    first: dict[tuple[int, int], KnownPoint] = {}
    for point in known:
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


def scale_and_shift(
    x: Float64[np.ndarray, "n"], metres: Float64[np.ndarray, "n"], depth: DepthMap
) -> Fit:
    """Find, of the lines through two of the points, the one nearest to all.

    Only lines that give every known point a positive depth are taken; the one through the least
    and the greatest number always does.
    """
    inverse = depth.kind is DepthKind.AFFINE_INVERSE
    y = 1 / metres if inverse else metres
    inside = depth.values[depth.valid]
    # Of an affine kind only differences mean something, so alike is alike beside the map's range.
    alike = 1e-3 * (float(inside.max()) - float(inside.min()))
    first, second = _pairs(x)
    apart = np.abs(x[second] - x[first]) > alike
    if not apart.any():
        raise CalibrationError(
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


def _pairs(x: Float64[np.ndarray, "n"]) -> tuple[Int[np.ndarray, "p"], Int[np.ndarray, "p"]]:
    """Indices of every two points, or of as many as are tried, always the same ones."""
    if x.size * (x.size - 1) // 2 <= MOST_PAIRS:
        return np.triu_indices(x.size, 1)
    generator = np.random.default_rng(0)
    first = generator.integers(0, x.size, MOST_PAIRS)
    second = (first + generator.integers(1, x.size, MOST_PAIRS)) % x.size
    return np.append(first, x.argmin()), np.append(second, x.argmax())


def _name(residual: Residual) -> str:
    what = "length" if isinstance(residual.known, KnownLength) else "point"
    return f"known {what} {residual.known}"


def _suspicions(residuals: Sequence[Residual]) -> list[str]:
    return [
        f"{_name(residual)} is suspicious: the fit is off there by {100 * residual.relative:+.0f} %"
        for residual in residuals
        if not 1 / SUSPICIOUS <= residual.relative + 1 <= SUSPICIOUS
    ]


def _contradictions(residuals: Sequence[Residual]) -> list[str]:
    """A remark on points that imply scales which differ; each implies known / fitted.

    Raises:
        CalibrationError: If they differ beyond use.
    """
    implied = [1 / (residual.relative + 1) for residual in residuals]
    factor = max(implied) / min(implied)
    if factor <= DOUBTFUL:
        return []
    farthest = max(residuals, key=lambda each: abs(np.log(each.relative + 1)))
    said = f"the scales that what is known implies differ by a factor of {factor:.3g}"
    if factor > CONTRADICTORY:
        raise CalibrationError(
            f"{said}, more than {CONTRADICTORY:g}: {_name(farthest)} is the farthest from the "
            "others; check its columns, rows and metres, or leave it out"
        )
    return [f"{said} (at best 1): expect errors of that order"]
