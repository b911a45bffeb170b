"""Image motion from frame to frame, for skipping static frames, cutting scenes and the stride.

A frame is compared with the last one that was kept, so that slow motion adds up.
"""

import math
from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np

from rilievo.arrays.shapes import Matrix, Pixels, Positions, UInt8
from rilievo.data.clips.tracks import Tracks, grey, track_by_homography, track_corners

METHOD = 2
"""Version of the measurement, which is raised with every change, since results are stored."""

ENOUGH_PARALLAX = 2.0
"""Median parallax that the stride is chosen for [px at a width of 640]; a car in town has 4 at 10
frames a second."""
LARGEST_STRIDE = 10
"""Largest stride that is chosen [frames]."""

_MIN_TRACKS = 12
"""Fewest tracked corners from which motion is measured."""
_MIN_TRACKED_SHARE = 0.2
"""Least share of the corners that is found again unless there is a cut."""
_ROUNDS = 10
"""Rounds of the fit of a rotation, which reweights displacements by their errors."""
_MIN_ERROR = 0.05
"""Error below which a displacement weighs no more [px]."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Motion:
    """Motion between two frames.

    Attributes:
        pixels: Median displacement of corners [px]; NaN at a cut.
        parallax: Median displacement that a rotation does not explain [px]; NaN at a cut.
        is_cut: Whether the frames show different scenes.
    """

    pixels: float
    parallax: float
    is_cut: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class MovingFrames:
    """Frames of a sequence with enough motion to learn from.

    Attributes:
        runs: Indices of frames between cuts.
        parallaxes: Parallax between successive frames of these runs [px].
        still: Number of frames that moved too little.
        cuts: Number of cuts.
        largest: Largest displacement between two frames [px].
    """

    runs: tuple[tuple[int, ...], ...]
    parallaxes: tuple[float, ...]
    still: int
    cuts: int
    largest: float

    @property
    def parallax(self) -> float:
        """Median parallax between successive frames [px]; NaN without any."""
        return float(np.median(self.parallaxes)) if self.parallaxes else math.nan


_CUT = Motion(pixels=math.nan, parallax=math.nan, is_cut=True)


def motion_between(
    first: UInt8[np.ndarray, "h w"], second: UInt8[np.ndarray, "h w"], K: Matrix
) -> Motion:
    """Measure the motion between two grey frames; frames without common corners are a cut."""
    tracks = _find_tracks(first, second)
    if tracks is None:
        return _CUT
    parallax = tracks.way - rotation_displacements(tracks, K)
    return Motion(
        pixels=float(np.median(np.linalg.norm(tracks.way, axis=1))),
        parallax=float(np.median(np.linalg.norm(parallax, axis=1))),
        is_cut=False,
    )


def _find_tracks(
    first: UInt8[np.ndarray, "h w"], second: UInt8[np.ndarray, "h w"]
) -> Tracks | None:
    """Track corners, the second time from a homography; None if too few are found again."""
    for track in (track_corners, track_by_homography):
        tracks = track(first, second)
        if len(tracks.way) >= _MIN_TRACKS and tracks.share >= _MIN_TRACKED_SHARE:
            return tracks
    return None


def rotation_displacements(tracks: Tracks, K: Matrix) -> Positions:
    """Displacements [px] by the small rotation that explains those of the tracks best.

    The flow of a rotation does not depend on depth (Longuet-Higgins and Prazdny 1980). The sum of
    the absolute errors is minimised, by least squares with weights.
    """
    x = (tracks.start[:, 0] - K[0, 2]) / K[0, 0]
    y = (tracks.start[:, 1] - K[1, 2]) / K[1, 1]
    # Displacement of each corner along x and y by a rotation about each axis.
    flow_x = np.stack((x * y, -(1 + x * x), y), axis=1) * K[0, 0]
    flow_y = np.stack((1 + y * y, -x * y, -x), axis=1) * K[1, 1]
    flow = np.stack((flow_x, flow_y), axis=1)

    explained = np.zeros_like(tracks.way)
    weights = np.ones(len(tracks.way))
    for _ in range(_ROUNDS):
        normal_matrix = np.einsum("n,nij,nik->jk", weights, flow, flow)
        right_side = np.einsum("n,nij,ni->j", weights, flow, tracks.way)
        rotation = np.linalg.lstsq(normal_matrix, right_side, rcond=None)[0]
        explained = flow @ rotation
        errors = np.linalg.norm(tracks.way - explained, axis=1)
        weights = 1 / np.maximum(errors, _MIN_ERROR)
    return explained


def find_moving_frames(
    frames: Iterable[tuple[int, Pixels]],
    K: Matrix,
    *,
    min_motion: float,
) -> MovingFrames:
    """Keep the frames that moved by at least ``min_motion`` [px] since the last one that is kept.

    Args:
        frames: Frames with their index.
        K: Intrinsics of the frames [px].
        min_motion: Least median displacement of corners [px].
    """
    runs: list[list[int]] = []
    parallaxes: list[float] = []
    still, largest = 0, 0.0
    last_kept: np.ndarray | None = None
    for index, frame in frames:
        grey_frame = grey(frame)
        motion = _CUT if last_kept is None else motion_between(last_kept, grey_frame, K)
        if motion.is_cut:
            runs.append([index])
            last_kept = grey_frame
            continue

        largest = max(largest, motion.pixels)
        if motion.pixels < min_motion:
            still += 1
        else:
            runs[-1].append(index)
            parallaxes.append(motion.parallax)
            last_kept = grey_frame
    return MovingFrames(
        runs=tuple(map(tuple, runs)),
        parallaxes=tuple(parallaxes),
        still=still,
        cuts=max(0, len(runs) - 1),
        largest=largest,
    )


def stride_for_parallax(parallax: float, width: int, enough: float = ENOUGH_PARALLAX) -> int:
    """Stride [frames] at which neighbours have enough parallax, 1 to ``LARGEST_STRIDE``.

    Args:
        parallax: Median parallax between successive frames [px]; NaN if it is not known.
        width: Width of the frames [px].
        enough: Parallax that is wanted [px at a width of 640].
    """
    if not parallax > 0:
        return 1
    wanted_parallax = enough * width / 640
    # If up to a tenth of a frame is missing, the stride is not raised.
    return min(LARGEST_STRIDE, max(1, math.ceil(wanted_parallax / parallax - 0.1)))
