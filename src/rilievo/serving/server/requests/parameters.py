"""Parameters of requests, made from the records of options: names, types, defaults and words."""

from collections.abc import Mapping
from dataclasses import fields
from typing import Annotated, Any, Literal, TypeVar, get_args, get_origin

from pydantic import BaseModel, Field, create_model

from rilievo.models.adapter_settings import field_texts
from rilievo.options.on_off import Switch
from rilievo.options.option_marks import LOCAL, InRequests
from rilievo.options.option_record import Record, marks_of

MOST_KNOWN = 64
"""Known points and lengths of one request, all together. A length of a photograph of 3 megapixels
costs 3 CPU-ms, and what bends depth through n facts grows as n³: 64 lengths take a fifth of a
second, 500 took 3 to 6."""

Text = Annotated[str, Field(max_length=500)]
MaybeText = Text | None
Texts = Annotated[list[Text], Field(max_length=MOST_KNOWN)]

Parameters = TypeVar("Parameters", bound=BaseModel)


def names_in_requests(kind: type[Record]) -> tuple[str, ...]:
    """Fields of a record that requests may have: none that names a file of the server."""
    return tuple(name for name, marks in marks_of(kind).items() if LOCAL not in marks)


def with_parameters(
    base: type[Parameters],
    *usual: Record,
    without: tuple[str, ...] = (),
    words: Mapping[str, str] | None = None,
) -> type[Parameters]:
    """A class of parameters with those of records.

    Args:
        base: Class that has further parameters.
        usual: Records, whose values are the defaults.
        without: Fields that are left out.
        words: Descriptions in place of those of the records.
    """
    found: dict[str, Any] = {}
    for record in usual:
        kind = type(record)
        texts, marks = field_texts(kind), marks_of(kind)
        types = {field.name: field.type for field in fields(kind)}
        for name in names_in_requests(kind):
            if name not in without:
                told = [mark.words for mark in marks[name] if isinstance(mark, InRequests)]
                text = (words or {}).get(name) or (*told, texts[name])[0]
                default = getattr(record, name)
                default = [] if default == () else default
                found[name] = (_type(types[name]), Field(default=default, description=text))
    return create_model(base.__name__, __base__=base, __module__=base.__module__, **found)


def _type(kind: Any) -> Any:
    """Type of a parameter: texts and lists are bounded, switches are words."""
    if get_origin(kind) is Annotated:
        return _type(get_args(kind)[0])
    if kind is Switch:
        return Literal["on", "off"]
    if get_origin(kind) is tuple:
        return Texts
    if kind == str | None:
        return MaybeText
    return Text if kind is str else kind
