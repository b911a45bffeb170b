"""Points of a photograph that are measured: checks, the origin of their depth, and remarks."""

import math
from collections.abc import Sequence

from rilievo.calibration.readings import Pixel, normalized_points_note, pixel_index
from rilievo.errors import CalibrationError, OptionError
from rilievo.errors.messages import AnyOf, Note, OptionName, Text
from rilievo.geometry.cameras.camera import Camera, CameraSource
from rilievo.measure.instrument_ranges import instrument_ranges
from rilievo.measure.measurements import MeasurementOrigin, Point
from rilievo.records.depth_map import DepthKind
from rilievo.records.instruments import DepthSource, Instrument
from rilievo.records.prediction_record import PredictionRecord

KNOWN_OPTIONS = AnyOf(
    OptionName("known_length", "U1,V1,U2,V2,METRES"), OptionName("known", "U,V,METRES")
)
_CAMERA_OPTIONS = AnyOf(OptionName("camera", "..."), OptionName("fov", "..."))
ASSUMED_FOCAL_REMARK = Note(
    Text("the focal length is assumed: ", _CAMERA_OPTIONS, " narrows the range")
)


def metric_camera(prediction: PredictionRecord) -> Camera:
    """Camera of a prediction; raise ``CalibrationError`` if its depth is not in metres."""
    if prediction.depth.kind is not DepthKind.METRIC:
        # A shift is a second unknown, which takes a second size.
        needed = (
            "a known length or distance"
            if prediction.depth.is_depth
            else "two known lengths or distances at different depths"
        )
        raise CalibrationError(
            problem=Text(
                f"depth of kind '{prediction.depth.kind}' is not in metres, so sizes are "
                f"unknown: give {needed}, with ",
                KNOWN_OPTIONS,
            )
        )
    return prediction.known_camera


def check_pixels(prediction: PredictionRecord, points: Sequence[Point]) -> list[Pixel]:
    """Check that points are finite, inside the photograph and not on the sky; return pixels."""
    for u, v in points:
        if not (math.isfinite(u) and math.isfinite(v)):
            raise OptionError(f"point {u:g},{v:g}: column and row must be finite numbers")

    pixels = [Pixel(float(u), float(v), f"point {u:g},{v:g}") for u, v in points]
    for pixel in pixels:
        index = pixel_index(prediction.depth, pixel)
        if prediction.sky is not None and prediction.sky[index]:
            raise CalibrationError(
                f"{pixel.name} is in the sky, which has no distance: choose a point on an object"
            )
    return pixels


def origin_of_points(prediction: PredictionRecord, points: Sequence[Point]) -> MeasurementOrigin:
    """Where the depth of points comes from: a sensor's gap, if one of them lies in it."""
    ranges = instrument_ranges(prediction)
    if ranges is None or prediction.is_of_network:
        return MeasurementOrigin.NETWORK
    if ranges.instrument.source is DepthSource.DEPTH_MAP:
        return MeasurementOrigin.DEPTH_MAP
    is_in_gap = [ranges.is_in_gap(Pixel(u, v, "")) for u, v in points]
    return MeasurementOrigin.SENSOR_GAP if any(is_in_gap) else MeasurementOrigin.SENSOR


def depth_remarks(prediction: PredictionRecord, points: Sequence[Point]) -> tuple[str, ...]:
    """Remarks on a measurement by depth: on the camera, the points and the instrument."""
    return (
        *camera_and_point_remarks(prediction, points),
        *instrument_remarks(prediction, points),
    )


def instrument_remarks(
    prediction: PredictionRecord, points: Sequence[Point] = ()
) -> tuple[str, ...]:
    """Remarks on an instrument's error that nobody stated, and on points in a sensor's gaps."""
    instrument = prediction.instrument
    if instrument is None:
        return ()
    remarks = list(instrument.doubts)
    if instrument.is_assumed:
        remarks.append(_assumed_error_remark(instrument))
    if origin_of_points(prediction, points) is MeasurementOrigin.SENSOR_GAP:
        remarks.append("a point is in a gap of the sensor's depth, which the network filled")
    return tuple(remarks)


def _assumed_error_remark(instrument: Instrument) -> str:
    """Remark that an instrument's error is assumed, with a hint to state it."""
    assumption = (
        f"the range assumes that 8 in 10 depths of the {instrument.source} are within "
        f"{instrument.error} of the truth"
    )
    stating_hint = Text("state its error with ", OptionName("depth_error", "1%"))
    if instrument.source is DepthSource.SENSOR:
        return Note(assumption, hint=stating_hint)
    network_hint = Text(
        ", or give ", OptionName("depth_error", "network"), " if a network predicted the depth"
    )
    return Note(
        f"{assumption}, which is usual for depth cameras but not for networks",
        hint=Text(stating_hint, network_hint),
    )


def camera_and_point_remarks(
    prediction: PredictionRecord, points: Sequence[Point]
) -> tuple[str, ...]:
    """Remarks on an assumed focal length, and on points that are probably not in pixels."""
    remarks: list[str] = []
    if prediction.known_camera.source is CameraSource.ASSUMED:
        remarks.append(ASSUMED_FOCAL_REMARK)
    note = normalized_points_note(points, prediction.shape)
    if note is not None:
        remarks.append(note)
    return tuple(remarks)
