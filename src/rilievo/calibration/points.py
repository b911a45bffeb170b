"""Metres from points whose distance is known.

Scale, and shift where the kind has one, are those with the least sum of absolute errors in the
logarithm: of the few points a user measures one is easily a slip of the pen or of the mouse, and
least squares would spread that error over all of them, while here the others are met and the slip
stands out.
"""

from collections.abc import Sequence

import numpy as np
from jaxtyping import Float64, Int

from rilievo.alignment import Fit, FitSpace, check_depth_map
from rilievo.calibration.known import Along, KnownPoint
from rilievo.calibration.record import Calibrated, Residual, calibrated
from rilievo.errors import CalibrationError
from rilievo.types import Camera, DepthKind, DepthMap

# The depth at a point is the median of this many pixels either way: robust against a stray pixel,
# and on a plane still the depth of the pixel itself.
WINDOW_RADIUS = 2
# A point that is off by more than this factor, either way, deserves a look.
SUSPICIOUS = 1.3
# The scales that single points imply differ by this factor: worth a look, and beyond use.
DOUBTFUL, CONTRADICTORY = 1.5, 3.0
# Lines through every two points are tried up to this many; beyond, as many drawn at random.
MOST_PAIRS = 2_016


def calibrate(
    depth: DepthMap, known: Sequence[KnownPoint], *, camera: Camera | None = None
) -> Calibrated:
    """Bring a depth map to metres by known points.

    Kinds ``UP_TO_SCALE`` and ``METRIC`` take one point or more: the scale is the median ratio in
    the logarithm (of two points, the geometric mean), and that metres were scaled is said. Kinds
    ``AFFINE`` and ``AFFINE_INVERSE`` take two or more, at different depths, for scale and shift,
    fitted in depth or in inverse depth.

    Args:
        depth: Of any kind.
        known: Points in the pixels of ``depth``.
        camera: Intrinsics of the photograph, needed where a point was measured along its ray.

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
    _refuse_shared_pixels(depth, known)
    x = np.array([_value_at(depth, point) for point in known])
    metres = np.array([_depth_of(point, camera) for point in known])
    fit = _scale(x, metres) if depth.is_depth else _scale_and_shift(x, metres, depth)
    fitted = fit.scale * x + fit.shift
    if fit.space is FitSpace.INVERSE:
        fitted = 1 / fitted
    residuals = [
        Residual(point=point, metres=float(found - true), relative=float(found / true - 1))
        for point, found, true in zip(known, fitted, metres, strict=True)
    ]
    remarks = _suspicions(residuals) if len(known) > least else []
    remarks += _contradictions(residuals)
    return calibrated(depth, fit, residuals=residuals, remarks=remarks)


def _too_few(kind: DepthKind, count: int) -> str:
    if count == 0:
        return "no known point is given: a point is u,v,metres"
    return (
        f"one known point does not determine both scale and shift of a map of kind '{kind}': give "
        "a second one, clearly nearer or farther"
    )


def _pixel(depth: DepthMap, point: KnownPoint) -> tuple[int, int]:
    """(row, column) of the pixel that holds the point, if the image does."""
    height, width = depth.shape
    # A pixel reaches half a pixel to each side of its centre.
    row, column = int(np.floor(point.v + 0.5)), int(np.floor(point.u + 0.5))
    if not (0 <= row < height and 0 <= column < width):
        raise CalibrationError(
            f"known point {point} lies outside the image: columns go from 0 to {width - 1}, "
            f"rows from 0 to {height - 1}"
        )
    return row, column


def _refuse_shared_pixels(depth: DepthMap, known: Sequence[KnownPoint]) -> None:
    first: dict[tuple[int, int], KnownPoint] = {}
    for point in known:
        pixel = _pixel(depth, point)
        if pixel in first:
            raise CalibrationError(
                f"known points {first[pixel]} and {point} lie on the same pixel: keep one"
            )
        first[pixel] = point


def _value_at(depth: DepthMap, point: KnownPoint) -> float:
    """Median of the valid numbers about a point."""
    row, column = _pixel(depth, point)
    if not depth.valid[row, column]:
        raise CalibrationError(
            f"known point {point} lies on a pixel without depth: choose one beside it"
        )
    height, width = depth.shape
    # Even to all sides, so that the median of a slope is its middle at the border too.
    reach = min(WINDOW_RADIUS, row, column, height - 1 - row, width - 1 - column)
    window = np.s_[row - reach : row + reach + 1, column - reach : column + reach + 1]
    return float(np.median(depth.values[window][depth.valid[window]].astype(np.float64)))


def _depth_of(point: KnownPoint, camera: Camera | None) -> float:
    """Depth along the axis [m] of a point, however it was measured."""
    if point.along is Along.AXIS:
        return float(point.metres)
    if camera is None:
        raise CalibrationError(
            f"known point {point} is measured along its ray, which needs the camera: "
            "give its intrinsics or field of view"
        )
    K = camera.K
    x, y = (point.u - K[0, 2]) / K[0, 0], (point.v - K[1, 2]) / K[1, 1]
    return point.metres / float(np.sqrt(x * x + y * y + 1))


def _scale(x: Float64[np.ndarray, "n"], metres: Float64[np.ndarray, "n"]) -> Fit:
    scale = float(np.exp(np.median(np.log(metres / x))))
    residual = float(np.sqrt(np.mean(np.square(scale * x - metres))))
    return Fit(space=FitSpace.DEPTH, scale=scale, shift=0.0, residual=residual, pixels=x.size)


def _scale_and_shift(
    x: Float64[np.ndarray, "n"], metres: Float64[np.ndarray, "n"], depth: DepthMap
) -> Fit:
    """Of the lines through two of the points, the one nearest to all.

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


def _suspicions(residuals: Sequence[Residual]) -> list[str]:
    return [
        f"known point {residual.point} is suspicious: the fit is off there by "
        f"{100 * residual.relative:+.0f} %"
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
    farthest = max(residuals, key=lambda each: abs(np.log(each.relative + 1))).point
    said = f"the scales that the known points imply differ by a factor of {factor:.3g}"
    if factor > CONTRADICTORY:
        raise CalibrationError(
            f"{said}, more than {CONTRADICTORY:g}: {farthest} is the farthest from the others; "
            "check its column, row and distance, or leave it out"
        )
    return [f"{said} (at best 1): expect errors of that order"]
