"""Fields of nested configurations by their path, such as ``losses.depth``."""

import json
import os
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, fields, is_dataclass, replace
from math import inf
from typing import TypeVar

from rilievo.errors import OptionError, suggest
from rilievo.io.json_record import InvalidRecordError, from_json, to_json

Config = TypeVar("Config")

_PATH_FIELDS = ("root", "roots", "list_file", "camera_file")
"""Fields of a configuration's ``data`` that are paths or lists of them."""
_RANGES: Mapping[str, Callable[[float], bool]] = {
    "1 or more": lambda value: value >= 1,
    "0 or more": lambda value: 0 <= value < inf,
    "above 0": lambda value: 0 < value < inf,
    "a number from 0 to 1": lambda value: 0 <= value <= 1,
}
"""Checks of ranges, by their description in error messages."""


def check_ranges(record: object, names_by_range: Mapping[str, tuple[str, ...]]) -> None:
    """Raise ``OptionError`` if a field of a record is out of range; None is always in range.

    ``names_by_range`` has the names of fields, by a key of ``_RANGES``.
    """
    for range_text, names in names_by_range.items():
        for name in names:
            value = getattr(record, name)
            if value is not None and not _RANGES[range_text](value):
                raise OptionError(option=name, expected=range_text, value=value)


@dataclass(frozen=True, slots=True, kw_only=True)
class FieldDifference:
    """Field of a configuration that differs from the preset ``default``.

    Attributes:
        default: Value of the preset ``default`` as text.
        reason: Why the chosen preset differs; None if the user chose the value.
    """

    field: str
    value: str
    default: str
    reason: str | None = None


def find_differences(
    config: object, *, default_preset: object, chosen_preset: object, reasons: Mapping[str, str]
) -> tuple[FieldDifference, ...]:
    """List the fields in which a configuration differs from the preset ``default``.

    The seed does not count. ``chosen_preset`` is the configuration of its own preset, without
    further options. ``reasons`` say why presets differ, by the path of the field.
    """
    default_values = fields_as_text(default_preset)
    chosen_values = fields_as_text(chosen_preset)
    return tuple(
        FieldDifference(
            field=path,
            value=value,
            default=default_values[path],
            reason=reasons.get(path) if value == chosen_values[path] else None,
        )
        for path, value in fields_as_text(config).items()
        if value != default_values[path] and path != "seed"
    )


def with_changed_fields(
    config: Config, changes: Mapping[str, object], *, fixed: tuple[str, ...] = ()
) -> Config:
    """Copy a configuration with other values in some fields.

    ``changes`` are new values by path, and paths that begin with one of ``fixed`` cannot change.
    """
    paths = fields_as_text(config)
    root = json.loads(to_json(config))
    for path, value in changes.items():
        if path not in paths or path.startswith(fixed):
            changeable_paths = [name for name in paths if not name.startswith(fixed)]
            raise OptionError(f"no training field '{path}'; {suggest(path, changeable_paths)}")
        *parent_names, field_name = path.split(".")
        parent = root
        for name in parent_names:
            parent = parent[name]
        parent[field_name] = value
    try:
        return from_json(type(config), json.dumps(root))
    except InvalidRecordError as error:
        raise OptionError(f"training: {error}") from error


def override_fields(
    base: Config, overriding: object, paths: Collection[str], prefix: str = ""
) -> Config:
    """Copy the configuration ``base``, with the fields ``paths`` taken from ``overriding``.

    Paths are those in a larger record, in which the two records have the path ``prefix``.
    """
    assert is_dataclass(base), "a configuration is a dataclass"
    assert not isinstance(base, type), "it is an instance, not the class"
    changes: dict[str, object] = {}
    for field in fields(base):
        path = prefix + field.name
        base_value = getattr(base, field.name)
        overriding_value = getattr(overriding, field.name)
        if is_dataclass(base_value):
            changes[field.name] = override_fields(base_value, overriding_value, paths, f"{path}.")
        elif path in paths:
            changes[field.name] = overriding_value
    return replace(base, **changes)


def with_absolute_paths(config: Config) -> Config:
    """Copy a configuration with absolute paths of its data.

    Values also get the types that they have after reading: an integer in place of a float becomes
    that float.
    """
    root = json.loads(to_json(config))
    data = root["data"]
    for name in _PATH_FIELDS:
        value = data.get(name)
        if isinstance(value, str):
            data[name] = os.path.abspath(value)
        elif isinstance(value, list):
            data[name] = [os.path.abspath(path) for path in value]
    return from_json(type(config), json.dumps(root))


def describe_changes(before: object, after: object) -> list[str]:
    """Describe each field that differs between two configurations, as "path was old, is new"."""
    old_values = fields_as_text(before)
    return [
        f"{path} was {_value_or_not_set(old_values.get(path))}, is now {_value_or_not_set(value)}"
        for path, value in fields_as_text(after).items()
        if old_values.get(path) != value
    ]


def _value_or_not_set(text: str | None) -> str:
    """Text of a value for a sentence; that of None is "None"."""
    return "not set" if text is None or text == "None" else text


def fields_as_text(record: object, prefix: str = "") -> dict[str, str]:
    """Values of all fields of a nested record as text, by path; paths begin with ``prefix``."""
    assert is_dataclass(record), "a configuration is made of records"
    texts: dict[str, str] = {}
    for field in fields(record):
        path = f"{prefix}{field.name}"
        value = getattr(record, field.name)
        if is_dataclass(value):
            texts |= fields_as_text(value, f"{path}.")
        else:
            texts[path] = str(value)
    return texts
