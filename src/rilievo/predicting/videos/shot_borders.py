"""Find the black bars of a shot, which are black in all its frames."""

from collections.abc import Iterator
from copy import copy
from dataclasses import dataclass

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
"""Shorter side to which pictures are subsampled to detect cuts faster [px]."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _ShotBars:
    """Black bars of a shot, which begins with frame ``first_frame``."""

    first_frame: int
    bars: Margins


class ShotBorders:
    """Finder of the black bars of each shot.

    If a shot may have bars, it reads ahead to the end of the shot, because a bar has to be black in
    all frames. It collects the brightest value of each pixel over the shot for that.
    """

    def __init__(self, source: FrameSource) -> None:
        # A copy, because reading changes the faults of a source.
        self._source = copy(source)
        self._frames_ahead: Iterator[tuple[int, Pixels]] | None = None
        self._frame_count = 0
        self._last_pixels: Pixels | None = None
        self._first_frame_of_shot = 0
        # Maximum of each pixel over the shot that is being read; None if it cannot have bars.
        self._brightest: Pixels | None = None
        # Shots whose bars are known, from the one of the current frame on.
        self._known_shots: list[_ShotBars] = []

    def frame_margins(self, index: int, photo: Photo) -> Margins:
        """Return the bars of a frame. It has to be called for all frames in order."""
        was_read_ahead = index < self._frame_count
        if not was_read_ahead:
            self._add_pixels(_pixels_on_white(photo))
        # Read to the end of this frame's shot, unless it is clear already that it has no bars.
        while self._brightest is not None and self._first_frame_of_shot <= index:
            pixels = self._next_pixels()
            if pixels is None:
                self._end_shot()
            else:
                self._add_pixels(pixels)
        while len(self._known_shots) > 1 and self._known_shots[1].first_frame <= index:
            del self._known_shots[0]
        return self._known_shots[0].bars

    def _add_pixels(self, pixels: Pixels) -> None:
        """Add the next frame to its shot, or begin a new shot with it.

        Cuts matter only where bars may begin or end, so all other frames are not compared.
        """
        last_pixels = self._last_pixels
        may_have_bars = self._brightest is not None or has_two_black_sides(pixels)
        if last_pixels is None or (may_have_bars and _is_cut(last_pixels, pixels, self._brightest)):
            self._end_shot()
            self._first_frame_of_shot = self._frame_count
            self._brightest = pixels
        elif self._brightest is not None:
            self._brightest = np.maximum(self._brightest, pixels)

        if self._brightest is not None and not has_two_black_sides(self._brightest):
            # Something bright has crossed the sides, so this shot has no bars.
            self._add_known_shot(Margins())
        self._last_pixels = pixels
        self._frame_count += 1

    def _end_shot(self) -> None:
        """Record the bars of the shot that ends; without effect if it is known to have none."""
        if self._brightest is not None:
            self._add_known_shot(find_black_bars((self._brightest,)))

    def _add_known_shot(self, bars: Margins) -> None:
        """Record the bars of the shot that is being read, whose pixels are not needed any more."""
        self._known_shots.append(_ShotBars(first_frame=self._first_frame_of_shot, bars=bars))
        self._brightest = None

    def _next_pixels(self) -> Pixels | None:
        """Read the pixels of the next frame that was not added; None at the end of the video."""
        if self._frames_ahead is None:
            self._frames_ahead = (
                (frame.index, _pixels_on_white(frame.photo)) for frame in self._source
            )
        for index, pixels in self._frames_ahead:
            if index == self._frame_count:
                return pixels
        return None


def _is_cut(before: Pixels, after: Pixels, brightest: Pixels | None) -> bool:
    """Whether the bars change between two frames, or the picture within the shot's bars is cut."""
    step = max(1, min(after.shape[:2]) // _MAX_SIDE)
    grid = np.s_[::step, ::step]
    before, after = before[grid], after[grid]
    if have_black_bars_changed(before, after):
        return True
    bars = Margins() if brightest is None else find_black_bars((brightest[grid],))
    inside = bars.inside(after.shape[:2])
    return picture_features(before[inside]).is_cut(picture_features(after[inside]))


def _pixels_on_white(photo: Photo) -> Pixels:
    """Return the pixels with transparent ones in white, so that they do not count as black bars."""
    if photo.transparent is None:
        return photo.pixels
    return np.where(photo.transparent[..., None], np.uint8(255), photo.pixels)
