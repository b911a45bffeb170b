"""Views of a clip, and which of them overlap."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from rilievo.arrays.shapes import Field, Float64, Mask, Matrix, Pixels, Transform
from rilievo.geometry.intrinsics import project, project_to_source, rays
from rilievo.geometry.transforms import invert, transform

_IDEAL_PARALLAX = 0.05
"""Parallax of the best neighbour [fraction of the picture's width]."""
_MIN_PARALLAX = 0.004
"""Parallax below which two views say nothing about depth [fraction of the picture's width]."""
_MAX_FRAMES_APART = 40
"""Frames among which the neighbours of a view are sought, before it and after it."""
_MIN_OVERLAP = 0.4
"""Fraction of a view that its neighbour sees."""
_SAMPLES_PER_SIDE = 12
"""Pixels along each side of a view at which parallax is measured."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ClipView:
    """One frame of a clip at the small size at which it is fused.

    Attributes:
        depth: Depth z along the optical axis. Once views agree, it is in the unit of the pose.
        valid: Mask of the pixels that have depth.
        K: Intrinsics [px].
        world_T_cam: Pose.
    """

    name: str
    pixels: Pixels
    depth: Field
    valid: Mask
    K: Matrix
    world_T_cam: Transform


def neighbour_indices(views: Sequence[ClipView], index: int) -> list[int]:
    """Indices of the views that overlap with a view, those of the best parallax first."""
    first = max(0, index - _MAX_FRAMES_APART)
    last = min(len(views) - 1, index + _MAX_FRAMES_APART)
    neighbours: list[tuple[float, int]] = []
    for candidate in range(first, last + 1):
        if candidate == index:
            continue
        parallax = _median_parallax(views[index], views[candidate])
        if parallax >= _MIN_PARALLAX:
            distance_from_ideal = abs(float(np.log(parallax / _IDEAL_PARALLAX)))
            neighbours.append((distance_from_ideal, candidate))
    return [neighbour for _, neighbour in sorted(neighbours)]


def _median_parallax(view: ClipView, neighbour: ClipView) -> float:
    """Median parallax between two views [fraction of the width]; 0 if they hardly overlap.

    The parallax of a point is the part of its displacement that the rotation does not explain.
    """
    rows, columns = (
        np.linspace(0, side - 1, _SAMPLES_PER_SIDE + 2).round().astype(int)[1:-1]
        for side in view.depth.shape
    )
    samples = np.ix_(rows, columns)
    points = view.depth[samples] * rays(view.K, *view.depth.shape)[:, *samples]

    neighbour_T_view = invert(neighbour.world_T_cam) @ view.world_T_cam
    points_in_neighbour = transform(neighbour_T_view, points)
    u, v = project(points_in_neighbour, neighbour.K)
    is_inside = is_inside_picture(u, v, points_in_neighbour[2], neighbour.depth.shape)
    is_seen = view.valid[samples] & is_inside
    if np.count_nonzero(is_seen) < _MIN_OVERLAP * is_seen.size:
        return 0.0

    rotation_alone = neighbour_T_view.copy()
    rotation_alone[:3, 3] = 0
    u_rotated, v_rotated = project(transform(rotation_alone, points), neighbour.K)
    parallax = np.hypot(u - u_rotated, v - v_rotated)[is_seen]
    return float(np.median(parallax)) / neighbour.depth.shape[1]


def is_inside_picture(
    u: Float64[np.ndarray, "h w"],
    v: Float64[np.ndarray, "h w"],
    z: Float64[np.ndarray, "h w"],
    shape: tuple[int, ...],
) -> Mask:
    """Mask of the projected points that lie in front of a camera and inside its picture."""
    height, width = shape
    return (z > 0) & (u >= 0) & (v >= 0) & (u <= width - 1) & (v <= height - 1)


@dataclass(frozen=True, slots=True, kw_only=True)
class SeenDepth:
    """Points of a view at which a neighbour has depth too.

    Arrays have an entry for each pixel of the mask, in row-major order.

    Attributes:
        mask: Pixels of the view at whose points the neighbour has valid depth.
        log_ratio: Log of the neighbour's depth over the view's.
        rows: Nearest row in the neighbour's picture.
        columns: Nearest column in the neighbour's picture.
    """

    mask: Mask
    log_ratio: Float64[np.ndarray, "n"]
    rows: np.ndarray
    columns: np.ndarray


def depth_seen_by(neighbour: ClipView, view: ClipView) -> SeenDepth:
    """Project the depth of a view into a neighbour, and look up the neighbour's depth there."""
    # Invalid pixels get any finite depth, because the mask excludes them.
    depth = np.where(view.valid, view.depth, 1).astype(np.float64)
    # All views of a clip have the same camera.
    neighbour_T_view = invert(neighbour.world_T_cam) @ view.world_T_cam
    u, v, z = project_to_source(depth, view.K, neighbour_T_view)
    mask = view.valid & is_inside_picture(u, v, z, neighbour.depth.shape)
    rows = np.rint(v[mask]).astype(int)
    columns = np.rint(u[mask]).astype(int)
    is_valid = neighbour.valid[rows, columns]
    mask[mask] = is_valid  # only the pixels at which the neighbour has depth stay
    rows, columns = rows[is_valid], columns[is_valid]
    log_ratio = np.log(neighbour.depth[rows, columns] / z[mask])
    return SeenDepth(mask=mask, log_ratio=log_ratio, rows=rows, columns=columns)
