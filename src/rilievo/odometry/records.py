"""Records of an estimated trajectory: options, poses, files and scores."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import numpy as np
import tyro
from jaxtyping import Bool, Float64, Int64

from rilievo.errors import OptionError
from rilievo.metrics.odometry import (
    LengthErrors,
    MotionErrors,
    direction_errors,
    length_errors,
    motion_errors,
    path_length,
)
from rilievo.metrics.trajectory import (
    Freedom,
    fit_similarity,
    known_poses,
    monodepth2_snippet_errors,
    position_rmse,
    snippet_errors,
)
from rilievo.models.model_options import TrustOptions

FORMAT = "rilievo-trajectory/1"


class TrajectoryFile(StrEnum):
    """Names of the files written for a trajectory."""

    KITTI = "poses.txt"
    """One line per frame: the twelve numbers of the upper rows of ``world_T_cam``."""
    TUM = "trajectory.txt"
    """One line per frame: seconds, tx ty tz, and the unit quaternion qx qy qz qw."""
    PICTURE = "trajectory.png"
    """Picture of the trajectory from above."""
    SCORES = "trajectory.json"
    """``TrajectoryRecord`` as JSON."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TrajectoryOptions(TrustOptions):
    """Options for estimating a trajectory."""

    poses: Path | None = None
    """True poses to score by, in KITTI's or TUM's format; by default those beside the frames."""
    stride: int = 1
    """Use every Nth frame, about the stride that the networks were trained with."""
    device: str = "auto"
    """auto, cpu, cuda or cuda:N."""
    camera: Annotated[
        tuple[float, float, float, float] | None, tyro.conf.arg(metavar="FX,FY,CX,CY")
    ] = None
    """Intrinsics [px] at the clip's own size, for motion by geometry."""
    camera_file: Annotated[Path | None, tyro.conf.arg(metavar="FILE")] = None
    """File of intrinsics and lens distortion: YAML, JSON, or K as text."""
    fov: Annotated[float | None, tyro.conf.arg(metavar="DEGREES")] = None
    """Horizontal field of view [degrees], where nothing better is known."""

    def __post_init__(self) -> None:
        if self.stride < 1:
            raise OptionError(f"stride is 1 or more, got {self.stride}")


@dataclass(frozen=True, slots=True, kw_only=True)
class TrajectoryScores:
    """Errors of a trajectory; lengths are in the truth's unit, usually metres.

    Attributes:
        frames: Number of frames with a true pose, over which all errors are computed.
        pieces: Number of unbroken parts of the path; each is fitted by itself.
        path_length: Length of the true path.
        scale: True length of one unit of the estimate, by least squares from the first pose; of the
            longest part.
        snippets: Number of snippets of five frames.
        snippet_mean: Mean of ``snippet_errors``, the ATE of positions; None where there is no
            snippet.
        snippet_deviation: Standard deviation of ``snippet_errors``.
        monodepth2_snippets: Number of snippets of five frames or fewer, as in Monodepth2's code.
        monodepth2_mean: Mean of ``monodepth2_snippet_errors``, the ATE that its code reports.
        monodepth2_deviation: Standard deviation of ``monodepth2_snippet_errors``.
        rmse_origin: ``position_rmse`` with the first pose aligned; None where the estimate is not
            metric.
        rmse_scale: ``position_rmse`` with the first pose aligned and one scale fitted.
        rmse_rigid: ``position_rmse`` with SE(3) fitted; None where the estimate is not metric.
        rmse_similarity: ``position_rmse`` with Sim(3) fitted.
        frame_translation: Mean translation error of motions between neighbours, after ``scale``;
            None where no two neighbours have true poses.
        frame_rotation: Mean rotation error of these motions [degrees].
        parts: Number of sub-paths of 100 to 800 m, by KITTI's protocol; 0 where the path is
            shorter.
        part_translation: Mean error at the sub-paths' ends [share of their length], after
            ``scale`` where the estimate is not metric.
        part_rotation: Mean rotation error over the sub-paths [degrees per metre].
        direction: Median angle between estimated and true directions of motion, between frames
            that are a tenth of the median true step apart or more [degrees].
    """

    frames: int
    pieces: int = 1
    path_length: float
    scale: float
    snippets: int
    snippet_mean: float | None = None
    snippet_deviation: float | None = None
    monodepth2_snippets: int = 0
    monodepth2_mean: float | None = None
    monodepth2_deviation: float | None = None
    rmse_origin: float | None = None
    rmse_scale: float
    rmse_rigid: float | None = None
    rmse_similarity: float
    frame_translation: float | None = None
    frame_rotation: float | None = None
    parts: int = 0
    part_translation: float | None = None
    part_rotation: float | None = None
    direction: float | None = None

    @property
    def is_mirrored(self) -> bool:
        """Whether the estimate is reversed, such as forwards where the camera went backwards."""
        return self.scale < 0


@dataclass(frozen=True, slots=True, kw_only=True)
class TrajectoryRecord:
    """Contents of ``trajectory.json``."""

    format: str = FORMAT
    model: str
    clip: str
    frames: int
    stride: int
    notes: tuple[str, ...] = ()
    scores: TrajectoryScores | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Trajectory:
    """An estimated trajectory; the world frame is the camera of the first usable frame.

    Attributes:
        seconds: Times of the frames [s]; frame numbers where no time is known.
        poses: ``world_T_cam``, in the unit of the network's depth: metres where that is metric.
        estimated: Mask of usable frames; poses of broken frames are interpolated.
        true: True poses relative to the first known one, NaN where unknown; None if none is known.
        parts: Number of the unbroken part of the path that each frame belongs to; None for one.
    """

    names: tuple[str, ...]
    seconds: Float64[np.ndarray, "n"]
    poses: Float64[np.ndarray, "n 4 4"]
    estimated: Bool[np.ndarray, "n"]
    metric: bool
    true: Float64[np.ndarray, "n 4 4"] | None = None
    parts: Int64[np.ndarray, "n"] | None = None
    notes: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class _PartErrors:
    """Errors of one unbroken part of a path, after a fit of its own."""

    frames: int
    path_length: float
    scale: float
    squared: Mapping[Freedom, float]
    snippets: Float64[np.ndarray, "_"]
    theirs: Float64[np.ndarray, "_"]
    motions: MotionErrors
    directions: Float64[np.ndarray, "_"]
    lengths: LengthErrors | None


_SHORTEST = 5
"""Frames of a part below which it is not scored where there are others: it has no snippet."""


def score_trajectory(trajectory: Trajectory) -> TrajectoryScores | None:
    """Compute all errors of a trajectory, over usable frames with a true pose.

    Parts between cuts have no common scale and direction: each is fitted by itself, and squared
    errors are averaged over all frames.

    Returns:
        The errors; None where fewer than two frames count, or the true camera never moved.
    """
    if trajectory.true is None:
        return None
    true = np.where(trajectory.estimated[:, None, None], trajectory.true, np.nan)
    parts = trajectory.parts
    parts = np.zeros(len(true), np.int64) if parts is None else parts
    numbers = np.unique(parts)
    least = 2 if len(numbers) == 1 else _SHORTEST
    found = [
        _errors_of(trajectory.poses[parts == number], true[parts == number], trajectory.metric)
        for number in numbers
        if known_poses(true[parts == number]).sum() >= least
    ]
    scored = [each for each in found if each is not None]
    return _joined(scored, metric=trajectory.metric) if scored else None


def _errors_of(
    poses: Float64[np.ndarray, "n 4 4"], true: Float64[np.ndarray, "n 4 4"], metric: bool
) -> _PartErrors | None:
    known = known_poses(true)
    if not path_length(true[known]):
        return None
    estimate, kept = poses[known], true[known]
    fit = fit_similarity(estimate, kept, Freedom.SCALE)
    scaled = poses.copy()
    scaled[:, :3, 3] *= fit.scale
    return _PartErrors(
        frames=int(known.sum()),
        path_length=path_length(kept),
        scale=fit.scale,
        squared={each: position_rmse(estimate, kept, each) ** 2 for each in Freedom},
        snippets=snippet_errors(poses, true),
        theirs=monodepth2_snippet_errors(poses, true),
        motions=motion_errors(scaled, true),
        directions=direction_errors(poses, true),
        lengths=length_errors(estimate if metric else scaled[known], kept),
    )


def _joined(parts: Sequence[_PartErrors], *, metric: bool) -> TrajectoryScores:
    """Errors over all parts; the scale is that of the part of the most frames."""
    frames = np.array([each.frames for each in parts])
    snippets, theirs, directions, ways, turns = (
        np.concatenate(arrays)
        for arrays in zip(
            *(
                (a.snippets, a.theirs, a.directions, a.motions.translation, a.motions.rotation)
                for a in parts
            ),
            strict=True,
        )
    )
    lengths = [each.lengths for each in parts if each.lengths is not None]
    segments = [each.parts for each in lengths]

    def rmse(freedom: Freedom) -> float:
        return float(np.average([each.squared[freedom] for each in parts], weights=frames) ** 0.5)

    return TrajectoryScores(
        frames=int(frames.sum()),
        pieces=len(parts),
        path_length=sum(each.path_length for each in parts),
        scale=parts[int(frames.argmax())].scale,
        snippets=len(snippets),
        snippet_mean=_mean(snippets),
        snippet_deviation=float(snippets.std()) if len(snippets) else None,
        monodepth2_snippets=len(theirs),
        monodepth2_mean=_mean(theirs),
        monodepth2_deviation=float(theirs.std()) if len(theirs) else None,
        rmse_origin=rmse(Freedom.ORIGIN) if metric else None,
        rmse_scale=rmse(Freedom.SCALE),
        rmse_rigid=rmse(Freedom.RIGID) if metric else None,
        rmse_similarity=rmse(Freedom.SIMILARITY),
        frame_translation=_mean(ways),
        frame_rotation=_mean(turns),
        parts=sum(segments),
        part_translation=_weighed([each.translation for each in lengths], segments),
        part_rotation=_weighed([each.rotation for each in lengths], segments),
        direction=float(np.median(directions)) if len(directions) else None,
    )


def _weighed(values: Sequence[float], weights: Sequence[int]) -> float | None:
    return float(np.average(values, weights=weights)) if values else None


def _mean(errors: Float64[np.ndarray, "n"]) -> float | None:
    return float(errors.mean()) if len(errors) else None
