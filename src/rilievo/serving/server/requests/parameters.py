"""Parameters of requests from the records of options."""

from collections.abc import Mapping
from typing import Annotated, Any, Literal, TypeVar

from pydantic import BaseModel, Field, create_model

from rilievo.schema import Door, OptionField, Record, Switch, options_of

MOST_KNOWN = 64
"""Most known facts of a request: 64 take 0.2 CPU-seconds, and the cost grows as n³."""

Text = Annotated[str, Field(max_length=500)]
LIST = object()
"""Mark of a list with commas."""
Listed = Annotated[Text, LIST]
Texts = Annotated[list[Text], Field(max_length=MOST_KNOWN)]

Parameters = TypeVar("Parameters", bound=BaseModel)


def with_parameters(
    base: type[Parameters],
    *usual: Record,
    without: tuple[str, ...] = (),
    words: Mapping[str, str] | None = None,
) -> type[Parameters]:
    """Class of parameters with those of records, whose values are defaults."""
    parameters: dict[str, Any] = {}
    for record in usual:
        for one in options_of(type(record)):
            if Door.HTTP in one.facts.doors and one.name not in without:
                text = (words or {}).get(one.name) or one.facts.request or one.help
                default = getattr(record, one.name)
                default = [] if default == () else default
                parameters[one.name] = (_type(one), Field(default=default, description=text))
    return create_model(base.__name__, __base__=base, __module__=base.__module__, **parameters)


def _type(one: OptionField) -> Any:
    if one.kind is Switch:
        return Literal["on", "off"]
    kind = Texts if one.takes_many else Text if one.kind is str else one.kind
    kind = float | Text if one.is_length else kind
    kind = kind | None if one.is_optional else kind
    return Annotated[kind, LIST] if one.is_list else kind
