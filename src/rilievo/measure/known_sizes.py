"""Sizes that the user gave for a prediction, and where they lie."""

from collections.abc import Iterator
from contextlib import suppress
from typing import NamedTuple

import numpy as np

from rilievo.calibration.readings import (
    Pixel,
    circle_middle,
    end_values_of_line,
    known_point_depth,
    ray,
    rectangle_depth,
)
from rilievo.calibration.sizes import (
    Along,
    Known,
    KnownCircle,
    KnownLength,
    KnownPoint,
    KnownRectangle,
    parse_known,
)
from rilievo.errors import RilievoError
from rilievo.records.instruments import DepthSource
from rilievo.records.prediction_record import PredictionRecord

MAX_SAME_POINT_OFFSET = 1.0
"""Largest difference of column or row by which two points count as the same [px]."""


class KnownSizePosition(NamedTuple):
    """Position of a known size in the picture.

    A page reads the four numbers in this order: the column and row [px], the depth [m], and the
    fraction of a known length that points away from the camera.
    """

    u: float
    v: float
    depth: float
    radial_fraction: float


def known_sizes(prediction: PredictionRecord) -> Iterator[Known]:
    """Sizes that the user gave, and markers; those that cannot be read are left out."""
    texts = () if prediction.calibration is None else prediction.calibration.asked
    for text in texts:
        with suppress(RilievoError):
            yield parse_known(text)


def known_lengths(prediction: PredictionRecord) -> list[KnownLength]:
    """Lengths that the user gave."""
    return [size for size in known_sizes(prediction) if isinstance(size, KnownLength)]


def known_rectangles(prediction: PredictionRecord) -> list[KnownRectangle]:
    """Rectangles that the user gave, and markers."""
    return [size for size in known_sizes(prediction) if isinstance(size, KnownRectangle)]


def known_length_between(prediction: PredictionRecord, first: Pixel, second: Pixel) -> float | None:
    """Known length between two points, in either direction [m]; None if the user gave none."""
    ends = np.array([[first.u, first.v], [second.u, second.v]])
    for line in known_lengths(prediction):
        line_ends = np.array([[line.u1, line.v1], [line.u2, line.v2]])
        offset = np.abs(ends - line_ends).max()
        reversed_offset = np.abs(ends - line_ends[::-1]).max()
        if min(offset, reversed_offset) <= MAX_SAME_POINT_OFFSET:
            return float(line.metres)
    return None


def known_distance_at(prediction: PredictionRecord, pixel: Pixel) -> float | None:
    """Known distance along the ray of a point [m]; None if the user gave none there.

    The pixels of a sensor are not known distances, because they have the sensor's error.
    """
    instrument = prediction.instrument
    if instrument is not None and instrument.source is DepthSource.SENSOR:
        return None
    points = [size for size in known_sizes(prediction) if isinstance(size, KnownPoint)]
    for point in points:
        if max(abs(point.u - pixel.u), abs(point.v - pixel.v)) > MAX_SAME_POINT_OFFSET:
            continue
        if point.along is Along.RAY:
            return float(point.metres)
        # The user measured z along the optical axis, which the ray's slant makes a distance.
        direction = ray(prediction.known_camera, pixel)
        return point.metres * float(np.linalg.norm(direction) / direction[2])
    return None


def known_size_positions(prediction: PredictionRecord) -> list[KnownSizePosition]:
    """Positions of all known sizes; those at which there is no depth are left out."""
    positions: list[KnownSizePosition] = []
    for size in known_sizes(prediction):
        with suppress(RilievoError):
            positions.append(_known_size_position(prediction, size))
    return positions


def _known_size_position(prediction: PredictionRecord, size: Known) -> KnownSizePosition:
    """Position of a known point, of the middle of an outline, or halfway along a length."""
    camera = prediction.known_camera
    if isinstance(size, KnownPoint):
        depth = known_point_depth(size, camera)
        return KnownSizePosition(float(size.u), float(size.v), float(depth), 0.0)
    if isinstance(size, KnownRectangle):
        return KnownSizePosition(*size.middle, rectangle_depth(size, camera), 0.0)
    if isinstance(size, KnownCircle):
        return KnownSizePosition(*circle_middle(size, camera), 0.0)

    first_end, second_end = Pixel(size.u1, size.v1, ""), Pixel(size.u2, size.v2, "")
    first_depth, second_depth = end_values_of_line(prediction.depth, first_end, second_end, camera)
    first, second = ray(camera, first_end) * first_depth, ray(camera, second_end) * second_depth
    difference_of_distances = abs(float(np.linalg.norm(first)) - float(np.linalg.norm(second)))
    return KnownSizePosition(
        u=(size.u1 + size.u2) / 2,
        v=(size.v1 + size.v2) / 2,
        depth=(first_depth + second_depth) / 2,
        radial_fraction=min(1.0, difference_of_distances / float(np.linalg.norm(second - first))),
    )
