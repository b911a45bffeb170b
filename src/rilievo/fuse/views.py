"""Views of a clip, the choice of neighbours of each, and agreement between their depths."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from jaxtyping import Bool, Float32, Float64, Int64, UInt8

from rilievo.geometry.intrinsics import project, rays, seen_from
from rilievo.geometry.transforms import invert, transform


@dataclass(frozen=True, slots=True, kw_only=True)
class View:
    """One frame, all at one small size.

    Attributes:
        name: Name of the frame in messages.
        pixels: RGB.
        depth: Depth z along the optical axis, in the unit of the pose once the views agree.
        valid: Pixels whose depth counts.
        K: Intrinsics at this size [px].
        world_T_cam: Pose.
    """

    name: str
    pixels: UInt8[np.ndarray, "h w 3"]
    depth: Float32[np.ndarray, "h w"]
    valid: Bool[np.ndarray, "h w"]
    K: Float64[np.ndarray, "3 3"]
    world_T_cam: Float64[np.ndarray, "4 4"]

    def with_depth(self, depth: Float32[np.ndarray, "h w"]) -> "View":
        """The same view with other depth at its valid pixels."""
        return replace(self, depth=depth)

    def with_valid(self, valid: Bool[np.ndarray, "h w"]) -> "View":
        """The same view with fewer pixels that count."""
        return replace(self, valid=self.valid & valid)

    def with_pose(self, world_T_cam: Float64[np.ndarray, "4 4"]) -> "View":
        """The same view from another place."""
        return replace(self, world_T_cam=world_T_cam)


PARALLAX = 0.05
"""Parallax that neighbours should have [share of the width]: enough to measure depth by, and not so
much that surfaces look different."""
LEAST_PARALLAX = 0.004
"""Parallax under which a neighbour says nothing about depth [share of the width]."""
SWEPT = 4
"""Number of neighbours whose pictures a view is compared with."""
COMPARED = 8
"""Number of neighbours whose depth a view's is compared with."""
AGREEING = 3
"""Number of those that must agree on a point."""
_WINDOW = 40
"""Most views before and after a view that may be its neighbours."""
_OVERLAP = 0.4
"""Least share of a view that its neighbour sees."""
_GRID = 12
TOLERANCE = 0.025
"""Relative difference of depth up to which two views agree on a point."""


def neighbours_of(views: Sequence[View], index: int) -> list[int]:
    """Numbers of the views that see most of a view from a fitting distance, the best first."""
    found: list[tuple[float, int]] = []
    for other in range(max(0, index - _WINDOW), min(len(views), index + _WINDOW + 1)):
        if other == index:
            continue
        parallax = _parallax(views[index], views[other])
        if parallax >= LEAST_PARALLAX:
            found.append((abs(float(np.log(parallax / PARALLAX))), other))
    return [other for _, other in sorted(found)]


def _parallax(view: View, other: View) -> float:
    """Median displacement due to the distance of two views; 0 where they overlap too little."""
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
    seen = view.valid[at] & _inside(u, v, moved[2], (height, width))
    if np.count_nonzero(seen) < _OVERLAP * seen.size:
        return 0.0
    turn = other_T_view.copy()
    turn[:3, 3] = 0
    still = project(transform(turn, points), other.K)
    apart = np.hypot(u - still[0], v - still[1])[seen]
    return float(np.median(apart)) / width


@dataclass(frozen=True, slots=True, kw_only=True)
class Agreement:
    """Agreement of a view's depth with that of its neighbours.

    Attributes:
        agreeing: Number of neighbours that agree on each pixel's point.
        seeing: Number of neighbours in whose picture it lies.
        apart: Median relative difference of depth where they see the same; NaN where none does.
    """

    agreeing: Int64[np.ndarray, "h w"]
    seeing: Int64[np.ndarray, "h w"]
    apart: float


def agreement(view: View, others: Sequence[View], tolerance: float = TOLERANCE) -> Agreement:
    """Compare the depth of a view with that of others, in the unit of the poses.

    Two agree on a point up to the relative difference ``tolerance``.
    """
    agreeing, seeing = (np.zeros(view.depth.shape, np.int64) for _ in range(2))
    differences: list[np.ndarray] = [np.zeros(0)]
    depth = np.where(view.valid, view.depth, 1).astype(np.float64)
    for other in others:
        # All views of a clip have one camera.
        u, v, z = seen_from(depth, view.K, invert(other.world_T_cam) @ view.world_T_cam)
        inside = view.valid & _inside(u, v, z, other.depth.shape)
        row, column = np.rint(v[inside]).astype(int), np.rint(u[inside]).astype(int)
        here = other.valid[row, column]
        apart = np.abs(np.log(np.where(here, other.depth[row, column], 1) / z[inside]))
        inside[inside] = here
        seeing += inside
        differences.append(apart[here])
        near = np.zeros_like(inside)
        near[inside] = apart[here] < tolerance
        agreeing += near
    joined = np.concatenate(differences)
    apart = float(np.median(joined)) if len(joined) else float("nan")
    return Agreement(agreeing=agreeing, seeing=seeing, apart=apart)


def _inside(
    u: Float64[np.ndarray, "h w"],
    v: Float64[np.ndarray, "h w"],
    z: Float64[np.ndarray, "h w"],
    shape: tuple[int, ...],
) -> Bool[np.ndarray, "h w"]:
    height, width = shape
    return (z > 0) & (u >= 0) & (v >= 0) & (u <= width - 1) & (v <= height - 1)
