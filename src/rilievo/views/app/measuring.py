"""Distances between points of a photograph, in metres if known, otherwise as ratios."""

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
from jaxtyping import Float64

from rilievo.calibration.readings import WINDOW_RADIUS
from rilievo.errors import InputError
from rilievo.measure import Measurement
from rilievo.measure.expectation import expected_of_line
from rilievo.types import CameraSource, DepthKind, DepthMap, Prediction

_LENGTHS = (
    "The focal length is assumed, so lengths across the picture may be off by up to a factor of "
    "1.45; give the camera for better ones."
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Spot:
    """A point of the photograph and its place on the surface.

    Attributes:
        u: Column [px].
        v: Row [px].
        value: Value of the depth map there, as median over 5 x 5 pixels.
        place: Position in the camera frame, in the unit of the map; None for affine kinds.
    """

    u: float | int
    v: float | int
    value: float
    place: Float64[np.ndarray, "3"] | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Measured:
    """Distance and ratio of two points.

    Attributes:
        metres: Distance between them in space [m]; None if metres are not known.
        relative: The same divided by the depth of the first; None for affine kinds.
        ratio: Depth of the second divided by that of the first; None for affine kinds.
        words: Description in sentences.
    """

    metres: float | None
    relative: float | None
    ratio: float | None
    words: tuple[str, ...]


def spot(prediction: Prediction, u: float | int, v: float | int) -> Spot:
    """Measure one point of the photograph.

    Args:
        prediction: Prediction with depth.
        u: Column [px]; the centre of the top-left pixel is (0, 0).
        v: Row [px].

    Raises:
        InputError: If there is no depth, or the point lies outside, or no pixel around it is valid.
    """
    depth = prediction.depth_or_none
    if depth is None:
        raise InputError("this model gives no depth, so there is nothing to measure")
    value = _median_at(depth, u, v)
    place = None
    if depth.is_depth:
        assert prediction.camera is not None, "every finished prediction has a camera"
        K = prediction.camera.K
        x, y = (u - K[0, 2]) / K[0, 0], (v - K[1, 2]) / K[1, 1]
        place = np.array([x * value, y * value, value])
    return Spot(u=u, v=v, value=value, place=place)


def measure(prediction: Prediction, first: Spot, second: Spot) -> Measured:
    """Measure distance and ratio of two spots of a prediction."""
    depth = prediction.depth
    if first.place is None or second.place is None:
        return Measured(metres=None, relative=None, ratio=None, words=_order(depth, first, second))
    apart = float(np.linalg.norm(second.place - first.place))
    ratio, relative = second.value / first.value, apart / first.value
    words = (
        _in_metres(prediction, apart, first, second)
        if depth.kind is DepthKind.METRIC
        else _in_ratios(relative, ratio)
    )
    camera: Any = prediction.camera
    if camera.source is CameraSource.ASSUMED:
        words = (*words, _LENGTHS)
    metres = apart if depth.kind is DepthKind.METRIC else None
    return Measured(metres=metres, relative=relative, ratio=ratio, words=words)


def say_spot(prediction: Prediction, name: str, at: Spot) -> str:
    """Describe one spot in a sentence."""
    depth = prediction.depth
    where = f"Point {name} is at column {at.u:.0f}, row {at.v:.0f}"
    if depth.kind is DepthKind.METRIC:
        return f"{where}, {_metres(at.value)} deep (along the optical axis)."
    return f"{where}; its depth in metres is not known."


def _median_at(depth: DepthMap, u: float | int, v: float | int) -> float:
    height, width = depth.shape
    row, column = int(np.floor(v + 0.5)), int(np.floor(u + 0.5))
    if not (0 <= row < height and 0 <= column < width):
        raise InputError(
            f"point {u:g}, {v:g} lies outside the photograph: columns go from 0 to {width - 1}, "
            f"rows from 0 to {height - 1}"
        )
    if not depth.valid[row, column]:
        raise InputError(f"there is no depth at {u:g}, {v:g}: choose a point beside it")
    # The window is symmetric, so that on a slope the median is the centre, at the border too.
    reach = min(WINDOW_RADIUS, row, column, height - 1 - row, width - 1 - column)
    window = np.s_[row - reach : row + reach + 1, column - reach : column + reach + 1]
    return float(np.median(depth.values[window][depth.valid[window]].astype(np.float64)))


def _metres(length: float) -> str:
    return f"{100 * length:.1f} cm" if length < 1 else f"{length:.2f} m"


def _in_metres(prediction: Prediction, apart: float, first: Spot, second: Spot) -> tuple[str, ...]:
    assert first.place is not None, "depth is metric"
    assert second.place is not None, "depth is metric"
    factor = math.exp(expected_of_line(prediction, first.place, second.place))
    found = Measurement(what="length", value=apart, low=apart / factor, high=apart * factor)
    return (
        f"A and B are {found} apart; 8 in 10 true lengths lie within such a range.",
        f"A is {_metres(first.value)} deep and B {_metres(second.value)} (along the optical axis).",
    )


def _in_ratios(relative: float, ratio: float) -> tuple[str, ...]:
    return (
        f"B is {ratio:.2f} times as deep as A.",
        f"A and B are {relative:.2f} times A's depth apart.",
        "These are ratios: the scale of the photograph is unknown. "
        "One known distance or length turns them into metres.",
    )


def _order(depth: DepthMap, first: Spot, second: Spot) -> tuple[str, ...]:
    nearer = first.value > second.value
    if depth.kind is DepthKind.AFFINE:
        nearer = not nearer
    name, other = ("A", "B") if nearer else ("B", "A")
    return (
        f"{name} is nearer than {other}.",
        "This model gives only the order: its depth has an unknown shift, so "
        "ratios are unknown. Two known distances turn them into metres.",
    )
