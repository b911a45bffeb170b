"""Settings of models. A model declares them as a dataclass, whose docstrings are the help."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from pkgutil import resolve_name
from typing import Any, TypeVar

from rilievo.errors import OptionError, suggest
from rilievo.errors.messages import Text
from rilievo.records.prediction_record import Setting
from rilievo.schema.fields import field_docstrings, read_annotations

Settings = TypeVar("Settings")
_TYPES_IN_WORDS = {int: "an integer", float: "a number", bool: "true or false", str: "text"}
_BOOLEANS = {"true": True, "yes": True, "1": True, "false": False, "no": False, "0": False}


@dataclass(frozen=True, slots=True, kw_only=True)
class SettingDescription:
    """One setting of a model, in words."""

    name: str
    type: str
    default: str | None
    help: str


def parse_pairs(texts: Sequence[str]) -> Mapping[str, str]:
    """Parse strings ``NAME=VALUE`` into values by name."""
    pairs: dict[str, str] = {}
    for text in texts:
        name, sign, value = text.partition("=")
        name = name.strip()
        if not sign or not name:
            raise OptionError(option="set", expected="NAME=VALUE", value=text)
        if name in pairs:
            raise OptionError(option="set", problem=f"{name} is given twice")
        pairs[name] = value.strip()
    return pairs


def read_settings(record: type[Settings], settings: Mapping[str, Setting], model: str) -> Settings:
    """Parse the user's values into the dataclass of a model's settings.

    The values are texts or have the right type already. ``model`` is its name in messages.
    """
    fields_by_name = read_annotations(record)
    parsed_values: dict[str, Setting] = {}
    for name, value in settings.items():
        if name not in fields_by_name:
            suggestion = suggest(name, fields_by_name)
            raise OptionError(f"model '{model}' has no setting '{name}'; {suggestion}")
        field = fields_by_name[name]
        if value is None and field.is_optional:
            parsed_values[name] = None
            continue
        try:
            parsed_values[name] = _parse_setting(field.value_type, value)
        except (KeyError, ValueError) as error:
            raise OptionError(
                f"model '{model}': {name} must be {_TYPES_IN_WORDS[field.value_type]}, "
                f"got {value!r}"
            ) from error
    try:
        return record(**parsed_values)
    except OptionError as error:
        raise OptionError(path=f"model '{model}'", problem=Text(error)) from error


def describe_settings(import_path: str) -> tuple[SettingDescription, ...]:
    """Describe the settings that a dataclass at ``module:class`` declares."""
    record: Any = resolve_name(import_path)
    declared_fields, docstrings = read_annotations(record), field_docstrings(record)
    return tuple(
        SettingDescription(
            name=field.name,
            type=_TYPES_IN_WORDS[declared_fields[field.name].value_type],
            default=None if field.default is None else f"{field.default}",
            help=docstrings[field.name],
        )
        for field in fields(record)
    )


def _parse_setting(value_type: Any, value: Setting) -> Setting:
    """Convert a value to its type."""
    if isinstance(value, str) and value_type is bool:
        return _BOOLEANS[value.strip().lower()]
    if isinstance(value, str) and value_type is not str:
        return value_type(value)
    if value_type is float and type(value) is int:
        return float(value)
    # Not isinstance: bool is a subclass of int in Python, but true is not a number for a user.
    if type(value) is not value_type:
        raise ValueError
    return value
