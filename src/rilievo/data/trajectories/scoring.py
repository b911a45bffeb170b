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

_LEAST_FRAMES = 5  # of a scored part


@dataclass(frozen=True, slots=True, kw_only=True)
class _PartErrors:
    frames: int
    path_length: float
    scale: float
    squared: Mapping[Freedom, float]
    snippets: Float64[np.ndarray, "_"]
    monodepth2_snippets: Float64[np.ndarray, "_"]
    motions: MotionErrors
    directions: Float64[np.ndarray, "_"]
    lengths: LengthErrors | None


def score_trajectory(trajectory: Trajectory) -> TrajectoryScores | None:
    """Errors over usable frames with a true pose, if any; parts are fitted by themselves."""
    if trajectory.true is None:
        return None
    true = np.where(trajectory.estimated[:, None, None], trajectory.true, np.nan)
    parts = trajectory.parts
    parts = np.zeros(len(true), np.int64) if parts is None else parts
    numbers = np.unique(parts)
    least = 2 if len(numbers) == 1 else _LEAST_FRAMES
    part_errors = [
        _errors_of_part(trajectory.poses[parts == number], true[parts == number], trajectory.metric)
        for number in numbers
        if known_poses(true[parts == number]).sum() >= least
    ]
    scored = [errors for errors in part_errors if errors is not None]
    return _join_part_errors(scored, metric=trajectory.metric) if scored else None


def _errors_of_part(poses: Transforms, true: Transforms, metric: bool) -> _PartErrors | None:
    has_truth = known_poses(true)
    if not path_length(true[has_truth]):
        return None
    estimate, known_true = poses[has_truth], true[has_truth]
    fit = fit_similarity(estimate, known_true, Freedom.SCALE)
    scaled = poses.copy()
    scaled[:, :3, 3] *= fit.scale
    return _PartErrors(
        frames=int(has_truth.sum()),
        path_length=path_length(known_true),
        scale=fit.scale,
        squared={kind: position_rmse(estimate, known_true, kind) ** 2 for kind in Freedom},
        snippets=snippet_errors(poses, true),
        monodepth2_snippets=monodepth2_snippet_errors(poses, true),
        motions=motion_errors(scaled, true),
        directions=direction_errors(poses, true),
        lengths=length_errors(estimate if metric else scaled[has_truth], known_true),
    )


def _join_part_errors(parts: Sequence[_PartErrors], *, metric: bool) -> TrajectoryScores:
    """Errors over parts, with the scale of the longest."""
    frames = np.array([part.frames for part in parts])
    snippets, monodepth2_snippets, directions, translations, rotations = (
        np.concatenate(arrays)
        for arrays in zip(
            *(
                (
                    a.snippets,
                    a.monodepth2_snippets,
                    a.directions,
                    a.motions.translation,
                    a.motions.rotation,
                )
                for a in parts
            ),
            strict=True,
        )
    )
    lengths = [part.lengths for part in parts if part.lengths is not None]
    segments = [part.parts for part in lengths]

    def rmse(freedom: Freedom) -> float:
        return float(np.average([each.squared[freedom] for each in parts], weights=frames) ** 0.5)

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
        part_translation=_weighted_mean([part.translation for part in lengths], segments),
        part_rotation=_weighted_mean([part.rotation for part in lengths], segments),
        direction=_statistic_or_none(np.median, directions),
    )


def _weighted_mean(values: Sequence[float], weights: Sequence[int]) -> float | None:
    return float(np.average(values, weights=weights)) if values else None


def _statistic_or_none(statistic: Callable[[Values], np.floating], errors: Values) -> float | None:
    return float(statistic(errors)) if len(errors) else None
