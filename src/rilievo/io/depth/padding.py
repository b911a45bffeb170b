"""Find bands at the border of a map that padding may have added.

Programs pad a map with zeros or NaN, or repeat its outermost row or column.
"""

from dataclasses import dataclass

import numpy as np

from rilievo.arrays.shapes import AnyPlane, Size

_MAX_LINES = 32  # of padding per axis; wider bands without depth come from a sensor
_INNER_LINES = 4
"""So many lines inside of a repeated band have to differ from each other. In a map that was
enlarged with nearest neighbours, lines repeat everywhere."""


@dataclass(frozen=True, slots=True, kw_only=True)
class BorderBands:
    """Counts of rows or columns on each side that have no depth, or repeat the line beside them."""

    top: int
    bottom: int
    left: int
    right: int

    def shape_inside(self, size: Size) -> Size:
        """(height, width) of the map without the bands."""
        return size[0] - self.top - self.bottom, size[1] - self.left - self.right

    def __str__(self) -> str:
        """Words such as "6 rows above and 8 columns on the left"."""
        bands = (
            (self.top, "row", "above"),
            (self.bottom, "row", "below"),
            (self.left, "column", "on the left"),
            (self.right, "column", "on the right"),
        )
        descriptions = [
            f"{count} {line}{'s' if count > 1 else ''} {side}"
            for count, line, side in bands
            if count
        ]
        *all_but_last, last = descriptions
        return f"{', '.join(all_but_last)} and {last}" if all_but_last else last


def find_border_bands(values: AnyPlane) -> BorderBands | None:
    """Find bands at the border of a map, whose values are 0 or not finite without depth.

    Returns:
        Bands, or None if there are none, or if they are wider than padding.
    """
    filled = np.where(np.isfinite(values), values, 0)
    top, bottom = _band_width(filled), _band_width(filled[::-1])
    columns = filled[top : len(filled) - bottom].T
    left, right = _band_width(columns), _band_width(columns[::-1])
    if not 0 < max(top + bottom, left + right) <= _MAX_LINES:
        return None
    bands = BorderBands(top=top, bottom=bottom, left=left, right=right)
    return bands if min(bands.shape_inside(values.shape)) > 0 else None


def _band_width(values: AnyPlane) -> int:
    """Count the first rows that are empty, or if there are none, that repeat the row after them."""
    rows = values[: _MAX_LINES + _INNER_LINES + 2]
    is_empty = (rows == 0).all(axis=1)
    if is_empty.all():
        return len(values)
    empty_row_count = _count_leading(is_empty)
    if empty_row_count:
        return empty_row_count

    repeats_next = (rows[1:] == rows[:-1]).all(axis=1)
    repeated_row_count = _count_leading(repeats_next)
    first_inner = repeated_row_count + 1
    inner_repeats = repeats_next[first_inner : first_inner + _INNER_LINES]
    return 0 if inner_repeats.any() else repeated_row_count


def _count_leading(flags: np.ndarray) -> int:
    """Count the true elements of a list before the first one that is false."""
    return len(flags) if flags.all() else int(np.argmin(flags))
