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
    """Camera of a prediction in metres.

    Raises:
        CalibrationError: If depth is not in metres.
    """
    if prediction.depth.kind is not DepthKind.METRIC:
        raise CalibrationError(
            problem=Text(
                f"depth is of kind '{prediction.depth.kind}', so sizes are not known: give one "
                "known length or distance, ",
                KNOWN_OPTIONS,
            )
        )
    return prediction.known_camera


def check_pixels(prediction: PredictionRecord, points: Sequence[Point]) -> list[Pixel]:
    """Pixels of points; raises for those outside of the photograph or on the sky."""
    for u, v in points:
        if not (math.isfinite(u) and math.isfinite(v)):
            raise OptionError(f"point {u:g},{v:g}: column and row are finite numbers of pixels")

    pixels = [Pixel(float(u), float(v), f"point {u:g},{v:g}") for u, v in points]
    for pixel in pixels:
        index = pixel_index(prediction.depth, pixel)
        if prediction.sky is not None and prediction.sky[index]:
            raise CalibrationError(
                f"{pixel.name} lies on the sky, which has no distance: choose a point on something"
            )
    return pixels


def origin_of_points(prediction: PredictionRecord, points: Sequence[Point]) -> MeasurementOrigin:
    """Where the depth of points comes from; one in a gap of a sensor decides."""
    by_instrument = instrument_ranges(prediction)
    if by_instrument is None or prediction.is_of_network:
        return MeasurementOrigin.NETWORK
    if by_instrument.instrument.source is DepthSource.DEPTH_MAP:
        return MeasurementOrigin.DEPTH_MAP
    is_in_gap = [by_instrument.is_in_gap(Pixel(u, v, "")) for u, v in points]
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
    instrument, remarks = prediction.instrument, list[str]()
    if instrument is None:
        return ()
    remarks.extend(instrument.doubts)
    if instrument.is_assumed:
        remarks.append(_assumed_error_remark(instrument))
    if origin_of_points(prediction, points) is MeasurementOrigin.SENSOR_GAP:
        remarks.append("a point lies in a gap of the sensor, whose depth the network filled")
    return tuple(remarks)


def _assumed_error_remark(instrument: Instrument) -> str:
    """Remark on an instrument's error that nobody stated, and on what would make it wrong."""
    words = (
        f"the range assumes that 8 in 10 depths of the {instrument.source} are within "
        f"{instrument.error}"
    )
    states = Text(OptionName("depth_error", "1%"), " states its error")
    if instrument.source is DepthSource.SENSOR:
        return Note(words, hint=states)
    return Note(
        f"{words}, as those of depth cameras are, and those of networks are not",
        hint=Text(states, ", or ", OptionName("depth_error", "network"), " that of a network"),
    )


def camera_and_point_remarks(
    prediction: PredictionRecord, points: Sequence[Point]
) -> tuple[str, ...]:
    """Remarks on an assumed focal length, and on points that are hardly in pixels."""
    remarks: list[str] = []
    if prediction.known_camera.source is CameraSource.ASSUMED:
        remarks.append(ASSUMED_FOCAL_REMARK)
    note = normalized_points_note(points, prediction.shape)
    if note is not None:
        remarks.append(note)
    return tuple(remarks)
