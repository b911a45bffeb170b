"""Parse numbers, lists and matrices among the entries of JSON, YAML, TOML and XML."""

import math
import re
from collections.abc import Mapping
from typing import Any


def is_number(value: Any) -> bool:
    """Whether an entry is a number; booleans are not."""
    return isinstance(value, int | float) and not isinstance(value, bool)


def is_numeric(value: Any) -> bool:
    """Whether an entry is a number, or a text that can be parsed as one."""
    if not isinstance(value, str):
        return is_number(value)
    try:
        float(value)
    except ValueError:
        return False
    return True


def number_or_nan(value: Any) -> float:
    """Parse a number, also from text, because YAML reads 1e-05 as text; NaN for anything else."""
    if isinstance(value, bool):
        return math.nan
    try:
        return float(value)
    except OverflowError:
        return math.inf
    except (TypeError, ValueError):
        return math.nan


def flatten_rows(value: Any) -> list[Any]:
    """Flatten a list, a list of rows, or OpenCV's mapping with ``data``, in row-major order.

    Any other value becomes a list of one.
    """
    rows = value.get("data") if isinstance(value, Mapping) else value
    if not isinstance(rows, list | tuple):
        return [rows]

    elements: list[Any] = []
    for row in rows:
        if isinstance(row, list):
            elements.extend(row)
        else:
            elements.append(row)
    return elements


def normalize_name(name: str) -> str:
    """Reduce a name to lower-case letters and digits, so that ``Fov_X`` becomes ``fovx``."""
    return re.sub(r"[^a-z0-9]", "", name.lower())
