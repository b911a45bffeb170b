"""Depth that ends where a renderer or a sensor ends, and depth beyond what can be seen."""

from collections.abc import Iterator

import numpy as np

from rilievo.arrays.shapes import Values
from rilievo.io.depth.number_plane import (
    SAME_FLOAT,
    NumberPlane,
    has_smooth_borders,
    is_synthetic,
)

MAX_VISIBLE = 1e4
"""No camera measures and no scene shows a surface beyond [m]."""
_MIN_LANDSCAPE, _MAX_LANDSCAPE = 1e3, 1e6
"""Mountains whose median depth is beyond the first, in a declared unit, are seen up to the second
[m]."""

_MIN_PIXELS = 5
_MIN_FRACTION_AT_END = 0.005  # of the depth, at the largest number
_MIN_CLIP = 10.0  # [m], nearest far plane of a renderer
_MIN_FRACTION_AT_CLIP = 0.02  # of the depth, at a far plane
_MIN_ROUND_COUNT, _ROUND_COUNT = 2000, 500  # round ends of sensors: 2000, 2500, 3000, ...
_BIT_ENDS = tuple(2**bits - 1 for bits in range(10, 17))  # ends of sensors of 10 to 16 bits
_MIN_RATIO_AT_END = 5  # of the pixels at the end to those of any number a little below
_JUST_BELOW = 0.9  # of the largest number; numbers above it are a little below

_MIN_RIGHT_ANGLES = 0.8  # of the borders of the back wall of a room that stands straight
_MIN_STEP, _MAX_STEP = 0.9, 1.1  # of depth beside that wall, over the step at a right angle
_MAX_WALL_GAP = 0.1  # of the wall's depth, between the wall and what meets it


def far_end_warnings(plane: NumberPlane, metres: Values) -> Iterator[str]:
    """Warn about pixels at a far plane or the end of a sensor, and beyond everything.

    Args:
        plane: Numbers of the map.
        metres: Valid depth [m], in any order.
    """
    yield from _end_of_depth_warnings(plane, metres)

    is_landscape = plane.is_unit_declared and float(np.median(metres)) > _MIN_LANDSCAPE
    max_depth = _MAX_LANDSCAPE if is_landscape else MAX_VISIBLE
    is_beyond = metres > max_depth
    if is_beyond.any():
        farthest_inside = float(metres[~is_beyond].max(initial=0))
        above = f"above {farthest_inside:.3g} m" if farthest_inside else "of the scene"
        yield (
            f"{np.count_nonzero(is_beyond)} pixels lie beyond {max_depth / 1000:g} km (up to "
            f"{metres.max():.3g} m), which looks like a background or another unit: say "
            f"'max_depth' {above}, or 'scale'"
        )


def _end_of_depth_warnings(plane: NumberPlane, metres: Values) -> Iterator[str]:
    """Warn about many pixels at the farthest depth."""
    farthest = float(metres.max())
    is_at_end = metres >= farthest * (1 - SAME_FLOAT)
    count = int(np.count_nonzero(is_at_end))
    fraction = count / metres.size
    is_rare = count < _MIN_PIXELS or fraction < _MIN_FRACTION_AT_END
    if is_rare or is_synthetic(metres[~is_at_end]):
        return

    is_round = abs(farthest / 10 - round(farthest / 10)) < 1e-4
    if is_round and farthest >= _MIN_CLIP and fraction >= _MIN_FRACTION_AT_CLIP:
        yield (
            f"{fraction:.1%} of the depth lies at {farthest:g} m exactly, the farthest depth: if "
            f"it was cut there, say 'max_depth: {0.999 * farthest:.6g}'"
        )
        return
    largest = float(plane.known_numbers.max())
    if _is_end_of_sensor(plane, largest, count):
        shown = plane.format(largest)
        yield (
            f"{fraction:.1%} of the depth has the number {shown}, the largest, up to "
            "which surfaces rise: if a sensor ends there and depth is beyond, say 'invalid: "
            f"[0, {shown}]'"
        )


def _is_end_of_sensor(plane: NumberPlane, largest: float, count: int) -> bool:
    """Whether the largest number, at ``count`` pixels, looks like the end of a sensor's range."""
    if not _is_usual_end(plane, largest):
        return False
    below = plane.known_numbers[plane.known_numbers < largest]
    counts_below = np.unique(below[below > _JUST_BELOW * largest], return_counts=True)[1]
    if count <= _MIN_RATIO_AT_END * int(counts_below.max(initial=0)):
        return False
    return has_smooth_borders(plane, largest)


def _is_usual_end(plane: NumberPlane, number: float) -> bool:
    """Whether a number is the largest of some bits, or a round number of counts.

    The back wall of a made-up room that stands straight before the camera has a round number, too.
    """
    if plane.integer_type is None:
        # Millimetres that were converted to metres.
        counts = round(1000 * number)
        is_whole = abs(1000 * number - counts) < 1e-3
        return is_whole and counts in _BIT_ENDS
    if number in _BIT_ENDS:
        return True
    is_round = number >= _MIN_ROUND_COUNT and number % _ROUND_COUNT == 0
    return is_round and not _is_wall_of_straight_room(plane, number)


def _is_wall_of_straight_room(plane: NumberPlane, number: float) -> bool:
    """Whether surfaces that rise to a number are at right angles to it.

    Floor, ceiling and side walls of a room that stands straight before the camera meet its back
    wall at right angles. Their inverse depth is zero in the middle of the picture, and so changes
    from pixel to pixel by 1 over the distance from there.
    """
    is_wall = plane.known & (plane.values == number)
    depth = np.where(plane.known & ~is_wall, plane.values, np.nan)
    relative_steps = []
    for rows, mask in ((depth, is_wall), (depth.T, is_wall.T)):
        distance_to_middle = np.abs(np.arange(len(rows)) - (len(rows) - 1) / 2)[1:-1, None]
        for step in (1, -1):
            first, second = rows[::step][1:-1], rows[::step][2:]
            meets_wall = mask[::step][:-2] & (first > (1 - _MAX_WALL_GAP) * number)
            is_border = meets_wall & np.isfinite(second)
            relative_steps.append((distance_to_middle * (first / second - 1))[is_border])
    steps = np.concatenate(relative_steps)
    is_right_angle = (steps > _MIN_STEP) & (steps < _MAX_STEP)
    return int(np.count_nonzero(is_right_angle)) > _MIN_RIGHT_ANGLES * steps.size
