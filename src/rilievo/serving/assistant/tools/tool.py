"""Parts of an assistant's tool."""

import json
from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import Annotated, Any, Generic, Literal, TypeVar

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field

from rilievo.frozen import frozen
from rilievo.serving.assistant.photographs import MOST_LETTERS, Photographs


def _list_of_text(value: Any) -> object:
    with suppress(TypeError, ValueError, RecursionError):
        return json.loads(value)
    return value


ListOrText = BeforeValidator(_list_of_text)
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
SomeAsked = TypeVar("SomeAsked", bound="ToolArguments")
SomeTold = TypeVar("SomeTold", bound="Told")


class ToolArguments(BaseModel):
    """Arguments of a tool."""

    model_config = ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True)

    photo: Annotated[str, Field(min_length=1, max_length=MOST_LETTERS)]
    """File of the photograph: a path relative to one of the folders of this server, or absolute. Or
    a picture itself as a data URL (data:image/jpeg;base64,...); the answer names it for later."""


class Told(BaseModel):
    """Structured answer of a tool."""

    model_config = ConfigDict(frozen=True, use_attribute_docstrings=True)


@frozen
class ToolAnswer(Generic[SomeTold]):
    """Text, numbers, and pictures as PNG files."""

    text: str
    told: SomeTold
    pictures: Sequence[bytes] = ()


@frozen
class AssistantTool(Generic[SomeAsked, SomeTold]):
    """Tool of an assistant.

    Attributes:
        title: Name for people.
        asked: Class of its arguments.
        told: Class of its structured answer.
        only_reads: Whether it changes no file and no fact.
    """

    name: str
    title: str
    description: str
    asked: type[SomeAsked]
    told: type[SomeTold]
    answer: Callable[[Photographs, SomeAsked], ToolAnswer[SomeTold]]
    only_reads: bool = True


AnyTool = AssistantTool[Any, Any]
