"""Agreement of the depth of two neighbouring frames.

TAE: Chen et al. 2025, Video Depth Anything. OPW: Wang et al. 2023, NVDS.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from rilievo.arrays.shapes import Bool, Float64, Mask, Matrix, Transform, Values
from rilievo.errors import NoGroundTruthError
from rilievo.evaluation.metrics.metric import Better, Metric, Plane, Sums, metrics_by_name, whole
from rilievo.geometry.intrinsics import unproject
from rilievo.geometry.transforms import transform_points

_TAE = (
    "mean |d - d'| / d of depth and that of the neighbouring frame, seen from here (Video Depth "
    "Anything)"
)
_OPW = (
    "30 times the mean change of inverse depth, less its median and over its mean absolute "
    "deviation, along the true flow from frame to frame (NVDS)"
)
# 10 of the authors' program, times its sum over three colours that agree.
_AS_PUBLISHED = 30.0
# Largest relative difference of true depths that are one surface in both frames.
_SAME_SURFACE = 0.05
# As in the authors' program.
_LEAST_SPREAD = 1e-6


@dataclass(frozen=True, kw_only=True, eq=False)
class StabilityPair:
    """Depth of two neighbouring frames [m]; true depth is 0 where not known.

    Attributes:
        first_seen: Pixels that a projected point is compared at.
        first_K: Intrinsics [px] for both, as published.
    """

    first: Plane
    second: Plane
    first_seen: Mask
    second_seen: Mask
    first_true: Plane
    second_true: Plane
    first_K: Matrix
    second_T_first: Transform

    @property
    def count(self) -> int:
        """Pixels of a frame."""
        return self.first.size


def temporal_error(pair: StabilityPair) -> Sums:
    """TAE: mean of both directions' |d - d'| / d, of depth d and projected depth d' [%]."""
    there = _project_depth(pair.first, pair.first_K, pair.second_T_first)
    back = _project_depth(pair.second, pair.first_K, np.linalg.inv(pair.second_T_first))
    errors = (
        _mean_relative_error(pair.second, there, pair.second_seen),
        _mean_relative_error(pair.first, back, pair.first_seen),
    )
    return np.array([100 * sum(errors) / 2])


def _project_depth(
    depth: Plane,
    K: Matrix,
    motion: Transform,
) -> Plane:
    """Depth after ``motion``; 0 where none."""
    height, width = depth.shape
    points = np.asarray(unproject(depth, K)).reshape(3, -1)
    x, y, z = transform_points(motion, points)
    with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
        column, row = np.rint(x * K[0, 0] / z + K[0, 2]), np.rint(y * K[1, 1] / z + K[1, 2])
    inside = (column >= 0) & (column < width) & (row >= 0) & (row < height)
    # Of several points at one pixel the last in reading order counts, as published.
    depths = np.zeros(depth.shape)
    depths[row[inside].astype(np.int64), column[inside].astype(np.int64)] = z[inside]
    return depths


def _mean_relative_error(
    depth: Plane,
    projected: Plane,
    mask: Mask,
) -> float:
    """Mean |d - d'| / d; 0 without a common pixel."""
    both = (projected > 0) & (depth > 0) & mask
    if not both.any():
        # As published.
        return 0.0
    return float(np.mean(np.abs(depth[both] - projected[both]) / depth[both]))


def warping_error(pair: StabilityPair) -> Sums:
    """OPW by true motion: change of normalised inverse depth along true flow.

    Raises:
        NoGroundTruthError: If no surface is seen by both.
    """
    points = np.asarray(unproject(pair.second_true, pair.first_K)).reshape(3, -1)
    motion = np.linalg.inv(pair.second_T_first)
    x, y, z = transform_points(motion, points)
    valid = ((pair.second_true > 0) & pair.second_seen).ravel() & (z > 0)
    K, last = pair.first_K, np.array(pair.first.shape)[:, None] - 1
    with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
        place = np.stack([y * K[1, 1] / z + K[1, 2], x * K[0, 0] / z + K[0, 2]])
        inside = valid & (np.rint(place) == np.rint(place).clip(0, last)).all(axis=0)
        # In place of the authors' mask of equal colours, which leaves out what is hidden.
        true = _nearest_samples(pair.first_true, place, inside)
        both = inside & (np.abs(true - z) < _SAME_SURFACE * z)
    earlier = _bilinear_samples(_normalise_inverse_depth(pair.first, pair.first_seen), place, both)
    change = np.abs(_normalise_inverse_depth(pair.second, pair.second_seen).ravel() - earlier)[both]
    change = change[np.isfinite(change)]
    if not change.size:
        raise NoGroundTruthError("no surface with true depth is seen in both frames")
    return np.array([_AS_PUBLISHED * change.mean()])


def _normalise_inverse_depth(depth: Plane, mask: Mask) -> Plane:
    """Deviation from the median over its mean size; NaN outside."""
    mask = mask & (depth > 0)
    inverse = np.full(depth.shape, np.nan)
    inverse[mask] = 1 / depth[mask]
    if mask.any():
        inverse -= np.median(inverse[mask])
        inverse /= max(float(np.abs(inverse[mask]).mean()), _LEAST_SPREAD)
    return inverse


def _nearest_samples(
    values: Plane,
    place: Float64[np.ndarray, "2 n"],
    inside: Bool[np.ndarray, "n"],
) -> Values:
    """Values at (row, column); 0 where not ``inside``."""
    samples = np.zeros(inside.shape)
    row, column = np.rint(place[:, inside]).astype(np.int64)
    samples[inside] = values[row, column]
    return samples


def _bilinear_samples(
    values: Plane,
    place: Float64[np.ndarray, "2 n"],
    inside: Bool[np.ndarray, "n"],
) -> Values:
    """Values at (row, column); NaN where not ``inside``."""
    samples = np.full(inside.shape, np.nan)
    last = np.array(values.shape)[:, None] - 1
    row, column = place[:, inside].clip(0, last)
    (i, j), (a, b) = np.floor([row, column]).astype(np.int64), np.modf([row, column])[0]
    below, beside = np.minimum(i + 1, last[0]), np.minimum(j + 1, last[1])
    upper = (1 - b) * values[i, j] + b * values[i, beside]
    lower = (1 - b) * values[below, j] + b * values[below, beside]
    samples[inside] = (1 - a) * upper + a * lower
    return samples


# A new metric is one function and one line below.
STABILITY_METRICS: Mapping[str, Metric[StabilityPair]] = metrics_by_name(
    Metric("tae", "TAE", "%", Better.LOWER, _TAE, temporal_error, whole, pools=False),
    Metric("opw", "OPW", "", Better.LOWER, _OPW, warping_error, whole, pools=False),
)
