"""JSON of frozen dataclasses: written, and read from files that nobody has checked.

What is read has exactly the types of the dataclass. Where an error names a value, it does so by its
path, such as ``.camera.K[0]``; the path of the whole is empty.
"""

import json
import types
from collections.abc import Callable, Iterator, Mapping
from dataclasses import MISSING, asdict, fields, is_dataclass
from enum import Enum
from functools import cache
from typing import Any, NoReturn, TypeVar, Union, get_args, get_origin, get_type_hints

from rilievo.errors import suggest

Record = TypeVar("Record")
_TYPE_NAMES = {
    str: "a text",
    int: "a whole number",
    float: "a number",
    bool: "true or false",
    type(None): "null",
}
_MAX_WHOLE_NUMBER = 1 << 1000
"""Whole numbers below it are read as floats; larger ones are infinite."""
_MAX_SHOWN = 40
"""Characters of a wrong value that an error shows."""


class NotThisRecord(ValueError):
    """JSON does not have the expected record.

    Attributes:
        problem: What is wrong, as a sentence without its subject.
        place: Path of the value that is wrong; None if the text is no JSON at all.
    """

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


def _drop_none(items: list[tuple[str, Any]]) -> dict[str, Any]:
    return {name: value for name, value in items if value is not None}


def from_json(record_type: type[Record], text: str) -> Record:
    """Parse what ``to_json`` wrote of a dataclass; unknown fields are ignored.

    Raises:
        NotThisRecord: If it is no JSON, or a field is missing or of another type.
    """
    data = parse_json(text, parse_constant=_refuse_nan_and_infinity)
    return _parse_value(record_type, data, "")


def parse_json(text: str | bytes, *, parse_constant: Callable[[str], Any] | None = None) -> Any:
    """Parse JSON that nobody has checked; ``parse_constant`` gets NaN, Infinity and -Infinity.

    Raises:
        NotThisRecord: If it is no JSON.
    """
    try:
        return json.loads(text, parse_constant=parse_constant)
    except (ValueError, RecursionError) as error:
        raise NotThisRecord(f"not JSON ({error})") from error


def _refuse_nan_and_infinity(name: str) -> None:
    raise ValueError(f"{name} is not a JSON number")


def _parse_value(value_type: Any, data: Any, path: str) -> Any:
    """Value of a type: a dataclass, a tuple, a mapping, a union, an enumeration or a scalar."""
    origin = get_origin(value_type)
    if origin in (Union, types.UnionType):
        return _parse_union(value_type, data, path)
    if origin is tuple:
        return _parse_tuple(get_args(value_type), data, path)
    if origin is Mapping:
        return _parse_mapping(get_args(value_type)[1], data, path)
    if is_dataclass(value_type):
        return _parse_record(value_type, data, path)
    if issubclass(value_type, Enum):
        return _parse_enum(value_type, data, path)
    return _parse_scalar(value_type, data, path)


def _parse_union(union: Any, data: Any, path: str) -> Any:
    """Value of a type or None, or of one of several scalar types."""
    choices = [choice for choice in get_args(union) if choice is not type(None)]
    is_optional = len(choices) < len(get_args(union))
    if data is None and is_optional:
        return None
    if len(choices) == 1:
        return _parse_value(choices[0], data, path)
    if type(data) in choices:
        return data
    if float in choices and type(data) is int:
        return _parse_value(float, data, path)  # written without a decimal point
    _raise_unexpected(" or ".join(_TYPE_NAMES[choice] for choice in choices), data, path)


def _parse_tuple(item_types: tuple[Any, ...], data: Any, path: str) -> tuple[Any, ...]:
    if not isinstance(data, list):
        _raise_unexpected("a list", data, path)
    if item_types[-1] is Ellipsis:
        item_types = (item_types[0],) * len(data)
    if len(data) != len(item_types):
        _raise_unexpected(f"a list of {len(item_types)}", data, path)
    pairs = zip(item_types, data, strict=True)
    return tuple(
        _parse_value(item_type, item, f"{path}[{index}]")
        for index, (item_type, item) in enumerate(pairs)
    )


def _parse_mapping(value_type: Any, data: Any, path: str) -> dict[str, Any]:
    if not isinstance(data, dict):
        _raise_unexpected("an object", data, path)
    return {name: _parse_value(value_type, value, f"{path}.{name}") for name, value in data.items()}


def _parse_record(record_type: Any, data: Any, path: str) -> Any:
    if not isinstance(data, dict):
        _raise_unexpected("an object", data, path)
    hints = _type_hints(record_type)
    values = {}
    for field in fields(record_type):
        name = field.name
        if name in data:
            values[name] = _parse_value(hints[name], data[name], f"{path}.{name}")
        elif field.default is MISSING and field.default_factory is MISSING:
            raise NotThisRecord(f"has no '{name}'", path)
    return record_type(**values)


@cache
def _type_hints(record_type: Any) -> Mapping[str, Any]:
    return get_type_hints(record_type)


def _parse_enum(enum: type[Enum], data: Any, path: str) -> Enum:
    values = [member.value for member in enum]
    if data not in values:
        _raise_unexpected(f"one of {', '.join(map(str, values))}", data, path)
    return enum(data)


def _parse_scalar(scalar_type: Any, data: Any, path: str) -> Any:
    if scalar_type is float and type(data) is int:
        if abs(data) >= _MAX_WHOLE_NUMBER:
            _raise_unexpected("a number", data, path)
        return float(data)
    if type(data) is not scalar_type:
        _raise_unexpected(_TYPE_NAMES[scalar_type], data, path)
    return data


def _raise_unexpected(expected: str, data: Any, path: str) -> NoReturn:
    shown = json.dumps(data)
    if len(shown) > _MAX_SHOWN:
        shown = f"{shown[:_MAX_SHOWN]}..."
    raise NotThisRecord(f"is {shown}, expected {expected}", path)


def check_field_names(record_type: Any, data: Any) -> None:
    """Refuse names in a user's file that are no fields of the dataclass or of those in it.

    Raises:
        NotThisRecord: If there is one; it says where the name belongs, or which one is similar.
    """
    _check_names(record_type, data, "", record_type)


def _check_names(value_type: Any, data: Any, prefix: str, whole: Any) -> None:
    """Check the names of a part; ``prefix`` is its path, "" or ending in a dot."""
    for inner_type in get_args(value_type):
        if get_origin(value_type) is tuple and isinstance(data, list):
            for item in data:
                _check_names(inner_type, item, prefix, whole)
        elif get_origin(value_type) in (Union, types.UnionType):
            _check_names(inner_type, data, prefix, whole)
    if not is_dataclass(value_type) or not isinstance(data, dict):
        return

    field_types = _field_types(value_type)
    for name, value in data.items():
        if name not in field_types:
            hint = _right_place_hint(whole, str(name)) or suggest(str(name), field_types)
            raise NotThisRecord(f"has no '{prefix}{name}'; {hint}")
        _check_names(field_types[name], value, f"{prefix}{name}.", whole)


def _right_place_hint(whole: Any, name: str) -> str | None:
    """Where in a record a name belongs; None if it has no such field anywhere."""
    places = [*dict.fromkeys(_places_of_field(whole, name, ""))]
    if not places:
        return None
    return f"'{name}' belongs {' or '.join(places)}"


def _places_of_field(value_type: Any, name: str, path: str) -> Iterator[str]:
    for inner_type in get_args(value_type):
        yield from _places_of_field(inner_type, name, path)
    if is_dataclass(value_type):
        field_types = _field_types(value_type)
        if name in field_types:
            yield f"below '{path}'" if path else "at the top"
        for part, part_type in field_types.items():
            yield from _places_of_field(part_type, name, f"{path}.{part}" if path else part)


def _field_types(record_type: Any) -> Mapping[str, Any]:
    hints = _type_hints(record_type)
    return {field.name: hints[field.name] for field in fields(record_type)}
