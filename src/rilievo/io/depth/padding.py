"""Bands at the border of a map that padding may have added.

Programs that pad a map fill what they add with zeros or NaN, or repeat its outermost line.
"""

from dataclasses import dataclass

import numpy as np

from rilievo.arrays.shapes import AnyPlane, Size

MOST_LINES = 32
"""Most lines that padding adds to an axis. Wider bands without depth are those of sensors."""
_LINES_INSIDE = 4
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
        *most, last = [
            f"{count} {line}{'s' if count > 1 else ''} {place}"
            for count, line, place in bands
            if count
        ]
        return f"{', '.join(most)} and {last}" if most else last


def find_border_bands(values: AnyPlane) -> BorderBands | None:
    """Bands at the border of a map (0 or not finite where it has no depth).

    Returns:
        Bands, or None if there are none, or more than padding adds.
    """
    filled = np.where(np.isfinite(values), values, 0)
    top, bottom = _bands_of_rows(filled)
    columns = filled[top : len(filled) - bottom].T
    left, right = _bands_of_rows(columns)
    if not 0 < max(top + bottom, left + right) <= MOST_LINES:
        return None
    bands = BorderBands(top=top, bottom=bottom, left=left, right=right)
    return bands if min(bands.shape_inside(values.shape)) > 0 else None


def _bands_of_rows(values: AnyPlane) -> tuple[int, int]:
    """Lines of the bands at the first and at the last rows."""
    return _band_at_first_row(values), _band_at_first_row(values[::-1])


def _band_at_first_row(values: AnyPlane) -> int:
    rows = values[: MOST_LINES + _LINES_INSIDE + 2]
    is_empty = ~rows.any(axis=1)
    if is_empty.all():
        return len(values)
    empty_rows = int(np.argmin(is_empty))
    if empty_rows:
        return empty_rows
    repeats = (rows[1:] == rows[:-1]).all(axis=1)
    repeated_rows = len(repeats) if repeats.all() else int(np.argmin(repeats))
    beside = repeats[repeated_rows + 1 : repeated_rows + 1 + _LINES_INSIDE]
    return 0 if beside.any() else repeated_rows
