"""Image motion between frames, which shows static frames and scene cuts, and gives the stride.

A frame is compared with the last frame that was kept, so that slow motion adds up.
"""

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np

from rilievo.arrays.shapes import Matrix, Pixels, Positions, UInt8
from rilievo.data.motion.tracks import Tracks, grey, track_by_homography, track_corners

METHOD = 2
"""Version of the measurement, which is raised with every change, since results are stored."""

ENOUGH_PARALLAX = 2.0
"""Median parallax that the stride is chosen for [px at a width of 640]; a car in town has 4 at 10
frames a second."""
LARGEST_STRIDE = 10
"""Largest stride that is chosen [frames]."""

_MIN_TRACKS = 12
"""Fewest tracked corners from which motion is measured."""
_MIN_TRACKED_FRACTION = 0.2
"""Least fraction of the corners that is found again unless there is a cut."""
_REWEIGHTINGS = 10
"""Iterations of the fit of a rotation, each of which reweights displacements by their errors."""
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
        cuts: Number of cuts between scenes.
        largest: Largest displacement between two frames [px].
    """

    runs: tuple[tuple[int, ...], ...]
    parallaxes: tuple[float, ...]
    still: int
    cuts: int
    largest: float

    @classmethod
    def concatenate(cls, motions: Sequence["MovingFrames"]) -> "MovingFrames":
        """Join the motion of successive parts of a sequence; nothing is compared between them."""
        return cls(
            runs=tuple(run for motion in motions for run in motion.runs),
            parallaxes=tuple(parallax for motion in motions for parallax in motion.parallaxes),
            still=sum(motion.still for motion in motions),
            cuts=sum(motion.cuts for motion in motions),
            largest=max((motion.largest for motion in motions), default=0.0),
        )

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
    displacements = tracks.displacement
    parallax = displacements - rotation_displacements(tracks, K)
    return Motion(
        pixels=float(np.median(np.linalg.norm(displacements, axis=1))),
        parallax=float(np.median(np.linalg.norm(parallax, axis=1))),
        is_cut=False,
    )


def _find_tracks(
    first: UInt8[np.ndarray, "h w"], second: UInt8[np.ndarray, "h w"]
) -> Tracks | None:
    """Track corners; None if too few are found again.

    If tracking from the same position fails, it begins at the positions that a homography predicts.
    """
    for track in (track_corners, track_by_homography):
        tracks = track(first, second)
        if (
            len(tracks.displacement) >= _MIN_TRACKS
            and tracks.returned_fraction >= _MIN_TRACKED_FRACTION
        ):
            return tracks
    return None


def rotation_displacements(tracks: Tracks, K: Matrix) -> Positions:
    """Fit a small rotation of the camera to tracks; return the displacements that it causes [px].

    The flow of a rotation does not depend on depth (Longuet-Higgins and Prazdny 1980). The sum of
    the absolute errors is minimised by iteratively reweighted least squares.
    """
    # Normalised image coordinates.
    x = (tracks.start[:, 0] - K[0, 2]) / K[0, 0]
    y = (tracks.start[:, 1] - K[1, 2]) / K[1, 1]
    # Derivatives of the displacement (u, v) of each corner by the angles about x, y and z.
    du_dangles = np.stack((x * y, -(1 + x * x), y), axis=1) * K[0, 0]
    dv_dangles = np.stack((1 + y * y, -x * y, -x), axis=1) * K[1, 1]
    jacobian = np.stack((du_dangles, dv_dangles), axis=1)  # corners x 2 x 3

    measured = tracks.displacement
    explained = np.zeros_like(measured)
    weights = np.ones(len(measured))
    for _ in range(_REWEIGHTINGS):
        normal_matrix = np.einsum("n,nij,nik->jk", weights, jacobian, jacobian)
        right_side = np.einsum("n,nij,ni->j", weights, jacobian, measured)
        angles = np.linalg.lstsq(normal_matrix, right_side, rcond=None)[0]
        explained = jacobian @ angles
        errors = np.linalg.norm(measured - explained, axis=1)
        weights = 1 / np.maximum(errors, _MIN_ERROR)
    return explained


def find_moving_frames(
    frames: Iterable[tuple[int, Pixels]],
    K: Matrix,
    *,
    min_motion: float,
) -> MovingFrames:
    """Keep the frames that moved far enough since the last one that was kept.

    Frames come with their index. ``min_motion`` is the least median displacement of corners [px].
    """
    runs: list[list[int]] = []
    parallaxes: list[float] = []
    num_still = 0
    largest_motion = 0.0
    last_kept: np.ndarray | None = None
    for index, frame in frames:
        grey_frame = grey(frame)
        motion = _CUT if last_kept is None else motion_between(last_kept, grey_frame, K)
        if motion.is_cut:
            runs.append([index])
            last_kept = grey_frame
            continue

        largest_motion = max(largest_motion, motion.pixels)
        if motion.pixels < min_motion:
            num_still += 1
        else:
            runs[-1].append(index)
            parallaxes.append(motion.parallax)
            last_kept = grey_frame
    return MovingFrames(
        runs=tuple(map(tuple, runs)),
        parallaxes=tuple(parallaxes),
        still=num_still,
        cuts=max(0, len(runs) - 1),
        largest=largest_motion,
    )


def stride_for_parallax(parallax: float, width: int, min_parallax: float = ENOUGH_PARALLAX) -> int:
    """Stride [frames] at which neighbours have enough parallax, 1 to ``LARGEST_STRIDE``.

    ``parallax`` is the median between successive frames [px], or NaN if it is not known, and
    ``min_parallax`` the one to reach [px at a width of 640].
    """
    # Also true for NaN.
    if not parallax > 0:
        return 1
    required_parallax = min_parallax * width / 640
    # A stride that lacks at most a tenth of a frame is good enough.
    stride = math.ceil(required_parallax / parallax - 0.1)
    return min(LARGEST_STRIDE, max(1, stride))
