"""Conversion of Python values to the types of options, and of texts to lengths in metres."""

import math
import re
from collections.abc import Callable, Mapping
from enum import Enum
from numbers import Integral, Real
from pathlib import Path
from typing import Any, Literal, get_args, get_origin


def to_option_type(value_type: Any, value: Any) -> Any:
    """Convert a Python value to the type of an option.

    Args:
        value_type: Type of the option without None: a class, a tuple of a class, a ``Literal``, or
            ``bool | Literal[...]``.
        value: Value that a user gave, for example a NumPy number.

    Raises:
        ValueError: If it is of another type, or not finite.
    """
    if get_origin(value_type) is tuple:
        return _to_tuple(get_args(value_type), value)
    if get_origin(value_type) is Literal:
        if _to_text(value) not in get_args(value_type):
            raise ValueError("another word")
        return value
    members = get_args(value_type)
    if members:  # ``bool | Literal[...]``, a switch that may be a word
        word_type = members[1]
        return to_option_type(word_type if isinstance(value, str) else bool, value)
    if issubclass(value_type, Enum):
        return _to_enum_member(value_type, value)
    return _CONVERTERS[value_type](value)


def _to_tuple(item_types: tuple[Any, ...], value: Any) -> tuple[Any, ...]:
    """Convert a list or tuple; ``item_types`` ends with ``...`` if it may have any length."""
    if not isinstance(value, tuple | list):
        raise ValueError("not a list")
    if ... not in item_types and len(value) != len(item_types):
        raise ValueError("the wrong number of values")
    return tuple(to_option_type(item_types[0], item) for item in value)


def _is_bool(value: Any) -> bool:
    # By its name, so that NumPy, whose class has the name bool_ or bool, need not be imported.
    return type(value).__name__ in ("bool", "bool_")


def _to_bool(value: Any) -> bool:
    is_zero_or_one = isinstance(value, Integral) and value in (0, 1)
    if not _is_bool(value) and not is_zero_or_one:
        raise ValueError("neither true nor false")
    return bool(value)


def _to_int(value: Any) -> int:
    number = _to_finite_number(value)
    if number != math.floor(number):
        raise ValueError("not an integer")
    return int(number)


def _to_finite_number(value: Any) -> float | int:
    """Convert a number; a whole number stays one."""
    if _is_bool(value) or not isinstance(value, Real):
        raise ValueError("not a number")
    try:
        number = float(value)
    except OverflowError:
        raise ValueError("too large") from None
    if not math.isfinite(number):
        raise ValueError("not finite")
    return int(value) if isinstance(value, Integral) else number


def _to_path(value: Any) -> Path:
    if not isinstance(value, str | Path) or value == "":
        raise ValueError("not a path")
    return Path(_to_text(str(value)))


def _to_text(value: Any) -> str:
    if not isinstance(value, str) or "\0" in value:
        raise ValueError("not a string")
    return value


def _to_enum_member(enum: type[Enum], value: Any) -> Enum:
    if _is_bool(value):  # of a ``Switch``
        value = "on" if value else "off"
    if isinstance(value, enum | str):
        return enum(value)
    raise ValueError("not a member")


_CONVERTERS: dict[type, Callable[[Any], Any]] = {
    bool: _to_bool,
    int: _to_int,
    float: _to_finite_number,
    Path: _to_path,
    str: _to_text,
}


MIN_METRES = 1e-6
MAX_METRES = 1e6
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
"""Symbols that messages list."""
_DECIMALS = 12
"""Decimals of metres that are kept, because 29.7 * 0.01 is not 0.297 in binary."""
_NUMBER_AND_UNIT = re.compile(r"(.*?[\d.])\s*([^\W\d_]+|[\"″'′])", re.DOTALL)
_FEET_AND_INCHES = re.compile(r"(\d+)\s*(?:ft|['′])\s*(\d+(?:\.\d*)?)\s*(?:in|[\"″])?")


def parse_metres(text: str) -> float:
    """Convert a length with or without a unit to metres.

    The text is a number and a unit (``30cm``, ``12 in``), feet with inches (``5'11"``), or a number
    alone, which is in metres.

    Examples:
        >>> parse_metres("30cm"), parse_metres("5ft 11in"), parse_metres("2.35")
        (0.3, 1.8034, 2.35)

    Raises:
        ValueError: If the text is not a length, or if its unit is unknown.
    """
    text = text.strip()
    feet_and_inches = _FEET_AND_INCHES.fullmatch(text)
    if feet_and_inches is not None:
        feet, inches = float(feet_and_inches[1]), float(feet_and_inches[2])
        metres = feet * METRES_PER_UNIT["ft"] + inches * METRES_PER_UNIT["in"]
        return round(metres, _DECIMALS)

    number_and_unit = _NUMBER_AND_UNIT.fullmatch(text)
    if number_and_unit is None:
        return float(text)  # in metres
    number, unit = number_and_unit[1], number_and_unit[2].lower()
    if unit not in METRES_PER_UNIT:
        raise ValueError("an unknown unit")
    return round(float(number) * METRES_PER_UNIT[unit], _DECIMALS)


def parse_unit(text: str) -> float:
    """Parse the unit of stored numbers [m]: its name, a length, or a fraction of a metre.

    Examples:
        >>> parse_unit("mm"), parse_unit("millimetres"), parse_unit("1/256")
        (0.001, 0.001, 0.00390625)

    Raises:
        ValueError: If it is none of these.
    """
    name = text.strip().lower()
    if name in METRES_PER_UNIT:
        return METRES_PER_UNIT[name]
    numerator, slash, denominator = name.partition("/")
    if not slash:
        return parse_metres(name)
    divisor = float(denominator)
    if divisor == 0:
        raise ValueError("a fraction of zero parts")
    return parse_metres(numerator) / divisor
