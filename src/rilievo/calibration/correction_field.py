"""Smooth correction of depth over the picture, where known sizes show that it is bent.

The field is the mean of a Gaussian process of the logarithm of the factor (Rasmussen and Williams,
"Gaussian Processes for Machine Learning", 2006). Its variance and its length scale are those with
the least leave-one-out error at the known sizes. Positions are in widths of the picture.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from PIL import Image

from rilievo.arrays.shapes import Float32, Float64, Positions, Values
from rilievo.records.depth_map import DepthKind, DepthMap

MIN_POSITIONS = 5
"""Fewest known sizes for a field; what fewer show may be chance."""
MAX_POSITIONS = 600
"""Most positions of a field; more are merged to medians, for speed."""

_VARIANCES = (0.5, 2.0, 8.0, 32.0)
"""Variances of the field that are tried, over the variance of the noise of one known size."""
_LENGTH_SCALES = (0.2, 0.4, 0.8)
"""Standard deviations of the Gaussian kernel that are tried [widths of the picture]."""
_MAX_LOG_FACTOR = 1.0
"""Largest difference of a log factor from the median; what differs more is an outlier."""
_GRID_SIDE = 48
"""Most rows and columns at which the field is computed before it is enlarged to all pixels."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CorrectionField:
    """Smooth correction factor over the picture.

    Attributes:
        centres: Columns and rows of the kernels (fractions of the picture's width).
        weights: Log factor that each kernel adds at its centre.
        log_offset: Log factor far away from all kernels.
        kernel_deviation: Standard deviation of a kernel (fraction of the picture's width).
    """

    centres: Positions
    weights: Values
    log_offset: float
    kernel_deviation: float

    def log_factors(self, positions: Float64[np.ndarray, "m 2"]) -> Float64[np.ndarray, "m"]:
        """Logarithm of the factor at positions (column, row) [widths]."""
        kernels = _gaussian_kernels(positions, self.centres, self.kernel_deviation)
        return self.log_offset + kernels @ self.weights

    def factors(self, shape: tuple[int, int]) -> Float32[np.ndarray, "h w"]:
        """Factor at every pixel of a map of this size, enlarged from a coarse grid (bicubic)."""
        height, width = shape
        rows, columns = min(height, _GRID_SIDE), min(width, _GRID_SIDE)
        # The field is computed at the centres of cells, which the resampling assumes as well.
        v = ((np.arange(rows) + 0.5) * height / rows - 0.5) / width
        u = ((np.arange(columns) + 0.5) * width / columns - 0.5) / width
        positions = np.stack(np.meshgrid(u, v), axis=-1).reshape(-1, 2)
        logs = self.log_factors(positions).reshape(rows, columns).astype(np.float32)
        enlarged = Image.fromarray(logs).resize((width, height), Image.Resampling.BICUBIC)
        return np.exp(np.asarray(enlarged, np.float32))


def fit_correction_field(
    pixels: Sequence[tuple[float, float]], log_factors: Sequence[float], shape: tuple[int, int]
) -> CorrectionField | None:
    """Fit a field to the factors that known sizes need.

    Args:
        pixels: Column and row of each size [px].
        log_factors: Logarithm of the factor by which depth has to be multiplied at each size.
        shape: Height and width of the map.

    Returns:
        The field; None if a single factor predicts the sizes as well, or they are too few.
    """
    positions = np.array(pixels, np.float64) / shape[1]
    logs = np.array(log_factors, np.float64)
    is_inlier = np.abs(logs - np.median(logs)) <= _MAX_LOG_FACTOR
    positions, logs = _merge_to_medians(positions[is_inlier], logs[is_inlier])
    if len(logs) < MIN_POSITIONS:
        return None

    # A field without variance is a single factor, whatever its length scale.
    constant = _Kernel(variance=0.0, length_scale=_LENGTH_SCALES[0])
    constant_error = _leave_one_out_error(positions, logs, constant)
    kernels = [
        _Kernel(variance=variance, length_scale=length_scale)
        for length_scale in _LENGTH_SCALES
        for variance in _VARIANCES
    ]
    errors = [_leave_one_out_error(positions, logs, kernel) for kernel in kernels]
    best = int(np.argmin(errors))
    is_significant = errors[best] < _max_error_ratio(len(logs)) * constant_error
    if not is_significant:
        return None

    kernel = kernels[best]
    precision, offset = _precision_and_mean(positions, logs, kernel)
    weights = kernel.variance * precision @ (logs - offset)
    return CorrectionField(
        centres=positions, weights=weights, log_offset=offset, kernel_deviation=kernel.length_scale
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class _Kernel:
    """Gaussian kernel of the process: variance * exp(-distance² / (2 length_scale²)).

    Attributes:
        variance: Variance of the field, over that of the noise of one known size.
        length_scale: Standard deviation of the Gaussian [widths of the picture].
    """

    variance: float
    length_scale: float


def multiply_by_field(depth: DepthMap, field: CorrectionField) -> DepthMap:
    """Multiply metric depth by a smooth field."""
    values = depth.values * np.where(depth.valid, field.factors(depth.shape), 1)
    return DepthMap(values=values, kind=DepthKind.METRIC, valid=depth.valid)


def _gaussian_kernels(
    positions: Positions, centres: Float64[np.ndarray, "m 2"], length_scale: float
) -> Float64[np.ndarray, "n m"]:
    """Value at each position of the kernel at each centre, which is 1 at the centre itself."""
    squared_distances = np.square(positions[:, None] - centres[None]).sum(axis=-1)
    return np.exp(-squared_distances / (2 * length_scale * length_scale))


def _precision_and_mean(
    positions: Positions, logs: Values, kernel: _Kernel
) -> tuple[Float64[np.ndarray, "n n"], float]:
    """Precision matrix of the logarithms, in units of the noise, and their weighted mean.

    The precision matrix is the inverse of the covariance, which is that of the field, and 1 for the
    noise of each known size.
    """
    field_covariance = kernel.variance * _gaussian_kernels(
        positions, positions, kernel.length_scale
    )
    precision = np.linalg.inv(field_covariance + np.eye(len(logs)))
    weights = precision.sum(axis=0)
    return precision, float(weights @ logs / weights.sum())


def _leave_one_out_error(positions: Positions, logs: Values, kernel: _Kernel) -> float:
    """Mean absolute error of each logarithm as the others predict it (eq. 5.12 of the book)."""
    precision, _ = _precision_and_mean(positions, logs, kernel)
    weights = precision.sum(axis=0)
    # The mean is fitted, too, so it is projected out.
    centred = precision - np.outer(weights, weights) / weights.sum()
    return float(np.abs(centred @ logs / np.diag(centred)).mean())


def _max_error_ratio(size_count: int) -> float:
    """Largest error with a field, over that without, at which the field is significant.

    Of 200 sets of pure noise, one in twenty came below it.
    """
    return min(0.85, 0.4 + 0.028 * size_count)


def _merge_to_medians(
    positions: Positions, logs: Values
) -> tuple[Float64[np.ndarray, "m 2"], Float64[np.ndarray, "m"]]:
    """Merge the positions in each cell of a grid, if there are more than ``MAX_POSITIONS``.

    A cell gets the mean of its positions and the median of their logarithms.
    """
    if len(logs) <= MAX_POSITIONS:
        return positions, logs

    cells = np.floor((positions - positions.min(axis=0)) / _cell_side(positions)).astype(int)
    _, cell_of_position = np.unique(cells, axis=0, return_inverse=True)
    cell_of_position = cell_of_position.reshape(-1)
    sorted_by_cell = np.argsort(cell_of_position, kind="stable")
    first_of_cell = np.flatnonzero(np.diff(cell_of_position[sorted_by_cell])) + 1
    groups = np.split(sorted_by_cell, first_of_cell)
    means = np.array([positions[group].mean(axis=0) for group in groups])
    return means, np.array([np.median(logs[group]) for group in groups])


def _cell_side(positions: Positions) -> float:
    """Side of the cells of a grid over all positions, of which there are ``MAX_POSITIONS`` or so.

    Cells at the far sides may be cut, which adds to their number, so all are 1.1 times as large. If
    the positions lie about on one line, the cells are counted along it.
    """
    extent = np.ptp(positions, axis=0)
    side_by_area = 1.1 * np.sqrt(float(np.prod(np.maximum(extent, 1e-9))) / MAX_POSITIONS)
    side_by_length = 1.1 * float(extent.max()) / MAX_POSITIONS
    return max(side_by_area, side_by_length, 1e-9)
