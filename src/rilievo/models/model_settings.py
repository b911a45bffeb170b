"""Settings of models. A model declares them as a dataclass, whose docstrings are the help."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from pkgutil import resolve_name
from typing import Any, TypeVar

from rilievo.errors import OptionError, suggest
from rilievo.errors.messages import Text
from rilievo.records.prediction_record import Setting
from rilievo.schema.fields import declared_fields_of, field_docstrings

Settings = TypeVar("Settings")
_TYPES_IN_WORDS = {int: "a whole number", float: "a number", bool: "true or false", str: "a text"}
_BOOLEANS = {"true": True, "yes": True, "1": True, "false": False, "no": False, "0": False}


@dataclass(frozen=True, slots=True, kw_only=True)
class SettingDescription:
    """One setting of a model, in words."""

    name: str
    type: str
    default: str | None
    help: str


def parse_pairs(texts: Sequence[str]) -> Mapping[str, str]:
    """Parse strings ``NAME=VALUE`` into values by name.

    Raises:
        OptionError: If a string has another form, or a name is given twice.
    """
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
    """Make a model's settings from the user's values.

    Args:
        record: Dataclass of the settings.
        settings: Values by name, as text or of the right type.
        model: Name of the model, for messages.

    Raises:
        OptionError: If there is no such setting, or a value does not fit.
    """
    declared, values = declared_fields_of(record), dict(settings)
    for name, value in settings.items():
        if name not in declared:
            raise OptionError(f"model '{model}' has no setting '{name}'; {suggest(name, declared)}")
        value_type = declared[name].value_type
        if value is None and declared[name].is_optional:
            continue
        try:
            values[name] = _parse_setting(value_type, value)
        except (KeyError, ValueError) as error:
            raise OptionError(
                f"model '{model}': {name} is {_TYPES_IN_WORDS[value_type]}, got {value!r}"
            ) from error
    try:
        return record(**values)
    except OptionError as error:
        raise OptionError(path=f"model '{model}'", problem=Text(error)) from error


def describe_settings(import_path: str) -> tuple[SettingDescription, ...]:
    """Describe the settings that a dataclass at ``module:class`` declares."""
    record: Any = resolve_name(import_path)
    declared, helps = declared_fields_of(record), field_docstrings(record)
    return tuple(
        SettingDescription(
            name=field.name,
            type=_TYPES_IN_WORDS[declared[field.name].value_type],
            default=None if field.default is None else f"{field.default}",
            help=helps[field.name],
        )
        for field in fields(record)
    )


def _parse_setting(value_type: Any, value: Setting) -> Setting:
    """Convert a value to its type.

    Raises:
        KeyError: If a text is neither true nor false.
        ValueError: If a value does not have the type.
    """
    if isinstance(value, str) and value_type is not str:
        return _BOOLEANS[value.strip().lower()] if value_type is bool else value_type(value)
    if value_type is float and type(value) is int:
        return float(value)
    # bool is a subclass of int in Python, but true is no number for a user.
    if type(value) is not value_type:
        raise ValueError
    return value
