"""Conversion of options' values."""

import math
from collections.abc import Callable
from enum import Enum
from numbers import Integral, Real
from pathlib import Path
from typing import Any, Literal, get_args, get_origin


def typed(kind: Any, value: Any) -> Any:
    """Convert a value to a type of options without None.

    Raises:
        ValueError: If it is of another type, or not finite.
    """
    kinds = get_args(kind)
    if get_origin(kind) is tuple:
        if not isinstance(value, tuple | list):
            raise ValueError("no list")
        if ... not in kinds and len(value) != len(kinds):
            raise ValueError("another number of values")
        return tuple(typed(kinds[0], item) for item in value)
    if get_origin(kind) is Literal:
        if _to_text(value) not in kinds:
            raise ValueError("another word")
        return value
    if kinds:  # a switch that may be a word
        return typed(kinds[1] if isinstance(value, str) else bool, value)
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
