"""Reads the file of a sweep, in TOML."""

import json
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from rilievo.errors import InputError, OptionError, RilievoError
from rilievo.io.json_record import NotThisRecord, check_names, from_json
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
    """
    where, text = printable(path), read_text(path)
    try:
        # tomllib takes quadratic time in the number of a key's parts.
        dots = max(line.count(".") for line in text.split("\n"))
        if len(text) > _LONGEST or dots > _MOST_DOTS:
            raise ValueError(f"{len(text)} characters, {dots} dots in a line: no sweep has so many")
        table = tomllib.loads(text)
        _prepare(table, path.parent)
        check_names(SweepConfig, table)
        return from_json(SweepConfig, json.dumps(table))
    except (NotThisRecord, OptionError) as error:
        raise InputError(f"{where}: {str(error).replace('it.', '', 1)}") from error
    except RilievoError:
        raise
    except (TypeError, ValueError, RecursionError) as error:
        line = " ".join(str(error).split())
        raise InputError(f"{where}: is no valid TOML of a sweep: {line}") from error


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
