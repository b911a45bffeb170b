"""Black bars of shots: those black in all frames.

Frames are read ahead, as the first needs them.
"""

from collections.abc import Iterator
from copy import copy

import numpy as np

from rilievo.io.videos.frame_source import FrameSource
from rilievo.margins import Margins, bars_jump, find_black_bars, may_have_bars
from rilievo.predicting.videos.looks import look_of
from rilievo.shapes import Pixels
from rilievo.types import Photo

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

    def of_frame(self, index: int, photo: Photo) -> Margins:
        """Bars of the next frame."""
        if index == self._count:
            self._watch(_pixels(photo))
        while self._brightest is not None and self._first <= index:
            pixels = self._next()
            if pixels is None:
                self._end()
            else:
                self._watch(pixels)
        while len(self._known) > 1 and self._known[1][0] <= index:
            del self._known[0]
        return self._known[0][1]

    def _watch(self, pixels: Pixels) -> None:
        index, before, brightest = self._count, self._before, self._brightest
        self._count, self._before = index + 1, pixels
        may_matter = brightest is not None or may_have_bars(pixels)
        if before is None or (may_matter and _is_cut(before, pixels, brightest)):
            self._end()
            self._first, brightest = index, pixels
        elif brightest is not None:
            brightest = np.maximum(brightest, pixels)
        if brightest is not None and not may_have_bars(brightest):
            self._known.append((self._first, Margins()))
            brightest = None
        self._brightest = brightest

    def _end(self) -> None:
        if self._brightest is not None:
            self._known.append((self._first, _bars(self._brightest)))
            self._brightest = None

    def _next(self) -> Pixels | None:
        if self._ahead is None:
            self._ahead = ((frame.index, _pixels(frame.photo)) for frame in self._source)
        return next((pixels for index, pixels in self._ahead if index == self._count), None)


def _bars(brightest: Pixels | None) -> Margins:
    return Margins() if brightest is None else find_black_bars((brightest,))


def _is_cut(before: Pixels, after: Pixels, brightest: Pixels | None) -> bool:
    """Whether bars jump, or the rest differs."""
    step = max(1, min(after.shape[:2]) // _SIDE)
    thin = np.s_[::step, ::step]
    before, after = before[thin], after[thin]
    if bars_jump(before, after):
        return True
    bars = _bars(None if brightest is None else brightest[thin])
    inside = bars.inside(after.shape[:2])
    return look_of(before[inside]).is_cut(look_of(after[inside]))


def _pixels(photo: Photo) -> Pixels:
    if photo.transparent is None:
        return photo.pixels
    return np.where(photo.transparent[..., None], np.uint8(255), photo.pixels)
