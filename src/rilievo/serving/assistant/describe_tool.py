"""The tool ``describe``: what is near and what is far in a photograph, on a coarse grid."""

import math
from itertools import pairwise
from typing import Annotated

import numpy as np
from pydantic import Field

from rilievo.calibration.floor import find_floor
from rilievo.errors import CalibrationError
from rilievo.prediction import Prediction
from rilievo.serving.assistant.photographs import (
    CAMERA_HEIGHTS,
    METRES,
    UNKNOWN_UNIT,
    Photographs,
    in_metres_or_camera_heights,
)
from rilievo.serving.assistant.stated_facts import pixel_fractions
from rilievo.serving.assistant.tool import (
    COVERAGE_WORDS,
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

_IN_UNIT = {
    METRES: "in metres",
    CAMERA_HEIGHTS: "in heights of the camera",
    UNKNOWN_UNIT: "without a unit",
}
_NEAREST_QUANTILE, _FARTHEST_QUANTILE = 0.01, 0.99
_CELL_QUANTILES = (0.05, 0.5, 0.95)
_MIN_VALID_FRACTION = 0.05  # of the pixels of a cell, or it has no depth


class DescribeArguments(ToolArguments):
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
    photographs: Photographs, request: DescribeArguments
) -> ToolAnswer[DescribeResult]:
    """Tell the depth on a grid, the nearest and the farthest place, and the visible floor."""
    photograph = photographs.predict_photo(request.photo)
    prediction, unit = in_metres_or_camera_heights(photograph)
    depth = prediction.depth.depth()
    valid = prediction.depth.valid
    error = expected_relative_error(prediction, unit)
    record = DescribeResult(
        unit=unit,
        cells=_grid_cells(depth, valid, request.rows, request.columns),
        nearest=_place_at_depth_quantile(depth, valid, _NEAREST_QUANTILE),
        farthest=_place_at_depth_quantile(depth, valid, _FARTHEST_QUANTILE),
        floor=_visible_floor(prediction),
        expected_error=error,
        facts=list(photograph.facts.sentences),
    )
    within = "" if error is None else f", {COVERAGE_WORDS} pixels within {100 * error:.0f} %"
    text = join_nonempty_lines(
        (
            f"Median depth {_IN_UNIT[unit]} of {request.rows} rows (top to bottom) by "
            f"{request.columns} columns (left to right){within}:",
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
    """Depth in each cell of a grid, row by row from the top left."""
    cells = []
    for row, (top, bottom) in enumerate(_near_equal_spans(depth.shape[0], rows), 1):
        for column, (left, right) in enumerate(_near_equal_spans(depth.shape[1], columns), 1):
            box = np.s_[top:bottom, left:right]
            cells.append(_cell(row, column, depth[box], valid[box]))
    return cells


def _cell(row: int, column: int, depth: np.ndarray, valid: np.ndarray) -> CellResult:
    if valid.sum() < _MIN_VALID_FRACTION * valid.size:
        return CellResult(row=row, column=column, depth=None, nearest=None, farthest=None)
    near, median, far = map(float, np.quantile(depth[valid], _CELL_QUANTILES))
    return CellResult(row=row, column=column, depth=median, nearest=near, farthest=far)


def _near_equal_spans(length: int, count: int) -> list[tuple[int, int]]:
    """Split ``length`` pixels into parts, each (start, end) and at least one pixel long."""
    ends = [round(length * index / count) for index in range(count + 1)]
    return [(start, max(end, start + 1)) for start, end in pairwise(ends)]


def _place_at_depth_quantile(depth: np.ndarray, valid: np.ndarray, quantile: float) -> PlaceResult:
    """Find the pixel whose depth is closest to a quantile of all depths."""
    target = float(np.quantile(depth[valid], quantile))
    difference = np.where(valid, np.abs(depth - target), np.inf)
    v, u = np.unravel_index(int(difference.argmin()), depth.shape)
    height, width = depth.shape
    x, y = pixel_fractions((float(u), float(v)), (height, width))
    return PlaceResult(x=x, y=y, depth=float(depth[v, u]))


def _visible_floor(prediction: Prediction) -> FloorResult | None:
    try:
        floor = find_floor(prediction.depth, prediction.known_camera, normals=prediction.normals)
    except CalibrationError:
        return None
    # The normal points up; its component along the optical axis tells how far the camera is tilted.
    pitch = math.degrees(math.asin(float(np.clip(-floor.normal[2], -1, 1))))
    return FloorResult(camera_height=floor.height, share=floor.area, camera_pitch=round(pitch, 1))


def _median_depth_rows(answer: DescribeResult, columns: int) -> list[str]:
    shown = ["none" if cell.depth is None else number_text(cell.depth) for cell in answer.cells]
    return ["  ".join(shown[start : start + columns]) for start in range(0, len(shown), columns)]


def _place_sentence(label: str, place: PlaceResult, unit: str) -> str:
    unit_text = "" if unit == UNKNOWN_UNIT else f" {unit}"
    return (
        f"{label}: {number_text(place.depth)}{unit_text} at [{place.x:g}, {place.y:g}] (fractions)."
    )


def _floor_sentence(answer: DescribeResult, unit: str) -> str:
    if answer.floor is None:
        return "No floor is seen."
    floor = answer.floor
    direction = "down" if floor.camera_pitch >= 0 else "up"
    sentence = (
        f"A floor covers {100 * floor.share:.0f} % of the picture; the camera looks "
        f"{abs(floor.camera_pitch):.0f} degrees {direction}"
    )
    if unit == METRES:
        sentence += f"; the camera is {number_text(floor.camera_height)} m above it"
        if answer.expected_error is not None:
            low = floor.camera_height / (1 + answer.expected_error)
            high = floor.camera_height * (1 + answer.expected_error)
            sentence += f", {number_text(low)} to {number_text(high)}, {COVERAGE_WORDS}"
    return f"{sentence}."


DESCRIBE = AssistantTool(
    name="describe",
    title="Near and far in a photograph",
    description=(
        "Tell what is near and far in one photograph: median depth on a grid, the nearest and the "
        "farthest place, whether a floor is seen, and the height of the camera above it. It sees "
        "depth and no names of things: combine it with what you see in the picture. In metres if "
        "a size is known (tool 'known'), else in heights of the camera."
    ),
    arguments_type=DescribeArguments,
    result_type=DescribeResult,
    answer=describe_near_and_far,
)
