"""Borders of a photograph without content: black bars, white margins, thin frames.

A border's inner edge is one straight line, unlike that of a dark sky.
"""

import math
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import numpy as np

from rilievo.arrays.shapes import Int16, Mask, Pixels, UInt8
from rilievo.geometry.cameras.camera import Camera

_SIDES = ("top", "right", "bottom", "left")
_SAMPLES = 512  # pixels of a line
# Levels of black and white borders.
_BLACK, _WHITE = 40, 215
# Largest deviation of a border from its colour [levels].
_ALIKE = 14
# Least share of a border's line in its colour; the rest is dust, or corners.
_SHARE = 0.985
# Most lines between border and edge: a block of a JPEG.
_BLURRED = 8
_LEAVING = 0.6  # least share of pixels inside an edge that leave the border's colour
# Largest share of a side; upright videos on wide screens have 0.34.
_WIDEST = 0.4
# Largest share of a thin frame, and its deviation [levels].
_THICKEST, _FRAME_ALIKE = 0.015, 3
# Share of a side at a corner; objects have round ones.
_CORNER = 0.015
_LEAST_INSIDE = 32
_FORMAT = 0.02  # least share of a frame between bars of two formats

_Lines = Int16[np.ndarray, "n m 3"]


# A skyline climbs gradually, an edge is a step; frames are so thin and clean that theirs may be
# blurred.
# Least step at the edge of a bar, and of a thin frame [levels].
_BAR_STEP, _FRAME_STEP = 24, 8
_BAR_BEFORE, _FRAME_BEFORE = _LEAVING / 2, 1.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Margins:
    """Border rows and columns on each side [px]."""

    top: int = 0
    right: int = 0
    bottom: int = 0
    left: int = 0

    def __bool__(self) -> bool:
        return any((self.top, self.right, self.bottom, self.left))

    def __str__(self) -> str:
        there = [name for name in _SIDES if getattr(self, name)]
        return ", ".join(f"{name} {getattr(self, name)}" for name in there)

    def subsampled(self, step: int) -> "Margins":
        """Borders of an image of every ``step``-th pixel."""
        return Margins(
            top=self.top // step,
            right=self.right // step,
            bottom=self.bottom // step,
            left=self.left // step,
        )

    def inside(self, shape: tuple[int, int]) -> tuple[slice, slice]:
        """Slices of rows and columns inside the borders."""
        height, width = shape
        return slice(self.top, height - self.bottom), slice(self.left, width - self.right)

    def cropped(self, camera: Camera) -> Camera:
        """Camera of the photograph's inside."""
        return camera.cropped(top=self.top, left=self.left)

    def uncrop_camera(self, camera: Camera) -> Camera:
        """Camera of the whole photograph, from that of its inside."""
        return camera.cropped(top=-self.top, left=-self.left)


def find_margins(pixels: Pixels) -> Margins:
    """Find certain borders: black or white on two sides, thin frames on four."""
    return _margins_unless_inside_small(
        pixels, _find_bars(pixels, (False, True)) or _find_frame(pixels)
    )


def find_black_bars(frames: Iterable[Pixels]) -> Margins:
    """Find borders that are black in all frames."""
    brightest: Pixels | None = None
    for pixels in frames:
        brightest = pixels if brightest is None else np.maximum(brightest, pixels)
        if not has_two_black_sides(brightest):
            return Margins()
    return (
        Margins()
        if brightest is None
        else _margins_unless_inside_small(brightest, _find_bars(brightest, (False,)))
    )


def has_two_black_sides(pixels: Pixels) -> bool:
    """Whether the outermost lines of two sides are black."""
    return sum(_is_black_line(_lines_inwards(pixels, side)[0]) for side in _SIDES) >= 2


def black_bars_change(before: Pixels, after: Pixels) -> bool:
    """Whether black bars of successive frames differ, as at a cut."""
    changes = np.abs(after.astype(np.int16) - before).max(axis=2) > _BAR_STEP
    if float(changes.mean()) < _FORMAT * _LEAVING:
        return False
    old, new = (find_black_bars((pixels,)) for pixels in (before, after))
    between = _border_mask(old, before.shape[:2]) != _border_mask(new, after.shape[:2])
    return bool(between.mean() >= _FORMAT and changes[between].mean() >= _LEAVING)


def _border_mask(margins: Margins, shape: tuple[int, int]) -> Mask:
    border = np.ones(shape, bool)
    border[margins.inside(shape)] = False
    return border


def _is_black_line(line: UInt8[np.ndarray, "m 3"]) -> bool:
    return float((line.max(axis=1) <= _BLACK + _ALIKE).mean()) >= _SHARE


def _margins_unless_inside_small(pixels: Pixels, margins: Margins) -> Margins:
    rows, columns = margins.inside(pixels.shape[:2])
    is_small = min(rows.stop - rows.start, columns.stop - columns.start) < _LEAST_INSIDE
    return Margins() if is_small else margins


def _find_bars(pixels: Pixels, whiteness: tuple[bool, ...]) -> Margins:
    for is_white in whiteness:
        depths = {name: _bar_thickness(pixels, name, is_white) for name in ("top", "bottom")}
        between = pixels[Margins(**depths).inside(pixels.shape[:2])[0]]
        depths |= {name: _bar_thickness(between, name, is_white) for name in ("left", "right")}
        # Beside a border, the lines above and below are partly border, and too few of their pixels
        # are inside.
        across = pixels[:, Margins(**depths).inside(pixels.shape[:2])[1]]
        depths |= {name: _bar_thickness(across, name, is_white) for name in ("top", "bottom")}
        margins = Margins(**depths)
        if sum(depth > 0 for depth in depths.values()) >= 2 and _has_square_corners(
            pixels, margins
        ):
            return margins
    return Margins()


def _has_square_corners(pixels: Pixels, margins: Margins) -> bool:
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


def _bar_thickness(pixels: Pixels, side: str, is_white: bool) -> int:
    """Number of lines; 0 without a bar."""
    lines = _lines_inwards(pixels, side)
    most = math.floor(_WIDEST * len(lines))
    colour = np.median(lines[0], axis=0).astype(np.int16)
    if not (colour.min() >= _WHITE if is_white else colour.max() <= _BLACK):
        return 0
    for start, chunk in _growing_chunks(lines, most + 1):
        is_border = (np.abs(chunk - colour).max(axis=2) <= _ALIKE).mean(axis=1) >= _SHARE
        if not is_border.all():
            first = start + int(np.argmin(is_border))
            edge = _first_line_inside(lines, first, colour, step=_BAR_STEP, before=_BAR_BEFORE)
            return edge if 0 < first <= most else 0
    return 0


def _find_frame(pixels: Pixels) -> Margins:
    depths = {}
    for side in _SIDES:
        depths[side] = _frame_thickness(_lines_inwards(pixels, side))
        if not depths[side]:
            return Margins()
    return Margins(**depths)


def _frame_thickness(lines: UInt8[np.ndarray, "n m 3"]) -> int:
    """Number of lines; 0 without a frame."""
    most = max(4, math.floor(_THICKEST * len(lines)))
    for start, chunk in _growing_chunks(lines, most + 1):
        colours = np.median(chunk, axis=1, keepdims=True).astype(np.int16)
        is_frame = (np.abs(chunk - colours).max(axis=2) <= _FRAME_ALIKE).mean(axis=1) >= _SHARE
        if not is_frame.all():
            count = start + int(np.argmin(is_frame))
            if not count:
                return 0
            colour = np.median(lines[count - 1], axis=0).astype(np.int16)
            return _first_line_inside(lines, count, colour, step=_FRAME_STEP, before=_FRAME_BEFORE)
    return 0


def _first_line_inside(
    lines: UInt8[np.ndarray, "n m 3"], first: int, colour: np.ndarray, *, step: int, before: float
) -> int:
    start, blurred = max(0, first - 2), max(_BLURRED, math.ceil(0.006 * len(lines)))
    after = lines[start : first + blurred].astype(np.int16)
    share = (np.abs(after - colour).max(axis=2) > step).mean(axis=1)
    leaves = share[first - start :] >= _LEAVING
    if not leaves.any():
        return 0
    inside = first + int(np.argmax(leaves))
    return inside if share[max(0, inside - 2 - start)] <= before else 0


def _lines_inwards(pixels: Pixels, side: str) -> UInt8[np.ndarray, "n m 3"]:
    lines = pixels if side in ("top", "bottom") else pixels.swapaxes(0, 1)
    thinned = lines[:, :: max(1, lines.shape[1] // _SAMPLES)]
    return thinned if side in ("top", "left") else thinned[::-1]


def _growing_chunks(lines: UInt8[np.ndarray, "n m 3"], most: int) -> Iterator[tuple[int, _Lines]]:
    start, count = 0, 1
    while start < most:
        stop = min(start + count, most)
        yield start, lines[start:stop].astype(np.int16)
        start, count = stop, min(4 * count, 256)
