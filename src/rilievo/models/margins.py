"""Borders of a photograph that show nothing: black bars, the white of a scanned page, thin frames.

A border is told from a dark sky or a white backdrop by its inner edge, which is one straight line
from side to side: on it most pixels leave the border's colour at once. Few things that a camera
sees do this on two sides. What remains in doubt is kept.
"""

import math
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace

import numpy as np
from jaxtyping import Bool, Int16, UInt8

from rilievo.camera import Camera
from rilievo.geometry.intrinsics import crop_K

_SIDES = ("top", "right", "bottom", "left")
_SAMPLES = 512
"""Pixels of a line that are looked at, evenly spread."""
_BLACK, _WHITE = 40, 215
"""Levels of 0..255 that a black border keeps below and a white one above."""
_ALIKE = 14
"""Levels by which a border differs from its own colour: compression, and the grain of paper."""
_SHARE = 0.985
"""Share of a border's line that is of its colour; the rest is dust, and other borders' corners."""
_BLURRED = 8
"""Lines from the last clean one of a border to the edge: a block of a JPEG."""
_LEAVING = 0.6
"""Share of the pixels inside an edge that differ from the border."""
_WIDEST = 0.4
"""Largest share of a side: bars beside an upright video on a wide screen have 0.34."""
_THICKEST, _FRAME_ALIKE = 0.015, 3
"""Largest share of a side of thin frames, and the levels by which one differs from its colour."""
_CORNER = 0.015
"""Share of a side that is looked at in a corner, which things on a white backdrop have round."""
_LEAST_INSIDE = 32
"""Pixels of either side that are left."""


@dataclass(frozen=True, slots=True)
class _Step:
    """Least step of levels at a border's edge, and the largest share of it two lines before."""

    levels: int
    before: float


# A skyline climbs, an edge steps; a frame is so thin and so clean that it may be blurred.
_BAR_EDGE = _Step(24, _LEAVING / 2)
_FRAME_EDGE = _Step(8, 1.0)

_Lines = Int16[np.ndarray, "n m 3"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Margins:
    """Rows and columns that are border [px]."""

    top: int = 0
    right: int = 0
    bottom: int = 0
    left: int = 0

    def __bool__(self) -> bool:
        return any((self.top, self.right, self.bottom, self.left))

    def __str__(self) -> str:
        there = [name for name in _SIDES if getattr(self, name)]
        return ", ".join(f"{name} {getattr(self, name)}" for name in there)

    def inside(self, shape: tuple[int, int]) -> tuple[slice, slice]:
        """Rows and columns of a photograph of this shape that are no border."""
        height, width = shape
        return slice(self.top, height - self.bottom), slice(self.left, width - self.right)

    def cropped(self, camera: Camera) -> Camera:
        """The camera of the inside, from that of the whole."""
        return replace(camera, K=crop_K(camera.K, top=self.top, left=self.left))

    def uncropped(self, camera: Camera) -> Camera:
        """The camera of the whole, from that of the inside."""
        return replace(camera, K=crop_K(camera.K, top=-self.top, left=-self.left))


def find_margins(pixels: UInt8[np.ndarray, "h w 3"]) -> Margins:
    """Uniform borders of a photograph; none where it is not clear that there are any.

    Black or white borders count where two sides at least have them in one colour; thin frames of
    any colour where all four sides have one.
    """
    return _enough(pixels, _bars(pixels, (False, True)) or _frame(pixels))


def find_black_bars(frames: Iterable[UInt8[np.ndarray, "h w 3"]]) -> Margins:
    """Black borders in which nothing is lit in any of the frames, so that no dark scene has them.

    Frames are read only as long as there may be some.
    """
    brightest: UInt8[np.ndarray, "h w 3"] | None = None
    for pixels in frames:
        brightest = pixels if brightest is None else np.maximum(brightest, pixels)
        if sum(_is_dark(_lines(brightest, side)[0]) for side in _SIDES) < 2:
            return Margins()
    return Margins() if brightest is None else _enough(brightest, _bars(brightest, (False,)))


def _is_dark(line: UInt8[np.ndarray, "m 3"]) -> bool:
    return float((line.max(axis=1) <= _BLACK + _ALIKE).mean()) >= _SHARE


def _enough(pixels: UInt8[np.ndarray, "h w 3"], found: Margins) -> Margins:
    """The margins, if they leave enough of the picture."""
    rows, columns = found.inside(pixels.shape[:2])
    is_small = min(rows.stop - rows.start, columns.stop - columns.start) < _LEAST_INSIDE
    return Margins() if is_small else found


def _bars(pixels: UInt8[np.ndarray, "h w 3"], colours: tuple[bool, ...]) -> Margins:
    """Black or white borders; those at the sides are looked for between those above and below."""
    for is_white in colours:
        depths = {name: _bar(pixels, name, is_white) for name in ("top", "bottom")}
        between = pixels[Margins(**depths).inside(pixels.shape[:2])[0]]
        depths |= {name: _bar(between, name, is_white) for name in ("left", "right")}
        # Beside a border, the lines above and below are partly border and leave too few inside.
        across = pixels[:, Margins(**depths).inside(pixels.shape[:2])[1]]
        depths |= {name: _bar(across, name, is_white) for name in ("top", "bottom")}
        found = Margins(**depths)
        if sum(depth > 0 for depth in depths.values()) >= 2 and _has_corners(pixels, found):
            return found
    return Margins()


def _has_corners(pixels: UInt8[np.ndarray, "h w 3"], margins: Margins) -> bool:
    """Tell whether the inside fills its corners where two borders meet."""
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


def _bar(pixels: UInt8[np.ndarray, "h w 3"], side: str, is_white: bool) -> int:
    """Lines of the border at one side; 0 where there is none."""
    lines = _lines(pixels, side)
    most = math.floor(_WIDEST * len(lines))
    colour = np.median(lines[0], axis=0).astype(np.int16)
    if not (colour.min() >= _WHITE if is_white else colour.max() <= _BLACK):
        return 0
    for start, chunk in _chunks(lines, most + 1):
        is_border = _share(np.abs(chunk - colour).max(axis=2) <= _ALIKE) >= _SHARE
        if not is_border.all():
            first = start + int(np.argmin(is_border))
            return _edge(lines, first, colour, _BAR_EDGE) if 0 < first <= most else 0
    return 0


def _frame(pixels: UInt8[np.ndarray, "h w 3"]) -> Margins:
    depths = {}
    for side in _SIDES:
        depths[side] = _thin(_lines(pixels, side))
        if not depths[side]:
            return Margins()
    return Margins(**depths)


def _thin(lines: UInt8[np.ndarray, "n m 3"]) -> int:
    """Lines of a thin frame, each of one colour; 0 where there is none."""
    most = max(4, math.floor(_THICKEST * len(lines)))
    first = lines[: most + 1].astype(np.int16)
    colours = np.median(first, axis=1, keepdims=True).astype(np.int16)
    is_frame = _share(np.abs(first - colours).max(axis=2) <= _FRAME_ALIKE) >= _SHARE
    count = int(np.argmin(is_frame)) if not is_frame.all() else 0
    return _edge(lines, count, colours[count - 1, 0], _FRAME_EDGE) if count else 0


def _edge(lines: UInt8[np.ndarray, "n m 3"], first: int, colour: np.ndarray, step: _Step) -> int:
    """Find the picture's first line, a few past ``first`` at most; 0 without an edge."""
    start, blurred = max(0, first - 2), max(_BLURRED, math.ceil(0.006 * len(lines)))
    after = lines[start : first + blurred].astype(np.int16)
    share = _share(np.abs(after - colour).max(axis=2) > step.levels)
    leaves = share[first - start :] >= _LEAVING
    if not leaves.any():
        return 0
    inside = first + int(np.argmax(leaves))
    return inside if share[max(0, inside - 2 - start)] <= step.before else 0


def _lines(pixels: UInt8[np.ndarray, "h w 3"], side: str) -> UInt8[np.ndarray, "n m 3"]:
    """Rows or columns from one side inwards, thinned out along themselves."""
    lines = pixels if side in ("top", "bottom") else pixels.swapaxes(0, 1)
    thinned = lines[:, :: max(1, lines.shape[1] // _SAMPLES)]
    return thinned if side in ("top", "left") else thinned[::-1]


def _chunks(lines: UInt8[np.ndarray, "n m 3"], most: int) -> Iterator[tuple[int, _Lines]]:
    """The first lines in growing parts, for most photographs end at the first."""
    start, count = 0, 1
    while start < most:
        stop = min(start + count, most)
        yield start, lines[start:stop].astype(np.int16)
        start, count = stop, min(4 * count, 256)


def _share(chosen: Bool[np.ndarray, "n m"]) -> np.ndarray:
    return chosen.mean(axis=1)
