"""Numbers, lists and matrices among the entries of JSON, YAML, TOML and XML."""

import math
import re
from collections.abc import Mapping
from typing import Any


def is_number(value: Any) -> bool:
    """Whether an entry is a number; true and false are none."""
    return isinstance(value, int | float) and not isinstance(value, bool)


def is_numeric(value: Any) -> bool:
    """Whether an entry is a number, or text that is one."""
    if not isinstance(value, str):
        return is_number(value)
    try:
        float(value)
    except ValueError:
        return False
    return True


def number_or_nan(value: Any) -> float:
    """Number of an entry, also if it is text, as YAML reads 1e-05; NaN for anything else."""
    if isinstance(value, bool):
        return math.nan
    try:
        return float(value)
    except OverflowError:
        return math.inf
    except (TypeError, ValueError):
        return math.nan


def flat_list(value: Any) -> list[Any]:
    """Elements of a list, of a list of rows, or of OpenCV's mapping with ``data``, in their order.

    Any other value is a list of one.
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


def simplified_name(name: str) -> str:
    """Name of an entry in small letters and digits alone, so that ``Fov_X`` is ``fovx``."""
    return re.sub(r"[^a-z0-9]", "", name.lower())
