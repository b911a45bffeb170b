"""Errors of an estimated trajectory, over all its unbroken parts."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from rilievo.arrays.shapes import Float64, Transforms, Values
from rilievo.data.trajectories.errors import (
    Freedom,
    LengthErrors,
    MotionErrors,
    direction_errors,
    fit_similarity,
    known_poses,
    length_errors,
    monodepth2_snippet_errors,
    motion_errors,
    path_length,
    position_rmse,
    snippet_errors,
)
from rilievo.data.trajectories.records import Trajectory, TrajectoryScores

_MIN_FRAMES_OF_PART = 5
"""Known frames from which a part is scored, if the trajectory has several parts."""


def score_trajectory(trajectory: Trajectory) -> TrajectoryScores | None:
    """Measure the errors over the usable frames with a true pose.

    Each unbroken part is fitted to the truth by itself.

    Returns:
        The errors, or None if no true pose is known or the camera does not move.
    """
    if trajectory.true is None:
        return None
    true = np.where(trajectory.estimated[:, None, None], trajectory.true, np.nan)
    parts = trajectory.parts
    if parts is None:
        parts = np.zeros(len(true), np.int64)
    numbers = np.unique(parts)
    min_frames = 2 if len(numbers) == 1 else _MIN_FRAMES_OF_PART

    part_errors = []
    for number in numbers:
        poses, true_poses = trajectory.poses[parts == number], true[parts == number]
        is_known = known_poses(true_poses)
        if is_known.sum() < min_frames or path_length(true_poses[is_known]) == 0:
            continue
        part_errors.append(_errors_of_part(poses, true_poses, trajectory.metric))
    if not part_errors:
        return None
    return _join_part_errors(part_errors, metric=trajectory.metric)


@dataclass(frozen=True, slots=True, kw_only=True)
class _PartErrors:
    """Errors of one unbroken part of a trajectory.

    Attributes:
        frames: Number of frames with a true pose.
        path_length: Its true length.
        scale: True length of a unit of the estimate.
        squared: Mean squared error of positions by what is fitted.
        snippets: ``snippet_errors``.
        monodepth2_snippets: ``monodepth2_snippet_errors``.
        motions: ``motion_errors`` after ``scale``.
        directions: ``direction_errors``.
        lengths: ``length_errors``, after ``scale`` unless metric; None for short paths.
    """

    frames: int
    path_length: float
    scale: float
    squared: Mapping[Freedom, float]
    snippets: Float64[np.ndarray, "_"]
    monodepth2_snippets: Float64[np.ndarray, "_"]
    motions: MotionErrors
    directions: Float64[np.ndarray, "_"]
    lengths: LengthErrors | None


def _errors_of_part(poses: Transforms, true: Transforms, metric: bool) -> _PartErrors:
    is_known = known_poses(true)
    known_estimate, known_true = poses[is_known], true[is_known]
    fit = fit_similarity(known_estimate, known_true, Freedom.SCALE)
    scaled = poses.copy()
    scaled[:, :3, 3] *= fit.scale
    return _PartErrors(
        frames=int(is_known.sum()),
        path_length=path_length(known_true),
        scale=fit.scale,
        squared={
            freedom: position_rmse(known_estimate, known_true, freedom) ** 2 for freedom in Freedom
        },
        snippets=snippet_errors(poses, true),
        monodepth2_snippets=monodepth2_snippet_errors(poses, true),
        motions=motion_errors(scaled, true),
        directions=direction_errors(poses, true),
        lengths=length_errors(known_estimate if metric else scaled[is_known], known_true),
    )


def _join_part_errors(parts: Sequence[_PartErrors], *, metric: bool) -> TrajectoryScores:
    """Join the errors of all parts. The scale is that of the longest part."""
    frames = np.array([part.frames for part in parts])
    snippets = np.concatenate([part.snippets for part in parts])
    monodepth2_snippets = np.concatenate([part.monodepth2_snippets for part in parts])
    directions = np.concatenate([part.directions for part in parts])
    translations = np.concatenate([part.motions.translation for part in parts])
    rotations = np.concatenate([part.motions.rotation for part in parts])
    lengths = [part.lengths for part in parts if part.lengths is not None]
    segments = [part_lengths.parts for part_lengths in lengths]

    def rmse(freedom: Freedom) -> float:
        mean_square = np.average([part.squared[freedom] for part in parts], weights=frames)
        return float(mean_square**0.5)

    return TrajectoryScores(
        frames=int(frames.sum()),
        pieces=len(parts),
        path_length=sum(part.path_length for part in parts),
        scale=parts[int(frames.argmax())].scale,
        snippets=len(snippets),
        snippet_mean=_statistic_or_none(np.mean, snippets),
        snippet_deviation=_statistic_or_none(np.std, snippets),
        monodepth2_snippets=len(monodepth2_snippets),
        monodepth2_mean=_statistic_or_none(np.mean, monodepth2_snippets),
        monodepth2_deviation=_statistic_or_none(np.std, monodepth2_snippets),
        rmse_origin=rmse(Freedom.ORIGIN) if metric else None,
        rmse_scale=rmse(Freedom.SCALE),
        rmse_rigid=rmse(Freedom.RIGID) if metric else None,
        rmse_similarity=rmse(Freedom.SIMILARITY),
        frame_translation=_statistic_or_none(np.mean, translations),
        frame_rotation=_statistic_or_none(np.mean, rotations),
        parts=sum(segments),
        part_translation=_weighted_mean([each.translation for each in lengths], segments),
        part_rotation=_weighted_mean([each.rotation for each in lengths], segments),
        direction=_statistic_or_none(np.median, directions),
    )


def _weighted_mean(values: Sequence[float], weights: Sequence[int]) -> float | None:
    return float(np.average(values, weights=weights)) if values else None


def _statistic_or_none(statistic: Callable[[Values], np.floating], errors: Values) -> float | None:
    return float(statistic(errors)) if len(errors) else None
