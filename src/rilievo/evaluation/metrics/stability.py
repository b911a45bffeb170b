"""Agreement of the depth of two neighbouring frames of a video.

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
_OPW_FACTOR = 30.0
"""Factor 10 of the authors' program, times its sum over three colours, which are equal."""
_MAX_SURFACE_STEP = 0.05
"""Largest relative difference of true depths that are one surface in both frames."""
_MIN_DEVIATION = 1e-6
"""Lower limit of the mean absolute deviation of inverse depth, as in the authors' program."""


@dataclass(frozen=True, kw_only=True, eq=False)
class StabilityPair:
    """Depth of two neighbouring frames [m].

    Attributes:
        first: Predicted depth of the first frame; not positive where there is none.
        first_seen: Pixels of the first frame at which depth is compared.
        first_true: True depth of the first frame; 0 where not known.
        first_K: Intrinsics [px] of both frames, as published.
        second_T_first: Motion from the first camera's frame to the second one's.
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
        """Number of pixels of a frame."""
        return self.first.size


def temporal_error(pair: StabilityPair) -> Sums:
    """TAE: mean of both directions' |d - d'| / d, of depth d and projected depth d' [%]."""
    first_T_second = np.linalg.inv(pair.second_T_first)
    first_projected = _project_depth(pair.first, pair.first_K, pair.second_T_first)
    second_projected = _project_depth(pair.second, pair.first_K, first_T_second)
    forward_error = _mean_relative_error(pair.second, first_projected, pair.second_seen)
    backward_error = _mean_relative_error(pair.first, second_projected, pair.first_seen)
    return np.array([100 * (forward_error + backward_error) / 2])


def _project_depth(depth: Plane, K: Matrix, target_T_source: Transform) -> Plane:
    """Depth map of the points of a depth map, as seen after a motion; 0 where there is none."""
    height, width = depth.shape
    points = np.asarray(unproject(depth, K)).reshape(3, -1)
    x, y, z = transform_points(target_T_source, points)
    with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
        column = np.rint(x * K[0, 0] / z + K[0, 2])
        row = np.rint(y * K[1, 1] / z + K[1, 2])
    inside = (column >= 0) & (column < width) & (row >= 0) & (row < height)
    # Of several points at one pixel the last in reading order counts, as published.
    projected = np.zeros(depth.shape)
    projected[row[inside].astype(np.int64), column[inside].astype(np.int64)] = z[inside]
    return projected


def _mean_relative_error(depth: Plane, projected: Plane, mask: Mask) -> float:
    """Mean |d - d'| / d; 0 without a common pixel, as published."""
    common = (projected > 0) & (depth > 0) & mask
    if not common.any():
        return 0.0
    return float(np.mean(np.abs(depth[common] - projected[common]) / depth[common]))


def warping_error(pair: StabilityPair) -> Sums:
    """OPW by true motion: change of normalised inverse depth along true flow.

    Each pixel of the second frame is compared with the place in the first frame at which its true
    point was seen.

    Raises:
        NoGroundTruthError: If no surface is seen by both.
    """
    K = pair.first_K
    points = np.asarray(unproject(pair.second_true, K)).reshape(3, -1)
    first_T_second = np.linalg.inv(pair.second_T_first)
    x, y, z = transform_points(first_T_second, points)

    valid = ((pair.second_true > 0) & pair.second_seen).ravel() & (z > 0)
    last_pixel = np.array(pair.first.shape)[:, None] - 1
    with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
        # Positions are (row, column) [px].
        first_positions = np.stack([y * K[1, 1] / z + K[1, 2], x * K[0, 0] / z + K[0, 2]])
        nearest = np.rint(first_positions)
        inside = valid & (nearest == nearest.clip(0, last_pixel)).all(axis=0)
        # In place of the authors' mask of equal colours, which leaves out what is hidden.
        first_true = _nearest_samples(pair.first_true, first_positions, inside)
        seen_by_both = inside & (np.abs(first_true - z) < _MAX_SURFACE_STEP * z)

    first = _normalise_inverse_depth(pair.first, pair.first_seen)
    second = _normalise_inverse_depth(pair.second, pair.second_seen)
    first_samples = _bilinear_samples(first, first_positions, seen_by_both)
    change = np.abs(second.ravel() - first_samples)[seen_by_both]
    change = change[np.isfinite(change)]
    if not change.size:
        raise NoGroundTruthError("no surface with true depth is seen in both frames")
    return np.array([_OPW_FACTOR * change.mean()])


def _normalise_inverse_depth(depth: Plane, mask: Mask) -> Plane:
    """Inverse depth less its median, over its mean absolute deviation; NaN outside the mask."""
    has_depth = mask & (depth > 0)
    normalised = np.full(depth.shape, np.nan)
    if not has_depth.any():
        return normalised
    inverse = 1 / depth[has_depth]
    centred = inverse - np.median(inverse)
    deviation = float(np.abs(centred).mean())
    normalised[has_depth] = centred / max(deviation, _MIN_DEVIATION)
    return normalised


def _nearest_samples(
    values: Plane,
    positions: Float64[np.ndarray, "2 n"],
    inside: Bool[np.ndarray, "n"],
) -> Values:
    """Values of the pixels nearest to (row, column); 0 where not ``inside``."""
    samples = np.zeros(inside.shape)
    row, column = np.rint(positions[:, inside]).astype(np.int64)
    samples[inside] = values[row, column]
    return samples


def _bilinear_samples(
    values: Plane,
    positions: Float64[np.ndarray, "2 n"],
    inside: Bool[np.ndarray, "n"],
) -> Values:
    """Values interpolated at (row, column), clamped to the map; NaN where not ``inside``."""
    samples = np.full(inside.shape, np.nan)
    last_pixel = np.array(values.shape)[:, None] - 1
    row, column = positions[:, inside].clip(0, last_pixel)
    top = np.floor(row).astype(np.int64)
    left = np.floor(column).astype(np.int64)
    bottom = np.minimum(top + 1, last_pixel[0])
    right = np.minimum(left + 1, last_pixel[1])
    row_fraction = np.modf(row)[0]
    column_fraction = np.modf(column)[0]

    upper = (1 - column_fraction) * values[top, left] + column_fraction * values[top, right]
    lower = (1 - column_fraction) * values[bottom, left] + column_fraction * values[bottom, right]
    samples[inside] = (1 - row_fraction) * upper + row_fraction * lower
    return samples


# A new metric is one function and one line below.
STABILITY_METRICS: Mapping[str, Metric[StabilityPair]] = metrics_by_name(
    Metric("tae", "TAE", "%", Better.LOWER, _TAE, temporal_error, whole, pools=False),
    Metric("opw", "OPW", "", Better.LOWER, _OPW, warping_error, whole, pools=False),
)
