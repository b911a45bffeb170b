"""Ranges of an object's sizes by the origin of its depth."""

from collections.abc import Mapping
from dataclasses import fields, is_dataclass, replace
from typing import Any, TypeVar

from rilievo.arrays.shapes import Mask
from rilievo.measure.measurements import Measurement, MeasurementOrigin
from rilievo.records.instruments import DepthSource
from rilievo.records.prediction_record import PredictionRecord

Measured = TypeVar("Measured")

NETWORK_OUTLINE = {"width": 0.19, "height": 0.19, "depth": 0.8}
"""Log errors of sizes over the distance by a network's depth, of eight in ten."""
INSTRUMENT_OUTLINE = {"width": 0.03, "height": 0.03, "depth": 0.1}
"""The same by the depth of an instrument, whose edges are those of the object."""
_MAX_GAP_SHARE = 0.1
"""Largest share of an object's pixels in the gaps of a sensor that its origin leaves out."""


def outline_errors(prediction: PredictionRecord) -> Mapping[str, float]:
    """Log errors of width, height and depth by an object's outline, over that of its distance."""
    return NETWORK_OUTLINE if prediction.is_of_network else INSTRUMENT_OUTLINE


def region_origin(prediction: PredictionRecord, region: Mask) -> MeasurementOrigin:
    """Where the depth of a region comes from."""
    instrument = prediction.instrument
    if instrument is None or prediction.is_of_network:
        return MeasurementOrigin.NETWORK
    if instrument.source is DepthSource.DEPTH_MAP:
        return MeasurementOrigin.DEPTH_MAP
    measured = prediction.measured
    is_known = prediction.depth.valid & region
    if measured is None or (is_known & ~measured).sum() > _MAX_GAP_SHARE * is_known.sum():
        return MeasurementOrigin.SENSOR_GAP
    return MeasurementOrigin.SENSOR


def with_origin(measured: Measured, origin: MeasurementOrigin) -> Measured:
    """Copy of a record, all of whose measurements have an origin."""
    return _with_origin(measured, origin)


def _with_origin(value: Any, origin: MeasurementOrigin) -> Any:
    if isinstance(value, Measurement):
        return replace(value, origin=origin)
    if isinstance(value, tuple):
        return tuple(_with_origin(part, origin) for part in value)
    if not is_dataclass(value) or isinstance(value, type):
        return value
    changed = {
        field.name: _with_origin(getattr(value, field.name), origin) for field in fields(value)
    }
    return replace(value, **changed)
