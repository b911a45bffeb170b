"""Dataclasses as JSON: written, and parsed from files that nobody has checked; users' YAML.

Parsed values have exactly the types of the dataclass. Errors name a value by its path, such as
``.camera.K[0]``; the path of the whole record is "".
"""

import json
import types
from collections.abc import Callable, Iterator, Mapping
from dataclasses import MISSING, asdict, dataclass, fields, is_dataclass
from enum import Enum
from functools import cache
from typing import Any, NoReturn, TypeVar, Union, get_args, get_origin, get_type_hints

from rilievo.errors import suggest

Record = TypeVar("Record")
_TYPE_NAMES = {
    str: "a text",
    int: "an integer",
    float: "a number",
    bool: "true or false",
    type(None): "null",
}
_NAMED_VALUES = "a mapping of names to values"
"""Dataclasses and mappings, for users of JSON, YAML and TOML."""
_MAX_WHOLE_NUMBER = 1 << 1000
"""Integers up to it can be read as floats; larger ones may be infinite."""
_MAX_SHOWN = 40
"""Characters of a wrong value that an error shows."""
_MAX_YAML_CHARACTERS = 2**17
"""Longest text, which takes half a second at most, because YAML needs up to 3 s per megabyte."""
_MAX_YAML_VALUES = 100_000
"""Most values in a YAML text; each counts as often as it is referenced."""


class InvalidRecordError(ValueError):
    """Error for JSON that is not the expected record.

    Attributes:
        problem: What is wrong, as a sentence without its subject.
        value_path: Path of the value that is wrong; None if the text is not JSON at all.
    """

    def __init__(self, problem: str, value_path: str | None = None) -> None:
        subject = "" if value_path is None else f"{value_path.removeprefix('.') or 'it'} "
        super().__init__(f"{subject}{problem}")
        self.problem = problem
        self.value_path = value_path


def to_json(record: object, *, indent: int | None = None) -> str:
    """Serialise a dataclass. None is left out, so it must be the default of the field."""
    assert is_dataclass(record), "a record is a dataclass"
    assert not isinstance(record, type), "an object, not its class"
    # ASCII can be embedded in every format, and can hold file names that are not valid Unicode.
    data = asdict(record, dict_factory=_drop_none)
    return json.dumps(data, indent=indent, ensure_ascii=True, allow_nan=False)


def _drop_none(items: list[tuple[str, Any]]) -> dict[str, Any]:
    return {name: value for name, value in items if value is not None}


def from_json(record_type: type[Record], text: str) -> Record:
    """Parse the JSON of a dataclass that ``to_json`` wrote; unknown fields are ignored.

    Raises:
        InvalidRecordError: If it is not JSON, or a field is missing or of another type.
    """
    data = parse_json(text, parse_constant=_refuse_nan_and_infinity)
    return _parse_value(record_type, data, "")


def parse_json(text: str | bytes, *, parse_constant: Callable[[str], Any] | None = None) -> Any:
    """Parse JSON that nobody has checked; raise ``InvalidRecordError`` if it is not JSON.

    ``parse_constant`` converts NaN, Infinity and -Infinity.
    """
    try:
        return json.loads(text, parse_constant=parse_constant)
    except (ValueError, RecursionError) as error:
        raise InvalidRecordError(f"not valid JSON ({error})") from error


def _refuse_nan_and_infinity(name: str) -> None:
    raise ValueError(f"{name} is not a JSON number")


def parse_yaml(text: str) -> Any:
    """Parse YAML, with libyaml if PyYAML was built with it.

    Raises:
        ModuleNotFoundError: If PyYAML is not installed.
        ValueError: If it is not YAML, too long, or has references that expand to too many values.
    """
    import yaml

    if len(text) > _MAX_YAML_CHARACTERS:
        raise ValueError(
            f"it has {len(text):,} characters; expected at most {_MAX_YAML_CHARACTERS:,}, because "
            "YAML is meant for descriptions: use JSON or CSV for long lists"
        )
    try:
        content = yaml.load(text, Loader=getattr(yaml, "CSafeLoader", yaml.SafeLoader))
    except (yaml.YAMLError, RecursionError, AttributeError, TypeError) as error:
        raise ValueError(" ".join(str(error).split())) from error
    _check_value_count(content)
    return content


def _check_value_count(content: Any) -> None:
    """Raise ``ValueError`` if values contain themselves, or references expand to too many."""
    nodes = [content]
    value_count = 0
    while nodes:
        node = nodes.pop()
        value_count += 1
        if value_count > _MAX_YAML_VALUES:
            raise ValueError(
                f"it has more than {_MAX_YAML_VALUES} values, or a value that contains itself"
            )
        if isinstance(node, dict):
            nodes.extend(node.values())
        elif isinstance(node, (list, tuple, set)):
            nodes.extend(node)


def _parse_value(value_type: Any, data: Any, path: str) -> Any:
    """Convert parsed JSON to a type: a union, tuple, mapping, dataclass, enumeration or scalar."""
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
    """Convert parsed JSON to a type or None, or to one of several scalar types."""
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
    expected = " or ".join(_TYPE_NAMES[choice] for choice in choices)
    _raise_unexpected(expected, data, path)


def _parse_tuple(item_types: tuple[Any, ...], data: Any, path: str) -> tuple[Any, ...]:
    if not isinstance(data, list):
        _raise_unexpected("a list", data, path)
    has_any_length = item_types[-1] is Ellipsis  # tuple[T, ...]
    type_of_each = (item_types[0],) * len(data) if has_any_length else item_types
    if len(data) != len(type_of_each):
        _raise_unexpected(f"a list of {len(type_of_each)} values", data, path)
    pairs = zip(type_of_each, data, strict=True)
    return tuple(
        _parse_value(item_type, item, f"{path}[{index}]")
        for index, (item_type, item) in enumerate(pairs)
    )


def _parse_mapping(value_type: Any, data: Any, path: str) -> dict[str, Any]:
    if not isinstance(data, dict):
        _raise_unexpected(_NAMED_VALUES, data, path)
    return {name: _parse_value(value_type, value, f"{path}.{name}") for name, value in data.items()}


def _parse_record(record_type: Any, data: Any, path: str) -> Any:
    if not isinstance(data, dict):
        _raise_unexpected(_NAMED_VALUES, data, path)
    hints = _type_hints(record_type)
    values = {}
    for field in fields(record_type):
        name = field.name
        if name in data:
            values[name] = _parse_value(hints[name], data[name], f"{path}.{name}")
        elif field.default is MISSING and field.default_factory is MISSING:
            raise InvalidRecordError(f"has no '{name}'", path)
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
    raise InvalidRecordError(f"is {shown}, expected {expected}", path)


def record_from_data(
    record_type: type[Record], data: Any, *, synonyms: Mapping[str, str] | None = None
) -> Record:
    """Make a dataclass from what a user's YAML or TOML contains.

    ``synonyms`` gives the field that is suggested for a name which does not look like it, such as
    "scale" for "unit".

    Raises:
        InvalidRecordError: If a name is not a field of the dataclass or of those nested in it; it
            says where the name belongs, or which name is similar. Also if a field is missing, of
            another type, NaN or infinite.
        TypeError: If the data hold something that JSON does not have, such as a date.
    """
    _NameCheck(record_type, synonyms or {}).check(record_type, data, "")
    return from_json(record_type, json.dumps(data))


@dataclass(frozen=True, slots=True)
class _NameCheck:
    """Check of the names in a user's file.

    Attributes:
        root_type: Type of the record, in which the right place of a wrong name is sought.
        synonyms: Field that a wrong name means, by the wrong name.
    """

    root_type: Any
    synonyms: Mapping[str, str]

    def check(self, value_type: Any, data: Any, prefix: str) -> None:
        """Check the names in a part of the data, whose path is "" or ends in a dot (``prefix``).

        Names are those of dataclasses, which may be nested in tuples and in unions with None.
        Values of the wrong kind are refused later, when they are parsed.
        """
        origin = get_origin(value_type)
        if origin is tuple and isinstance(data, list):
            for item_type in get_args(value_type):
                for item in data:
                    self.check(item_type, item, prefix)
        elif origin in (Union, types.UnionType):
            for choice in get_args(value_type):
                self.check(choice, data, prefix)
        elif is_dataclass(value_type) and isinstance(data, dict):
            self._check_fields(_field_types(value_type), data, prefix)

    def _check_fields(
        self, field_types: Mapping[str, Any], data: Mapping[Any, Any], prefix: str
    ) -> None:
        """Check the names of a dataclass, and those in its values."""
        for name, value in data.items():
            if name not in field_types:
                hint = self._suggest(str(name), field_types)
                raise InvalidRecordError(f"has no '{prefix}{name}'; {hint}")
            self.check(field_types[name], value, f"{prefix}{name}.")

    def _suggest(self, name: str, field_types: Mapping[str, Any]) -> str:
        """Say where in the record a wrong name belongs, or which name is meant."""
        meant = self.synonyms.get(name, name)
        if meant in field_types:
            return f"did you mean '{meant}'?"
        return _suggest_place(self.root_type, meant) or suggest(name, field_types)


def _suggest_place(root_type: Any, name: str) -> str | None:
    """Say where in a record a name belongs; None if there is no such field anywhere."""
    places = [*dict.fromkeys(_find_places(root_type, name, ""))]
    if not places:
        return None
    return f"'{name}' belongs {' or '.join(places)}"


def _find_places(value_type: Any, name: str, path: str) -> Iterator[str]:
    """Yield in words where a type has a field of this name, itself or in a nested dataclass."""
    for inner_type in get_args(value_type):
        yield from _find_places(inner_type, name, path)
    if is_dataclass(value_type):
        field_types = _field_types(value_type)
        if name in field_types:
            yield f"under '{path}'" if path else "at the top"
        for field_name, field_type in field_types.items():
            field_path = f"{path}.{field_name}" if path else field_name
            yield from _find_places(field_type, name, field_path)


def _field_types(record_type: Any) -> Mapping[str, Any]:
    hints = _type_hints(record_type)
    return {field.name: hints[field.name] for field in fields(record_type)}
