"""Untrusted JSON of frozen dataclasses."""

import json
import types
from collections.abc import Callable, Iterator, Mapping
from dataclasses import MISSING, asdict, fields, is_dataclass
from enum import Enum
from functools import cache
from typing import Any, TypeVar, Union, get_args, get_origin, get_type_hints

from rilievo.errors import suggest

Record = TypeVar("Record")
_NAMES = {
    str: "a text",
    int: "a whole number",
    float: "a number",
    bool: "true or false",
    type(None): "null",
}


class NotThisRecord(ValueError):
    """JSON without the expected record, with the place of the fault."""

    def __init__(self, problem: str, place: str | None = None) -> None:
        super().__init__(problem if place is None else f"it{place} {problem}")
        self.problem, self.place = problem, place

    @property
    def message_in_file(self) -> str:
        """Message that begins with the value's name."""
        if self.place is None:
            return self.problem
        return f"{self.place.removeprefix('.') or 'it'} {self.problem}"


def to_json(record: object, *, indent: int | None = None) -> str:
    """Serialise a dataclass; None is left out, so it has to be the default."""
    assert is_dataclass(record), "a record is a dataclass"
    assert not isinstance(record, type), "an object, not its class"
    # ASCII fits inside every format, and can hold file names that are not valid Unicode.
    data = asdict(record, dict_factory=_drop_none)
    return json.dumps(data, indent=indent, ensure_ascii=True, allow_nan=False)


def from_json(kind: type[Record], text: str) -> Record:
    """Parse a record of ``to_json``; unknown fields are ignored."""
    return _parse_value(kind, parse_json(text, parse_constant=_refuse_nan_and_infinity), "")


def parse_json(text: str | bytes, *, parse_constant: Callable[[str], Any] | None = None) -> Any:
    """Parse untrusted JSON."""
    try:
        return json.loads(text, parse_constant=parse_constant)
    except (ValueError, RecursionError) as error:
        raise NotThisRecord(f"not JSON ({error})") from error


def _drop_none(items: list[tuple[str, Any]]) -> dict[str, Any]:
    return {name: value for name, value in items if value is not None}


def _refuse_nan_and_infinity(name: str) -> None:
    raise ValueError(f"{name} is not a JSON number")


def _parse_value(kind: Any, data: Any, where: str) -> Any:
    origin = get_origin(kind)
    if origin in (Union, types.UnionType):
        return _parse_union(kind, data, where)
    if origin is tuple:
        return _parse_tuple(get_args(kind), data, where)
    if origin is Mapping:
        _refuse_unless(isinstance(data, dict), "an object", data, where)
        return {
            name: _parse_value(get_args(kind)[1], data[name], f"{where}.{name}") for name in data
        }
    if is_dataclass(kind):
        return _parse_record(kind, data, where)
    return _parse_scalar(kind, data, where)


def _parse_union(kind: Any, data: Any, where: str) -> Any:
    choices = [choice for choice in get_args(kind) if choice is not type(None)]
    if data is None and len(choices) < len(get_args(kind)):
        return None
    if len(choices) == 1:
        return _parse_value(choices[0], data, where)
    for choice in choices:
        if type(data) is choice:
            return data
    # A float written without a decimal point.
    if float in choices and type(data) is int:
        return _parse_value(float, data, where)
    _refuse_unless(False, " or ".join(_NAMES[choice] for choice in choices), data, where)
    return None


def _parse_tuple(kinds: tuple[Any, ...], data: Any, where: str) -> tuple[Any, ...]:
    _refuse_unless(isinstance(data, list), "a list", data, where)
    if kinds[-1] is Ellipsis:
        kinds = (kinds[0],) * len(data)
    _refuse_unless(len(data) == len(kinds), f"a list of {len(kinds)}", data, where)
    return tuple(
        _parse_value(kind, item, f"{where}[{i}]")
        for i, (kind, item) in enumerate(zip(kinds, data, strict=True))
    )


def _parse_record(kind: Any, data: Any, where: str) -> Any:
    _refuse_unless(isinstance(data, dict), "an object", data, where)
    hints = _type_hints(kind)
    values = {}
    for field in fields(kind):
        if field.name in data:
            values[field.name] = _parse_value(
                hints[field.name], data[field.name], f"{where}.{field.name}"
            )
        elif field.default is MISSING and field.default_factory is MISSING:
            raise NotThisRecord(f"has no '{field.name}'", where)
    return kind(**values)


@cache
def _type_hints(kind: Any) -> Mapping[str, Any]:
    return get_type_hints(kind)


def _parse_scalar(kind: Any, data: Any, where: str) -> Any:
    if kind is float and isinstance(data, int) and not isinstance(data, bool):
        _refuse_unless(abs(data) < 1 << 1000, "a number", data, where)
        return float(data)
    if issubclass(kind, Enum):
        choices = [member.value for member in kind]
        _refuse_unless(data in choices, f"one of {', '.join(map(str, choices))}", data, where)
        return kind(data)
    _refuse_unless(type(data) is kind, _NAMES[kind], data, where)
    return data


def _refuse_unless(holds: bool, expected: str, data: Any, where: str) -> None:
    if not holds:
        shown = json.dumps(data)
        raise NotThisRecord(
            f"is {shown if len(shown) <= 40 else shown[:40] + '...'}, expected {expected}", where
        )


def check_field_names(kind: Any, data: Any, *, inside: str = "", whole: Any = None) -> None:
    """Refuse names of a user's file that no field has.

    ``inside`` is the record's path, "" or ending in a dot; other records of ``whole`` may have
    them.
    """
    whole = whole or kind
    for choice in get_args(kind):
        if get_origin(kind) is tuple and isinstance(data, list):
            for item in data:
                check_field_names(choice, item, inside=inside, whole=whole)
        elif get_origin(kind) in (Union, types.UnionType):
            check_field_names(choice, data, inside=inside, whole=whole)
    if is_dataclass(kind) and isinstance(data, dict):
        types_of = _field_types(kind)
        for name, value in data.items():
            if name not in types_of:
                hint = _field_place_hint(whole, str(name)) or suggest(str(name), types_of)
                raise NotThisRecord(f"has no '{inside}{name}'; {hint}")
            check_field_names(types_of[name], value, inside=f"{inside}{name}.", whole=whole)


def _field_place_hint(whole: Any, name: str) -> str | None:
    places = [*dict.fromkeys(_places_of_field(whole, name, ""))]
    if not places:
        return None
    return f"'{name}' belongs {' or '.join(places)}"


def _places_of_field(kind: Any, name: str, inside: str) -> Iterator[str]:
    for choice in get_args(kind):
        yield from _places_of_field(choice, name, inside)
    if is_dataclass(kind):
        types_of = _field_types(kind)
        if name in types_of:
            yield f"below '{inside}'" if inside else "at the top"
        for part, part_type in types_of.items():
            yield from _places_of_field(part_type, name, f"{inside}.{part}" if inside else part)


def _field_types(kind: Any) -> Mapping[str, Any]:
    hints = _type_hints(kind)
    return {field.name: hints[field.name] for field in fields(kind)}
