"""Borders of a photograph without content: black bars, white margins of scans, thin frames.

A border differs from a dark sky or a white backdrop by its inner edge, which is one straight line
from side to side: most pixels change colour exactly there. Real scenes rarely do so on two sides.
Uncertain borders are kept in the picture.
"""

import math
from collections.abc import Iterable, Iterator

import numpy as np

from rilievo.frozen import frozen
from rilievo.geometry.cameras.camera import Camera
from rilievo.shapes import Int16, Mask, Pixels, UInt8

_SIDES = ("top", "right", "bottom", "left")
_SAMPLES = 512
"""Number of pixels examined in a line, evenly spread."""
_BLACK, _WHITE = 40, 215
"""Levels of 0..255 below which a border is black, and above which it is white."""
_ALIKE = 14
"""Largest deviation of a border from its own colour [levels]: compression, and paper grain."""
_SHARE = 0.985
"""Least share of a border's line in its colour; the rest is dust, or corners of other borders."""
_BLURRED = 8
"""Most lines between the last clean one of a border and the edge: a block of a JPEG."""
_LEAVING = 0.6
"""Least share of the pixels just inside an edge that differ from the border."""
_WIDEST = 0.4
"""Largest share of a side: bars beside an upright video on a wide screen have 0.34."""
_THICKEST, _FRAME_ALIKE = 0.015, 3
"""Largest share of a side for thin frames, and their largest deviation from one colour [levels]."""
_CORNER = 0.015
"""Share of a side examined at a corner; objects on a white backdrop have round ones."""
_LEAST_INSIDE = 32
"""Least number of pixels that remain along either side."""
_FORMAT = 0.02
"""Least share of a frame between the bars of one picture format and those of another."""

_Lines = Int16[np.ndarray, "n m 3"]


# A skyline climbs gradually, an edge is a step; frames are so thin and clean that theirs may be
# blurred.
_BAR_STEP, _FRAME_STEP = 24, 8
"""Least step at the edge of a bar, and of a thin frame [levels]."""
_BAR_BEFORE, _FRAME_BEFORE = _LEAVING / 2, 1.0
"""Largest share of such steps two lines before the edge."""


@frozen
class Margins:
    """Number of border rows and columns on each side [px]."""

    top: int = 0
    right: int = 0
    bottom: int = 0
    left: int = 0

    def __bool__(self) -> bool:
        return any((self.top, self.right, self.bottom, self.left))

    def __str__(self) -> str:
        there = [name for name in _SIDES if getattr(self, name)]
        return ", ".join(f"{name} {getattr(self, name)}" for name in there)

    def reduced(self, step: int) -> "Margins":
        """Borders of the photograph that has one pixel for so many of each row and column."""
        return Margins(
            top=self.top // step,
            right=self.right // step,
            bottom=self.bottom // step,
            left=self.left // step,
        )

    def inside(self, shape: tuple[int, int]) -> tuple[slice, slice]:
        """Slices of the rows and columns of a photograph of this shape that are not border."""
        height, width = shape
        return slice(self.top, height - self.bottom), slice(self.left, width - self.right)

    def cropped(self, camera: Camera) -> Camera:
        """Camera of the inside, from that of the whole photograph."""
        return camera.cropped(top=self.top, left=self.left)

    def uncropped(self, camera: Camera) -> Camera:
        """Camera of the whole photograph, from that of the inside."""
        return camera.cropped(top=-self.top, left=-self.left)


def find_margins(pixels: Pixels) -> Margins:
    """Find the uniform borders of a photograph; none where it is not clear that there are any.

    Black or white borders count if at least two sides have the same colour; thin frames of any
    colour count if all four sides have one.
    """
    return _enough(pixels, _bars(pixels, (False, True)) or _frame(pixels))


def find_black_bars(frames: Iterable[Pixels]) -> Margins:
    """Find black borders that stay black in all frames, so that dark scenes are not cropped.

    Frames are read only while there may still be borders.
    """
    brightest: Pixels | None = None
    for pixels in frames:
        brightest = pixels if brightest is None else np.maximum(brightest, pixels)
        if not may_have_bars(brightest):
            return Margins()
    return Margins() if brightest is None else _enough(brightest, _bars(brightest, (False,)))


def may_have_bars(pixels: Pixels) -> bool:
    """Whether a frame is black at the ends of two sides, without which it has no black bars."""
    return sum(_is_dark(_lines(pixels, side)[0]) for side in _SIDES) >= 2


def bars_jump(before: Pixels, after: Pixels) -> bool:
    """Whether black bars begin, end or change their size at once, as at a cut between formats.

    Most pixels between the old and the new edge change; a lamp or a subtitle changes few of them.
    """
    changes = np.abs(after.astype(np.int16) - before).max(axis=2) > _BAR_STEP
    if float(changes.mean()) < _FORMAT * _LEAVING:
        return False
    old, new = (find_black_bars((pixels,)) for pixels in (before, after))
    between = _border(old, before.shape[:2]) != _border(new, after.shape[:2])
    return bool(between.mean() >= _FORMAT and changes[between].mean() >= _LEAVING)


def _border(margins: Margins, shape: tuple[int, int]) -> Mask:
    """Pixels of a frame that are border."""
    border = np.ones(shape, bool)
    border[margins.inside(shape)] = False
    return border


def _is_dark(line: UInt8[np.ndarray, "m 3"]) -> bool:
    return float((line.max(axis=1) <= _BLACK + _ALIKE).mean()) >= _SHARE


def _enough(pixels: Pixels, margins: Margins) -> Margins:
    """The margins, if enough of the picture remains inside."""
    rows, columns = margins.inside(pixels.shape[:2])
    is_small = min(rows.stop - rows.start, columns.stop - columns.start) < _LEAST_INSIDE
    return Margins() if is_small else margins


def _bars(pixels: Pixels, colours: tuple[bool, ...]) -> Margins:
    """Find black or white borders; first those at top and bottom, then those between them."""
    for is_white in colours:
        depths = {name: _bar(pixels, name, is_white) for name in ("top", "bottom")}
        between = pixels[Margins(**depths).inside(pixels.shape[:2])[0]]
        depths |= {name: _bar(between, name, is_white) for name in ("left", "right")}
        # Beside a border, the lines above and below are partly border, and too few of their pixels
        # are inside.
        across = pixels[:, Margins(**depths).inside(pixels.shape[:2])[1]]
        depths |= {name: _bar(across, name, is_white) for name in ("top", "bottom")}
        margins = Margins(**depths)
        if sum(depth > 0 for depth in depths.values()) >= 2 and _has_corners(pixels, margins):
            return margins
    return Margins()


def _has_corners(pixels: Pixels, margins: Margins) -> bool:
    """Whether the inside fills its corners where two borders meet."""
    rows, columns = margins.inside(pixels.shape[:2])
    inside = pixels[rows, columns]
    down, across = (max(4, math.floor(_CORNER * length)) for length in inside.shape[:2])
    for vertical, row, patch_rows in (
        (margins.top, 0, slice(down)),
        (margins.bottom, -1, slice(-down, None)),
    ):
        for horizontal, column, patch_columns in (
            (margins.left, 0, slice(across)),
            (margins.right, -1, slice(-across, None)),
        ):
            if vertical and horizontal:
                colour = pixels[row, column].astype(np.int16)
                patch = np.abs(inside[patch_rows, patch_columns] - colour).max(axis=2)
                if (patch > _ALIKE // 2).mean() < _LEAVING:
                    return False
    return True


def _bar(pixels: Pixels, side: str, is_white: bool) -> int:
    """Number of border lines on one side; 0 without a border."""
    lines = _lines(pixels, side)
    most = math.floor(_WIDEST * len(lines))
    colour = np.median(lines[0], axis=0).astype(np.int16)
    if not (colour.min() >= _WHITE if is_white else colour.max() <= _BLACK):
        return 0
    for start, chunk in _chunks(lines, most + 1):
        is_border = (np.abs(chunk - colour).max(axis=2) <= _ALIKE).mean(axis=1) >= _SHARE
        if not is_border.all():
            first = start + int(np.argmin(is_border))
            edge = _edge(lines, first, colour, step=_BAR_STEP, before=_BAR_BEFORE)
            return edge if 0 < first <= most else 0
    return 0


def _frame(pixels: Pixels) -> Margins:
    depths = {}
    for side in _SIDES:
        depths[side] = _thin(_lines(pixels, side))
        if not depths[side]:
            return Margins()
    return Margins(**depths)


def _thin(lines: UInt8[np.ndarray, "n m 3"]) -> int:
    """Number of lines of a thin frame, each of one colour; 0 without a frame."""
    most = max(4, math.floor(_THICKEST * len(lines)))
    for start, chunk in _chunks(lines, most + 1):
        colours = np.median(chunk, axis=1, keepdims=True).astype(np.int16)
        is_frame = (np.abs(chunk - colours).max(axis=2) <= _FRAME_ALIKE).mean(axis=1) >= _SHARE
        if not is_frame.all():
            count = start + int(np.argmin(is_frame))
            if not count:
                return 0
            colour = np.median(lines[count - 1], axis=0).astype(np.int16)
            return _edge(lines, count, colour, step=_FRAME_STEP, before=_FRAME_BEFORE)
    return 0


def _edge(
    lines: UInt8[np.ndarray, "n m 3"], first: int, colour: np.ndarray, *, step: int, before: float
) -> int:
    """Index of the picture's first line, at most a few past ``first``; 0 without an edge."""
    start, blurred = max(0, first - 2), max(_BLURRED, math.ceil(0.006 * len(lines)))
    after = lines[start : first + blurred].astype(np.int16)
    share = (np.abs(after - colour).max(axis=2) > step).mean(axis=1)
    leaves = share[first - start :] >= _LEAVING
    if not leaves.any():
        return 0
    inside = first + int(np.argmax(leaves))
    return inside if share[max(0, inside - 2 - start)] <= before else 0


def _lines(pixels: Pixels, side: str) -> UInt8[np.ndarray, "n m 3"]:
    """Rows or columns from one side inwards, subsampled along their length."""
    lines = pixels if side in ("top", "bottom") else pixels.swapaxes(0, 1)
    thinned = lines[:, :: max(1, lines.shape[1] // _SAMPLES)]
    return thinned if side in ("top", "left") else thinned[::-1]


def _chunks(lines: UInt8[np.ndarray, "n m 3"], most: int) -> Iterator[tuple[int, _Lines]]:
    """Yield lines in growing chunks, because most photographs are decided by the first."""
    start, count = 0, 1
    while start < most:
        stop = min(start + count, most)
        yield start, lines[start:stop].astype(np.int16)
        start, count = stop, min(4 * count, 256)
