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
    is_usable = trajectory.estimated
    all_true_poses = np.where(is_usable[:, None, None], trajectory.true, np.nan)
    part_of_frame = trajectory.parts
    if part_of_frame is None:
        part_of_frame = np.zeros(len(all_true_poses), np.int64)
    part_numbers = np.unique(part_of_frame)
    # A single part is scored even if it is short, because nothing would be left without it.
    min_frames = 2 if len(part_numbers) == 1 else _MIN_FRAMES_OF_PART

    part_errors = []
    for part_number in part_numbers:
        is_in_part = part_of_frame == part_number
        poses, true_poses = trajectory.poses[is_in_part], all_true_poses[is_in_part]
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
        path_length: True length of the part.
        scale: True length of a unit of the estimate.
        mean_square: Mean mean_square error of positions after each kind of fit.
        snippets: ``snippet_errors``.
        monodepth2_snippets: ``monodepth2_snippet_errors``.
        motions: ``motion_errors`` after ``scale``.
        directions: ``direction_errors``.
        lengths: ``length_errors``, after ``scale`` unless metric; None for short paths.
    """

    frames: int
    path_length: float
    scale: float
    mean_square: Mapping[Freedom, float]
    snippets: Float64[np.ndarray, "_"]
    monodepth2_snippets: Float64[np.ndarray, "_"]
    motions: MotionErrors
    directions: Float64[np.ndarray, "_"]
    lengths: LengthErrors | None


def _errors_of_part(poses: Transforms, true: Transforms, metric: bool) -> _PartErrors:
    """Measure all errors of a part; true poses may be NaN."""
    is_known = known_poses(true)
    known_estimate, known_true = poses[is_known], true[is_known]
    fit = fit_similarity(known_estimate, known_true, Freedom.SCALE)
    scaled = poses.copy()
    scaled[:, :3, 3] *= fit.scale
    return _PartErrors(
        frames=int(is_known.sum()),
        path_length=path_length(known_true),
        scale=fit.scale,
        mean_square={
            freedom: position_rmse(known_estimate, known_true, freedom) ** 2 for freedom in Freedom
        },
        snippets=snippet_errors(poses, true),
        monodepth2_snippets=monodepth2_snippet_errors(poses, true),
        motions=motion_errors(scaled, true),
        directions=direction_errors(poses, true),
        lengths=length_errors(known_estimate if metric else scaled[is_known], known_true),
    )


def _join_part_errors(parts: Sequence[_PartErrors], *, metric: bool) -> TrajectoryScores:
    """Join the errors of all parts. The scale comes from the longest part."""
    frames = np.array([part.frames for part in parts])
    snippets = np.concatenate([part.snippets for part in parts])
    monodepth2_snippets = np.concatenate([part.monodepth2_snippets for part in parts])
    directions = np.concatenate([part.directions for part in parts])
    translations = np.concatenate([part.motions.translation for part in parts])
    rotations = np.concatenate([part.motions.rotation for part in parts])
    lengths = [part.lengths for part in parts if part.lengths is not None]
    segment_counts = [part_lengths.segment_count for part_lengths in lengths]

    def rmse(freedom: Freedom) -> float:
        """Root of the mean over the frames of all parts."""
        mean_square = np.average([part.mean_square[freedom] for part in parts], weights=frames)
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
        parts=sum(segment_counts),
        part_translation=_weighted_mean([each.translation for each in lengths], segment_counts),
        part_rotation=_weighted_mean([each.rotation for each in lengths], segment_counts),
        direction=_statistic_or_none(np.median, directions),
    )


def _weighted_mean(values: Sequence[float], weights: Sequence[int]) -> float | None:
    return float(np.average(values, weights=weights)) if values else None


def _statistic_or_none(statistic: Callable[[Values], np.floating], errors: Values) -> float | None:
    return float(statistic(errors)) if len(errors) else None
