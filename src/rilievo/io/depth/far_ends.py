"""Warn about depth that was clipped at the far end of a renderer or a sensor."""

import numpy as np

from rilievo.arrays.shapes import Values
from rilievo.io.depth.raw_depth_map import (
    SAME_FLOAT,
    RawDepthMap,
    format_pixel_count,
    has_smooth_borders,
    is_synthetic,
    scan_directions,
)

MAX_VISIBLE = 1e4
"""Largest plausible depth [m]: no camera measures, and no usual scene shows, a surface beyond."""
_MIN_LANDSCAPE, _MAX_LANDSCAPE = 1e3, 1e6
"""If the median depth in a declared unit is beyond the first, the scene is a landscape, in which
depth up to the second is plausible [m]."""

_MIN_PIXELS = 5
_MIN_FRACTION_AT_END = 0.005  # of the valid pixels, at the largest value
_MIN_CLIP = 10.0  # [m], nearest far plane of a renderer
_MIN_FRACTION_AT_CLIP = 0.02  # of the valid pixels, at a far plane
# Round ends of sensors' ranges: 2000, 2500, 3000, ...
_SMALLEST_ROUND_END, _ROUND_END_STEP = 2000, 500
_BIT_ENDS = tuple(2**bits - 1 for bits in range(10, 17))  # ends of sensors of 10 to 16 bits
_MIN_RATIO_AT_END = 5  # of the pixel count at the end to that of any value just below it
_JUST_BELOW = 0.9  # of the largest value; values above it are just below

_MIN_RIGHT_ANGLES = 0.8  # of the borders of a back wall, at which the wall meets a surface squarely
_MIN_STEP, _MAX_STEP = 0.9, 1.1  # of depth beside that wall, over the step at a right angle
_MAX_WALL_GAP = 0.1  # of the wall's depth, between the wall and a surface that meets it


def beyond_visible_warning(raw_map: RawDepthMap, metres: Values) -> str | None:
    """Warn about pixels that are farther than anything visible; ``metres`` is the valid depth."""
    is_landscape = raw_map.is_unit_given and float(np.median(metres)) > _MIN_LANDSCAPE
    max_depth = _MAX_LANDSCAPE if is_landscape else MAX_VISIBLE
    is_beyond = metres > max_depth
    if not is_beyond.any():
        return None
    farthest_inside = float(metres[~is_beyond].max(initial=0))
    above = f"above {farthest_inside:.3g} m" if farthest_inside else "for the scene"
    pixels = format_pixel_count(int(np.count_nonzero(is_beyond)))
    return (
        f"depth is beyond {max_depth / 1000:g} km at {pixels} (up to "
        f"{metres.max() / 1000:.3g} km), which looks like a background or a wrong unit: set "
        f"'max_depth' {above}, or correct 'scale'"
    )


def clipped_depth_warning(raw_map: RawDepthMap, metres: Values) -> str | None:
    """Warn about many pixels at the farthest depth, if a renderer or a sensor may end there.

    ``metres`` is the valid depth [m], in any order.
    """
    farthest = float(metres.max())
    is_farthest = metres >= farthest * (1 - SAME_FLOAT)
    farthest_count = int(np.count_nonzero(is_farthest))
    fraction = farthest_count / metres.size
    is_rare = farthest_count < _MIN_PIXELS or fraction < _MIN_FRACTION_AT_END
    if is_rare or is_synthetic(metres[~is_farthest]):
        return None

    # Renderers have far planes at multiples of 10 m, such as 10, 80 or 1000 m.
    tens_of_metres = farthest / 10
    is_multiple_of_10 = abs(tens_of_metres - round(tens_of_metres)) < 1e-4
    may_be_far_plane = is_multiple_of_10 and farthest >= _MIN_CLIP
    if may_be_far_plane and fraction >= _MIN_FRACTION_AT_CLIP:
        return (
            f"{fraction:.1%} of the depth values are exactly {farthest:g} m, the largest depth: "
            f"if depth was clipped there, set 'max_depth: {0.999 * farthest:.6g}'"
        )
    largest = float(raw_map.valid_values.max())
    if not _is_end_of_sensor(raw_map, largest, farthest_count):
        return None
    formatted = raw_map.format_value(largest)
    return (
        f"{fraction:.1%} of the depth values are {formatted}, the largest value, and surfaces "
        "extend up to it: if the range of the sensor ends there and the true depth is larger, set "
        f"'invalid: [0, {formatted}]'"
    )


def _is_end_of_sensor(raw_map: RawDepthMap, largest: float, pixel_count: int) -> bool:
    """Whether the largest value looks like the end of a sensor's range.

    Surfaces then continue smoothly up to it, but far more pixels have it than any value just below.
    """
    if not _is_common_end(raw_map, largest):
        return False
    below = raw_map.valid_values[raw_map.valid_values < largest]
    _, counts_below = np.unique(below[below > _JUST_BELOW * largest], return_counts=True)
    if pixel_count <= _MIN_RATIO_AT_END * int(counts_below.max(initial=0)):
        return False
    return has_smooth_borders(raw_map, largest)


def _is_common_end(raw_map: RawDepthMap, value: float) -> bool:
    """Whether a sensor may end at a value: the largest of some bits, or a round number of counts.

    The back wall of a synthetic room often has a round depth, too, so it is told apart.
    """
    if raw_map.integer_type is None:
        # Floats may be millimetres that were converted to metres.
        millimetres = round(1000 * value)
        is_whole = abs(1000 * value - millimetres) < 1e-3
        return is_whole and millimetres in _BIT_ENDS
    if value in _BIT_ENDS:
        return True
    is_round = value >= _SMALLEST_ROUND_END and value % _ROUND_END_STEP == 0
    return is_round and not _is_back_wall(raw_map, value)


def _is_back_wall(raw_map: RawDepthMap, value: float) -> bool:
    """Whether a value is the back wall of a room whose walls are parallel to the camera's axes.

    Floor, ceiling and side walls of such a room meet the back wall at right angles. They are
    parallel to the optical axis, so their depth is c / v, with v counted from the middle of the
    picture. From one pixel to the next it changes by the relative step 1 / v, and v * step is 1.
    """
    is_wall = raw_map.valid & (raw_map.values == value)
    depth = np.where(raw_map.valid & ~is_wall, raw_map.values, np.nan)
    steps_by_direction = []
    for depth_rows, wall_rows in scan_directions(depth, is_wall):
        row_count = len(depth_rows)
        v = np.abs(np.arange(row_count) - (row_count - 1) / 2)[1:-1, None]
        is_last_of_wall = wall_rows[:-2]
        first_beside, second_beside = depth_rows[1:-1], depth_rows[2:]
        # False where first_beside is NaN, because it is invalid or of the wall itself.
        meets_wall = is_last_of_wall & (first_beside > (1 - _MAX_WALL_GAP) * value)
        is_border = meets_wall & np.isfinite(second_beside)
        steps = v * (first_beside / second_beside - 1)
        steps_by_direction.append(steps[is_border])
    border_steps = np.concatenate(steps_by_direction)
    is_right_angle = (border_steps > _MIN_STEP) & (border_steps < _MAX_STEP)
    return int(np.count_nonzero(is_right_angle)) > _MIN_RIGHT_ANGLES * border_steps.size
