"""Functions of ``src`` that open files, with the readers that try them (reader_table.toml)."""

import tomllib
from collections.abc import Mapping
from pathlib import Path

_ROWS = tomllib.loads(Path(__file__).with_name("reader_table.toml").read_text("utf-8"))

TRIED: Mapping[str, str] = _ROWS["tried"]
"""Reader of the campaign that calls each function, by the end of the function's name."""
BOUNDS: Mapping[str, str] = _ROWS["bounds"]
"""Bound of reading, by the form of a file or its suffix."""
REASONS: Mapping[str, str] = _ROWS["reasons"]
"""Reason why no reader of the campaign is there for a function, by the end of its name."""


def row_of(function: str) -> str | None:
    """Row of a function by its whole name, which ends in that of the row; None if there is none."""
    parts = function.split(".")
    ends = (".".join(parts[start:]) for start in range(len(parts)))
    return next((end for end in ends if end in TRIED or end in REASONS), None)
