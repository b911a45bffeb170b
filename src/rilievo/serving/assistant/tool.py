"""Records that describe a tool of the assistant, and sentences that several tools use."""

import json
import math
from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Annotated, Any, Generic, Literal, TypeVar

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field

from rilievo.errors.messages import worded
from rilievo.measure import Measurement, Quantity
from rilievo.prediction import Prediction
from rilievo.serving.assistant.photographs import (
    CAMERA_HEIGHTS,
    MAX_PHOTO_LETTERS,
    METRES,
    UNKNOWN_UNIT,
    Photographs,
    PredictedPhotograph,
)


def _parse_json_or_keep(value: Any) -> object:
    with suppress(TypeError, ValueError, RecursionError):
        return json.loads(value)
    return value


ListOrText = BeforeValidator(_parse_json_or_keep)
"""Also accepts a list as a JSON string, because some assistants send it so."""
Point = Annotated[list[float], Field(json_schema_extra={"minItems": 2, "maxItems": 2})]
Unit = Annotated[
    Literal["fraction", "pixel"],
    Field(
        description="Unit of the points. fraction: x runs from 0 at the left border to 1 at the "
        "right border, and y from 0 at the top to 1 at the bottom, at whatever size you see the "
        "picture. pixel: column and row in the upright original, whose full size the tool 'depth' "
        "returns."
    ),
]
SomeArguments = TypeVar("SomeArguments", bound="ToolArguments")
SomeResult = TypeVar("SomeResult", bound="ToolResult")


class ToolArguments(BaseModel):
    """Arguments of a tool."""

    model_config = ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True)

    photo: Annotated[str, Field(min_length=1, max_length=MAX_PHOTO_LETTERS)]
    """Path of the photograph, absolute or relative to one of the folders of this server. Or the
    picture as a data URL (data:image/jpeg;base64,...); the answer has a name for later calls."""


class ToolResult(BaseModel):
    """Structured answer of a tool."""

    model_config = ConfigDict(frozen=True, use_attribute_docstrings=True)


@dataclass(frozen=True, slots=True, kw_only=True)
class ToolAnswer(Generic[SomeResult]):
    """Answer of a tool: text to read, structured numbers, and pictures as PNG files."""

    text: str
    result: SomeResult
    pictures: Sequence[bytes] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class AssistantTool(Generic[SomeArguments, SomeResult]):
    """A tool that an assistant can call.

    Attributes:
        title: Name for people.
        description: Explanation for the assistant.
        answer: Function that runs the tool.
        only_reads: Whether it changes neither files nor what is known about a photograph.
    """

    name: str
    title: str
    description: str
    arguments_type: type[SomeArguments]
    result_type: type[SomeResult]
    answer: Callable[[Photographs, SomeArguments], ToolAnswer[SomeResult]]
    only_reads: bool = True


AnyTool = AssistantTool[Any, Any]


COVERAGE_WORDS = "eight out of ten"
"""Fraction of the ranges that contain the true value, in words."""
IN_COVERED_CASES = f"in {COVERAGE_WORDS} cases"
"""What follows a range in a text."""
_SIZE_OPTIONS = ("known", "known_length", "known_rectangle", "known_circle")
_CAMERA_OPTIONS = ("fov", "projection", "camera_height")
_ADVICE_TO_STATE_A_SIZE = (
    "The scale is unknown: state one length or distance in this photograph with the tool 'known'."
)


def measured_text(measured: Measurement, unit: str) -> str:
    """Describe a measurement, such as "length: 1.9 m, 1.6 to 2.3 in eight out of ten cases".

    The sentence of ``Measurement``, "length: 1.9 m (1.6 to 2.3)", is reworded for ``unit``, which
    is that of lengths: metres or camera heights.
    """
    sentence = str(measured)
    is_known_exactly = measured.low == measured.high and measured.what != Quantity.FIT
    if is_known_exactly:
        name, _, _ = sentence.partition(": ")
        return f"{name}: {measured.value:g} {unit}, as stated"
    text = sentence.removesuffix(")").replace(" (", ", ")
    if unit == CAMERA_HEIGHTS:
        text = text.replace(" m²", f" square {CAMERA_HEIGHTS}")
        text = text.replace(" m³", f" cubic {CAMERA_HEIGHTS}")
        text = text.replace(" m,", f" {CAMERA_HEIGHTS},")
    return f"{text} {IN_COVERED_CASES}"


def number_text(value: float) -> str:
    """Format a number with at least three significant digits."""
    if not value or not math.isfinite(value):
        return f"{value:g}"
    digits = max(0, 2 - math.floor(math.log10(abs(value))))
    return f"{value:.{digits}f}"


def size_source_sentence(photograph: PredictedPhotograph, unit: str) -> str:
    """Say where the metres come from, or how the user can get metres."""
    if unit == METRES:
        return _source_of_metres(photograph)
    if unit == CAMERA_HEIGHTS:
        return (
            "One camera height is the height of the camera above the visible floor, about 1.5 m if "
            f"a standing person took the picture. {_ADVICE_TO_STATE_A_SIZE}"
        )
    return _ADVICE_TO_STATE_A_SIZE


def _source_of_metres(photograph: PredictedPhotograph) -> str:
    """Say which calibration or model the metres come from, with the facts in parentheses."""
    prediction = photograph.prediction
    facts = "; ".join(photograph.facts.sentences)
    facts_in_brackets = f" ({facts})" if facts else ""
    if prediction.calibration is None:
        return f"The metres come from the model {prediction.made_by.model}{facts_in_brackets}."
    source = prediction.calibration.describe()
    return f"{source[:1].upper()}{source[1:]}{facts_in_brackets}."


def expected_relative_error(prediction: Prediction, unit: str) -> float | None:
    """Relative error that eight out of ten pixels should not exceed, or None if it is unknown."""
    if unit == UNKNOWN_UNIT or prediction.calibration is None:
        return None
    return prediction.calibration.expected_error


def spell_argument(name: str, value: str = "") -> str:
    """Spell an option as an assistant can use it (``errors.messages.Spell``).

    Return "" if an assistant cannot use the suggested value.
    """
    if name in _SIZE_OPTIONS:
        return "the tool 'known'" if value else "known"
    if not value:
        return name
    if name not in _CAMERA_OPTIONS:
        return ""
    quoted_value = "" if value == "..." else f" '{value}'"
    return f"the tool 'known' with {name}{quoted_value}"


def join_nonempty_lines(lines: Iterable[str]) -> str:
    """Join lines, and leave out empty ones."""
    return "\n".join(filter(None, lines))


def notes_text(notes: Iterable[str]) -> str:
    """Join notes into one line, each once; return "" if there are none."""
    texts = list(dict.fromkeys(worded(note, spell_argument) for note in notes))
    return f"Notes: {'; '.join(texts)}." if texts else ""
