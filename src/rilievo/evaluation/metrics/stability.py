"""Agreement of the depth of two neighbouring frames of a video.

TAE: Chen et al. 2025, Video Depth Anything. OPW: Wang et al. 2023, NVDS.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from rilievo.arrays.shapes import Bool, Float64, Mask, Matrix, Transform, Values
from rilievo.errors import NoGroundTruthError
from rilievo.evaluation.metrics.metric import (
    Better,
    Metric,
    Plane,
    Sums,
    first_sum,
    metrics_by_name,
)
from rilievo.geometry.intrinsics import unproject
from rilievo.geometry.transforms import transform_points

_OPW_FACTOR = 30.0
"""Factor 10 of the authors' program, times its sum over three colours, which are equal."""
_MAX_SURFACE_STEP = 0.05
"""Largest relative difference of true depths that are one surface in both frames."""
_MIN_DEVIATION = 1e-6
"""Lower limit of the mean absolute deviation of inverse depth, as in the authors' program."""


@dataclass(frozen=True, kw_only=True, eq=False)
class StabilityPair:
    """Depth of two neighbouring video frames [m].

    Attributes:
        first_depth: Predicted depth of the first frame; 0 or less where there is none.
        first_valid: Pixels of the first frame at which depth is compared.
        first_true: True depth of the first frame; 0 where it is not known.
        K: Intrinsics [px] of both frames, as published.
        second_T_first: Motion from the first camera's frame to the second one's.
    """

    first_depth: Plane
    second_depth: Plane
    first_valid: Mask
    second_valid: Mask
    first_true: Plane
    second_true: Plane
    K: Matrix
    second_T_first: Transform

    @property
    def count(self) -> int:
        """Number of pixels of a frame."""
        return self.first_depth.size


def temporal_error(pair: StabilityPair) -> Sums:
    """TAE: |d - d'| / d of depth d and the neighbouring frame's depth d', projected here [%].

    It is the mean of both directions.
    """
    first_T_second = np.linalg.inv(pair.second_T_first)
    first_in_second = _project_depth(pair.first_depth, pair.K, pair.second_T_first)
    second_in_first = _project_depth(pair.second_depth, pair.K, first_T_second)
    forward_error = _mean_relative_error(pair.second_depth, first_in_second, pair.second_valid)
    backward_error = _mean_relative_error(pair.first_depth, second_in_first, pair.first_valid)
    return np.array([100 * (forward_error + backward_error) / 2])


TAE: Metric[StabilityPair] = Metric(
    "tae",
    "TAE",
    "%",
    Better.LOWER,
    "mean |d - d'| / d, where d is the depth of a frame and d' the depth of the frame before or "
    "after it, projected into its camera (Video Depth Anything)",
    temporal_error,
    first_sum,
    pools=False,
)


def _project_depth(depth: Plane, K: Matrix, target_T_source: Transform) -> Plane:
    """Project the points of a depth map into another view, as a depth map with 0 for no point."""
    height, width = depth.shape
    points = np.asarray(unproject(depth, K)).reshape(3, -1)
    x, y, z = transform_points(target_T_source, points)
    with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
        column = np.rint(x * K[0, 0] / z + K[0, 2])
        row = np.rint(y * K[1, 1] / z + K[1, 2])
    is_inside = (column >= 0) & (column < width) & (row >= 0) & (row < height)
    # Of several points at one pixel the last in reading order counts, as published.
    projected = np.zeros(depth.shape)
    projected[row[is_inside].astype(np.int64), column[is_inside].astype(np.int64)] = z[is_inside]
    return projected


def _mean_relative_error(depth: Plane, projected: Plane, mask: Mask) -> float:
    """Mean |d - d'| / d; 0 if no pixel has both depths, as published."""
    has_both = (projected > 0) & (depth > 0) & mask
    if not has_both.any():
        return 0.0
    return float(np.mean(np.abs(depth[has_both] - projected[has_both]) / depth[has_both]))


def warping_error(pair: StabilityPair) -> Sums:
    """OPW: change of normalised inverse depth along the true optical flow.

    Each pixel of the second frame is compared with the position in the first frame at which its
    true point was seen.
    """
    K = pair.K
    points = np.asarray(unproject(pair.second_true, K)).reshape(3, -1)
    first_T_second = np.linalg.inv(pair.second_T_first)
    x, y, z = transform_points(first_T_second, points)

    has_truth = ((pair.second_true > 0) & pair.second_valid).ravel() & (z > 0)
    last_pixel = np.array(pair.first_depth.shape)[:, None] - 1
    with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
        # Positions are (row, column) [px].
        first_positions = np.stack([y * K[1, 1] / z + K[1, 2], x * K[0, 0] / z + K[0, 2]])
        nearest = np.rint(first_positions)
        is_inside = has_truth & (nearest == nearest.clip(0, last_pixel)).all(axis=0)
        # Equal true depth replaces the authors' mask of equal colours; both leave out what is
        # hidden in the first frame.
        first_true = _nearest_samples(pair.first_true, first_positions, is_inside)
        is_seen_by_both = is_inside & (np.abs(first_true - z) < _MAX_SURFACE_STEP * z)

    first = _normalise_inverse_depth(pair.first_depth, pair.first_valid)
    second = _normalise_inverse_depth(pair.second_depth, pair.second_valid)
    first_samples = _bilinear_samples(first, first_positions, is_seen_by_both)
    change = np.abs(second.ravel() - first_samples)[is_seen_by_both]
    change = change[np.isfinite(change)]
    if not change.size:
        raise NoGroundTruthError(
            "no surface with ground-truth depth is visible in both frames, so their depth cannot "
            "be compared"
        )
    return np.array([_OPW_FACTOR * change.mean()])


OPW: Metric[StabilityPair] = Metric(
    "opw",
    "OPW",
    "",
    Better.LOWER,
    "30 times the mean absolute change, along the true flow between frames, of normalised inverse "
    "depth, which is inverse depth minus its median, divided by the mean absolute deviation from "
    "the median (NVDS)",
    warping_error,
    first_sum,
    pools=False,
)


def _normalise_inverse_depth(depth: Plane, mask: Mask) -> Plane:
    """Inverse depth minus its median, over its mean absolute deviation; NaN outside the mask."""
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
    """Values of the pixels nearest to (row, column) positions; 0 where not ``inside``."""
    samples = np.zeros(inside.shape)
    row, column = np.rint(positions[:, inside]).astype(np.int64)
    samples[inside] = values[row, column]
    return samples


def _bilinear_samples(
    values: Plane,
    positions: Float64[np.ndarray, "2 n"],
    inside: Bool[np.ndarray, "n"],
) -> Values:
    """Values interpolated at positions (row, column); NaN where not ``inside``."""
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


# A new metric is one function with its Metric, and one name below.
STABILITY_METRICS: Mapping[str, Metric[StabilityPair]] = metrics_by_name(TAE, OPW)
