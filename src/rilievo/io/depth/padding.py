"""Bands at the border of a map that padding may have added.

Programs that pad a map fill what they add with zeros or NaN, or repeat its outermost line.
"""

from dataclasses import dataclass

import numpy as np

from rilievo.arrays.shapes import AnyPlane, Size

_MAX_LINES = 32  # that padding adds to an axis; wider bands without depth are those of sensors
_INNER_LINES = 4
"""Lines beside a repeated band that have to differ, as they do not in an enlarged map."""


@dataclass(frozen=True, slots=True, kw_only=True)
class BorderBands:
    """Numbers of lines on each side that hold no depth, or repeat the line beside them."""

    top: int
    bottom: int
    left: int
    right: int

    def shape_inside(self, size: Size) -> Size:
        """(height, width) of what lies between the bands."""
        return size[0] - self.top - self.bottom, size[1] - self.left - self.right

    def __str__(self) -> str:
        """Words such as "6 rows above and 8 columns on the left"."""
        bands = (
            (self.top, "row", "above"),
            (self.bottom, "row", "below"),
            (self.left, "column", "on the left"),
            (self.right, "column", "on the right"),
        )
        words = [
            f"{count} {line}{'s' if count > 1 else ''} {side}"
            for count, line, side in bands
            if count
        ]
        *most, last = words
        return f"{', '.join(most)} and {last}" if most else last


def find_border_bands(values: AnyPlane) -> BorderBands | None:
    """Find bands at the border of a map (0 or not finite where it has no depth).

    Returns:
        Bands, or None if there are none, or more than padding adds.
    """
    filled = np.where(np.isfinite(values), values, 0)
    top, bottom = _lines_of_band(filled), _lines_of_band(filled[::-1])
    columns = filled[top : len(filled) - bottom].T
    left, right = _lines_of_band(columns), _lines_of_band(columns[::-1])
    if not 0 < max(top + bottom, left + right) <= _MAX_LINES:
        return None
    bands = BorderBands(top=top, bottom=bottom, left=left, right=right)
    return bands if min(bands.shape_inside(values.shape)) > 0 else None


def _lines_of_band(values: AnyPlane) -> int:
    """Number of first rows that are empty, or else that repeat the row below them."""
    rows = values[: _MAX_LINES + _INNER_LINES + 2]
    is_empty = ~rows.any(axis=1)
    if is_empty.all():
        return len(values)
    empty_rows = int(np.argmin(is_empty))
    if empty_rows:
        return empty_rows

    repeats_next = (rows[1:] == rows[:-1]).all(axis=1)
    repeated_rows = len(repeats_next) if repeats_next.all() else int(np.argmin(repeats_next))
    inner_lines = repeats_next[repeated_rows + 1 : repeated_rows + 1 + _INNER_LINES]
    return 0 if inner_lines.any() else repeated_rows
