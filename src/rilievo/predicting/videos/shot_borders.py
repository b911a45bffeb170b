"""Black bars of a shot: those that are black in all its frames."""

from collections.abc import Iterator
from copy import copy

import numpy as np

from rilievo.arrays.shapes import Pixels
from rilievo.geometry.borders import (
    Margins,
    find_black_bars,
    has_two_black_sides,
    have_black_bars_changed,
)
from rilievo.io.videos.frame_source import FrameSource
from rilievo.predicting.videos.frame_comparison import picture_features
from rilievo.records.sample import Photo

_MAX_SIDE = 180
"""Shorter side of the pictures in which cuts are sought, for speed [px]."""


class ShotBorders:
    """Finder of the black bars of each shot, which reads ahead to the end of a shot with bars."""

    def __init__(self, source: FrameSource) -> None:
        # A copy, because reading sets the faults of a source.
        self._source = copy(source)
        self._frames_ahead: Iterator[tuple[int, Pixels]] | None = None
        self._frame_count = 0
        self._last_pixels: Pixels | None = None
        self._first_frame_of_shot = 0
        # Brightest pixels of the shot that is being read; None if it cannot have bars.
        self._brightest: Pixels | None = None
        # First frame and bars of the shots that were read, from the current one on.
        self._shots: list[tuple[int, Margins]] = []

    def frame_margins(self, index: int, photo: Photo) -> Margins:
        """Bars of a frame; frames are asked for in order."""
        if index == self._frame_count:
            self._add_pixels(_pixels_on_white(photo))
        while self._brightest is not None and self._first_frame_of_shot <= index:
            pixels = self._next_pixels()
            if pixels is None:
                self._end_shot()
            else:
                self._add_pixels(pixels)
        while len(self._shots) > 1 and self._shots[1][0] <= index:
            del self._shots[0]
        _, margins = self._shots[0]
        return margins

    def _add_pixels(self, pixels: Pixels) -> None:
        """Add the next frame to its shot, or begin a new shot with it."""
        index, last_pixels, brightest = self._frame_count, self._last_pixels, self._brightest
        self._frame_count, self._last_pixels = index + 1, pixels
        may_have_bars = brightest is not None or has_two_black_sides(pixels)
        if last_pixels is None or (may_have_bars and _is_cut(last_pixels, pixels, brightest)):
            self._end_shot()
            self._first_frame_of_shot, brightest = index, pixels
        elif brightest is not None:
            brightest = np.maximum(brightest, pixels)

        if brightest is not None and not has_two_black_sides(brightest):
            self._shots.append((self._first_frame_of_shot, Margins()))
            brightest = None
        self._brightest = brightest

    def _end_shot(self) -> None:
        if self._brightest is not None:
            bars = find_black_bars((self._brightest,))
            self._shots.append((self._first_frame_of_shot, bars))
            self._brightest = None

    def _next_pixels(self) -> Pixels | None:
        """Pixels of the next frame that was not added; None at the end."""
        if self._frames_ahead is None:
            self._frames_ahead = (
                (frame.index, _pixels_on_white(frame.photo)) for frame in self._source
            )
        for index, pixels in self._frames_ahead:
            if index == self._frame_count:
                return pixels
        return None


def _is_cut(before: Pixels, after: Pixels, brightest: Pixels | None) -> bool:
    """Whether bars change between two frames, or the picture inside of the shot's bars."""
    step = max(1, min(after.shape[:2]) // _MAX_SIDE)
    grid = np.s_[::step, ::step]
    before, after = before[grid], after[grid]
    if have_black_bars_changed(before, after):
        return True
    bars = Margins() if brightest is None else find_black_bars((brightest[grid],))
    inside = bars.inside(after.shape[:2])
    return picture_features(before[inside]).is_cut(picture_features(after[inside]))


def _pixels_on_white(photo: Photo) -> Pixels:
    """Pixels with transparent ones in white, so that they are no black bars."""
    if photo.transparent is None:
        return photo.pixels
    return np.where(photo.transparent[..., None], np.uint8(255), photo.pixels)
