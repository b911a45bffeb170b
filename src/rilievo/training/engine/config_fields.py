"""Fields of nested configurations by their path, such as ``losses.depth``."""

import json
import os
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, fields, is_dataclass, replace
from math import inf
from typing import TypeVar

from rilievo.errors import OptionError, suggest
from rilievo.io.json_record import NotThisRecord, from_json, to_json

Config = TypeVar("Config")

_PATH_FIELDS = ("root", "roots", "list_file", "camera_file")
"""Fields of a configuration's ``data`` that are paths or lists of them."""
_RANGES: Mapping[str, Callable[[float], bool]] = {
    "1 or more": lambda number: number >= 1,
    "0 or more": lambda number: 0 <= number < inf,
    "above 0": lambda number: 0 < number < inf,
    "a share of 0 to 1": lambda number: 0 <= number <= 1,
}
"""Ranges by the words that error messages have for them."""


def check_ranges(record: object, names_by_range: Mapping[str, tuple[str, ...]]) -> None:
    """Check that fields of a record are in range; None is always in range.

    Args:
        record: Record with the fields.
        names_by_range: Names of fields by their range, which is a key of ``_RANGES``.

    Raises:
        OptionError: If a number is out of range.
    """
    for range_text, names in names_by_range.items():
        for name in names:
            number = getattr(record, name)
            if number is not None and not _RANGES[range_text](number):
                raise OptionError(option=name, expected=range_text, value=number)


@dataclass(frozen=True, slots=True, kw_only=True)
class FieldDifference:
    """Field of a configuration that differs from the preset ``default``.

    Attributes:
        field: Path of the field.
        value: Its value as text.
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
    """List the fields that differ from the preset ``default``, except for the seed.

    Args:
        config: Configuration of a run.
        default_preset: What it would be with the preset ``default``.
        chosen_preset: What it would be with its own preset, without further options.
        reasons: Why presets differ, by the path of the field.
    """
    default_values, chosen_values = fields_as_text(default_preset), fields_as_text(chosen_preset)
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

    Args:
        config: Configuration to copy.
        changes: New values by path.
        fixed: Beginnings of paths that cannot be changed.

    Raises:
        OptionError: If there is no such field, or it cannot have the value.
    """
    paths = fields_as_text(config)
    data = json.loads(to_json(config))
    for path, value in changes.items():
        if path not in paths or path.startswith(fixed):
            open_paths = [name for name in paths if not name.startswith(fixed)]
            raise OptionError(f"training has no '{path}'; {suggest(path, open_paths)}")
        *record_names, field_name = path.split(".")
        record = data
        for name in record_names:
            record = record[name]
        record[field_name] = value
    try:
        return from_json(type(config), json.dumps(data))
    except NotThisRecord as error:
        raise OptionError(f"training: {error}") from error


def with_fields_of(
    base: Config, source: object, paths: Collection[str], prefix: str = ""
) -> Config:
    """Copy the configuration ``base`` with the fields ``paths`` of ``source``.

    ``paths`` begin with ``prefix``, the path of these two records in a larger one.
    """
    assert is_dataclass(base), "a configuration is a record"
    assert not isinstance(base, type), "and not the class of one"
    changes: dict[str, object] = {}
    for field in fields(base):
        path = prefix + field.name
        base_value, source_value = getattr(base, field.name), getattr(source, field.name)
        if is_dataclass(base_value):
            changes[field.name] = with_fields_of(base_value, source_value, paths, f"{path}.")
        elif path in paths:
            changes[field.name] = source_value
    return replace(base, **changes)


def with_absolute_paths(config: Config) -> Config:
    """Copy a configuration with absolute paths of its data, as reading it from a file would."""
    record = json.loads(to_json(config))
    data = record["data"]
    for name in _PATH_FIELDS:
        value = data.get(name)
        if isinstance(value, str):
            data[name] = os.path.abspath(value)
        elif isinstance(value, list):
            data[name] = [os.path.abspath(path) for path in value]
    return from_json(type(config), json.dumps(record))


def describe_changes(before: object, after: object) -> list[str]:
    """Describe each field that differs between two configurations, as "path was old, is new"."""
    old_values = fields_as_text(before)
    return [
        f"{path} was {old_values.get(path)}, is {value}"
        for path, value in fields_as_text(after).items()
        if old_values.get(path) != value
    ]


def fields_as_text(record: object, prefix: str = "") -> dict[str, str]:
    """Values of all fields of a nested record as text, by path; paths begin with ``prefix``."""
    assert is_dataclass(record), "a configuration is made of records"
    texts: dict[str, str] = {}
    for field in fields(record):
        path, value = f"{prefix}{field.name}", getattr(record, field.name)
        if is_dataclass(value):
            texts |= fields_as_text(value, f"{path}.")
        else:
            texts[path] = str(value)
    return texts
