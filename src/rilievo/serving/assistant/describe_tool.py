"""Tool ``describe``."""

import math
from itertools import pairwise
from typing import Annotated

import numpy as np
from pydantic import Field

from rilievo.calibration.floor import find_floor
from rilievo.calibration.points import Floor
from rilievo.errors import CalibrationError
from rilievo.prediction import Prediction
from rilievo.serving.assistant.photographs import (
    HEIGHTS,
    METRES,
    UNKNOWN,
    Photographs,
    in_metres_or_camera_heights,
)
from rilievo.serving.assistant.stated_facts import pixel_fractions
from rilievo.serving.assistant.tool import (
    SHARE,
    AssistantTool,
    ToolAnswer,
    ToolArguments,
    ToolResult,
    expected_relative_error,
    join_nonempty_lines,
    notes_text,
    number_text,
    size_source_sentence,
)

_IN = {METRES: "in metres", HEIGHTS: "in heights of the camera", UNKNOWN: "without a unit"}
_EXTREMES = 0.01, 0.99
_LEAST_SHARE = 0.05  # of a cell with depth


class DescribeParams(ToolArguments):
    """Arguments of ``describe``."""

    rows: Annotated[int, Field(ge=1, le=12)] = 3
    """Rows of the grid."""
    columns: Annotated[int, Field(ge=1, le=12)] = 3
    """Columns of the grid."""


class CellResult(ToolResult):
    """One cell of the grid."""

    row: int
    """Row, from 1 at the top."""
    column: int
    """Column, from 1 at the left."""
    depth: float | None
    """Median depth; null where there is none, such as in the sky."""
    nearest: float | None
    """Depth that 5 % of the cell are nearer than."""
    farthest: float | None
    """Depth that 5 % of the cell are farther than."""


class PlaceResult(ToolResult):
    """One place in the picture."""

    x: float
    """Fraction of the width."""
    y: float
    """Fraction of the height."""
    depth: float
    """Depth there."""


class FloorResult(ToolResult):
    """The visible floor."""

    camera_height: float
    """Height of the camera above it, in the unit of the depths."""
    share: float
    """Share of the picture that it covers."""
    camera_pitch: float
    """Angle by which the camera looks down (up: negative) in degrees."""


class DescribeResult(ToolResult):
    """Near and far on a grid, and the floor."""

    unit: str
    """Unit of all depths here: m, camera heights, or unknown; then only ratios mean anything."""
    cells: list[CellResult]
    """Cells of the grid, row by row from the top left."""
    nearest: PlaceResult
    """A place among the nearest hundredth of the picture."""
    farthest: PlaceResult
    """A place among the farthest hundredth."""
    floor: FloorResult | None
    """Floor; null where none is seen."""
    expected_error: float | None
    """Relative error that the depth of eight in ten pixels should stay below."""
    facts: list[str]
    """Facts stated about this photograph."""


def describe_near_and_far(
    photographs: Photographs, request: DescribeParams
) -> ToolAnswer[DescribeResult]:
    """Describe near and far, and the floor."""
    photograph = photographs.predict_photo(request.photo)
    prediction, unit = in_metres_or_camera_heights(photograph)
    depth = prediction.depth.depth()
    share = expected_relative_error(prediction, unit)
    record = DescribeResult(
        unit=unit,
        cells=_grid_cells(depth, prediction.depth.valid, request.rows, request.columns),
        nearest=_place_at_depth_quantile(depth, prediction.depth.valid, _EXTREMES[0]),
        farthest=_place_at_depth_quantile(depth, prediction.depth.valid, _EXTREMES[1]),
        floor=_visible_floor(prediction),
        expected_error=share,
        facts=[*photograph.facts.sentences],
    )
    within = "" if share is None else f", {SHARE} pixels within {100 * share:.0f} %"
    text = join_nonempty_lines(
        (
            f"Median depth {_IN[unit]} of {request.rows} rows (top to bottom) by {request.columns} "
            f"columns (left to right){within}:",
            *_median_depth_rows(record, request.columns),
            _place_sentence("Nearest", record.nearest, unit),
            _place_sentence("Farthest", record.farthest, unit),
            _floor_sentence(record, unit),
            size_source_sentence(photograph, unit),
            notes_text(photograph.notes_besides_metres),
        )
    )
    return ToolAnswer(text=text, result=record)


def _grid_cells(depth: np.ndarray, valid: np.ndarray, rows: int, columns: int) -> list[CellResult]:
    cells = []
    for row, (top, bottom) in enumerate(_near_equal_spans(depth.shape[0], rows), 1):
        for column, (left, right) in enumerate(_near_equal_spans(depth.shape[1], columns), 1):
            box = np.s_[top:bottom, left:right]
            inside = depth[box][valid[box]]
            is_seen = inside.size >= _LEAST_SHARE * valid[box].size
            numbers = np.quantile(inside, (0.05, 0.5, 0.95)) if is_seen else None
            near, middle, far = (None,) * 3 if numbers is None else map(float, numbers)
            cells.append(
                CellResult(row=row, column=column, depth=middle, nearest=near, farthest=far)
            )
    return cells


def _near_equal_spans(length: int, count: int) -> list[tuple[int, int]]:
    ends = [round(length * index / count) for index in range(count + 1)]
    return [(start, max(end, start + 1)) for start, end in pairwise(ends)]


def _place_at_depth_quantile(depth: np.ndarray, valid: np.ndarray, quantile: float) -> PlaceResult:
    level = float(np.quantile(depth[valid], quantile))
    off = np.where(valid, np.abs(depth - level), np.inf)
    v, u = np.unravel_index(int(off.argmin()), depth.shape)
    x, y = pixel_fractions((float(u), float(v)), (depth.shape[0], depth.shape[1]))
    return PlaceResult(x=x, y=y, depth=float(depth[v, u]))


def _visible_floor(prediction: Prediction) -> FloorResult | None:
    try:
        floor = find_floor(prediction.depth, prediction.known_camera, normals=prediction.normals)
    except CalibrationError:
        return None
    return FloorResult(
        camera_height=floor.height,
        share=floor.area,
        camera_pitch=round(_camera_degrees_downward(floor), 1),
    )


def _camera_degrees_downward(floor: Floor) -> float:
    return math.degrees(math.asin(float(np.clip(-floor.normal[2], -1, 1))))


def _median_depth_rows(answer: DescribeResult, columns: int) -> list[str]:
    shown = ["none" if cell.depth is None else number_text(cell.depth) for cell in answer.cells]
    return ["  ".join(shown[start : start + columns]) for start in range(0, len(shown), columns)]


def _place_sentence(label: str, place: PlaceResult, unit: str) -> str:
    unit_text = "" if unit == UNKNOWN else f" {unit}"
    return (
        f"{label}: {number_text(place.depth)}{unit_text} at [{place.x:g}, {place.y:g}] (fractions)."
    )


def _floor_sentence(answer: DescribeResult, unit: str) -> str:
    if answer.floor is None:
        return "No floor is seen."
    floor = answer.floor
    looks = f"{abs(floor.camera_pitch):.0f} degrees {'down' if floor.camera_pitch >= 0 else 'up'}"
    high = ""
    if unit == METRES:
        high = f"; the camera is {number_text(floor.camera_height)} m above it"
        if answer.expected_error is not None:
            low = floor.camera_height / (1 + answer.expected_error)
            top = floor.camera_height * (1 + answer.expected_error)
            high += f", {number_text(low)} to {number_text(top)}, {SHARE}"
    return (
        f"A floor covers {100 * floor.share:.0f} % of the picture; the camera looks {looks}{high}."
    )


DESCRIBE = AssistantTool(
    name="describe",
    title="Near and far in a photograph",
    description=(
        "Tell what is near and far in one photograph: median depth on a grid, the nearest and the "
        "farthest place, whether a floor is seen, and the height of the camera above it. It sees "
        "depth and no names of things: combine it with what you see in the picture. In metres if "
        "a size is known (tool 'known'), else in heights of the camera."
    ),
    params_type=DescribeParams,
    result_type=DescribeResult,
    answer=describe_near_and_far,
)
