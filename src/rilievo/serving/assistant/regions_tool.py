"""The tool ``regions``: how far and how large the objects in boxes are."""

from functools import partial
from typing import Annotated, Any

from pydantic import Field

from rilievo.errors.messages import note_about, worded
from rilievo.measure.measurement_records import COVERAGE, region_record
from rilievo.measure.region_measurer import RegionMeasurer
from rilievo.serving.assistant.photographs import (
    CAMERA_HEIGHTS,
    METRES,
    Photographs,
    camera_heights_or_ask_for_size,
)
from rilievo.serving.assistant.stated_facts import pixel_points
from rilievo.serving.assistant.tool import (
    COVERAGE_WORDS,
    AssistantTool,
    ListOrText,
    ToolAnswer,
    ToolArguments,
    ToolResult,
    Unit,
    join_nonempty_lines,
    notes_text,
    size_source_sentence,
    spell_argument,
)

_Box = Annotated[list[float], Field(min_length=4, max_length=4)]


class RegionsArguments(ToolArguments):
    """Arguments of ``regions``."""

    regions: Annotated[dict[str, _Box], Field(min_length=1, max_length=64), ListOrText]
    """Boxes by name of the object: left, top, right and bottom, drawn tightly around it."""
    unit: Unit = "fraction"


class RegionsResult(ToolResult):
    """Distances and sizes of things."""

    things: list[dict[str, Any]]
    """Each object with its name; distance, nearest, width, height and depth, each with value, low
    and high; the fraction of the box that it covers; and, if a floor is visible, an upright box
    around it, with corners in the camera's frame (x right, y down, z forward)."""
    coverage: float
    """Fraction of the ranges that contain the true value."""
    unit: str
    """Unit of lengths: m, or camera heights if no size is known."""
    notes: list[str]
    """Notes on the measurements."""


def measure_boxes(photographs: Photographs, request: RegionsArguments) -> ToolAnswer[RegionsResult]:
    """Measure the things in boxes, in metres or camera heights."""
    photograph = photographs.predict_photo(request.photo)
    if photograph.is_metric:
        prediction = photograph.prediction
        unit = METRES
    else:
        prediction = camera_heights_or_ask_for_size(photograph)
        unit = CAMERA_HEIGHTS

    measurer = RegionMeasurer(prediction)
    things = []
    notes = []
    for name, box in request.regions.items():
        top_left, bottom_right = pixel_points((box[:2], box[2:]), request.unit, prediction.shape)
        thing = measurer.measure((*top_left, *bottom_right), name)
        things.append(thing)
        notes += [note_about(thing.name, remark) for remark in thing.remarks]

    spell = partial(worded, spell=spell_argument)
    record = RegionsResult(
        things=[region_record(thing, spell) for thing in things],
        coverage=COVERAGE,
        unit=unit,
        notes=[spell(note) for note in (*photograph.notes, *notes)],
    )
    text = join_nonempty_lines(
        (
            *(thing.text_in(unit) for thing in things),
            f"{COVERAGE_WORDS.capitalize()} ranges contain the true value.",
            size_source_sentence(photograph, unit),
            notes_text(notes),
        )
    )
    return ToolAnswer(text=text, result=record)


REGIONS = AssistantTool(
    name="regions",
    title="Measure objects in boxes",
    description=(
        "Measure objects in boxes that you draw tightly around them: the distance to each object "
        "and to its nearest part, the width, height and depth of its visible part, and an upright "
        "box around it in space. Every number has a range that contains the true value in eight "
        "out of ten cases: report the range with the number. Metres need one known size (tool "
        "'known')."
    ),
    arguments_type=RegionsArguments,
    result_type=RegionsResult,
    answer=measure_boxes,
)
