"""Depth of corners of the held-out targets, which judges a run."""

from collections.abc import Callable, Iterable, Mapping
from pathlib import Path

import numpy as np

from rilievo.arrays.shapes import AnyPlane, Float64
from rilievo.data.clips.tracks import depth_at
from rilievo.training.video.frames.target_frames import VideoTargetFrames
from rilievo.training.video.frames.targets import FramePlace
from rilievo.training.video.pair_motions import (
    Estimate,
    WindowTracker,
    read_estimate,
    write_estimate,
)

FILE = "held-out-corners.npz"
_REACH = 7
"""Strides to either side, in a window of 15 frames."""
_FEWEST = 10
Corners = Mapping[FramePlace, Float64[np.ndarray, "n 3"]]
"""Corners of targets: x [px], y [px] and depth up to a factor."""


def triangulate_held_out_corners(
    whole: VideoTargetFrames,
    held_out: VideoTargetFrames,
    depths: Callable[[VideoTargetFrames], Iterable[AnyPlane]],
) -> Corners:
    """Triangulate corners of the held-out targets over windows of all targets."""
    around = whole.subset(_indices_within_reach(whole, held_out))
    tracker = WindowTracker(around)
    for target, depth in zip(around.targets, depths(around), strict=True):
        tracker.add(target, depth)
    window_motions = tracker.estimate_windows().targets
    points = {
        target.place: window_motions[target.place].points
        for target in held_out.targets
        if target.place in window_motions
    }
    return {place: np.column_stack([point.places, point.depth]) for place, point in points.items()}


def judging_targets(held_out: VideoTargetFrames, corners: Corners) -> VideoTargetFrames:
    """Held-out targets with enough corners."""
    counts = [len(corners.get(target.place, ())) for target in held_out.targets]
    return held_out.subset([index for index, count in enumerate(counts) if count >= _FEWEST])


def _indices_within_reach(whole: VideoTargetFrames, held_out: VideoTargetFrames) -> list[int]:
    near = {
        (target.place.sequence, target.place.frame + shift)
        for target in held_out.targets
        for reach in [_REACH * whole.stride_of(target.place)]
        for shift in range(-reach, reach + 1)
    }
    return [index for index, target in enumerate(whole.targets) if target.place in near]


def write_corners(run: Path, corners: Corners) -> None:
    """Store corners."""
    write_estimate(run / FILE, Estimate(motions={}, corners=corners))


def read_corners(run: Path) -> Corners:
    """Read stored corners; empty without a file."""
    return read_estimate(run / FILE).corners if (run / FILE).is_file() else {}


def corner_errors_of_targets(
    held_out: VideoTargetFrames, depths: Iterable[AnyPlane], corners: Corners
) -> tuple[float, ...]:
    """Mean relative error of depth, up to a factor, at the corners of each target; 1 at most."""
    return tuple(
        _mean_corner_error(depth, corners[target.place])
        for target, depth in zip(held_out.targets, depths, strict=True)
    )


def _mean_corner_error(depth: AnyPlane, corners: Float64[np.ndarray, "n 3"]) -> float:
    """Mean relative error up to a factor; 1 without depth."""
    ratio = depth_at(depth, corners[:, :2]) / corners[:, 2]
    ratios = ratio[np.isfinite(ratio) & (ratio > 0)]
    if not len(ratios):
        return 1.0
    errors = np.minimum(np.abs(ratios / np.median(ratios) - 1), 1)
    # Corners without depth are wrong altogether.
    return float((errors.sum() + len(ratio) - len(ratios)) / len(ratio))
