"""The file of a sweep: TOML, or YAML with the same names."""

import json
import tomllib
from collections.abc import Mapping
from dataclasses import fields, is_dataclass
from pathlib import Path
from typing import Any, get_args, get_origin, get_type_hints

from rilievo.errors import InputError, MissingExtraError, OptionError, RilievoError, suggest
from rilievo.io.json_record import NotThisRecord, from_json, parse_yaml
from rilievo.io.limits import printable, read_text
from rilievo.sweep.config import SweepConfig

_LONGEST = 100_000
_MOST_SEEDS = 1000
_MOST_DOTS = 1000

EACH = "each"
"""Value of a backbone's ``layers`` that stands for every layer alone."""


def read_sweep(path: Path) -> SweepConfig:
    """Read the file of a sweep. Paths in it are relative to its folder.

    Raises:
        InputError: If the file cannot be read, or has unknown names or invalid values.
        MissingExtraError: If it is YAML and no YAML package is installed.
    """
    table = _table(path)
    where = printable(path)
    try:
        _prepare(table, path.parent)
        _refuse_unknown(SweepConfig, table, where)
        return from_json(SweepConfig, json.dumps(table))
    except NotThisRecord as error:
        # Errors name a field as it.seeds; here the file's path stands before it.
        raise InputError(f"{where}: {str(error).replace('it.', '', 1)}") from error
    except OptionError as error:
        raise InputError(f"{where}: {error}") from error
    except RilievoError:
        raise
    except (TypeError, ValueError, RecursionError) as error:
        raise InputError(f"{where}: is no valid sweep: {error}") from error


def _table(path: Path) -> dict[str, Any]:
    text = read_text(path)
    try:
        if len(text) > _LONGEST:
            raise ValueError(f"{len(text)} characters, more than the {_LONGEST} of any sweep")
        table = _toml(text) if path.suffix == ".toml" else _yaml(text)
    except (ValueError, RecursionError) as error:
        line = " ".join(str(error).split())
        raise InputError(f"{path}: is no valid TOML or YAML: {line}") from error
    if not isinstance(table, dict):
        raise InputError(f"{path}: holds no names with values, such as 'data' and 'backbones'")
    return table


def _toml(text: str) -> Any:
    # tomllib takes quadratic time in the number of a key's parts.
    if max(line.count(".") for line in text.split("\n")) > _MOST_DOTS:
        raise ValueError(f"a line has more than {_MOST_DOTS} dots")
    return tomllib.loads(text)


def _yaml(text: str) -> Any:
    try:
        return parse_yaml(text)
    except ModuleNotFoundError as error:
        raise MissingExtraError("a sweep in YAML (TOML needs nothing)", "evaluate") from error


def _prepare(table: dict[str, Any], folder: Path) -> None:
    """Expand the short forms of a file to those of ``SweepConfig``, in place."""
    if isinstance(seeds := table.get("seeds"), int) and not isinstance(seeds, bool):
        if seeds > _MOST_SEEDS:
            raise ValueError(f"seeds are at most {_MOST_SEEDS}, got {seeds}")
        table["seeds"] = list(range(seeds))
    if isinstance(probes := table.get("probes"), list):
        table["probes"] = [{"kind": each} if isinstance(each, str) else each for each in probes]
    if isinstance(training := table.get("training"), dict):
        table["training"] = _dotted(training)
    for entry in _tables(table.get("backbones")):
        if entry.get("layers") == EACH:
            del entry["layers"]
            entry["each_layer"] = True
        if entry.get("weights") not in (None, "pretrained", "random"):
            _resolve(entry, "weights", folder)
    for name, keys in (
        ("data", ("root", "list_file")),
        ("test", ("list_file",)),
        ("cache", ("folder",)),
    ):
        for part in _tables([table.get(name)]):
            for key in keys:
                _resolve(part, key, folder)


def _tables(values: Any) -> list[dict[str, Any]]:
    """Values of a list that are tables; the others are refused when the record is built."""
    return [each for each in values if isinstance(each, dict)] if isinstance(values, list) else []


def _resolve(table: dict[str, Any], key: str, folder: Path) -> None:
    if isinstance(value := table.get(key), str):
        table[key] = str(folder / Path(value).expanduser())


def _dotted(table: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    flat: dict[str, Any] = {}
    for name, value in table.items():
        if isinstance(value, dict):
            flat |= _dotted(value, f"{prefix}{name}.")
        else:
            flat[f"{prefix}{name}"] = value
    return flat


def _refuse_unknown(kind: Any, data: Any, where: str) -> None:
    """Refuse unknown names, such as misspelt ones, which would otherwise have no effect."""
    if get_origin(kind) is tuple and isinstance(data, list):
        for each in data:
            _refuse_unknown(get_args(kind)[0], each, where)
    if not (is_dataclass(kind) and isinstance(data, dict)):
        return
    hints = get_type_hints(kind)
    names = [each.name for each in fields(kind)]
    for name, value in data.items():
        if name not in names:
            raise InputError(f"{where}: has no '{name}'; {suggest(str(name), names)}")
        _refuse_unknown(hints[name], value, where)
