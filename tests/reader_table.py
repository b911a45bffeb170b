"""Functions of ``src`` that open files, with the readers that try them (reader_table.toml)."""

import tomllib
from collections.abc import Mapping
from pathlib import Path

_ROWS = tomllib.loads(Path(__file__).with_name("reader_table.toml").read_text("utf-8"))

TRIED: Mapping[str, str] = {f"rilievo.{name}": each for name, each in _ROWS["tried"].items()}
"""Reader of the campaign that calls each function."""
BOUNDS: Mapping[str, str] = _ROWS["bounds"]
"""Bound of reading, by the form of a file or its suffix."""
REASONS: Mapping[str, str] = {f"rilievo.{name}": each for name, each in _ROWS["reasons"].items()}
"""Reason why no reader of the campaign is there for a function."""
