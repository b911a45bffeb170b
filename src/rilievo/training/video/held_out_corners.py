"""Triangulated corners of the held-out targets, whose depth judges a run."""

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
_WINDOW_REACH = 7
"""Strides to each side of a target, in a window of 15 frames."""
_MIN_CORNERS = 10
"""Fewest corners of a target that judges."""
Corners = Mapping[FramePlace, Float64[np.ndarray, "n 3"]]
"""Corners by target: x [px], y [px] and depth up to one factor a target."""


def triangulate_held_out_corners(
    whole: VideoTargetFrames,
    held_out: VideoTargetFrames,
    depths: Callable[[VideoTargetFrames], Iterable[AnyPlane]],
) -> Corners:
    """Triangulate corners of the held-out targets over windows of all targets around them.

    Args:
        whole: All targets, in the order of time.
        held_out: Held-out targets; those with too few points have no corners.
        depths: Function that predicts the depth of targets.
    """
    targets_in_windows = whole.subset(_indices_within_windows(whole, held_out))
    tracker = WindowTracker(targets_in_windows)
    target_depths = depths(targets_in_windows)
    for target, depth in zip(targets_in_windows.targets, target_depths, strict=True):
        tracker.add(target, depth)

    window_motions = tracker.estimate_windows().targets
    corners = {}
    for target in held_out.targets:
        if target.place in window_motions:
            points = window_motions[target.place].points
            corners[target.place] = np.column_stack([points.places, points.depth])
    return corners


def _indices_within_windows(whole: VideoTargetFrames, held_out: VideoTargetFrames) -> list[int]:
    places: set[tuple[int, int]] = set()
    for target in held_out.targets:
        sequence, frame = target.place
        reach = _WINDOW_REACH * whole.stride_of(target.place)
        places.update((sequence, other) for other in range(frame - reach, frame + reach + 1))
    return [index for index, target in enumerate(whole.targets) if target.place in places]


def judging_targets(held_out: VideoTargetFrames, corners: Corners) -> VideoTargetFrames:
    """Held-out targets with enough corners to judge a run."""
    counts = [len(corners.get(target.place, ())) for target in held_out.targets]
    return held_out.subset([index for index, count in enumerate(counts) if count >= _MIN_CORNERS])


def write_corners(run: Path, corners: Corners) -> None:
    """Write corners to a file in the folder of motions."""
    write_estimate(run / FILE, Estimate(motions={}, corners=corners))


def read_corners(run: Path) -> Corners:
    """Read corners, as ``write_corners`` stores them; empty without a file."""
    return read_estimate(run / FILE).corners if (run / FILE).is_file() else {}


def corner_errors_of_targets(
    held_out: VideoTargetFrames, depths: Iterable[AnyPlane], corners: Corners
) -> tuple[float, ...]:
    """Mean relative error of predicted depth, in any unit, at the corners of each target; 0..1."""
    return tuple(
        _mean_corner_error(depth, corners[target.place])
        for target, depth in zip(held_out.targets, depths, strict=True)
    )


def _mean_corner_error(depth: AnyPlane, corners: Float64[np.ndarray, "n 3"]) -> float:
    """Mean relative error, each at most 1, after scaling by the median; 1 without depth."""
    ratios = depth_at(depth, corners[:, :2]) / corners[:, 2]
    known_ratios = ratios[np.isfinite(ratios) & (ratios > 0)]
    if not len(known_ratios):
        return 1.0
    errors = np.minimum(np.abs(known_ratios / np.median(known_ratios) - 1), 1)
    # Corners without depth are wrong altogether.
    return float((errors.sum() + len(ratios) - len(known_ratios)) / len(ratios))
