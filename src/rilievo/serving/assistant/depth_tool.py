"""The tool ``depth``: a picture of the depth, and the depth at points."""

from collections.abc import Sequence
from io import BytesIO
from typing import Annotated

import numpy as np
from PIL import Image
from pydantic import Field

from rilievo.calibration.readings import Pixel, median_around
from rilievo.geometry.cameras.camera import CameraSource
from rilievo.prediction import Prediction
from rilievo.records.depth_map import DepthMap
from rilievo.serving.assistant.photographs import (
    CAMERA_HEIGHTS,
    METRES,
    UNKNOWN_UNIT,
    Photographs,
    PredictedPhotograph,
    in_metres_or_camera_heights,
)
from rilievo.serving.assistant.stated_facts import pixel_points
from rilievo.serving.assistant.tool import (
    COVERAGE_WORDS,
    IN_COVERED_CASES,
    AssistantTool,
    ListOrText,
    Point,
    ToolAnswer,
    ToolArguments,
    ToolResult,
    Unit,
    expected_relative_error,
    join_nonempty_lines,
    notes_text,
    number_text,
    size_source_sentence,
)

_MAX_PICTURE_SIDE = 1024  # [px]
_NEAR_QUANTILE, _FAR_QUANTILE = 0.02, 0.98
_UNIT_WORDS = {METRES: "m", CAMERA_HEIGHTS: "camera heights", UNKNOWN_UNIT: "(no unit)"}


class DepthArguments(ToolArguments):
    """Arguments of ``depth``."""

    points: Annotated[list[Point], Field(max_length=100), ListOrText] = Field(default=[])
    """Points [x, y] at which to return the depth."""
    unit: Unit = "fraction"
    picture: bool = True
    """Whether to return a picture of the depth."""


class DepthAt(ToolResult):
    """Depth at one point."""

    pixel: list[float]
    """Column and row of the original."""
    depth: float
    """Depth along the camera's axis; for panoramas and fisheyes, the distance from the camera."""
    low: float | None
    """Lower end of the range, which holds for eight out of ten pixels; null if it is unknown."""
    high: float | None
    """Upper end of that range."""


class DepthResult(ToolResult):
    """Depth of a photograph."""

    width: int
    """Columns of the upright original."""
    height: int
    """Rows of the upright original."""
    kind: str
    """Kind of depth: metric, up_to_scale, affine or affine_inverse."""
    unit: str
    """Unit of all depths here: m, camera heights, or unknown."""
    near: float
    """2nd percentile of the depth."""
    far: float
    """98th percentile of the depth."""
    expected_error: float | None
    """Relative error that the depth of eight out of ten pixels should not exceed."""
    points: list[DepthAt]
    """Depth at each requested point."""
    field_of_view: float | None
    """Horizontal field of view in degrees."""
    camera: str | None
    """Source of the field of view: exif_35mm, given, fov, predicted, assumed, ..."""
    model: str
    """Model that predicted the depth."""
    licence: str
    """Licence of the model's weights."""
    facts: list[str]
    """Facts stated about this photograph."""


def describe_depth(photographs: Photographs, request: DepthArguments) -> ToolAnswer[DepthResult]:
    """Describe the range of depth and the depth at points, and draw a picture of depth."""
    photograph = photographs.predict_photo(request.photo)
    pixels = pixel_points(request.points, request.unit, photograph.prediction.shape)
    prediction, unit = in_metres_or_camera_heights(photograph)
    record = _depth_result(photograph, prediction, unit, pixels)

    is_distance = photograph.prediction.depth.is_distance
    lines = [
        _range_sentence(record, is_distance=is_distance),
        *(_point_sentence(point, unit, is_distance=is_distance) for point in record.points),
        size_source_sentence(photograph, unit),
        _field_of_view_sentence(record),
    ]
    pictures = []
    if request.picture:
        lines.append("In the depth picture, near is red and far is blue.")
        pictures.append(_resized_png(photograph.prediction.colour()))
    lines.append(notes_text(photograph.notes_without_scale_source))
    return ToolAnswer(text=join_nonempty_lines(lines), result=record, pictures=pictures)


def _depth_result(
    photograph: PredictedPhotograph,
    prediction: Prediction,
    unit: str,
    pixels: Sequence[tuple[float, float]],
) -> DepthResult:
    """Collect the numbers of the answer, from a prediction that was converted to ``unit``."""
    values = prediction.depth.depth()[prediction.depth.valid]
    near, far = np.quantile(values, (_NEAR_QUANTILE, _FAR_QUANTILE))
    relative_error = expected_relative_error(prediction, unit)
    camera = prediction.camera
    height, width = prediction.shape
    return DepthResult(
        width=width,
        height=height,
        kind=str(photograph.prediction.depth.kind),
        unit=unit,
        near=float(near),
        far=float(far),
        expected_error=relative_error,
        points=[_depth_at(prediction.depth, pixel, relative_error) for pixel in pixels],
        field_of_view=None if camera is None else round(camera.field_of_view((height, width)), 2),
        camera=None if camera is None else str(camera.source),
        model=prediction.made_by.model,
        licence=prediction.made_by.licence,
        facts=list(photograph.facts.sentences),
    )


def _depth_at(depth: DepthMap, pixel: tuple[float, float], relative_error: float | None) -> DepthAt:
    u, v = pixel
    value = median_around(depth, Pixel(u, v, f"point {u:g},{v:g}"))
    if relative_error is None:
        return DepthAt(pixel=[u, v], depth=value, low=None, high=None)
    factor = 1 + relative_error
    return DepthAt(pixel=[u, v], depth=value, low=value / factor, high=value * factor)


def _range_sentence(result: DepthResult, *, is_distance: bool) -> str:
    quantity = "Distance from the camera" if is_distance else "Depth along the camera's axis"
    accuracy = ""
    if result.expected_error is not None:
        error_percent = f"{100 * result.expected_error:.0f}%"
        accuracy = (
            f". The depth of {COVERAGE_WORDS} pixels should be within {error_percent} of the "
            "true depth"
        )
    return (
        f"The original has {result.width} columns and {result.height} rows. {quantity} ranges from "
        f"{number_text(result.near)} to {number_text(result.far)} {_UNIT_WORDS[result.unit]}"
        f"{accuracy}."
    )


def _point_sentence(point: DepthAt, unit: str, *, is_distance: bool) -> str:
    u, v = point.pixel
    quantity = "Distance" if is_distance else "Depth"
    depth = f"{number_text(point.depth)} {_UNIT_WORDS[unit]}"
    sentence = f"{quantity} at column {u:g}, row {v:g}: {depth}"
    if point.low is None or point.high is None:
        return f"{sentence}."
    return f"{sentence} ({number_text(point.low)} to {number_text(point.high)} {IN_COVERED_CASES})."


def _field_of_view_sentence(result: DepthResult) -> str:
    if result.field_of_view is None:
        return ""
    is_assumed = result.camera == CameraSource.ASSUMED
    source = (
        "assumed, because the file does not state it" if is_assumed else f"source: {result.camera}"
    )
    return f"Horizontal field of view: {result.field_of_view:.0f} degrees ({source})."


def _resized_png(picture: Image.Image) -> bytes:
    picture.thumbnail((_MAX_PICTURE_SIDE, _MAX_PICTURE_SIDE), Image.Resampling.BOX)
    stream = BytesIO()
    picture.save(stream, "PNG")
    return stream.getvalue()


DEPTH = AssistantTool(
    name="depth",
    title="Depth of a photograph",
    description=(
        "Predict the depth of one photograph. Returns a depth picture in colours (near is red), "
        "the size of the original in pixels, the nearest and farthest depth, the field of view, "
        "and the depth at given points with ranges. Depth is measured along the camera's axis, or "
        "along the line of sight in panoramas and fisheye photographs. It is in metres if a size "
        "is known (tool 'known'), and otherwise in multiples of the camera's height above the "
        "floor."
    ),
    arguments_type=DepthArguments,
    result_type=DepthResult,
    answer=describe_depth,
)
