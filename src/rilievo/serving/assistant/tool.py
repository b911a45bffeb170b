"""Records of an assistant's tools, and words that they share."""

import json
import math
from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Annotated, Any, Generic, Literal, TypeVar

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field

from rilievo.errors.messages import worded
from rilievo.measure.measurements import Measurement
from rilievo.predicting.photographs.metric_references import calibration_words
from rilievo.prediction import Prediction
from rilievo.serving.assistant.photographs import (
    HEIGHTS,
    METRES,
    MOST_LETTERS,
    UNKNOWN,
    Photographs,
    PhotoState,
)


def _parse_json_or_keep(value: Any) -> object:
    with suppress(TypeError, ValueError, RecursionError):
        return json.loads(value)
    return value


ListOrText = BeforeValidator(_parse_json_or_keep)
"""List, or its JSON as a text."""
Point = Annotated[list[float], Field(json_schema_extra={"minItems": 2, "maxItems": 2})]
Unit = Annotated[
    Literal["fraction", "pixel"],
    Field(
        description="Unit of the points. fraction: [x, y] from 0 to 1, x from the left border to "
        "the right one, y from the top to the bottom; right for any size at which you see the "
        "picture. pixel: column and row of the upright original at its full size, which the tool "
        "'depth' tells."
    ),
]
SomeParams = TypeVar("SomeParams", bound="ToolArguments")
SomeResult = TypeVar("SomeResult", bound="ToolResult")


class ToolArguments(BaseModel):
    """Arguments of a tool."""

    model_config = ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True)

    photo: Annotated[str, Field(min_length=1, max_length=MOST_LETTERS)]
    """File of the photograph: a path relative to one of the folders of this server, or absolute. Or
    a picture itself as a data URL (data:image/jpeg;base64,...); the answer names it for later."""


class ToolResult(BaseModel):
    """Structured answer of a tool."""

    model_config = ConfigDict(frozen=True, use_attribute_docstrings=True)


@dataclass(frozen=True, slots=True, kw_only=True)
class ToolAnswer(Generic[SomeResult]):
    """Text, numbers, and pictures as PNG files."""

    text: str
    result: SomeResult
    pictures: Sequence[bytes] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class AssistantTool(Generic[SomeParams, SomeResult]):
    """Tool of an assistant.

    Attributes:
        title: Name for people.
        params_type: Class of its arguments.
        result_type: Class of its structured answer.
        only_reads: Whether it changes no file and no fact.
    """

    name: str
    title: str
    description: str
    params_type: type[SomeParams]
    result_type: type[SomeResult]
    answer: Callable[[Photographs, SomeParams], ToolAnswer[SomeResult]]
    only_reads: bool = True


AnyTool = AssistantTool[Any, Any]


SHARE = "eight in ten"
"""Share of ranges that contain the truth."""
_FACTS = ("fov", "projection", "camera_height")
_STATE_ONE = (
    "Metres are not known: state one length or distance in this photograph with the tool 'known'."
)


def measured_text(measured: Measurement, unit: str) -> str:
    """Text such as "length: 1.9 m, 1.6 to 2.3, eight in ten"."""
    if measured.low == measured.high:
        name, _, _ = str(measured).partition(": ")
        return f"{name}: {measured.value:g} {unit}, as it was stated"
    text = str(measured).removesuffix(")").replace(" (", ", ")
    if unit == HEIGHTS:
        text = text.replace(" m²", " square camera heights").replace(" m,", f" {HEIGHTS},")
    return f"{text}, {SHARE}"


def number_text(value: float) -> str:
    """Number with three significant digits."""
    if not value or not math.isfinite(value):
        return f"{value:g}"
    digits = max(0, 2 - math.floor(math.log10(abs(value))))
    return f"{value:.{digits}f}"


def size_source_sentence(photograph: PhotoState, unit: str) -> str:
    """Sentence on where metres come from, or how to get them."""
    if unit == METRES:
        calibration = photograph.prediction.calibration
        facts_text = (
            f" ({'; '.join(photograph.facts.sentences)})" if photograph.facts.sentences else ""
        )
        if calibration is None:
            return (
                f"Metres are those of the model {photograph.prediction.made_by.model}{facts_text}."
            )
        source = calibration_words(calibration)
        return f"{source[:1].upper()}{source[1:]}{facts_text}."
    if unit == HEIGHTS:
        return (
            "One camera height is the height of the camera above the visible floor, some 1.5 m if "
            f"a standing person took the picture. {_STATE_ONE}"
        )
    return _STATE_ONE


def expected_relative_error(prediction: Prediction, unit: str) -> float | None:
    """Relative error of eight in ten pixels; None if unknown."""
    calibration = prediction.calibration
    return None if unit == UNKNOWN or calibration is None else calibration.expected_error


def spell_argument(name: str, value: str = "") -> str:
    """Words of assistants for an option in an error."""
    if name in ("known", "known_length", "known_rectangle"):
        return "the tool 'known'" if value else "known"
    if name not in _FACTS or not value:
        return name if name in _FACTS or not value else ""
    return f"the tool 'known' with {name}" + ("" if value == "..." else f" '{value}'")


def join_nonempty_lines(lines: Iterable[str]) -> str:
    """Lines of an answer, without empty ones."""
    return "\n".join(filter(None, lines))


def notes_text(notes: Iterable[str]) -> str:
    """Notes as one line, or none."""
    texts = [*dict.fromkeys(worded(note, spell_argument) for note in notes)]
    return f"Notes: {'; '.join(texts)}." if texts else ""
