"""Tool ``depth``."""

from io import BytesIO
from typing import Annotated

import numpy as np
from PIL import Image
from pydantic import Field

from rilievo.calibration.readings import Pixel, median_around
from rilievo.geometry.cameras.camera import CameraSource
from rilievo.serving.assistant.photographs import (
    HEIGHTS,
    METRES,
    UNKNOWN,
    Photographs,
    in_metres_or_camera_heights,
)
from rilievo.serving.assistant.stated_facts import pixel_points
from rilievo.serving.assistant.tool import (
    SHARE,
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

_LONGEST = 1024
_NEAR, _FAR = 0.02, 0.98
_UNITS = {METRES: "m", HEIGHTS: "camera heights", UNKNOWN: "(no unit)"}


class DepthParams(ToolArguments):
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


def depth_answer(photographs: Photographs, request: DepthParams) -> ToolAnswer[DepthResult]:
    """Draw depth, and tell its facts."""
    photograph = photographs.predict_photo(request.photo)
    places = pixel_points(request.points, request.unit, photograph.prediction.shape)
    prediction, unit = in_metres_or_camera_heights(photograph)
    values = prediction.depth.depth()[prediction.depth.valid]
    near, far = (float(quantile) for quantile in np.quantile(values, (_NEAR, _FAR)))
    share, camera = expected_relative_error(prediction, unit), prediction.camera
    height, width = prediction.shape
    points = [
        _depth_with_range(
            median_around(prediction.depth, Pixel(u, v, f"point {u:g},{v:g}")), (u, v), share
        )
        for u, v in places
    ]
    record = DepthResult(
        width=width,
        height=height,
        kind=str(photograph.prediction.depth.kind),
        unit=unit,
        near=near,
        far=far,
        expected_error=share,
        points=points,
        field_of_view=None if camera is None else round(camera.field_of_view((height, width)), 2),
        camera=None if camera is None else str(camera.source),
        model=prediction.made_by.model,
        licence=prediction.made_by.licence,
        facts=[*photograph.facts.sentences],
    )
    is_distance = photograph.prediction.depth.is_distance
    along = "Distance from the camera" if is_distance else "Depth along the camera's axis"
    text = join_nonempty_lines(
        (
            f"The original has {width} columns and {height} rows. {along} goes from "
            f"{number_text(near)} to {number_text(far)} {_UNITS[unit]}"
            + (f", {SHARE} pixels within {100 * share:.0f} %." if share is not None else "."),
            *(_point_sentence(point, unit) for point in points),
            size_source_sentence(photograph, unit),
            _field_of_view_sentence(record),
            "In the picture of depth, near is red and far is blue." if request.picture else "",
            notes_text(photograph.notes_besides_metres),
        )
    )
    pictures = [_shrunken_png(photograph.prediction.colour())] if request.picture else []
    return ToolAnswer(text=text, result=record, pictures=pictures)


def _depth_with_range(value: float, pixel: tuple[float, float], error: float | None) -> DepthAt:
    low, high = (None, None) if error is None else (value / (1 + error), value * (1 + error))
    return DepthAt(pixel=[*pixel], depth=value, low=low, high=high)


def _point_sentence(point: DepthAt, unit: str) -> str:
    u, v = point.pixel
    sentence = f"Depth at column {u:g}, row {v:g}: {number_text(point.depth)} {_UNITS[unit]}"
    if point.low is None or point.high is None:
        return f"{sentence}."
    return f"{sentence}, {number_text(point.low)} to {number_text(point.high)}, {SHARE}."


def _field_of_view_sentence(answer: DepthResult) -> str:
    if answer.field_of_view is None:
        return ""
    assumed = answer.camera == CameraSource.ASSUMED
    source = "assumed, as the file does not say it" if assumed else f"source: {answer.camera}"
    return f"Field of view: {answer.field_of_view:.0f} degrees across ({source})."


def _shrunken_png(picture: Image.Image) -> bytes:
    picture.thumbnail((_LONGEST, _LONGEST), Image.Resampling.BOX)
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
    params_type=DepthParams,
    result_type=DepthResult,
    answer=depth_answer,
)
