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
    """Points [x, y] whose depth is told as well."""
    unit: Unit = "fraction"
    picture: bool = True
    """Whether to send the picture of depth."""


class DepthAt(ToolResult):
    """Depth at one point."""

    pixel: list[float]
    """Column and row of the original."""
    depth: float
    """Depth along the camera's axis; of panoramas and fisheyes, the distance from the camera."""
    low: float | None
    """Lower end of the range that holds for eight in ten pixels; null if sizes are not known."""
    high: float | None
    """Upper end of that range."""


class DepthResult(ToolResult):
    """Facts about depth."""

    width: int
    """Columns of the upright original."""
    height: int
    """Rows of the upright original."""
    kind: str
    """Kind of depth: metric, up_to_scale, affine or affine_inverse."""
    unit: str
    """Unit of all depths here: m, camera heights, or unknown."""
    near: float
    """Depth that 2 % of the picture are nearer than."""
    far: float
    """Depth that 2 % of the picture are farther than."""
    expected_error: float | None
    """Relative error that the depth of eight in ten pixels should stay below."""
    points: list[DepthAt]
    """Depths at the points that were asked for."""
    field_of_view: float | None
    """Horizontal field of view in degrees."""
    camera: str | None
    """Source of the field of view: exif_35mm, given, fov, predicted, assumed, ..."""
    model: str
    """Model that predicted."""
    licence: str
    """Licence of the model's weights."""
    facts: list[str]
    """Facts stated about this photograph."""


def depth_answer(photographs: Photographs, request: DepthArguments) -> ToolAnswer[DepthResult]:
    """Tell the range of depth and the depth at points, and draw a picture of depth."""
    photograph = photographs.predict_photo(request.photo)
    pixels = pixel_points(request.points, request.unit, photograph.prediction.shape)
    prediction, unit = in_metres_or_camera_heights(photograph)
    record = _depth_result(photograph, prediction, unit, pixels)

    lines = [
        _range_sentence(record, is_distance=photograph.prediction.depth.is_distance),
        *(_point_sentence(point, unit) for point in record.points),
        size_source_sentence(photograph, unit),
        _field_of_view_sentence(record),
    ]
    pictures = []
    if request.picture:
        lines.append("In the picture of depth, near is red and far is blue.")
        pictures.append(_shrunken_png(photograph.prediction.colour()))
    lines.append(notes_text(photograph.notes_besides_metres))
    return ToolAnswer(text=join_nonempty_lines(lines), result=record, pictures=pictures)


def _depth_result(
    photograph: PredictedPhotograph,
    prediction: Prediction,
    unit: str,
    pixels: Sequence[tuple[float, float]],
) -> DepthResult:
    """Collect the numbers of the answer; ``prediction`` is in ``unit``."""
    values = prediction.depth.depth()[prediction.depth.valid]
    near, far = np.quantile(values, (_NEAR_QUANTILE, _FAR_QUANTILE))
    error = expected_relative_error(prediction, unit)
    camera = prediction.camera
    height, width = prediction.shape
    return DepthResult(
        width=width,
        height=height,
        kind=str(photograph.prediction.depth.kind),
        unit=unit,
        near=float(near),
        far=float(far),
        expected_error=error,
        points=[_depth_at(prediction.depth, pixel, error) for pixel in pixels],
        field_of_view=None if camera is None else round(camera.field_of_view((height, width)), 2),
        camera=None if camera is None else str(camera.source),
        model=prediction.made_by.model,
        licence=prediction.made_by.licence,
        facts=list(photograph.facts.sentences),
    )


def _depth_at(depth: DepthMap, pixel: tuple[float, float], error: float | None) -> DepthAt:
    """Median depth around a pixel, with its range if the relative ``error`` is known."""
    u, v = pixel
    value = median_around(depth, Pixel(u, v, f"point {u:g},{v:g}"))
    if error is None:
        return DepthAt(pixel=[u, v], depth=value, low=None, high=None)
    return DepthAt(pixel=[u, v], depth=value, low=value / (1 + error), high=value * (1 + error))


def _range_sentence(answer: DepthResult, *, is_distance: bool) -> str:
    along = "Distance from the camera" if is_distance else "Depth along the camera's axis"
    within = ""
    if answer.expected_error is not None:
        within = f", {COVERAGE_WORDS} pixels within {100 * answer.expected_error:.0f} %"
    return (
        f"The original has {answer.width} columns and {answer.height} rows. {along} goes from "
        f"{number_text(answer.near)} to {number_text(answer.far)} {_UNIT_WORDS[answer.unit]}"
        f"{within}."
    )


def _point_sentence(point: DepthAt, unit: str) -> str:
    u, v = point.pixel
    sentence = f"Depth at column {u:g}, row {v:g}: {number_text(point.depth)} {_UNIT_WORDS[unit]}"
    if point.low is None or point.high is None:
        return f"{sentence}."
    return f"{sentence}, {number_text(point.low)} to {number_text(point.high)}, {COVERAGE_WORDS}."


def _field_of_view_sentence(answer: DepthResult) -> str:
    if answer.field_of_view is None:
        return ""
    assumed = answer.camera == CameraSource.ASSUMED
    source = "assumed, as the file does not say it" if assumed else f"source: {answer.camera}"
    return f"Field of view: {answer.field_of_view:.0f} degrees across ({source})."


def _shrunken_png(picture: Image.Image) -> bytes:
    picture.thumbnail((_MAX_PICTURE_SIDE, _MAX_PICTURE_SIDE), Image.Resampling.BOX)
    stream = BytesIO()
    picture.save(stream, "PNG")
    return stream.getvalue()


DEPTH = AssistantTool(
    name="depth",
    title="Depth of a photograph",
    description=(
        "Predict depth of one photograph: a picture in colours (near is red) and facts, among "
        "them the size of the original in pixels, nearest and farthest depth, the field of view; "
        "and the depth at points, with ranges. Depth is measured along the camera's axis, of "
        "panoramas and fisheyes along the line of sight. In "
        "metres if a size is known (tool 'known'), else in heights of the camera above the floor."
    ),
    arguments_type=DepthArguments,
    result_type=DepthResult,
    answer=depth_answer,
)
