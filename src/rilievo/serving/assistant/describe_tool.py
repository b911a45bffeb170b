"""The tool ``describe``: what is near and what is far in a photograph, on a coarse grid."""

import math
from itertools import pairwise
from typing import Annotated

import numpy as np
from pydantic import Field

from rilievo.calibration.floor import find_floor
from rilievo.errors import CalibrationError
from rilievo.errors.messages import count_text
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
    IN_COVERED_CASES,
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

_UNIT_PHRASES = {
    METRES: "in metres",
    CAMERA_HEIGHTS: "in camera heights",
    UNKNOWN_UNIT: "without a unit",
}
# Not the minimum and maximum, because single pixels may be wrong.
_NEAREST_QUANTILE, _FARTHEST_QUANTILE = 0.01, 0.99
_CELL_QUANTILES = (0.05, 0.5, 0.95)
_MIN_VALID_FRACTION = 0.05  # a cell with a smaller fraction of valid pixels has no depth


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
    """Median depth, or null if the cell has no depth, for example in the sky."""
    nearest: float | None
    """5th percentile of the depth in the cell."""
    farthest: float | None
    """95th percentile of the depth in the cell."""


class PlaceResult(ToolResult):
    """One place in the picture."""

    x: float
    """Fraction of the width."""
    y: float
    """Fraction of the height."""
    depth: float
    """Depth at this place."""


class FloorResult(ToolResult):
    """The visible floor."""

    camera_height: float
    """Height of the camera above the floor, in the unit of the depths."""
    share: float
    """Fraction of the picture that the floor covers."""
    camera_pitch: float
    """Angle by which the camera looks down, in degrees; negative if it looks up."""


class DescribeResult(ToolResult):
    """Near and far on a grid, and the floor."""

    unit: str
    """Unit of all depths: m, camera heights, or unknown, so that only ratios are meaningful."""
    cells: list[CellResult]
    """Cells of the grid, row by row from the top left."""
    nearest: PlaceResult
    """A place in the nearest 1% of the picture."""
    farthest: PlaceResult
    """A place in the farthest 1% of the picture."""
    floor: FloorResult | None
    """Floor, or null if none is visible."""
    expected_error: float | None
    """Relative error that the depth of eight out of ten pixels should not exceed."""
    facts: list[str]
    """Facts stated about this photograph."""


def describe_scene(
    photographs: Photographs, request: DescribeArguments
) -> ToolAnswer[DescribeResult]:
    """Describe depth on a grid, a place among the nearest and the farthest, and the floor."""
    photograph = photographs.predict_photo(request.photo)
    prediction, unit = in_metres_or_camera_heights(photograph)
    depth = prediction.depth.depth()
    valid = prediction.depth.valid
    relative_error = expected_relative_error(prediction, unit)
    record = DescribeResult(
        unit=unit,
        cells=_grid_cells(depth, valid, request.rows, request.columns),
        nearest=_place_at_depth_quantile(depth, valid, _NEAREST_QUANTILE),
        farthest=_place_at_depth_quantile(depth, valid, _FARTHEST_QUANTILE),
        floor=_visible_floor(prediction),
        expected_error=relative_error,
        facts=list(photograph.facts.sentences),
    )
    text = join_nonempty_lines(
        (
            _grid_heading(request, unit, relative_error),
            *_median_depth_lines(record.cells, request.columns),
            _place_sentence("Nearest", record.nearest, unit),
            _place_sentence("Farthest", record.farthest, unit),
            _floor_sentence(record, unit),
            size_source_sentence(photograph, unit),
            notes_text(photograph.notes_without_scale_source),
        )
    )
    return ToolAnswer(text=text, result=record)


def _grid_cells(depth: np.ndarray, valid: np.ndarray, rows: int, columns: int) -> list[CellResult]:
    """Summarise depth in each cell of a grid, row by row from the top left."""
    cells = []
    height, width = depth.shape
    for row, (top, bottom) in enumerate(_split_evenly(height, rows), 1):
        for column, (left, right) in enumerate(_split_evenly(width, columns), 1):
            box = np.s_[top:bottom, left:right]
            cells.append(_summarise_cell(row, column, depth[box], valid[box]))
    return cells


def _summarise_cell(row: int, column: int, depth: np.ndarray, valid: np.ndarray) -> CellResult:
    if valid.sum() < _MIN_VALID_FRACTION * valid.size:
        return CellResult(row=row, column=column, depth=None, nearest=None, farthest=None)
    near, median, far = map(float, np.quantile(depth[valid], _CELL_QUANTILES))
    return CellResult(row=row, column=column, depth=median, nearest=near, farthest=far)


def _split_evenly(length: int, count: int) -> list[tuple[int, int]]:
    """Split ``length`` pixels into nearly equal ranges (start, end) of at least one pixel."""
    ends = [round(length * index / count) for index in range(count + 1)]
    return [(start, max(end, start + 1)) for start, end in pairwise(ends)]


def _place_at_depth_quantile(depth: np.ndarray, valid: np.ndarray, quantile: float) -> PlaceResult:
    """Find the pixel whose depth is closest to a quantile of all depths."""
    quantile_depth = float(np.quantile(depth[valid], quantile))
    difference = np.where(valid, np.abs(depth - quantile_depth), np.inf)
    v, u = np.unravel_index(int(difference.argmin()), depth.shape)
    height, width = depth.shape
    x, y = pixel_fractions((float(u), float(v)), (height, width))
    return PlaceResult(x=x, y=y, depth=float(depth[v, u]))


def _visible_floor(prediction: Prediction) -> FloorResult | None:
    try:
        floor = find_floor(prediction.depth, prediction.known_camera, normals=prediction.normals)
    except CalibrationError:
        return None
    # The floor's normal points up. The farther the camera looks down, the more of the normal lies
    # along the negative optical axis.
    pitch = math.degrees(math.asin(float(np.clip(-floor.normal[2], -1, 1))))
    return FloorResult(camera_height=floor.height, share=floor.area, camera_pitch=round(pitch, 1))


def _median_depth_lines(cells: list[CellResult], columns: int) -> list[str]:
    texts = ["none" if cell.depth is None else number_text(cell.depth) for cell in cells]
    return ["  ".join(texts[start : start + columns]) for start in range(0, len(texts), columns)]


def _place_sentence(label: str, place: PlaceResult, unit: str) -> str:
    unit_text = "" if unit == UNKNOWN_UNIT else f" {unit}"
    return (
        f"{label}: {number_text(place.depth)}{unit_text} at [{place.x:g}, {place.y:g}] (fractions)."
    )


def _grid_heading(request: DescribeArguments, unit: str, relative_error: float | None) -> str:
    """Heading of the lines with the depth of each cell, with its accuracy if that is known."""
    rows = count_text(request.rows, "row")
    columns = count_text(request.columns, "column")
    heading = (
        f"Median depth {_UNIT_PHRASES[unit]} in a grid of {rows} (top to bottom) by {columns} "
        "(left to right)"
    )
    if relative_error is not None:
        heading += (
            f"; the depth of {COVERAGE_WORDS} pixels should be within {100 * relative_error:.0f}% "
            "of the true depth"
        )
    return f"{heading}:"


def _floor_sentence(result: DescribeResult, unit: str) -> str:
    """Say how much of the picture is floor, and how the camera stands above it."""
    floor = result.floor
    if floor is None:
        return "No floor was found."
    direction = "down" if floor.camera_pitch >= 0 else "up"  # a positive pitch looks down
    sentence = (
        f"A floor covers {100 * floor.share:.0f}% of the picture. The camera looks {direction} by "
        f"{abs(floor.camera_pitch):.0f}°"
    )
    if unit == METRES:
        sentence += f" and is {number_text(floor.camera_height)} m above the floor"
        if result.expected_error is not None:
            low = floor.camera_height / (1 + result.expected_error)
            high = floor.camera_height * (1 + result.expected_error)
            sentence += f" ({number_text(low)} to {number_text(high)} {IN_COVERED_CASES})"
    return f"{sentence}."


DESCRIBE = AssistantTool(
    name="describe",
    title="Near and far in a photograph",
    description=(
        "Tell what is near and far in one photograph: the median depth on a grid, the nearest and "
        "the farthest place, whether a floor is visible, and the camera's height above it. This "
        "tool does not recognise objects, so combine its answer with what you see in the picture. "
        "Depth is in metres if a size is known (tool 'known'), and otherwise in multiples of the "
        "camera's height above the floor."
    ),
    arguments_type=DescribeArguments,
    result_type=DescribeResult,
    answer=describe_scene,
)
