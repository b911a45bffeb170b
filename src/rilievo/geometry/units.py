"""Lengths as people write them, with or without a unit."""

import re

LEAST_METRES, MOST_METRES = 1e-6, 1e6
"""Smallest and largest known distance or length that is accepted [m]."""
_UNITS = {
    "mm": 0.001,
    "cm": 0.01,
    "dm": 0.1,
    "m": 1.0,
    "km": 1000.0,
    "in": 0.0254,
    '"': 0.0254,
    "″": 0.0254,
    "ft": 0.3048,
    "'": 0.3048,
    "′": 0.3048,
    "yd": 0.9144,
}
UNITS = "mm, cm, m, km, in, ft, yd"
_NUMBER = re.compile(r"(.*?[\d.])\s*([^\W\d_]+|[\"″'′])", re.DOTALL)
_FEET = re.compile(r"(\d+)\s*(?:ft|['′])\s*(\d+(?:\.\d*)?)\s*(?:in|[\"″])?")


def metres_of(text: str) -> float:
    """Read a length: ``2.35`` [m], ``30cm``, ``12 in`` or ``5'11"``.

    >>> metres_of("30cm"), metres_of("5ft 11in")
    (0.3, 1.8034)

    Raises:
        ValueError: If it is none, or its unit is unknown.
    """
    text = text.strip()
    if feet := _FEET.fullmatch(text):
        return round(float(feet[1]) * _UNITS["ft"] + float(feet[2]) * _UNITS["in"], 12)
    number = _NUMBER.fullmatch(text)
    if number is None or number[2].lower() not in _UNITS:
        return float(text)
    # 29.7 * 0.01 is no 0.297 in binary.
    return round(float(number[1]) * _UNITS[number[2].lower()], 12)
