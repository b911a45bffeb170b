"""The size of the pictures that a camera's entries state, under any of its names."""

import math
import re
from collections.abc import Mapping, Sequence
from typing import Any

from rilievo.io.cameras.names import HEIGHTS, WIDTHS
from rilievo.io.cameras.values import is_number

_SIZE_NAMES = ("resolution", "image_size", "imageSize", "img_size", "image_resolution", "size")
_CALIBRATION_SIZE = re.compile(r"(calib|reference|intrinsic).*(size|resolution|dim|shape)", re.I)
_ANY_SIZE = re.compile(r"(size|resolution|dims?|dimensions?|shape)$", re.I)
_NOT_OF_THE_PICTURE = re.compile(
    r"board|pattern|grid|square|chess|marker|tile|patch|window|voxel|pixel|thumb|depth|batch|"
    r"output|target|orig|sensor|chip|font|step|crop|roi",
    re.I,
)
"""Words in names of sizes that are not those of the picture."""
_MIN_SIDE = 16
"""Least side of a picture [px] where only the name's end speaks of a size."""


def stated_size(entries: Mapping[str, Any]) -> list[Any]:
    """Width and height of the pictures of a camera, as they are written; [] if not stated.

    The size of the pictures of the calibration goes before any other one.
    """
    calibration_sizes = [name for name in entries if _CALIBRATION_SIZE.search(str(name))]
    for name in (*calibration_sizes, *_SIZE_NAMES):
        sides = _sides_of_value(entries.get(name))
        if sides:
            return sides

    sides = first_of_each(entries, (WIDTHS, HEIGHTS)) or []
    # Rows and columns may be those of a matrix.
    may_be_matrix = sides == [entries.get("cols"), entries.get("rows")]
    if sides and (not may_be_matrix or all(_is_side(side) for side in sides)):
        return sides
    return _size_by_end_of_name(entries)


def _size_by_end_of_name(entries: Mapping[str, Any]) -> list[Any]:
    """Width and height of an entry whose name ends with ``size``, ``shape`` or the like."""
    for name, value in entries.items():
        if not _ANY_SIZE.search(str(name)) or _NOT_OF_THE_PICTURE.search(str(name)):
            continue
        sides = _sides_of_value(value)
        if len(sides) != 2 or not all(_is_side(side) for side in sides):
            continue
        # A shape has its height first.
        return sides[::-1] if str(name).lower().endswith("shape") else sides
    return []


def first_of_each(entries: Mapping[str, Any], groups: Sequence[Sequence[str]]) -> list[Any] | None:
    """First entry of each group of names; None if a group has none, or a null."""
    values = []
    for names in groups:
        value = next((entries[name] for name in names if name in entries), None)
        if value is None:
            return None
        values.append(value)
    return values


def _sides_of_value(value: Any) -> list[Any]:
    """Width and height of a mapping, of a list or of text such as 640x480; [] of anything else."""
    if isinstance(value, Mapping):
        return first_of_each(value, (WIDTHS, HEIGHTS)) or []
    if isinstance(value, str):
        match = re.fullmatch(r"\s*(\d{2,6})\s*[xX*,]\s*(\d{2,6})\s*", value)
        return [] if match is None else [int(match[1]), int(match[2])]
    if isinstance(value, list) and len(value) == 2:
        return value
    if isinstance(value, list) and len(value) == 3 and value[2] in (1, 3, 4):
        return value[:2]  # the third is the number of channels
    return []


def _is_side(side: Any) -> bool:
    return is_number(side) and _MIN_SIDE <= side < math.inf and float(side).is_integer()
