"""Tool ``regions``."""

from functools import partial
from typing import Annotated, Any

from pydantic import Field

from rilievo.errors.messages import note_about, worded
from rilievo.measure.measurement_records import COVERAGE, region_record
from rilievo.measure.region_measurer import RegionMeasurer
from rilievo.measure.regions import as_region
from rilievo.serving.assistant.photographs import (
    HEIGHTS,
    METRES,
    Photographs,
    in_camera_heights_or_refuse,
)
from rilievo.serving.assistant.stated_facts import pixel_points
from rilievo.serving.assistant.tool import (
    SHARE,
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


class RegionsParams(ToolArguments):
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


def measure_boxes(photographs: Photographs, request: RegionsParams) -> ToolAnswer[RegionsResult]:
    """Measure things in boxes, in metres or camera heights."""
    photograph = photographs.predict_photo(request.photo)
    prediction, unit = photograph.prediction, METRES
    if not photograph.is_metric:
        prediction, unit = in_camera_heights_or_refuse(photograph), HEIGHTS
    extents, things = RegionMeasurer(prediction), []
    for name, box in request.regions.items():
        first, last = pixel_points((box[:2], box[2:]), request.unit, prediction.shape)
        things.append(extents.measure(as_region((*first, *last), name)))
    notes = [note_about(thing.name, remark) for thing in things for remark in thing.remarks]
    record = RegionsResult(
        things=[region_record(thing, partial(worded, spell=spell_argument)) for thing in things],
        coverage=COVERAGE,
        unit=unit,
        notes=[worded(note, spell_argument) for note in (*photograph.notes, *notes)],
    )
    lines = [thing.text_in(unit) for thing in things]
    source = size_source_sentence(photograph, unit)
    text = join_nonempty_lines((*lines, f"Ranges hold {SHARE}.", source, notes_text(notes)))
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
    params_type=RegionsParams,
    result_type=RegionsResult,
    answer=measure_boxes,
)
