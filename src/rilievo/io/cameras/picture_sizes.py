"""Find the picture size in a camera's entries, under any of its names."""

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
"""Words in the names of other sizes than that of the picture."""
_MIN_SIDE = 16
"""Smallest plausible side of a picture [px], for entries that may be something else."""


def stated_size(entries: Mapping[str, Any]) -> list[Any]:
    """Find width and height of a camera's pictures, as the file writes them; empty if not stated.

    The size of the calibration's pictures takes precedence over any other size.
    """
    calibration_sizes = [name for name in entries if _CALIBRATION_SIZE.search(str(name))]
    for name in (*calibration_sizes, *_SIZE_NAMES):
        sides = _parse_size(entries.get(name))
        if sides:
            return sides

    sides = first_values(entries, (WIDTHS, HEIGHTS)) or []
    # "rows" and "cols" may also be the shape of a matrix, such as 3 and 3.
    may_be_matrix = sides == [entries.get("cols"), entries.get("rows")]
    if sides and (not may_be_matrix or all(_is_side(side) for side in sides)):
        return sides
    return _find_size_by_suffix(entries)


def _find_size_by_suffix(entries: Mapping[str, Any]) -> list[Any]:
    """Find width and height in an entry whose name ends with ``size``, ``shape`` or the like."""
    for name, value in entries.items():
        if not _ANY_SIZE.search(str(name)) or _NOT_OF_THE_PICTURE.search(str(name)):
            continue
        sides = _parse_size(value)
        if len(sides) != 2 or not all(_is_side(side) for side in sides):
            continue
        # A shape is (height, width).
        return sides[::-1] if str(name).lower().endswith("shape") else sides
    return []


def first_values(entries: Mapping[str, Any], groups: Sequence[Sequence[str]]) -> list[Any] | None:
    """Return the first entry of each group of names; None if a group has no entry, or a null."""
    values = []
    for names in groups:
        value = next((entries[name] for name in names if name in entries), None)
        if value is None:
            return None
        values.append(value)
    return values


def _parse_size(value: Any) -> list[Any]:
    """Parse width and height from a mapping, a list, or a text such as 640x480; empty if absent."""
    if isinstance(value, Mapping):
        return first_values(value, (WIDTHS, HEIGHTS)) or []
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
