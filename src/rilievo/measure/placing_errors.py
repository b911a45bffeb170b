"""Errors of measurements because points are placed by hand, which may miss by some pixels.

All errors are those that eight in ten stay below.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from rilievo.arrays.shapes import Vector
from rilievo.calibration.readings import WINDOW_RADIUS, Pixel, pixel_index
from rilievo.calibration.sizes import CORNER_ERROR
from rilievo.records.depth_map import DepthMap
from rilievo.records.prediction_record import PredictionRecord

POINT_ERROR = 1.2816 * CORNER_ERROR
"""Error of a point that is placed by hand, of eight in ten along one direction [px]."""
WINDOW_QUANTILES = (0.1, 0.9)
"""Quantiles of the depth in the window around a point, between which eight in ten pixels lie."""


def window_around_point(depth: DepthMap, pixel: Pixel) -> tuple[slice, slice]:
    """Rows and columns of the window whose median is the depth at a point; square and centred."""
    row, column = pixel_index(depth, pixel)
    height, width = depth.shape
    radius = min(WINDOW_RADIUS, row, column, height - 1 - row, width - 1 - column)
    return slice(row - radius, row + radius + 1), slice(column - radius, column + radius + 1)


def window_error(depth: DepthMap, pixel: Pixel, value: float) -> float:
    """Relative difference to ``value`` that the depth of eight in ten pixels around stays below.

    A point that is placed by hand may lie on any of these pixels, also beyond an edge.
    """
    window = window_around_point(depth, pixel)
    values = depth.values[window][depth.valid[window]].astype(np.float64)
    low, high = np.quantile(values, WINDOW_QUANTILES)
    return max(float(high) - value, value - float(low), 0.0) / value


def error_along_line(pixels: Sequence[Pixel], depths: Sequence[float]) -> float:
    """Relative error of the length of a line on one flat surface, whose ends are placed by hand.

    Along the image of a line inverse depth is linear, so a pixel at the farther end covers more of
    it, by the ratio of the depths.
    """
    first, second = pixels
    length = math.hypot(second.u - first.u, second.v - first.v)
    ratio = depths[1] / depths[0]
    return POINT_ERROR * math.hypot(ratio, 1 / ratio) / max(length, 1e-3)


def height_placing_error(
    prediction: PredictionRecord, pixel: Pixel, position: Vector, normal: Vector
) -> float:
    """Error of the height of a point above a plane because the point is placed by hand [m]."""
    errors = _placing_errors(prediction, pixel, position)
    along_normal = abs(float(normal @ position))
    along_ray = along_normal / float(np.linalg.norm(position))
    across_ray = math.sqrt(max(0.0, 1 - along_ray**2))
    return math.hypot(errors.across * across_ray, errors.along * along_normal)


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
    camera = prediction.known_camera
    depth = float(camera.depth_of(position))
    half_pixel_rays = camera.rays(np.array([[pixel.u - 0.5, pixel.u + 0.5], [pixel.v, pixel.v]]))
    pixel_size = depth * float(np.linalg.norm(half_pixel_rays[:, 1] - half_pixel_rays[:, 0]))
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
    squared = float(difference @ difference)
    if squared == 0:
        return math.inf

    relative_errors: list[float] = []
    for pixel, position in zip(pixels, positions, strict=True):
        errors = _placing_errors(prediction, pixel, position)
        along_ray = float(difference @ position)
        squared_cosine = along_ray**2 / (squared * float(position @ position))
        sine = math.sqrt(max(0.0, 1 - squared_cosine))
        relative_errors.append(errors.across * sine / math.sqrt(squared))
        relative_errors.append(errors.along * abs(along_ray) / squared)
    return math.hypot(*relative_errors)
