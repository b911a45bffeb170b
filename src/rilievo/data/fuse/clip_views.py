"""Views of a clip and their neighbours."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from rilievo.arrays.shapes import Field, Float64, Mask, Matrix, Pixels, Transform
from rilievo.geometry.intrinsics import project, rays
from rilievo.geometry.transforms import invert, transform

# Parallax of neighbours [share of the width]: ideal, and below which they have no say.
PARALLAX = 0.05
LEAST_PARALLAX = 0.004
_WINDOW = 40
_OVERLAP = 0.4
_GRID = 12


@dataclass(frozen=True, slots=True, kw_only=True)
class ClipView:
    """One frame at a small size; depth z is in the unit of the pose once views agree."""

    name: str
    pixels: Pixels
    depth: Field
    valid: Mask
    K: Matrix
    world_T_cam: Transform


def neighbour_indices(views: Sequence[ClipView], index: int) -> list[int]:
    """Indices of overlapping views, of the best parallax first."""
    candidates: list[tuple[float, int]] = []
    for other in range(max(0, index - _WINDOW), min(len(views), index + _WINDOW + 1)):
        if other == index:
            continue
        parallax = _median_parallax(views[index], views[other])
        if parallax >= LEAST_PARALLAX:
            candidates.append((abs(float(np.log(parallax / PARALLAX))), other))
    return [other for _, other in sorted(candidates)]


def _median_parallax(view: ClipView, other: ClipView) -> float:
    """Share of width; 0 with little overlap."""
    at = np.ix_(
        *(
            np.linspace(0, side - 1, _GRID + 2).round().astype(int)[1:-1]
            for side in view.depth.shape
        )
    )
    other_T_view = invert(other.world_T_cam) @ view.world_T_cam
    points = view.depth[at] * rays(view.K, *view.depth.shape)[:, *at]
    moved = transform(other_T_view, points)
    height, width = other.depth.shape
    u, v = project(moved, other.K)
    visible = view.valid[at] & inside_view(u, v, moved[2], (height, width))
    if np.count_nonzero(visible) < _OVERLAP * visible.size:
        return 0.0
    turn = other_T_view.copy()
    turn[:3, 3] = 0
    still = project(transform(turn, points), other.K)
    apart = np.hypot(u - still[0], v - still[1])[visible]
    return float(np.median(apart)) / width


def inside_view(
    u: Float64[np.ndarray, "h w"],
    v: Float64[np.ndarray, "h w"],
    z: Float64[np.ndarray, "h w"],
    shape: tuple[int, ...],
) -> Mask:
    """Mask of points in front of a view and inside it."""
    height, width = shape
    return (z > 0) & (u >= 0) & (v >= 0) & (u <= width - 1) & (v <= height - 1)
