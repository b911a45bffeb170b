"""Image motion from frame to frame: static frames, scene cuts, and the stride of a sequence.

Corners are tracked, and the median length of their displacements is the motion. A frame is compared
with the last one that was kept, not with the one before it: so slow motion adds up, while the noise
of a static camera does not.
"""

import math
from collections.abc import Iterable

import numpy as np

from rilievo.data.clips.motion.tracks import Tracks, grey, track_corners, track_matched
from rilievo.frozen import frozen
from rilievo.shapes import Matrix, Pixels, Positions, UInt8

METHOD = 2
"""Version of the measurement; raised with every change, so that stored results are not reused."""

ENOUGH_PARALLAX = 2.0
"""Median parallax between neighbours that the stride is usually chosen for [px at a width of 640].
A car in town has 4 between frames at 10 frames a second, a hand-held camera in a room 0.4 at 30."""
LARGEST_STRIDE = 10

_FEWEST = 12
"""Smallest number of corners that motion is measured with."""
_ROUNDS, _LEAST_ERROR = 10, 0.05
"""Iterations of the fit by least absolute differences, and the error [px] below which all weigh
alike."""
_SEEN_AGAIN = 0.2
"""Share of the corners found again, below which two frames show different scenes."""


@frozen
class Motion:
    """Motion between two frames.

    Attributes:
        pixels: Median displacement of the corners seen in both [px]; NaN where too few are.
        parallax: Median displacement without the part that a rotation of the camera explains [px].
        is_cut: Whether they show different scenes, or nothing that can be tracked.
    """

    pixels: float
    parallax: float
    is_cut: bool


@frozen
class Moving:
    """Frames of a sequence with enough motion to learn from.

    Attributes:
        runs: Indices of frames that were kept, without a cut inside a run.
        parallaxes: Parallax between successive frames of runs [px].
        largest: Largest motion of any frame from the last one kept [px]; 0 without any.
    """

    runs: tuple[tuple[int, ...], ...]
    parallaxes: tuple[float, ...]
    still: int
    cuts: int
    largest: float

    @property
    def parallax(self) -> float:
        """Median parallax between successive frames that were kept [px]; NaN where none were."""
        return float(np.median(self.parallaxes)) if self.parallaxes else math.nan


_NOTHING = Motion(pixels=math.nan, parallax=math.nan, is_cut=True)


def motion_between(
    first: UInt8[np.ndarray, "h w"], second: UInt8[np.ndarray, "h w"], K: Matrix
) -> Motion:
    """Measure the motion between two grey frames of a camera."""
    attempts = (track(first, second) for track in (track_corners, track_matched))
    same = (
        attempt
        for attempt in attempts
        if len(attempt.way) >= _FEWEST and attempt.share >= _SEEN_AGAIN
    )
    ways = next(same, None)
    if ways is None:
        return _NOTHING
    left = ways.way - turn_ways(ways, K)
    return Motion(
        pixels=float(np.median(np.linalg.norm(ways.way, axis=1))),
        parallax=float(np.median(np.linalg.norm(left, axis=1))),
        is_cut=False,
    )


def turn_ways(ways: Tracks, K: Matrix) -> Positions:
    """Displacements due to the small rotation of the camera that explains most of them.

    The flow of a rotation w does not depend on depth (Longuet-Higgins and Prazdny 1980); w is
    fitted by least absolute differences, since near points move differently.
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


def find_moving(
    frames: Iterable[tuple[int, Pixels]],
    K: Matrix,
    *,
    least: float,
) -> Moving:
    """Keep frames that moved at least ``least`` [px] in the median from the last one kept."""
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
    return Moving(
        runs=tuple(map(tuple, runs)),
        parallaxes=tuple(parallaxes),
        still=still,
        cuts=max(0, len(runs) - 1),
        largest=largest,
    )


def stride_for(parallax: float, width: int, enough: float = ENOUGH_PARALLAX) -> int:
    """Choose the frames between neighbours that give enough parallax, at a width of 640."""
    if not parallax > 0:
        return 1
    wanted = enough * width / 640
    # If up to a tenth of a frame is missing, the stride is not raised.
    return min(LARGEST_STRIDE, max(1, math.ceil(wanted / parallax - 0.1)))
