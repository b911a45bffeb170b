"""Black bars of a shot: those that are black in all its frames."""

from collections.abc import Iterator
from copy import copy

import numpy as np

from rilievo.arrays.shapes import Pixels
from rilievo.geometry.borders import (
    Margins,
    black_bars_change,
    find_black_bars,
    has_two_black_sides,
)
from rilievo.io.videos.frame_source import FrameSource
from rilievo.predicting.videos.frame_scales import picture_look
from rilievo.records.sample import Photo

_SIDE = 180


class ShotBorders:
    """Finder of the black bars of each shot."""

    def __init__(self, source: FrameSource) -> None:
        # A copy, because reading sets the faults of a source.
        self._source = copy(source)
        self._ahead: Iterator[tuple[int, Pixels]] | None = None
        self._count = 0
        self._before: Pixels | None = None
        self._first = 0
        # Brightest pixels of the shot that is being read; None where it can have no bars.
        self._brightest: Pixels | None = None
        # First frame and bars of the shots that were read.
        self._known: list[tuple[int, Margins]] = []

    def frame_margins(self, index: int, photo: Photo) -> Margins:
        """Bars of the next frame."""
        if index == self._count:
            self._add_pixels(_pixels_on_white(photo))
        while self._brightest is not None and self._first <= index:
            pixels = self._next_pixels()
            if pixels is None:
                self._end_shot()
            else:
                self._add_pixels(pixels)
        while len(self._known) > 1 and self._known[1][0] <= index:
            del self._known[0]
        return self._known[0][1]

    def _add_pixels(self, pixels: Pixels) -> None:
        index, before, brightest = self._count, self._before, self._brightest
        self._count, self._before = index + 1, pixels
        may_matter = brightest is not None or has_two_black_sides(pixels)
        if before is None or (may_matter and _is_cut(before, pixels, brightest)):
            self._end_shot()
            self._first, brightest = index, pixels
        elif brightest is not None:
            brightest = np.maximum(brightest, pixels)
        if brightest is not None and not has_two_black_sides(brightest):
            self._known.append((self._first, Margins()))
            brightest = None
        self._brightest = brightest

    def _end_shot(self) -> None:
        if self._brightest is not None:
            self._known.append((self._first, _bars_of_brightest(self._brightest)))
            self._brightest = None

    def _next_pixels(self) -> Pixels | None:
        if self._ahead is None:
            self._ahead = ((frame.index, _pixels_on_white(frame.photo)) for frame in self._source)
        return next((pixels for index, pixels in self._ahead if index == self._count), None)


def _bars_of_brightest(brightest: Pixels | None) -> Margins:
    return Margins() if brightest is None else find_black_bars((brightest,))


def _is_cut(before: Pixels, after: Pixels, brightest: Pixels | None) -> bool:
    """Whether bars jump, or the rest differs."""
    step = max(1, min(after.shape[:2]) // _SIDE)
    thin = np.s_[::step, ::step]
    before, after = before[thin], after[thin]
    if black_bars_change(before, after):
        return True
    bars = _bars_of_brightest(None if brightest is None else brightest[thin])
    inside = bars.inside(after.shape[:2])
    return picture_look(before[inside]).is_cut(picture_look(after[inside]))


def _pixels_on_white(photo: Photo) -> Pixels:
    if photo.transparent is None:
        return photo.pixels
    return np.where(photo.transparent[..., None], np.uint8(255), photo.pixels)
