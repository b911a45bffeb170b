"""Configurations as flat lists of fields."""

import json
import os
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, fields, is_dataclass, replace
from math import inf
from typing import TypeVar

from rilievo.errors import OptionError, suggest
from rilievo.io.json_record import NotThisRecord, from_json, to_json

Config = TypeVar("Config")
_PATHS = ("root", "roots", "list_file", "camera_file")
_RANGES: Mapping[str, Callable[[float], bool]] = {
    "1 or more": lambda number: number >= 1,
    "0 or more": lambda number: 0 <= number < inf,
    "above 0": lambda number: 0 < number < inf,
    "a share of 0 to 1": lambda number: 0 <= number <= 1,
}


def check_ranges(record: object, names_by_range: Mapping[str, tuple[str, ...]]) -> None:
    """Refuse numbers out of their ranges; None passes."""
    for words, names in names_by_range.items():
        for name in names:
            number = getattr(record, name)
            if number is not None and not _RANGES[words](number):
                raise OptionError(option=name, expected=words, value=number)


Rules = Sequence[tuple[Callable[[Config], bool], Callable[[Config], OptionError]]]


def check_rules(config: Config, rules: Rules[Config]) -> None:
    """Raise the error of the first broken rule."""
    for is_broken, error in rules:
        if is_broken(config):
            raise error(config)


@dataclass(frozen=True, slots=True, kw_only=True)
class FieldDifference:
    """Field that differs from ``default``; without ``reason`` the user chose it."""

    field: str
    value: str
    default: str
    reason: str | None = None


def find_differences(
    config: object, *, default_preset: object, chosen_preset: object, reasons: Mapping[str, str]
) -> tuple[FieldDifference, ...]:
    """List the fields that differ from the preset ``default``, without the seed."""
    usual_words, named_words = fields_as_text(default_preset), fields_as_text(chosen_preset)
    return tuple(
        FieldDifference(
            field=path,
            value=value,
            default=usual_words[path],
            reason=reasons.get(path) if value == named_words[path] else None,
        )
        for path, value in fields_as_text(config).items()
        if value != usual_words[path] and path != "seed"
    )


def with_changed_fields(
    config: Config, changes: Mapping[str, object], *, fixed: tuple[str, ...] = ()
) -> Config:
    """Change fields by path, such as ``losses.depth``, except ``fixed`` ones."""
    data, words = json.loads(to_json(config)), fields_as_text(config)
    for path, value in changes.items():
        if path not in words or path.startswith(fixed):
            open_fields = [name for name in words if not name.startswith(fixed)]
            raise OptionError(f"training has no '{path}'; {suggest(path, open_fields)}")
        *records, name = path.split(".")
        part = data
        for record in records:
            part = part[record]
        part[name] = value
    try:
        return from_json(type(config), json.dumps(data))
    except NotThisRecord as error:
        raise OptionError(f"training: {error}") from error


def with_fields_of(
    usual: Config, config: object, names: Collection[str], prefix: str = ""
) -> Config:
    """Configuration ``usual`` with the fields ``names`` of ``config``."""
    assert is_dataclass(usual), "a configuration is a record"
    assert not isinstance(usual, type), "and not the class of one"
    changes = {}
    for field in fields(usual):
        own, other, path = (
            getattr(usual, field.name),
            getattr(config, field.name),
            prefix + field.name,
        )
        if is_dataclass(own):
            changes[field.name] = with_fields_of(own, other, names, f"{path}.")
        elif path in names:
            changes[field.name] = other
    return replace(usual, **changes)


def with_absolute_paths(config: Config) -> Config:
    """Replace the data's paths."""
    data = json.loads(to_json(config))
    for name in _PATHS:
        value = data["data"].get(name)
        if isinstance(value, str):
            data["data"][name] = os.path.abspath(value)
        elif isinstance(value, list):
            data["data"][name] = [os.path.abspath(path) for path in value]
    return from_json(type(config), json.dumps(data))


def describe_changes(before: object, now: object) -> list[str]:
    """List "path was old, is new"."""
    old, new = fields_as_text(before), fields_as_text(now)
    return [
        f"{name} was {old.get(name)}, is {value}"
        for name, value in new.items()
        if old.get(name) != value
    ]


def fields_as_text(record: object, prefix: str = "") -> dict[str, str]:
    """Convert fields to text, by path."""
    words: dict[str, str] = {}
    assert is_dataclass(record), "a configuration is made of records"
    for field in fields(record):
        value, path = getattr(record, field.name), f"{prefix}{field.name}"
        words |= fields_as_text(value, f"{path}.") if is_dataclass(value) else {path: str(value)}
    return words
