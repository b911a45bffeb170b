"""Triangulated corners of the held-out targets, at which the depth of a run is scored."""

from collections.abc import Callable, Iterable, Mapping
from pathlib import Path

import numpy as np

from rilievo.arrays.shapes import AnyPlane, Float64
from rilievo.data.motion.tracks import depth_at
from rilievo.training.video.frames.target_frames import VideoTargetFrames
from rilievo.training.video.frames.targets import FramePlace
from rilievo.training.video.pair_motions import (
    MotionEstimate,
    WindowTracker,
    read_estimate,
    write_estimate,
)

FILE = "held-out-corners.npz"
_WINDOW_REACH = 7
"""Strides to each side of a target, in a window of 15 frames."""
_MIN_CORNERS = 10
"""Fewest corners of a target that is scored."""
Corners = Mapping[FramePlace, Float64[np.ndarray, "n 3"]]
"""Corners by target: x [px], y [px] and depth, up to one factor per target."""


def triangulate_held_out_corners(
    all_targets: VideoTargetFrames,
    held_out: VideoTargetFrames,
    predict_depths: Callable[[VideoTargetFrames], Iterable[AnyPlane]],
) -> Corners:
    """Triangulate corners of the held-out targets over windows of all targets around them.

    ``all_targets`` are in the order of time. Held-out targets with too few points have no corners.
    """
    targets_in_windows = all_targets.subset(_indices_within_windows(all_targets, held_out))
    tracker = WindowTracker(targets_in_windows)
    depths = predict_depths(targets_in_windows)
    for target, depth in zip(targets_in_windows.targets, depths, strict=True):
        tracker.add_target(target, depth)

    window_motions = tracker.estimate_windows().motion_by_target
    corners = {}
    for target in held_out.targets:
        if target.place in window_motions:
            points = window_motions[target.place].points
            corners[target.place] = np.column_stack([points.positions, points.depth])
    return corners


def _indices_within_windows(
    all_targets: VideoTargetFrames, held_out: VideoTargetFrames
) -> list[int]:
    """Indices of the targets that lie within the window of a held-out target."""
    places_in_windows: set[tuple[int, int]] = set()
    for target in held_out.targets:
        sequence, frame = target.place
        reach = _WINDOW_REACH * all_targets.get_stride(target.place)
        for frame_in_window in range(frame - reach, frame + reach + 1):
            places_in_windows.add((sequence, frame_in_window))
    return [
        index
        for index, target in enumerate(all_targets.targets)
        if target.place in places_in_windows
    ]


def targets_with_enough_corners(held_out: VideoTargetFrames, corners: Corners) -> VideoTargetFrames:
    """Held-out targets with enough corners to be scored."""
    counts = [len(corners.get(target.place, ())) for target in held_out.targets]
    return held_out.subset([index for index, count in enumerate(counts) if count >= _MIN_CORNERS])


def write_corners(folder: Path, corners: Corners) -> None:
    """Write corners to a file in a folder of motions."""
    write_estimate(folder / FILE, MotionEstimate(motions={}, corners=corners))


def read_corners(folder: Path) -> Corners:
    """Read corners, as ``write_corners`` stores them; empty without a file."""
    path = folder / FILE
    return read_estimate(path).corners if path.is_file() else {}


def mean_corner_errors(
    targets: VideoTargetFrames, depths: Iterable[AnyPlane], corners: Corners
) -> tuple[float, ...]:
    """Mean relative error of depth, in any unit, at the corners of each target; in 0..1."""
    return tuple(
        _mean_corner_error(depth, corners[target.place])
        for target, depth in zip(targets.targets, depths, strict=True)
    )


def _mean_corner_error(depth: AnyPlane, corners: Float64[np.ndarray, "n 3"]) -> float:
    """Mean of |ratio / median ratio - 1|, each at most 1, where ratio is depth / corner depth.

    A corner without predicted depth has an error of 1.
    """
    ratios = depth_at(depth, corners[:, :2]) / corners[:, 2]
    known_ratios = ratios[np.isfinite(ratios) & (ratios > 0)]
    if not len(known_ratios):
        return 1.0
    errors = np.minimum(np.abs(known_ratios / np.median(known_ratios) - 1), 1)
    num_without_depth = len(ratios) - len(known_ratios)
    return float((errors.sum() + num_without_depth) / len(ratios))
