"""Image motion from frame to frame: static frames, scene cuts, and the stride of a sequence.

A frame is compared with the last one that was kept, so that slow motion adds up.
"""

import math
from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np

from rilievo.arrays.shapes import Matrix, Pixels, Positions, UInt8
from rilievo.data.clips.tracks import Tracks, grey, track_by_homography, track_corners

METHOD = 2
"""Version of the measurement, raised with every change."""

ENOUGH_PARALLAX = 2.0
"""Median parallax that the stride is chosen for [px at a width of 640]; a car in town has 4 at 10
frames a second."""
LARGEST_STRIDE = 10

_FEWEST = 12
_ROUNDS, _LEAST_ERROR = 10, 0.05
_SEEN_AGAIN = 0.2


@dataclass(frozen=True, slots=True, kw_only=True)
class Motion:
    """Motion between two frames [px]; ``parallax`` is what a rotation does not explain."""

    pixels: float
    parallax: float
    is_cut: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class MovingFrames:
    """Frames of a sequence with enough motion to learn from; displacements in pixels."""

    runs: tuple[tuple[int, ...], ...]
    parallaxes: tuple[float, ...]
    still: int
    cuts: int
    largest: float

    @property
    def parallax(self) -> float:
        """Median parallax between successive frames [px]."""
        return float(np.median(self.parallaxes)) if self.parallaxes else math.nan


_NOTHING = Motion(pixels=math.nan, parallax=math.nan, is_cut=True)


def motion_between(
    first: UInt8[np.ndarray, "h w"], second: UInt8[np.ndarray, "h w"], K: Matrix
) -> Motion:
    """Measure the motion between two grey frames; untracked ones are a cut."""
    attempts = (track(first, second) for track in (track_corners, track_by_homography))
    same = (
        attempt
        for attempt in attempts
        if len(attempt.way) >= _FEWEST and attempt.share >= _SEEN_AGAIN
    )
    ways = next(same, None)
    if ways is None:
        return _NOTHING
    left = ways.way - rotation_displacements(ways, K)
    return Motion(
        pixels=float(np.median(np.linalg.norm(ways.way, axis=1))),
        parallax=float(np.median(np.linalg.norm(left, axis=1))),
        is_cut=False,
    )


def rotation_displacements(ways: Tracks, K: Matrix) -> Positions:
    """Find the displacements due to the small rotation that explains most of them.

    The flow of a rotation does not depend on depth (Longuet-Higgins and Prazdny 1980).
    """
    x = (ways.start[:, 0] - K[0, 2]) / K[0, 0]
    y = (ways.start[:, 1] - K[1, 2]) / K[1, 1]
    along_x = np.stack((x * y, -(1 + x * x), y), axis=1) * K[0, 0]
    along_y = np.stack((1 + y * y, -x * y, -x), axis=1) * K[1, 1]
    flow = np.stack((along_x, along_y), axis=1)
    explained = np.zeros_like(ways.way)
    weights = np.ones(len(ways.way))
    for _ in range(_ROUNDS):
        normal = np.einsum("n,nij,nik->jk", weights, flow, flow)
        right = np.einsum("n,nij,ni->j", weights, flow, ways.way)
        explained = flow @ np.linalg.lstsq(normal, right, rcond=None)[0]
        errors = np.linalg.norm(ways.way - explained, axis=1)
        weights = 1 / np.maximum(errors, _LEAST_ERROR)
    return explained


def find_moving_frames(
    frames: Iterable[tuple[int, Pixels]],
    K: Matrix,
    *,
    least: float,
) -> MovingFrames:
    """Keep frames that moved at least ``least`` [px] from the last one kept."""
    runs: list[list[int]] = []
    parallaxes: list[float] = []
    still, largest = 0, 0.0
    last: np.ndarray | None = None
    for index, frame in frames:
        now = grey(frame)
        motion = None if last is None else motion_between(last, now, K)
        if motion is not None and not motion.is_cut:
            largest = max(largest, motion.pixels)
            if motion.pixels < least:
                still += 1
                continue
            runs[-1].append(index)
            parallaxes.append(motion.parallax)
        else:
            runs.append([index])
        last = now
    return MovingFrames(
        runs=tuple(map(tuple, runs)),
        parallaxes=tuple(parallaxes),
        still=still,
        cuts=max(0, len(runs) - 1),
        largest=largest,
    )


def stride_for_parallax(parallax: float, width: int, enough: float = ENOUGH_PARALLAX) -> int:
    """Stride [frames], 1 to 10, at which neighbours have enough parallax."""
    if not parallax > 0:
        return 1
    wanted = enough * width / 640
    # If up to a tenth of a frame is missing, the stride is not raised.
    return min(LARGEST_STRIDE, max(1, math.ceil(wanted / parallax - 0.1)))
