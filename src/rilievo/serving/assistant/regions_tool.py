"""The tool ``regions``: how far and how large the objects in boxes are."""

from functools import partial
from typing import Annotated, Any

from pydantic import Field

from rilievo.errors.messages import note_about, worded
from rilievo.measure.measurement_records import COVERAGE, region_record
from rilievo.measure.region_measurer import RegionMeasurer
from rilievo.measure.regions import as_region
from rilievo.serving.assistant.photographs import (
    CAMERA_HEIGHTS,
    METRES,
    Photographs,
    in_camera_heights_or_refuse,
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
    """Boxes by the names of the things in them: left, top, right and bottom, tight around each."""
    unit: Unit = "fraction"


class RegionsResult(ToolResult):
    """Distances and sizes of things."""

    things: list[dict[str, Any]]
    """Each thing by its name: distance, nearest, width, height and depth, each with value, low and
    high; the share of the box that it covers; and an upright box around it, whose corners are in
    the camera's frame (x right, y down, z forward), where a floor is visible."""
    coverage: float
    """Share of such ranges that contain the true value."""
    unit: str
    """Unit of lengths: m, or camera heights if no size is known."""
    notes: list[str]
    """Notes on the measurements."""


def measure_boxes(photographs: Photographs, request: RegionsArguments) -> ToolAnswer[RegionsResult]:
    """Measure the objects in boxes, in metres or camera heights."""
    photograph = photographs.predict_photo(request.photo)
    if photograph.is_metric:
        prediction, unit = photograph.prediction, METRES
    else:
        prediction, unit = in_camera_heights_or_refuse(photograph), CAMERA_HEIGHTS

    measurer = RegionMeasurer(prediction)
    objects = []
    for name, box in request.regions.items():
        top_left, bottom_right = pixel_points((box[:2], box[2:]), request.unit, prediction.shape)
        objects.append(measurer.measure(as_region((*top_left, *bottom_right), name)))

    notes = [note_about(each.name, remark) for each in objects for remark in each.remarks]
    spell = partial(worded, spell=spell_argument)
    record = RegionsResult(
        things=[region_record(each, spell) for each in objects],
        coverage=COVERAGE,
        unit=unit,
        notes=[worded(note, spell_argument) for note in (*photograph.notes, *notes)],
    )
    text = join_nonempty_lines(
        (
            *(each.text_in(unit) for each in objects),
            f"Ranges hold {COVERAGE_WORDS}.",
            size_source_sentence(photograph, unit),
            notes_text(notes),
        )
    )
    return ToolAnswer(text=text, result=record)


REGIONS = AssistantTool(
    name="regions",
    title="Things in boxes",
    description=(
        "Measure things in boxes that you draw tightly around them: how far each is, how near its "
        "nearest part, how wide, high and deep what is seen of it is, and an upright box around it "
        "in space. Every number has a range that contains the true value in eight of ten cases: "
        "tell it with the number. Metres need one known size: tool 'known'."
    ),
    arguments_type=RegionsArguments,
    result_type=RegionsResult,
    answer=measure_boxes,
)
