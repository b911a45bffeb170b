"""The tool ``measure``: one length, height, distance, area, volume or angle in a photograph."""

import shlex
from typing import Annotated, Literal

from pydantic import Field

from rilievo.calibration.sizes import parse_object_sides
from rilievo.errors import CalibrationError, OptionError
from rilievo.errors.messages import worded
from rilievo.measure import Measurement, OpeningFit
from rilievo.measure.measurement_records import COVERAGE, measure_points
from rilievo.prediction import Prediction
from rilievo.serving.assistant.photographs import (
    CAMERA_HEIGHTS,
    METRES,
    Photographs,
    PredictedPhotograph,
    camera_heights_or_ask_for_size,
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

_MIN_AND_MAX_POINT_COUNT = {
    "distance": (1, 1),
    "height": (1, 1),
    "height_above_plane": (1, 2),
    "length": (2, 2),
    "area": (3, 100),
    "volume": (3, 100),
    "fit": (4, 4),
    "angle": (2, 2),
}
_POINTS_IN_WORDS = {
    "distance": "one point",
    "height": "one point",
    "height_above_plane": "one point, and optionally the point of the plane straight below it",
    "length": "two points",
    "area": "3 to 100 points around a flat surface",
    "volume": "3 to 100 points around the object",
    "fit": "the four corners of an opening",
    "angle": "two points, one on each surface",
}


class MeasureArguments(ToolArguments):
    """Arguments of ``measure``."""

    what: Literal[
        "distance", "length", "height", "height_above_plane", "area", "volume", "angle", "fit"
    ]
    """Quantity. distance: straight from the camera to one point. length: straight line in space
    between two points. height: one point above the visible floor. height_above_plane: one point
    above the plane of a rectangle that was stated with the tool 'known', then the point of the
    plane straight below it. area: three or more points around a flat surface, in order. volume:
    three or more points around a heap or a hollow, in order. angle: between the surfaces at two
    points. fit: whether an object fits through the opening with these four corners, in order."""
    points: Annotated[list[Point], Field(min_length=1, max_length=100), ListOrText]
    """Points [x, y] in the picture."""
    base: Annotated[list[Point], Field(max_length=100), ListOrText] = Field(default=[])
    """Three or more points of the plane of a volume, such as on the rim of a bowl. By default the
    plane is fitted to the surface around the object."""
    object_sides: Annotated[str, Field(max_length=100)] = ""
    """Three sides of the object that is to fit through an opening, such as '80x60x200cm'."""
    unit: Unit = "fraction"
    in_plane: bool = False
    """Whether all points lie in the plane of a rectangle that was stated with the tool 'known', for
    example on a table next to a sheet of paper. The rectangle then determines sizes, not depth."""


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
    """Fraction of such ranges that contain the true value."""
    unit: str
    """Unit: m, m², m³ or °; if no size is known, camera heights, or their square or cube."""
    answer: str | None = None
    """Whether the object fits: yes, no, or not sure; null for other quantities."""
    is_metric: bool
    """Whether the value is in metres or degrees, and not in unknown camera heights."""
    pixels: list[list[float]]
    """Points as column and row of the original; the centre of the top-left pixel is [0, 0]."""
    facts: list[str]
    """Facts stated about this photograph and used for the measurement."""
    notes: list[str]
    """Notes on the measurement."""
    command: str
    """Command line that gives the same numbers, with the name of a pasted picture as its file."""


def measure_quantity(
    photographs: Photographs, request: MeasureArguments
) -> ToolAnswer[MeasureResult]:
    """Measure one quantity in metres or degrees, or in camera heights if no size is known."""
    _check_point_count(request)
    photograph = photographs.predict_photo(request.photo)
    shape = photograph.prediction.shape
    points = pixel_points(request.points, request.unit, shape)
    prediction, unit = _prediction_and_unit(photograph, request.what)
    base = pixel_points(request.base, request.unit, shape)
    measured = _measure(prediction, points, request, base)
    record = MeasureResult(
        what=measured.what,
        value=measured.value,
        low=measured.low,
        high=measured.high,
        coverage=COVERAGE,
        unit=_replace_metres(measured.unit, unit),
        answer=measured.answer if isinstance(measured, OpeningFit) else None,
        is_metric=unit == METRES,
        pixels=[list(point) for point in points],
        facts=list(photograph.facts.sentences),
        notes=[worded(note, spell_argument) for note in (*photograph.notes, *measured.remarks)],
        command=_command_line(
            photograph, points, request.what, _further_arguments(photograph, request, base, unit)
        ),
    )
    text = join_nonempty_lines(
        (
            measured_text(measured, unit),
            "" if request.what == "angle" else size_source_sentence(photograph, unit),
            notes_text((*photograph.notes_without_scale_source, *measured.remarks)),
        )
    )
    return ToolAnswer(text=text, result=record)


def _prediction_and_unit(photograph: PredictedPhotograph, what: str) -> tuple[Prediction, str]:
    """Return the prediction in which a quantity is measured, and its unit of length.

    Angles need no unit, so they are measured as if in metres. Lengths, areas and volumes are in
    camera heights if no size is known.

    Raises:
        CalibrationError: If a quantity makes sense in metres only, or there is no unit at all.
    """
    if photograph.is_metric or what == "angle":
        return photograph.prediction, METRES
    if what == "fit":
        raise CalibrationError(
            "whether an object fits cannot be told without a scale",
            hint="state one length or distance in this photograph with the tool 'known'",
        )
    return camera_heights_or_ask_for_size(photograph), CAMERA_HEIGHTS


def _further_arguments(
    photograph: PredictedPhotograph,
    request: MeasureArguments,
    base: list[tuple[float, float]],
    unit: str,
) -> list[str]:
    """Arguments of ``rilievo measure`` besides the photograph, its points and the model."""
    arguments = [word for u, v in base for word in ("--base", f"{u!r},{v!r}")]
    arguments += photograph.facts.command_line_arguments
    if unit == CAMERA_HEIGHTS:
        arguments += ["--camera-height", "1"]
    if request.in_plane:
        arguments.append("--in-plane")
    if request.object_sides:
        arguments += ["--fits", request.object_sides]
    return arguments


def _check_point_count(request: MeasureArguments) -> None:
    point_count = len(request.points)
    minimum, maximum = _MIN_AND_MAX_POINT_COUNT[request.what]
    if not minimum <= point_count <= maximum:
        raise OptionError(
            f"measure: {request.what} needs {_POINTS_IN_WORDS[request.what]}, got {point_count}"
        )


def _measure(
    prediction: Prediction,
    points: list[tuple[float, float]],
    request: MeasureArguments,
    base: list[tuple[float, float]],
) -> Measurement:
    """Measure, with a hint that fits this tool if a height cannot be measured."""
    try:
        return measure_points(
            prediction,
            points,
            request.what,
            in_plane=request.in_plane,
            base=base,
            object_sides=_object_sides(request),
        )
    except CalibrationError as error:
        if request.what == "height" and error.hint:
            # The usual hint asks for known points, which do not help to find a floor.
            error.hint = "a height needs a visible floor: measure a length instead"
        raise


def _object_sides(request: MeasureArguments) -> tuple[float, ...]:
    if (request.what == "fit") != bool(request.object_sides):
        raise OptionError("measure: 'fit' needs 'object_sides', and other quantities take none")
    return parse_object_sides(request.object_sides) if request.object_sides else ()


def _replace_metres(unit: str, length_unit: str) -> str:
    if length_unit == METRES or unit == "°":
        return unit
    return {
        "m": CAMERA_HEIGHTS,
        "m²": f"square {CAMERA_HEIGHTS}",
        "m³": f"cubic {CAMERA_HEIGHTS}",
    }[unit]


def _command_line(
    photograph: PredictedPhotograph,
    points: list[tuple[float, float]],
    what: str,
    further_arguments: list[str],
) -> str:
    """Command line of ``rilievo measure`` that measures the same."""
    words = [f"{u!r},{v!r}" for u, v in points]
    if what in ("angle", "volume"):
        words.append(f"--{what}")
    elif what in ("distance", "height", "height_above_plane"):
        words.insert(0, f"--{what.replace('_', '-')}")
    model = photograph.prediction.made_by.model
    command = ["rilievo", "measure", str(photograph.photo_version.path)]
    return shlex.join([*command, *words, *further_arguments, "--model", model])


MEASURE = AssistantTool(
    name="measure",
    title="Measure in a photograph",
    description=(
        "Measure a distance from the camera, a length, a height above the floor, an area, a volume "
        "or an angle in one photograph, or tell whether an object fits through an opening. The "
        "answer is a best guess and a range that contains the true value in eight out of ten "
        "cases. Tell the user both, never the best guess alone. Metres need one known size: if the "
        "user knows one, state it first with the tool 'known'. "
        "Otherwise the answer is in multiples of the camera's height above the floor. Angles need "
        "no known size."
    ),
    arguments_type=MeasureArguments,
    result_type=MeasureResult,
    answer=measure_quantity,
)
