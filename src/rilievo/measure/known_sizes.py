"""Sizes that the user gave for a prediction, and where they lie."""

from collections.abc import Iterator
from contextlib import suppress
from typing import NamedTuple

import numpy as np

from rilievo.calibration.readings import (
    Pixel,
    known_point_depth,
    ray,
    rectangle_depth,
    values_at_ends,
)
from rilievo.calibration.sizes import (
    Along,
    Known,
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


class KnownPlace(NamedTuple):
    """Place of a known size in the picture.

    A page reads the four numbers in this order: the column and row [px], the depth [m], and the
    share of a known length that points away from the camera.
    """

    u: float
    v: float
    depth: float
    along: float


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
    """Length between two points that the user gave [m]; None if they gave none."""
    ends = np.array([[first.u, first.v], [second.u, second.v]])
    for line in known_lengths(prediction):
        line_ends = np.array([[line.u1, line.v1], [line.u2, line.v2]])
        offset = np.abs(ends - line_ends).max()
        offset_of_reversed = np.abs(ends - line_ends[::-1]).max()
        if min(offset, offset_of_reversed) <= MAX_SAME_POINT_OFFSET:
            return float(line.metres)
    return None


def known_distance_at(prediction: PredictionRecord, at: Pixel) -> float | None:
    """Distance along the ray of a point that the user gave [m]; None if they gave none.

    Pixels of a sensor are no known distances, because they have the sensor's error.
    """
    instrument = prediction.instrument
    if instrument is not None and instrument.source is DepthSource.SENSOR:
        return None
    points = [size for size in known_sizes(prediction) if isinstance(size, KnownPoint)]
    for point in points:
        if max(abs(point.u - at.u), abs(point.v - at.v)) > MAX_SAME_POINT_OFFSET:
            continue
        if point.along is Along.RAY:
            return float(point.metres)
        direction = ray(prediction.known_camera, at)
        return point.metres * float(np.linalg.norm(direction) / direction[2])
    return None


def known_places(prediction: PredictionRecord) -> list[KnownPlace]:
    """Places of all known sizes; those at which there is no depth are left out."""
    places: list[KnownPlace] = []
    for size in known_sizes(prediction):
        with suppress(RilievoError):
            places.append(_place_of(prediction, size))
    return places


def _place_of(prediction: PredictionRecord, size: Known) -> KnownPlace:
    camera = prediction.known_camera
    if isinstance(size, KnownPoint):
        depth = known_point_depth(size, camera)
        return KnownPlace(float(size.u), float(size.v), float(depth), 0.0)
    if isinstance(size, KnownRectangle):
        return KnownPlace(*size.middle, rectangle_depth(size, camera), 0.0)

    first_end, second_end = Pixel(size.u1, size.v1, ""), Pixel(size.u2, size.v2, "")
    first_depth, second_depth = values_at_ends(prediction.depth, first_end, second_end, camera)
    first, second = ray(camera, first_end) * first_depth, ray(camera, second_end) * second_depth
    difference_of_distances = abs(float(np.linalg.norm(first)) - float(np.linalg.norm(second)))
    return KnownPlace(
        u=(size.u1 + size.u2) / 2,
        v=(size.v1 + size.v2) / 2,
        depth=(first_depth + second_depth) / 2,
        along=min(1.0, difference_of_distances / float(np.linalg.norm(second - first))),
    )
