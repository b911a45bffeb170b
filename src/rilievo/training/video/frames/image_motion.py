"""Image motion between frames, which shows static frames and scene cuts, and gives runs and stride.

A frame is compared with the last frame that was kept, so that slow motion adds up.
"""

import hashlib
import itertools
import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from rilievo.arrays.shapes import Matrix, Pixels, Positions, UInt8
from rilievo.data.clips.sequences import Clip
from rilievo.data.motion.tracks import Tracks, grey, track_by_homography, track_corners
from rilievo.errors import InputError
from rilievo.errors.messages import count_text
from rilievo.io.files.atomic import write_text
from rilievo.io.files.limits import read_text
from rilievo.io.files.names import printable
from rilievo.io.json_record import InvalidRecordError, from_json, to_json
from rilievo.training.video.frames.frame_store import FrameStore

METHOD = 2
"""Version of the measurement, which is raised with every change, since results are stored."""

ENOUGH_PARALLAX = 2.0
"""Median parallax that the stride is chosen for [px at a width of 640]; a car in town has 4 at 10
frames a second."""
LARGEST_STRIDE = 10
"""Largest stride that is chosen [frames]."""

_MIN_PARALLAX = 0.1
"""Median parallax below which a camera only rotates [px at a width of 640]."""
_MIN_TRACKS = 12
"""Fewest tracked corners from which motion is measured."""
_MIN_TRACKED_FRACTION = 0.2
"""Least fraction of the corners that is found again unless there is a cut."""
_REWEIGHTINGS = 10
"""Iterations of the fit of a rotation, each of which reweights displacements by their errors."""
_MIN_ERROR = 0.05
"""Error below which a displacement weighs no more [px]."""
_STRIDE_TOLERANCE = 0.1
"""Fraction of a frame that a stride may lack of the one that gives enough parallax."""


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
        motion = None if last_kept is None else motion_between(last_kept, grey_frame, K)
        if motion is None or motion.is_cut:
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
    if math.isnan(parallax) or parallax <= 0:
        return 1
    required_parallax = min_parallax * width / 640
    stride = math.ceil(required_parallax / parallax - _STRIDE_TOLERANCE)
    return min(LARGEST_STRIDE, max(1, stride))


@dataclass(frozen=True, slots=True, kw_only=True)
class SequenceRuns:
    """Runs of frames of a sequence that follow one another.

    Attributes:
        runs: Indices of the frames of each run.
        stride: Number of frames from a target to its neighbours.
        motion: Motion from which runs and stride follow; None if it is not measured.
    """

    runs: Sequence[Sequence[int]]
    stride: int
    motion: MovingFrames | None = None


def needs_measured_motion(sequence: Clip, *, min_motion: float) -> bool:
    """Whether still frames are left out of a sequence, or its stride follows from its motion."""
    if not sequence.measures_motion:
        return False
    return min_motion > 0 or sequence.stride is None


def runs_by_number(sequence: Clip) -> SequenceRuns:
    """Runs of a sequence whose motion is not measured: frames whose numbers rise by 1."""
    runs = _consecutive_index_runs(sequence.frame_numbers)
    return SequenceRuns(runs=runs, stride=sequence.stride or 1)


def runs_by_motion(
    sequence: Clip, frames: FrameStore, K: Matrix, *, min_motion: float, parallax: float
) -> SequenceRuns:
    """Runs of the frames of a sequence that move enough, and the stride that gives ``parallax``.

    The motion is stored beside the frames. ``min_motion`` is that below which a frame is left out
    [px], and ``parallax`` the one that the stride is chosen for [px at a width of 640].
    """
    path = _motion_file(frames, K, min_motion)
    motion = _read_moving_frames_if_valid(path, sequence)
    if motion is None:
        motion = _measure_motion(sequence, frames, K, min_motion=min_motion)
        write_text(path, to_json(motion))

    stride = sequence.stride
    if stride is None:
        _, width = frames.size
        stride = stride_for_parallax(motion.parallax, width, parallax)
    return SequenceRuns(runs=motion.runs, stride=stride, motion=motion)


def _motion_file(frames: FrameStore, K: Matrix, min_motion: float) -> Path:
    """JSON file of the ``MovingFrames`` that were found with these arguments."""
    key = hashlib.sha256(repr((METHOD, K.tolist(), min_motion)).encode()).hexdigest()[:8]
    return frames.path.with_suffix(f".motion-{key}.json")


def _consecutive_index_runs(frame_numbers: Sequence[int]) -> list[list[int]]:
    """Split the indices of frames into runs in which the frame number rises by 1."""
    runs: list[list[int]] = []
    for index, number in enumerate(frame_numbers):
        if not index or number != frame_numbers[index - 1] + 1:
            runs.append([])
        runs[-1].append(index)
    return runs


def _measure_motion(
    sequence: Clip, frames: FrameStore, K: Matrix, *, min_motion: float
) -> MovingFrames:
    """Measure the motion of a sequence between its readable frames, for each run by itself."""
    run_motions = []
    for run in _consecutive_index_runs(sequence.frame_numbers):
        readable_frames = (
            (index, frames.frame(index)) for index in run if index not in frames.broken
        )
        run_motions.append(find_moving_frames(readable_frames, K, min_motion=min_motion))
    return MovingFrames.concatenate(run_motions)


def _read_moving_frames_if_valid(path: Path, sequence: Clip) -> MovingFrames | None:
    """Read stored motion; None if there is none, or if it does not fit the sequence."""
    try:
        moving_frames = from_json(MovingFrames, read_text(path))
    except (InputError, InvalidRecordError):
        return None
    indices = [index for run in moving_frames.runs for index in run]
    is_in_order = all(earlier < later for earlier, later in itertools.pairwise(indices))
    is_in_sequence = set(range(len(sequence.frame_numbers))).issuperset(indices)
    has_parallaxes = all(0 <= parallax < math.inf for parallax in moving_frames.parallaxes)
    return moving_frames if is_in_order and is_in_sequence and has_parallaxes else None


def motion_notes(
    sequence: Clip, moving_frames: MovingFrames, stride: int, frames: FrameStore
) -> list[str]:
    """Notes on the motion of a sequence, and on what is wrong with its whole video."""
    name = printable(sequence.id)
    parallax = moving_frames.parallax
    _, width = frames.size
    notes: list[str] = []
    if frames.fault is not None:
        notes.append(frames.fault)
    if moving_frames.still or moving_frames.cuts or stride > 1:
        notes.append(f"{name}: {_describe_runs(moving_frames, stride, frames.count)}")
    # The parallax is NaN if it was not measured.
    if not math.isnan(parallax) and parallax * 640 / width < _MIN_PARALLAX:
        notes.append(
            f"{name}: the camera turns but hardly moves (median parallax {parallax:.2f} px per "
            f"frame), so depth can hardly be learned, even from frames that are {LARGEST_STRIDE} "
            "frames apart"
        )
    return notes


def _describe_runs(moving_frames: MovingFrames, stride: int, num_frames: int) -> str:
    """Describe the frames that are skipped, the cuts and the stride of a sequence."""
    texts = []
    if moving_frames.still:
        texts.append(
            f"rilievo skips {moving_frames.still:,} of {num_frames:,} frames, because the "
            "camera hardly moves"
        )
    if moving_frames.cuts:
        texts.append(f"the footage has {count_text(moving_frames.cuts, 'cut')}")
    parallax = moving_frames.parallax
    texts.append(f"the stride is {stride} (median parallax {parallax:.1f} px per frame)")
    return "; ".join(texts)
