"""Views of a clip, the choice of neighbours of each, and agreement between their depths."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from jaxtyping import Bool, Float32, Float64, Int64, UInt8

from rilievo.errors import InputError
from rilievo.geometry.intrinsics import project, seen_from, unproject
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

    def __post_init__(self) -> None:
        shape = self.depth.shape
        if self.pixels.shape != (*shape, 3) or self.valid.shape != shape:
            raise InputError(
                f"{self.name}: depth is {shape}, its mask {self.valid.shape} and the picture "
                f"{self.pixels.shape[:2]}; all have one size"
            )
        if not np.isfinite(self.world_T_cam).all():
            raise InputError(f"{self.name}: its pose is not finite")
        if not (self.depth[self.valid] > 0).all():
            raise InputError(f"{self.name}: has valid depth that is not positive")

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


@dataclass(frozen=True, slots=True, kw_only=True)
class Neighbour:
    """A neighbour of a view.

    Attributes:
        index: Number of the neighbour.
        parallax: Median displacement that its distance causes [share of the width].
    """

    index: int
    parallax: float


def neighbours_of(views: Sequence[View], index: int, scale: float = 1.0) -> list[Neighbour]:
    """Choose the views that see most of a view from a place at a fitting distance, the best first.

    Args:
        views: All views.
        index: Number of the view.
        scale: Factor from the depth of the views to the unit of their poses.
    """
    sampled = _sampled(views[index], scale)
    found: list[tuple[float, Neighbour]] = []
    for other in range(max(0, index - _WINDOW), min(len(views), index + _WINDOW + 1)):
        if other == index:
            continue
        parallax = _parallax(sampled, views[other])
        if parallax >= LEAST_PARALLAX:
            near = abs(np.log(parallax / PARALLAX))
            found.append((float(near), Neighbour(index=other, parallax=parallax)))
    return [each for _, each in sorted(found, key=lambda pair: pair[0])]


def _sampled(view: View, scale: float) -> View:
    """A few pixels of a view, as a view of its own."""
    height, width = view.depth.shape
    rows = np.linspace(0, height - 1, _GRID + 2).round().astype(int)[1:-1]
    columns = np.linspace(0, width - 1, _GRID + 2).round().astype(int)[1:-1]
    at = np.ix_(rows, columns)
    return replace(
        view,
        pixels=view.pixels[at],
        depth=(view.depth[at] * np.float32(scale)),
        valid=view.valid[at],
        # Rows and columns are evenly spaced but for rounding, which does not matter here.
        K=np.array(
            [
                [view.K[0, 0] / _pitch(columns), 0, (view.K[0, 2] - columns[0]) / _pitch(columns)],
                [0, view.K[1, 1] / _pitch(rows), (view.K[1, 2] - rows[0]) / _pitch(rows)],
                [0, 0, 1],
            ]
        ),
    )


def _pitch(places: Int64[np.ndarray, "n"]) -> float:
    return max(1e-6, float(places[-1] - places[0]) / (len(places) - 1))


def _parallax(sampled: View, other: View) -> float:
    """Median displacement due to the distance of two views; 0 where they overlap too little."""
    other_T_view = invert(other.world_T_cam) @ sampled.world_T_cam
    points = unproject(sampled.depth.astype(np.float64), sampled.K)
    moved = transform(other_T_view, points)
    height, width = other.depth.shape
    u, v = project(moved, other.K)
    seen = sampled.valid & (moved[2] > 0)
    seen &= (u >= 0) & (v >= 0) & (u <= width - 1) & (v <= height - 1)
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

    Args:
        view: The view.
        others: Other views.
        tolerance: Relative difference of depth up to which two views agree on a point.
    """
    agreeing, seeing = (np.zeros(view.depth.shape, np.int64) for _ in range(2))
    differences: list[np.ndarray] = []
    depth = np.where(view.valid, view.depth, 1).astype(np.float64)
    for other in others:
        moved = invert(other.world_T_cam) @ view.world_T_cam
        u, v, z = _seen(depth, view, other, moved)
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
    joined = np.concatenate([np.zeros(0), *differences])
    apart = float(np.median(joined)) if len(joined) else float("nan")
    return Agreement(agreeing=agreeing, seeing=seeing, apart=apart)


def _seen(
    depth: Float64[np.ndarray, "h w"],
    view: View,
    other: View,
    other_T_view: Float64[np.ndarray, "4 4"],
) -> Float64[np.ndarray, "3 h w"]:
    if np.array_equal(view.K, other.K):
        return seen_from(depth, view.K, other_T_view)
    moved = transform(other_T_view, unproject(depth, view.K))
    return np.concatenate([project(moved, other.K), moved[2:]])


def _inside(
    u: Float64[np.ndarray, "h w"],
    v: Float64[np.ndarray, "h w"],
    z: Float64[np.ndarray, "h w"],
    shape: tuple[int, ...],
) -> Bool[np.ndarray, "h w"]:
    height, width = shape
    return (z > 0) & (u >= 0) & (v >= 0) & (u <= width - 1) & (v <= height - 1)
