"""Errors of measurements because points are placed by hand, which may miss by some pixels.

All errors are those that eight in ten stay below.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from rilievo.arrays.shapes import Vector
from rilievo.calibration.readings import Pixel, window_around_point
from rilievo.calibration.sizes import CORNER_ERROR, KnownCircle
from rilievo.records.depth_map import DepthMap
from rilievo.records.prediction_record import PredictionRecord

POINT_ERROR = 1.2816 * CORNER_ERROR
"""Error along one direction of a point that is placed by hand, which eight in ten stay below [px].

The factor is that of a normal distribution."""
WINDOW_QUANTILES = (0.1, 0.9)
"""Quantiles of the depth in the window around a point, between which eight in ten pixels lie."""


def window_error(depth: DepthMap, pixel: Pixel, value: float) -> float:
    """Relative difference of the depth around a point from ``value``, its own depth.

    A point that is placed by hand may lie on any of the pixels around it, also beyond an edge. The
    difference is the larger one of two quantiles, between which eight in ten of them lie.
    """
    window = window_around_point(depth, pixel)
    values = depth.values[window][depth.valid[window]].astype(np.float64)
    low, high = np.quantile(values, WINDOW_QUANTILES)
    return max(float(high) - value, value - float(low), 0.0) / value


def error_along_line(pixels: Sequence[Pixel], depths: Sequence[float]) -> float:
    """Relative error of the length of a line on one flat surface, whose ends are placed by hand.

    Inverse depth is linear along the image of a line. So a pixel at one end covers more of the line
    than the mean pixel, by the ratio of the depth there to that at the other end.
    """
    first, second = pixels
    pixel_length = math.hypot(second.u - first.u, second.v - first.v)
    depth_ratio = depths[1] / depths[0]
    min_length = 1e-3  # [px], so that the error stays finite
    return POINT_ERROR * math.hypot(depth_ratio, 1 / depth_ratio) / max(pixel_length, min_length)


def circle_placing_error(circle: KnownCircle) -> float:
    """Relative error of a circle's depth because its rim is placed by hand, like a line's ends."""
    return POINT_ERROR * math.sqrt(2) / circle.ellipse.long_axis


def height_placing_error(
    prediction: PredictionRecord, pixel: Pixel, position: Vector, normal: Vector
) -> float:
    """Error of the height of a point above a plane because the point is placed by hand [m]."""
    errors = _placing_errors(prediction, pixel, position)
    height_change = abs(float(normal @ position))  # [m] for a relative error of 1 along the ray
    cosine = height_change / float(np.linalg.norm(position))
    sine = math.sqrt(max(0.0, 1 - cosine**2))
    return math.hypot(errors.across * sine, errors.along * height_change)


@dataclass(frozen=True, slots=True, kw_only=True)
class _PlacingErrors:
    """Errors of a point that is placed by hand.

    Attributes:
        across: Error across its ray [m].
        along: Relative error along its ray, by the depth of the pixels around it.
    """

    across: float
    along: float


def _placing_errors(prediction: PredictionRecord, pixel: Pixel, position: Vector) -> _PlacingErrors:
    """Errors of the point at ``position`` [m], which ``pixel`` shows."""
    camera = prediction.known_camera
    depth = float(camera.depth_of(position))
    left_and_right = np.array([[pixel.u - 0.5, pixel.u + 0.5], [pixel.v, pixel.v]])
    left_ray, right_ray = camera.rays(left_and_right).T
    pixel_size = depth * float(np.linalg.norm(right_ray - left_ray))
    return _PlacingErrors(
        across=POINT_ERROR * pixel_size, along=window_error(prediction.depth, pixel, depth)
    )


def error_between_points(
    prediction: PredictionRecord,
    pixels: Sequence[Pixel],
    positions: Sequence[Vector],
) -> float:
    """Relative error of a length because its two ends, on any surfaces, are placed by hand."""
    difference = positions[1] - positions[0]
    squared_length = float(difference @ difference)
    if squared_length == 0:
        return math.inf

    relative_errors: list[float] = []
    for pixel, position in zip(pixels, positions, strict=True):
        errors = _placing_errors(prediction, pixel, position)
        # Only the part of an error that points along the length changes it.
        dot_product = float(difference @ position)
        squared_cosine = dot_product**2 / (squared_length * float(position @ position))
        sine = math.sqrt(max(0.0, 1 - squared_cosine))
        relative_errors.append(errors.across * sine / math.sqrt(squared_length))
        relative_errors.append(errors.along * abs(dot_product) / squared_length)
    return math.hypot(*relative_errors)
