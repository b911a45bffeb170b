"""Scores a trajectory where true poses are known."""

import numpy as np
from jaxtyping import Float64

from rilievo.metrics.odometry import (
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
from rilievo.odometry.records import Trajectory, TrajectoryScores


def score_trajectory(trajectory: Trajectory) -> TrajectoryScores | None:
    """Compute all errors of a trajectory, over usable frames with a true pose.

    Returns:
        The errors; None where fewer than two frames count, or the true camera never moved.
    """
    if trajectory.true is None:
        return None
    true = np.where(trajectory.estimated[:, None, None], trajectory.true, np.nan)
    known = known_poses(true)
    if known.sum() < 2 or not path_length(true[known]):
        return None
    estimate, kept = trajectory.poses[known], true[known]
    fit = fit_similarity(estimate, kept, Freedom.SCALE)
    scaled = trajectory.poses.copy()
    scaled[:, :3, 3] *= fit.scale
    snippets = snippet_errors(trajectory.poses, true)
    theirs = monodepth2_snippet_errors(trajectory.poses, true)
    motions = motion_errors(scaled, true)
    directions = direction_errors(trajectory.poses, true)
    parts = length_errors(estimate if trajectory.metric else scaled[known], kept)

    def rmse(freedom: Freedom) -> float:
        return position_rmse(estimate, kept, freedom)

    return TrajectoryScores(
        frames=int(known.sum()),
        path_length=path_length(kept),
        scale=fit.scale,
        snippets=len(snippets),
        snippet_mean=_mean(snippets),
        snippet_deviation=float(snippets.std()) if len(snippets) else None,
        monodepth2_snippets=len(theirs),
        monodepth2_mean=_mean(theirs),
        monodepth2_deviation=float(theirs.std()) if len(theirs) else None,
        rmse_origin=rmse(Freedom.ORIGIN) if trajectory.metric else None,
        rmse_scale=rmse(Freedom.SCALE),
        rmse_rigid=rmse(Freedom.RIGID) if trajectory.metric else None,
        rmse_similarity=rmse(Freedom.SIMILARITY),
        frame_translation=_mean(motions.translation),
        frame_rotation=_mean(motions.rotation),
        parts=0 if parts is None else parts.parts,
        part_translation=None if parts is None else parts.translation,
        part_rotation=None if parts is None else parts.rotation,
        direction=float(np.median(directions)) if len(directions) else None,
    )


def _mean(errors: Float64[np.ndarray, "n"]) -> float | None:
    return float(errors.mean()) if len(errors) else None
