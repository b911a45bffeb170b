"""Values of options by their types, and lengths by their units."""

import math
import re
from collections.abc import Callable, Mapping
from enum import Enum
from numbers import Integral, Real
from pathlib import Path
from typing import Any, Literal, get_args, get_origin


def to_option_type(kind: Any, value: Any) -> Any:
    """Convert a value of Python.

    Raises:
        ValueError: If it is of another type, or not finite.
    """
    kinds = get_args(kind)
    if get_origin(kind) is tuple:
        if not isinstance(value, tuple | list):
            raise ValueError("no list")
        if ... not in kinds and len(value) != len(kinds):
            raise ValueError("another number of values")
        return tuple(to_option_type(kinds[0], item) for item in value)
    if get_origin(kind) is Literal:
        if _to_text(value) not in kinds:
            raise ValueError("another word")
        return value
    if kinds:  # a switch that may be a word
        return to_option_type(kinds[1] if isinstance(value, str) else bool, value)
    if issubclass(kind, Enum):
        return _to_enum_member(kind, value)
    return _PLAIN[kind](value)


def _is_bool(value: Any) -> bool:
    return type(value).__name__ in ("bool", "bool_")  # of Python, and of arrays


def _to_bool(value: Any) -> bool:
    if not _is_bool(value) and not (isinstance(value, Integral) and value in (0, 1)):
        raise ValueError("neither true nor false")
    return bool(value)


def _to_int(value: Any) -> int:
    number = _to_finite_number(value)
    if number != math.floor(number):
        raise ValueError("no whole number")
    return int(number)


def _to_finite_number(value: Any) -> float | int:
    if _is_bool(value) or not isinstance(value, Real):
        raise ValueError("no number")
    try:
        number = float(value)
    except OverflowError:
        raise ValueError("too large") from None
    if not math.isfinite(number):
        raise ValueError("not finite")
    return int(value) if isinstance(value, Integral) else number


def _to_path(value: Any) -> Path:
    if not isinstance(value, str | Path) or value == "":
        raise ValueError("no path")
    return Path(_to_text(str(value)))


def _to_text(value: Any) -> str:
    if not isinstance(value, str) or "\0" in value:
        raise ValueError("no text")
    return value


def _to_enum_member(kind: type[Enum], value: Any) -> Enum:
    if _is_bool(value):
        value = "on" if value else "off"
    if isinstance(value, kind | str):
        return kind(value)
    raise ValueError("no member")


_PLAIN: dict[type, Callable[[Any], Any]] = {
    bool: _to_bool,
    int: _to_int,
    float: _to_finite_number,
    Path: _to_path,
    str: _to_text,
}


LEAST_METRES, MOST_METRES = 1e-6, 1e6
"""Smallest and largest known distance or length that is accepted [m]."""
METRES_PER_UNIT: Mapping[str, float] = {
    name: metres
    for metres, names in (
        (1e-6, "um µm μm micrometer micrometers micrometre micrometres"),
        (1e-3, "mm millimeter millimeters millimetre millimetres"),
        (1e-2, "cm centimeter centimeters centimetre centimetres"),
        (1e-1, "dm decimeter decimeters decimetre decimetres"),
        (1.0, "m meter meters metre metres"),
        (1e3, "km kilometer kilometers kilometre kilometres"),
        (0.0254, 'in inch inches " ″'),
        (0.3048, "ft foot feet ' ′"),
        (0.9144, "yd yard yards"),
    )
    for name in names.split()
}
"""Metres of a unit by its symbol and its names, in lower case."""
UNITS = "mm, cm, m, km, in, ft, yd"
_NUMBER = re.compile(r"(.*?[\d.])\s*([^\W\d_]+|[\"″'′])", re.DOTALL)
_FEET = re.compile(r"(\d+)\s*(?:ft|['′])\s*(\d+(?:\.\d*)?)\s*(?:in|[\"″])?")


def metres_of(text: str) -> float:
    """Read a length: ``2.35`` [m], ``30cm``, ``12 in`` or ``5'11"``.

    Examples:
        >>> metres_of("30cm"), metres_of("5ft 11in")
        (0.3, 1.8034)

    Raises:
        ValueError: If it is none, or its unit is unknown.
    """
    text = text.strip()
    if feet := _FEET.fullmatch(text):
        return round(
            float(feet[1]) * METRES_PER_UNIT["ft"] + float(feet[2]) * METRES_PER_UNIT["in"], 12
        )
    number = _NUMBER.fullmatch(text)
    if number is None or number[2].lower() not in METRES_PER_UNIT:
        return float(text)
    # 29.7 * 0.01 is no 0.297 in binary.
    return round(float(number[1]) * METRES_PER_UNIT[number[2].lower()], 12)


def metres_of_unit(text: str) -> float:
    """Read the unit of numbers: its name, a length, or a fraction of a metre.

    Examples:
        >>> metres_of_unit("mm"), metres_of_unit("millimetres"), metres_of_unit("1/256")
        (0.001, 0.001, 0.00390625)

    Raises:
        ValueError: If it is none of these.
    """
    name = text.strip().lower()
    if name in METRES_PER_UNIT:
        return METRES_PER_UNIT[name]
    numerator, slash, denominator = name.partition("/")
    if not slash:
        return metres_of(name)
    parts = float(denominator)
    if parts == 0:
        raise ValueError("a fraction of zero parts")
    return metres_of(numerator) / parts
