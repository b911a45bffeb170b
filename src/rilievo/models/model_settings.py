"""Settings of models: a dataclass each, whose fields' docstrings are the help."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from pkgutil import resolve_name
from typing import Any, TypeVar

from rilievo.errors import OptionError, suggest
from rilievo.errors.messages import Text
from rilievo.records.prediction_record import Setting
from rilievo.schema.fields import declared_fields_of, field_docstrings

Settings = TypeVar("Settings")
_WORDS = {int: "a whole number", float: "a number", bool: "true or false", str: "a text"}
_TRUTHS = {"true": True, "yes": True, "1": True, "false": False, "no": False, "0": False}


@dataclass(frozen=True, slots=True, kw_only=True)
class SettingFacts:
    """Description of one setting."""

    name: str
    type: str
    default: str | None
    help: str


def parse_pairs(texts: Sequence[str]) -> Mapping[str, str]:
    """Parse strings ``name=value``."""
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
    """Parse the user's values into a model's settings."""
    declared, values = declared_fields_of(record), dict(settings)
    for name, value in settings.items():
        if name not in declared:
            raise OptionError(f"model '{model}' has no setting '{name}'; {suggest(name, declared)}")
        kind = declared[name].value_type
        if value is None and declared[name].is_optional:
            continue
        try:
            values[name] = _parse_setting(kind, value)
        except (KeyError, ValueError) as error:
            raise OptionError(
                f"model '{model}': {name} is {_WORDS[kind]}, got {value!r}"
            ) from error
    try:
        return record(**values)
    except OptionError as error:
        raise OptionError(path=f"model '{model}'", problem=Text(error)) from error


def describe_settings(place: str) -> tuple[SettingFacts, ...]:
    """Describe the settings of a card, in order."""
    record: Any = resolve_name(place)
    declared, helps = declared_fields_of(record), field_docstrings(record)
    return tuple(
        SettingFacts(
            name=field.name,
            type=_WORDS[declared[field.name].value_type],
            default=None if field.default is None else f"{field.default}",
            help=helps[field.name],
        )
        for field in fields(record)
    )


def _parse_setting(kind: Any, value: Setting) -> Setting:
    if isinstance(value, str) and kind is not str:
        return _TRUTHS[value.strip().lower()] if kind is bool else kind(value)
    if kind is float and type(value) is int:
        return float(value)
    # bool is a subclass of int in Python, but true is not a number here.
    if type(value) is not kind:
        raise ValueError
    return value
