"""The tool ``measure``: one length, height, distance, area or angle in a photograph."""

import shlex
from typing import Annotated, Literal

from pydantic import Field

from rilievo.errors import CalibrationError, OptionError
from rilievo.errors.messages import worded
from rilievo.measure.measurement_records import COVERAGE, measure_points
from rilievo.measure.measurements import Measurement
from rilievo.prediction import Prediction
from rilievo.serving.assistant.photographs import (
    CAMERA_HEIGHTS,
    METRES,
    Photographs,
    PredictedPhotograph,
    in_camera_heights_or_refuse,
)
from rilievo.serving.assistant.stated_facts import pixel_points
from rilievo.serving.assistant.tool import (
    AssistantTool,
    ListOrText,
    Point,
    ToolAnswer,
    ToolArguments,
    ToolResult,
    Unit,
    join_nonempty_lines,
    measured_text,
    notes_text,
    size_source_sentence,
    spell_argument,
)

_MIN_AND_MAX_POINTS = {
    "distance": (1, 1),
    "height": (1, 1),
    "height_above_plane": (1, 2),
    "length": (2, 2),
    "area": (3, 100),
    "angle": (2, 2),
}
_POINTS_IN_WORDS = {
    "distance": "one point",
    "height": "one point",
    "height_above_plane": "one point, and its foot in the plane",
    "length": "two points",
    "area": "three points or more around a flat surface",
    "angle": "two points, one on each surface",
}


class MeasureArguments(ToolArguments):
    """Arguments of ``measure``."""

    what: Literal["distance", "length", "height", "height_above_plane", "area", "angle"]
    """Quantity. distance: straight from the camera to one point. length: straight line in space
    between two points. height: one point above the visible floor. height_above_plane: one
    point above the plane of a rectangle that was stated with the tool 'known', then its foot in the
    plane, straight below it. area: three or more points around
    a flat surface, in order. angle: between the surfaces at two points."""
    points: Annotated[list[Point], Field(min_length=1, max_length=100), ListOrText]
    """Points [x, y] in the picture."""
    unit: Unit = "fraction"
    in_plane: bool = False
    """Whether all points lie in the plane of a rectangle that was stated with the tool 'known', as
    on a table beside a sheet of paper; its corners measure them then, without depth."""


class MeasureResult(ToolResult):
    """A measurement."""

    what: str
    """Quantity that was measured."""
    value: float
    """Best guess."""
    low: float
    """Lower end of the range."""
    high: float
    """Upper end of the range."""
    coverage: float
    """Share of such ranges that contain the true value."""
    unit: str
    """Unit: m, m², °; or "camera heights" and their square, if no size is known."""
    is_metric: bool
    """Whether the unit is one of metres or degrees, and not the camera's unknown height."""
    pixels: list[list[float]]
    """Points as column and row of the original; the centre of the top-left pixel is [0, 0]."""
    facts: list[str]
    """Facts stated about this photograph, by which it was measured."""
    notes: list[str]
    """Notes on the measurement."""
    command: str
    """Command line that gives the same numbers, of a pasted picture with its name for a file."""


def measure_quantity(
    photographs: Photographs, arguments: MeasureArguments
) -> ToolAnswer[MeasureResult]:
    """Measure one quantity, in metres, camera heights or degrees."""
    _check_point_count(arguments)
    photograph = photographs.predict_photo(arguments.photo)
    points = pixel_points(arguments.points, arguments.unit, photograph.prediction.shape)

    prediction = photograph.prediction
    unit = METRES
    flags = list(photograph.facts.flags)
    is_angle = arguments.what == "angle"
    if not is_angle and not photograph.is_metric:
        prediction = in_camera_heights_or_refuse(photograph)
        unit = CAMERA_HEIGHTS
        flags += ["--camera-height", "1"]
    if arguments.in_plane:
        flags.append("--in-plane")

    measured = _measure(prediction, points, arguments)
    record = MeasureResult(
        what=measured.what,
        value=measured.value,
        low=measured.low,
        high=measured.high,
        coverage=COVERAGE,
        unit=_unit_of_answer(measured.unit, unit),
        is_metric=unit == METRES,
        pixels=[list(point) for point in points],
        facts=list(photograph.facts.sentences),
        notes=[worded(note, spell_argument) for note in (*photograph.notes, *measured.remarks)],
        command=_command_line(photograph, points, arguments.what, flags),
    )
    text = join_nonempty_lines(
        (
            measured_text(measured, unit),
            "" if is_angle else size_source_sentence(photograph, unit),
            notes_text((*photograph.notes_besides_metres, *measured.remarks)),
        )
    )
    return ToolAnswer(text=text, result=record)


def _check_point_count(arguments: MeasureArguments) -> None:
    count = len(arguments.points)
    least, most = _MIN_AND_MAX_POINTS[arguments.what]
    if not least <= count <= most:
        raise OptionError(
            f"measure: {arguments.what} takes {_POINTS_IN_WORDS[arguments.what]}, got {count}"
        )


def _measure(
    prediction: Prediction, points: list[tuple[float, float]], arguments: MeasureArguments
) -> Measurement:
    try:
        return measure_points(prediction, points, arguments.what, in_plane=arguments.in_plane)
    except CalibrationError as error:
        if arguments.what == "height" and error.hint:
            # The usual hint asks for known points, which do not help to find a floor.
            error.hint = "a height is measured above a floor that is seen: measure a length instead"
        raise


def _unit_of_answer(unit: str, unit_of_lengths: str) -> str:
    """Replace m and m² by camera heights, if these are the unit of lengths."""
    if unit_of_lengths == METRES or unit == "°":
        return unit
    return {"m": CAMERA_HEIGHTS, "m²": f"square {CAMERA_HEIGHTS}"}[unit]


def _command_line(
    photograph: PredictedPhotograph,
    points: list[tuple[float, float]],
    what: str,
    flags: list[str],
) -> str:
    """Command line of ``rilievo measure`` that measures the same."""
    words = [f"{u!r},{v!r}" for u, v in points]
    if what == "angle":
        words.append("--angle")
    elif what in ("distance", "height", "height_above_plane"):
        words.insert(0, f"--{what.replace('_', '-')}")
    model = photograph.prediction.made_by.model
    command = ["rilievo", "measure", str(photograph.stamp.path)]
    return shlex.join([*command, *words, *flags, "--model", model])


MEASURE = AssistantTool(
    name="measure",
    title="Measure in a photograph",
    description=(
        "Measure a distance from the camera, a length, a height above the floor, an area or an "
        "angle in one photograph. The answer is a best guess and a range that contains the true "
        "value in eight of ten cases: tell the user both, never the best guess alone. Metres need "
        "one known size: if the user knows one, state it first with the tool 'known'. Without one "
        "the answer is in heights of the camera above the floor, and angles need none."
    ),
    arguments_type=MeasureArguments,
    result_type=MeasureResult,
    answer=measure_quantity,
)
