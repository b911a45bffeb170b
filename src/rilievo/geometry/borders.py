"""Borders of a photograph that show nothing: black bars, white margins, thin frames.

The inner edge of a border is one straight line. This distinguishes it from a dark sky, whose edge
to the land rises and falls gradually.
"""

import math
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import numpy as np

from rilievo.arrays.shapes import Float64, Int16, Mask, Pixels, UInt8
from rilievo.geometry.cameras.camera import Camera

_SIDES = ("top", "right", "bottom", "left")
_SAMPLES_PER_LINE = 512
"""Number of pixels of a line that are examined, for speed."""
_MAX_BLACK, _MIN_WHITE = 40, 215
"""Limits of the colours of black and of white borders [levels]."""
_MAX_DEVIATION = 14
"""Largest deviation of a border's pixel from the border's colour [levels]."""
_MIN_BORDER_FRACTION = 0.985
"""Least fraction of a border's line in its colour; the rest is dust, or corners."""
_MAX_BLURRED_LINES, _MAX_BLURRED_FRACTION = 8, 0.006
"""Most lines of a blurred inner edge: a block of a JPEG, or a fraction of the side."""
_MIN_PICTURE_FRACTION = 0.6
"""Least fraction of the pixels in the picture's first line that have another colour."""
_MAX_BAR_FRACTION = 0.4
"""Largest thickness of a bar, over the side; upright videos on wide screens have 0.34."""
_MAX_FRAME_FRACTION, _MIN_FRAME_LIMIT = 0.015, 4
"""Largest thickness of a thin frame, over the side, and in lines of small pictures."""
_MAX_FRAME_DEVIATION = 3
"""Largest deviation of a thin frame's pixel from its colour [levels]."""
_CORNER_FRACTION, _MIN_CORNER = 0.015, 4
"""Side of the corners that are examined, over the picture's side, and in pixels."""
_MIN_INSIDE = 32
"""Least side of the picture inside the borders [px]."""
_MIN_CHANGED_FRACTION = 0.02
"""Least fraction of a frame of a video that lies between the bars of two formats."""

_BAR_STEP, _FRAME_STEP = 24, 8
"""Least step of colour at the inner edge of a bar, and of a thin frame [levels]."""
_MAX_BAR_BLUR, _MAX_FRAME_BLUR = _MIN_PICTURE_FRACTION / 2, 1.0
"""Largest fraction of pixels with another colour two lines before the edge.

At a skyline the fraction is large, and at the edge of a bar it is small. The edge of a frame may be
blurred, because frames are so thin and clean that nothing else looks like them.
"""

_Lines = Int16[np.ndarray, "n m 3"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Margins:
    """Width of the border on each side [px]; false if there is no border on any side."""

    top: int = 0
    right: int = 0
    bottom: int = 0
    left: int = 0

    def __bool__(self) -> bool:
        return any((self.top, self.right, self.bottom, self.left))

    def __str__(self) -> str:
        sides = [(side, getattr(self, side)) for side in _SIDES]
        return ", ".join(f"{side} {width}" for side, width in sides if width)

    def subsampled(self, step: int) -> "Margins":
        """Borders of the image that has every ``step``-th pixel."""
        return Margins(
            top=self.top // step,
            right=self.right // step,
            bottom=self.bottom // step,
            left=self.left // step,
        )

    def inside(self, shape: tuple[int, int]) -> tuple[slice, slice]:
        """Slices of the rows and columns inside the borders; ``shape`` is (height, width)."""
        height, width = shape
        return slice(self.top, height - self.bottom), slice(self.left, width - self.right)

    def cropped(self, camera: Camera) -> Camera:
        """Camera of what lies inside the borders, from that of the whole photograph."""
        return camera.cropped(top=self.top, left=self.left)

    def uncrop_camera(self, camera: Camera) -> Camera:
        """Camera of the whole photograph, from that of what lies inside the borders."""
        return camera.cropped(top=-self.top, left=-self.left)


def find_margins(pixels: Pixels) -> Margins:
    """Find borders that are certain: black or white bars on two sides, or a frame on all four."""
    margins = _find_bars(pixels, white=False) or _find_bars(pixels, white=True)
    return _ignore_if_little_is_inside(pixels, margins or _find_frame(pixels))


def find_black_bars(frames: Iterable[Pixels]) -> Margins:
    """Find borders that are black in all frames of a video."""
    brightest: Pixels | None = None
    for pixels in frames:
        brightest = pixels if brightest is None else np.maximum(brightest, pixels)
        if not has_two_black_sides(brightest):
            return Margins()
    if brightest is None:
        return Margins()
    return _ignore_if_little_is_inside(brightest, _find_bars(brightest, white=False))


def has_two_black_sides(pixels: Pixels) -> bool:
    """Whether the outermost lines of at least two sides are black."""
    outermost_lines = [_lines_inwards(pixels, side)[0] for side in _SIDES]
    return sum(_is_black_line(line) for line in outermost_lines) >= 2


def have_black_bars_changed(before: Pixels, after: Pixels) -> bool:
    """Whether the black bars of two successive frames differ, as they may at a cut.

    The bars differ if the area between the old and the new ones is large enough, and most of its
    pixels changed.
    """
    is_changed = np.abs(after.astype(np.int16) - before).max(axis=2) > _BAR_STEP
    # Both conditions need at least this fraction of changed pixels, which is fast to check.
    if float(is_changed.mean()) < _MIN_CHANGED_FRACTION * _MIN_PICTURE_FRACTION:
        return False
    old_margins, new_margins = find_black_bars((before,)), find_black_bars((after,))
    shape = before.shape[:2]
    is_between = _border_mask(old_margins, shape) != _border_mask(new_margins, shape)
    if is_between.mean() < _MIN_CHANGED_FRACTION:
        return False
    return bool(is_changed[is_between].mean() >= _MIN_PICTURE_FRACTION)


def _border_mask(margins: Margins, shape: tuple[int, int]) -> Mask:
    is_border = np.ones(shape, bool)
    is_border[margins.inside(shape)] = False
    return is_border


def _is_black_line(line: UInt8[np.ndarray, "m 3"]) -> bool:
    is_black = line.max(axis=1) <= _MAX_BLACK + _MAX_DEVIATION
    return float(is_black.mean()) >= _MIN_BORDER_FRACTION


def _ignore_if_little_is_inside(pixels: Pixels, margins: Margins) -> Margins:
    """Return the margins, or none if too little of the picture would remain."""
    rows, columns = margins.inside(pixels.shape[:2])
    smaller_side = min(rows.stop - rows.start, columns.stop - columns.start)
    return Margins() if smaller_side < _MIN_INSIDE else margins


def _find_bars(pixels: Pixels, *, white: bool) -> Margins:
    """Find black or white bars on at least two sides; no margins if there are none."""
    # Bars at two sides darken the ends of the lines at the other two, too. So the left and right
    # are examined without the top and bottom, and then these once more without the left and right.
    shape = pixels.shape[:2]
    rows, _ = Margins(
        top=_bar_thickness(pixels, "top", white), bottom=_bar_thickness(pixels, "bottom", white)
    ).inside(shape)
    left = _bar_thickness(pixels[rows], "left", white)
    right = _bar_thickness(pixels[rows], "right", white)
    _, columns = Margins(left=left, right=right).inside(shape)
    top = _bar_thickness(pixels[:, columns], "top", white)
    bottom = _bar_thickness(pixels[:, columns], "bottom", white)

    margins = Margins(top=top, right=right, bottom=bottom, left=left)
    has_two_bars = sum(thickness > 0 for thickness in (top, right, bottom, left)) >= 2
    return margins if has_two_bars and _has_square_corners(pixels, margins) else Margins()


def _has_square_corners(pixels: Pixels, margins: Margins) -> bool:
    """Whether the picture fills the corners between two bars.

    A dark object that reaches two sides of the picture has a round corner there.
    """
    rows, columns = margins.inside(pixels.shape[:2])
    inside = pixels[rows, columns]
    corner_height, corner_width = (
        max(_MIN_CORNER, math.floor(_CORNER_FRACTION * length)) for length in inside.shape[:2]
    )
    # The outermost row or column of each bar that there is, and the rows or columns of the corners
    # beside the bar.
    horizontal_bars = []
    if margins.top:
        horizontal_bars.append((0, slice(corner_height)))
    if margins.bottom:
        horizontal_bars.append((-1, slice(-corner_height, None)))
    vertical_bars = []
    if margins.left:
        vertical_bars.append((0, slice(corner_width)))
    if margins.right:
        vertical_bars.append((-1, slice(-corner_width, None)))
    for row, corner_rows in horizontal_bars:
        for column, corner_columns in vertical_bars:
            bar_colour = pixels[row, column].astype(np.int16)
            deviation = np.abs(inside[corner_rows, corner_columns] - bar_colour).max(axis=2)
            has_other_colour = deviation > _MAX_DEVIATION // 2
            if has_other_colour.mean() < _MIN_PICTURE_FRACTION:
                return False
    return True


def _bar_thickness(pixels: Pixels, side: str, white: bool) -> int:
    """Number of lines of a bar at one side; 0 if there is none."""
    lines = _lines_inwards(pixels, side)
    max_lines = math.floor(_MAX_BAR_FRACTION * len(lines))
    colour = np.median(lines[0], axis=0).astype(np.int16)
    has_colour = colour.min() >= _MIN_WHITE if white else colour.max() <= _MAX_BLACK
    if not has_colour:
        return 0

    for start, chunk in _growing_chunks(lines, max_lines + 1):
        is_border = _fractions_of_colour(chunk, colour, _MAX_DEVIATION) >= _MIN_BORDER_FRACTION
        if is_border.all():
            continue
        border_end = start + int(np.argmin(is_border))
        if not 0 < border_end <= max_lines:
            return 0
        return _first_line_inside(
            lines, border_end, colour, min_step=_BAR_STEP, max_blur=_MAX_BAR_BLUR
        )
    return 0


def _find_frame(pixels: Pixels) -> Margins:
    """Find a thin frame on all four sides; no margins if there is none."""
    frame = {}
    for side in _SIDES:
        frame[side] = _frame_thickness(_lines_inwards(pixels, side))
        if not frame[side]:
            return Margins()
    return Margins(**frame)


def _frame_thickness(lines: UInt8[np.ndarray, "n m 3"]) -> int:
    """Number of lines of a frame at one side; 0 if there is none.

    Each line of a frame has one colour, which may differ from those of other lines.
    """
    max_lines = max(_MIN_FRAME_LIMIT, math.floor(_MAX_FRAME_FRACTION * len(lines)))
    for start, chunk in _growing_chunks(lines, max_lines + 1):
        colours = np.median(chunk, axis=1, keepdims=True).astype(np.int16)
        fractions = _fractions_of_colour(chunk, colours, _MAX_FRAME_DEVIATION)
        is_frame = fractions >= _MIN_BORDER_FRACTION
        if is_frame.all():
            continue
        frame_end = start + int(np.argmin(is_frame))
        if not frame_end:
            return 0
        colour = np.median(lines[frame_end - 1], axis=0).astype(np.int16)
        return _first_line_inside(
            lines, frame_end, colour, min_step=_FRAME_STEP, max_blur=_MAX_FRAME_BLUR
        )
    return 0


def _fractions_of_colour(
    lines: _Lines, colour: Int16[np.ndarray, "..."], max_deviation: int
) -> Float64[np.ndarray, "n"]:
    """Fraction of each line's pixels that have a colour, up to a deviation."""
    return (np.abs(lines - colour).max(axis=2) <= max_deviation).mean(axis=1)


def _first_line_inside(
    lines: UInt8[np.ndarray, "n m 3"],
    border_end: int,
    colour: Int16[np.ndarray, "3"],
    *,
    min_step: int,
    max_blur: float,
) -> int:
    """Index of the first line of the picture behind a border; 0 if there is no straight edge.

    Args:
        lines: Lines from the side inwards.
        border_end: Index of the first line that is not all border.
        colour: Colour of the border.
        min_step: Least difference of a pixel with another colour [levels].
        max_blur: Largest fraction of such pixels two lines before the picture.
    """
    # Two lines before the edge, and those over which it may be blurred.
    first_examined = max(0, border_end - 2)
    max_blurred_lines = max(_MAX_BLURRED_LINES, math.ceil(_MAX_BLURRED_FRACTION * len(lines)))
    examined_lines = lines[first_examined : border_end + max_blurred_lines].astype(np.int16)
    has_other_colour = np.abs(examined_lines - colour).max(axis=2) > min_step
    other_fractions = has_other_colour.mean(axis=1)
    is_inside = other_fractions[border_end - first_examined :] >= _MIN_PICTURE_FRACTION
    if not is_inside.any():
        return 0
    first_inside = border_end + int(np.argmax(is_inside))
    two_lines_before = max(first_examined, first_inside - 2)
    is_straight_edge = other_fractions[two_lines_before - first_examined] <= max_blur
    return first_inside if is_straight_edge else 0


def _lines_inwards(pixels: Pixels, side: str) -> UInt8[np.ndarray, "n m 3"]:
    """Rows or columns from one side inwards, with some of their pixels."""
    lines = pixels if side in ("top", "bottom") else pixels.swapaxes(0, 1)
    stride = max(1, lines.shape[1] // _SAMPLES_PER_LINE)
    sampled = lines[:, ::stride]
    return sampled if side in ("top", "left") else sampled[::-1]


def _growing_chunks(
    lines: UInt8[np.ndarray, "n m 3"], max_lines: int
) -> Iterator[tuple[int, _Lines]]:
    """Yield the first lines in growing chunks, with the index where each starts.

    Most pictures have no border, so that the first line is enough.
    """
    start, chunk_size = 0, 1
    while start < max_lines:
        stop = min(start + chunk_size, max_lines)
        yield start, lines[start:stop].astype(np.int16)
        start, chunk_size = stop, min(4 * chunk_size, 256)
