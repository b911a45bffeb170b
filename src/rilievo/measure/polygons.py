"""Polygons of an area: their outline in the picture, and their area in space."""

from collections.abc import Sequence

import numpy as np
from PIL import Image, ImageDraw

from rilievo.arrays.shapes import Mask, Points
from rilievo.errors import OptionError
from rilievo.measure.measurements import Point

_Side = tuple[Point, Point]
"""Start and end of a side [px]."""
_MAX_CORNERS = 1000
"""Most corners of an area, each of whose sides is compared with all others."""
_MIN_THICKNESS = 1e-9
"""Least thickness of an outline, over its length, that encloses an area."""


def polygon_area(corners: Points) -> float:
    """Area of a flat polygon in space, by its corners in order [m²]."""
    twice_area_vector = np.cross(corners, np.roll(corners, -1, axis=0)).sum(axis=0)
    return float(np.linalg.norm(twice_area_vector)) / 2


def polygon_mask(shape: tuple[int, int], corners: Sequence[Point]) -> Mask:
    """Mask of the pixels inside of a polygon, in a picture of (height, width) pixels."""
    height, width = shape
    mask = Image.new("1", (width, height))
    ImageDraw.Draw(mask).polygon([(float(u), float(v)) for u, v in corners], fill=1)
    return np.array(mask, dtype=bool)


def require_simple_outline(corners: Sequence[Point]) -> None:
    """Check that the sides of an outline meet only at the corners between them.

    If an outline crosses itself, its parts have areas of opposite signs, which cancel each other.

    Raises:
        OptionError: If two sides cross or touch, or the corners lie on one line or are too many.
    """
    points = [
        corner
        for corner, previous in zip(corners, _rotated(corners, -1), strict=True)
        if corner != previous
    ]
    if len({*points}) < 3 or _is_on_one_line(points):
        raise OptionError("the corners of the area lie on one line, so they enclose no area")
    if len(points) > _MAX_CORNERS:
        raise OptionError(f"an area can have at most {_MAX_CORNERS:,} corners, got {len(points):,}")
    sides: list[_Side] = list(zip(points, _rotated(points, 1), strict=True))
    for index, side in enumerate(sides):
        # Consecutive sides share a corner, and so do the last and the first side.
        first_index = 1 if index == len(sides) - 1 else 0
        for earlier_side in sides[first_index : max(index - 1, first_index)]:
            if not _do_sides_meet(earlier_side, side):
                continue
            raise OptionError(
                "the outline crosses or touches itself: its side from "
                f"{_side_text(earlier_side)} meets its side from {_side_text(side)}, but "
                "an outline must enclose a single part",
                hint="give the corners in order around the area",
            )


def _is_on_one_line(points: Sequence[Point]) -> bool:
    """Whether all points lie on the line from the first one to the one farthest from it."""
    offsets = np.asarray(points, float) - points[0]
    farthest = offsets[int(np.argmax(np.hypot(*offsets.T)))]
    # A cross product is a point's distance from the line times the length of ``farthest``.
    cross_products = np.abs(offsets[:, 0] * farthest[1] - offsets[:, 1] * farthest[0])
    return bool(cross_products.max() <= _MIN_THICKNESS * float(farthest @ farthest))


def _rotated(points: Sequence[Point], count: int) -> list[Point]:
    """Points beginning ``count`` places later, around the outline."""
    return [*points[count:], *points[:count]]


def _side_text(side: _Side) -> str:
    (u1, v1), (u2, v2) = side
    return f"{u1:g},{v1:g} to {u2:g},{v2:g}"


def _do_sides_meet(first: _Side, second: _Side) -> bool:
    """Whether two line segments have a point in common."""
    for axis in (0, 1):
        # If the bounding boxes of the segments are apart, the segments are, too.
        lowest_end = min(max(point[axis] for point in side) for side in (first, second))
        highest_start = max(min(point[axis] for point in side) for side in (first, second))
        if highest_start > lowest_end:
            return False
    return not (_are_on_one_side_of(first, second) or _are_on_one_side_of(second, first))


def _are_on_one_side_of(line: _Side, ends: _Side) -> bool:
    """Whether both ends of a side lie on the same side of a line, and not on it."""
    offsets = [_offset_from_line(*line, point) for point in ends]
    return min(offsets) > 0 or max(offsets) < 0


def _offset_from_line(start: Point, end: Point, point: Point) -> float:
    """Positive on the right of the line from ``start`` to ``end``, negative on its left."""
    across, down = end[0] - start[0], end[1] - start[1]
    return across * (point[1] - start[1]) - down * (point[0] - start[0])
