"""Views of a clip, the choice of neighbours of each, and agreement between their depths.

Agreement is measured by a plane sweep around known depth, too: which multiples of it make
neighbouring views look alike. For each factor, the neighbours' pictures are warped to the view
(Collins, 1996), and compared with it by normalised correlation of small windows, which does not
depend on exposure.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from types import ModuleType

import numpy as np
from jaxtyping import Bool, Float32, Float64, Int64, UInt8

from rilievo.errors import needing
from rilievo.geometry.intrinsics import project, rays, resize_K, seen_from
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


WINDOW = 7
"""Side of the compared windows [px]."""
_FAINTEST = 4.0
"""Variance of grey levels under which a window is flat, so that noise does not correlate."""
_UNSEEN = -0.2
"""Correlation where a neighbour does not see a point: less than chance, as it says nothing."""
_OUTSIDE = -1e4


@dataclass(frozen=True, slots=True, kw_only=True)
class Grey:
    """A view's picture for comparison.

    Attributes:
        values: Grey levels, 0 to 255.
    """

    values: Float32[np.ndarray, "h w"]
    K: Float64[np.ndarray, "3 3"]
    world_T_cam: Float64[np.ndarray, "4 4"]

    def reduced(self, factor: int) -> "Grey":
        """The same picture, smaller by a whole factor."""
        size = self.values.shape
        height, width = max(1, size[0] // factor), max(1, size[1] // factor)
        cv2 = opencv()
        small = cv2.resize(self.values, (width, height), interpolation=cv2.INTER_AREA)
        K = resize_K(self.K, size=size, new_size=(height, width))
        return Grey(values=small, K=K, world_T_cam=self.world_T_cam)


def opencv() -> ModuleType:
    """Import OpenCV."""
    with needing("fusing a surface", "fuse"):
        import cv2
    return cv2


def grey_of(view: View) -> Grey:
    """Take the grey picture of a view."""
    weights = np.array([0.299, 0.587, 0.114], np.float32)
    return Grey(
        values=view.pixels.astype(np.float32) @ weights, K=view.K, world_T_cam=view.world_T_cam
    )


def correlations(
    view: Grey,
    neighbours: Sequence[Grey],
    depth: Float32[np.ndarray, "h w"],
    logs: Float64[np.ndarray, "n"],
    *,
    best: int = 2,
) -> Float32[np.ndarray, "n h w"]:
    """Compute how well the neighbours agree with a view at multiples of its depth.

    Only the ``best`` neighbours that agree most count for a pixel: a point may be hidden in the
    others. The result is their mean correlation, in [-1, 1], for each of the log factors ``logs``.
    """
    found = np.stack([_correlation(view, each, depth, logs) for each in neighbours])
    kept = min(best, len(neighbours))
    if kept < len(found):
        found = np.partition(found, len(found) - kept, axis=0)[-kept:]
    return found.mean(axis=0)


def _correlation(
    view: Grey,
    other: Grey,
    depth: Float32[np.ndarray, "h w"],
    logs: Float64[np.ndarray, "n"],
) -> Float32[np.ndarray, "n h w"]:
    cv2 = opencv()
    height, width = depth.shape
    other_T_view = invert(other.world_T_cam) @ view.world_T_cam
    turned = np.einsum("ij,jhw->ihw", other.K @ other_T_view[:3, :3], rays(view.K, height, width))
    at = turned.astype(np.float32) * depth
    moved = (other.K @ other_T_view[:3, 3]).astype(np.float32)
    mean, variance = _moments(cv2, view.values)
    result = np.empty((len(logs), height, width), np.float32)
    for index, factor in enumerate(np.exp(logs).astype(np.float32)):
        z = at[2] * factor + moved[2]
        divisor = np.maximum(z, np.float32(1e-6))
        u, v = (at[0] * factor + moved[0]) / divisor, (at[1] * factor + moved[1]) / divisor
        warped = cv2.remap(
            other.values, u, v, cv2.INTER_LINEAR, None, cv2.BORDER_CONSTANT, (_OUTSIDE,)
        )
        other_mean, other_variance = _moments(cv2, warped)
        common = cv2.boxFilter(view.values * warped, cv2.CV_32F, (WINDOW, WINDOW))
        common -= mean * other_mean
        spread = np.maximum(variance, _FAINTEST) * np.maximum(other_variance, _FAINTEST)
        # A window that reaches out of the neighbour's picture has a mean below any grey level.
        seen = (z > 0) & (other_mean >= 0)
        result[index] = np.where(seen, common / np.sqrt(spread), np.float32(_UNSEEN))
    return result


def _moments(
    cv2: ModuleType, values: Float32[np.ndarray, "h w"]
) -> tuple[Float32[np.ndarray, "h w"], Float32[np.ndarray, "h w"]]:
    """Mean and variance of the window around each pixel."""
    mean = cv2.boxFilter(values, cv2.CV_32F, (WINDOW, WINDOW))
    return mean, cv2.boxFilter(values * values, cv2.CV_32F, (WINDOW, WINDOW)) - mean * mean


def peaks(
    scores: Float32[np.ndarray, "n h w"], logs: Float64[np.ndarray, "n"]
) -> tuple[Float32[np.ndarray, "h w"], Float32[np.ndarray, "h w"]]:
    """Find the log factor of the highest score of each pixel, and how clear it is.

    The peak is that of the parabola through the highest score and its neighbours. Its clearness, in
    [0, 1], is the score times its lead over the pixel's median score; zero at the ends of the row.
    """
    highest = scores.argmax(axis=0)
    inner = highest.clip(1, len(logs) - 2)
    rows, columns = np.indices(highest.shape)
    before, here, after = (scores[inner + step, rows, columns] for step in (-1, 0, 1))
    bend = np.minimum(before - 2 * here + after, np.float32(-1e-6))
    shift = (0.5 * (before - after) / bend).clip(-1, 1)
    lead = 2 * (here - np.median(scores, axis=0))
    clear = here.clip(0, 1) * lead.clip(0, 1) * (inner == highest)
    step = float(logs[1] - logs[0])
    found = np.asarray(logs, np.float32)[inner] + np.float32(step) * shift
    return found.astype(np.float32), clear.astype(np.float32)
