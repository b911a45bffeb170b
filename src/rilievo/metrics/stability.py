"""Agreement of the depth of two frames: the surface of one, seen from the other."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float64

from rilievo.geometry.intrinsics import unproject
from rilievo.metrics.metric import Better, Metric, Sums, whole


@dataclass(frozen=True, kw_only=True, eq=False)
class StabilityPair:
    """Depth of two neighbouring frames.

    Attributes:
        first: Depth [m] of the earlier frame.
        second: Depth [m] of the later one.
        first_seen: Pixels of the first that a projected point is compared at.
        second_seen: Those of the second.
        first_K: Intrinsics [px] of the first frame, used for both as published.
        second_T_first: Takes points [m] of the first camera to the second.
    """

    first: Float64[np.ndarray, "h w"]
    second: Float64[np.ndarray, "h w"]
    first_seen: Bool[np.ndarray, "h w"]
    second_seen: Bool[np.ndarray, "h w"]
    first_K: Float64[np.ndarray, "3 3"]
    second_T_first: Float64[np.ndarray, "4 4"]

    @property
    def count(self) -> int:
        """Pixels of a frame."""
        return self.first.size


def temporal_error(pair: StabilityPair) -> Sums:
    """Mean of both directions' |d - d'| / d, of depth d and projected depth d' [%].

    Where no point of one frame falls into the other, that direction counts as 0, as published.
    """
    there = _reprojected(pair.first, pair.first_K, pair.second_T_first)
    back = _reprojected(pair.second, pair.first_K, np.linalg.inv(pair.second_T_first))
    errors = (
        _mean_error(pair.second, there, pair.second_seen),
        _mean_error(pair.first, back, pair.first_seen),
    )
    return np.array([100 * sum(errors) / 2])


def _reprojected(
    depth: Float64[np.ndarray, "h w"],
    K: Float64[np.ndarray, "3 3"],
    motion: Float64[np.ndarray, "4 4"],
) -> Float64[np.ndarray, "h w"]:
    """Depth that the points of one frame have in the other, at the nearest pixel; 0 where none is.

    Of several points at one pixel the last in reading order counts, as published.
    """
    height, width = depth.shape
    points = np.asarray(unproject(depth, K)).reshape(3, -1)
    x, y, z = motion[:3, :3] @ points + motion[:3, 3:]
    with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
        column, row = np.rint(x * K[0, 0] / z + K[0, 2]), np.rint(y * K[1, 1] / z + K[1, 2])
    inside = (column >= 0) & (column < width) & (row >= 0) & (row < height)
    seen = np.zeros(depth.shape)
    seen[row[inside].astype(np.int64), column[inside].astype(np.int64)] = z[inside]
    return seen


def _mean_error(
    depth: Float64[np.ndarray, "h w"],
    projected: Float64[np.ndarray, "h w"],
    seen: Bool[np.ndarray, "h w"],
) -> float:
    both = (projected > 0) & (depth > 0) & seen
    if not both.any():
        return 0.0
    return float(np.mean(np.abs(depth[both] - projected[both]) / depth[both]))


_SUMMARY = (
    "mean |d - d'| / d of depth and that of the neighbouring frame, seen from here (Video Depth "
    "Anything)"
)
STABILITY_METRICS: Mapping[str, Metric[StabilityPair]] = {
    "tae": Metric("tae", "TAE", "%", Better.LOWER, _SUMMARY, temporal_error, whole, pools=False)
}
