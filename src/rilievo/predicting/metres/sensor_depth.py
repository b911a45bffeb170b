"""Depth of a sensor at many pixels: it stays, and the network fills the rest.

Outliers disagree with neighbours in depth and in their ratio to the network. The log ratio of a
measured pixel is log(measured depth / network's depth). In holes, it is extrapolated in three ways:
smoothly (Laplace's equation), from the nearest measured pixel, and so that the depth of that pixel
continues ("flat"). Either the median of the three is taken or the flat one, whichever is better in
a trial with measured pixels that are hidden. The filled depth is the network's depth times the
exponential of the log ratio.
"""

import itertools
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from rilievo.arrays.shapes import Field, Float, Int, Mask, Values
from rilievo.errors import CalibrationError
from rilievo.io.resizing import (
    MAX_SURFACE_STEP,
    nearest_pixel_index,
    resize_bilinear,
    resize_measured,
)
from rilievo.records.depth_map import DepthKind, DepthMap

Indices = Int[np.ndarray, "h w"]
MIN_MEASURED_FRACTION = 0.01
"""Fraction of measured pixels from which the depth is that of a sensor, not of single points."""
COVERAGE = 0.8
"""Fraction of filled pixels whose error is below the stated one."""

_MIN_ALIKE_WIDE = 0.3
"""Fraction of the 7x7 neighbours that a pixel of a surface resembles."""
_MIN_ALIKE_NEAR, _MIN_ALIKE_WIDE_AT_EDGE = 3 / 8, 0.15
"""The same at an edge, where the 3x3 neighbours decide: fractions of 3x3 and of 7x7."""
_MAX_OUTLIER_PASSES = 4
_RELAXATIONS = 8
"""Number of averages over neighbours at each size of the pyramid."""
_HOLE_SHIFTS = ((0.37, 0.29), (0.61, 0.71))
"""Shifts of the trial holes in measured depth, as fractions of its height and width."""
_MIN_TRIAL_PIXELS = 200
_MIN_STATED_ERROR = 0.01
"""Least relative error that is stated for filled pixels."""


@dataclass(frozen=True, slots=True, kw_only=True)
class FilledDepth:
    """Measured depth [m] whose holes the network fills.

    Attributes:
        depth: Depth at the network's size.
        measured: Pixels that the sensor measured.
        measured_count: Number of measured pixels of the sensor's map.
        outlier_count: Number of these that were left out.
        relative_error: Error that ``COVERAGE`` of filled pixels stay below; None if unknown.
    """

    depth: DepthMap
    measured: Mask
    measured_count: int
    outlier_count: int
    relative_error: float | None


def is_dense(measured: Field) -> bool:
    """Whether a map [m] has enough measured pixels to stay."""
    return bool(np.count_nonzero(measured > 0) > MIN_MEASURED_FRACTION * measured.size)


def measured_fraction(measured: Field) -> float:
    """Fraction of the pixels of a map [m] that are measured."""
    return float(np.mean(measured > 0))


def fill_measured_depth(depth: DepthMap, measured: Field) -> FilledDepth | None:
    """Fill the gaps (0) in measured depth [m] with the network's depth.

    Args:
        depth: The network's depth, up to scale.
        measured: Measured depth [m] of any size.

    Returns:
        Filled depth at the network's size; None if too little is left without outliers.
    """
    network_logs = _log_depth_at_size(depth, measured.shape)
    is_measured = (measured > 0) & np.isfinite(measured)
    # The logarithm of a gap may be any finite value; it is masked out.
    measured_logs = np.log(np.where(is_measured, measured, 1.0))
    log_ratios = measured_logs - network_logs
    inliers = _inlier_mask(measured_logs, log_ratios, is_measured)
    if np.count_nonzero(inliers) <= MIN_MEASURED_FRACTION * inliers.size:
        return None

    trial = _try_on_hidden_pixels(network_logs, log_ratios, inliers)
    extrapolated = _extrapolate_ratios(network_logs, log_ratios, inliers)
    better_ratios = extrapolated.flat if trial.is_flat_better else extrapolated.median_of_three
    filled = depth.values * np.exp(resize_bilinear(better_ratios, depth.shape))
    resized = resize_measured(np.where(inliers, measured, 0.0), depth.shape)
    values = np.where(resized.known, resized.values, filled).astype(np.float32)
    measured_count = int(np.count_nonzero(is_measured))
    return FilledDepth(
        depth=DepthMap(values=values, kind=DepthKind.METRIC, valid=depth.valid | resized.known),
        measured=resized.known,
        measured_count=measured_count,
        outlier_count=measured_count - int(np.count_nonzero(inliers)),
        relative_error=trial.error,
    )


def _log_depth_at_size(depth: DepthMap, shape: tuple[int, ...]) -> Float[np.ndarray, "h w"]:
    """Logarithm of depth, resized to the nearest pixel, and extrapolated over invalid pixels."""
    nearest = nearest_pixel_index(depth.shape, shape)
    values, valid = depth.values[nearest].astype(np.float64), depth.valid[nearest]
    if not valid.any():
        raise CalibrationError(
            "the model predicts no depth at any pixel, so it cannot complete the sensor's depth"
        )
    logs = np.log(np.where(valid, values, 1.0))
    return logs if valid.all() else fill_smoothly(logs, valid)


def _inlier_mask(
    logs: Float[np.ndarray, "h w"], log_ratios: Float[np.ndarray, "h w"], is_measured: Mask
) -> Mask:
    """Measured pixels that resemble enough of their neighbours.

    Outliers are removed in several passes, because a removed pixel no longer counts as a neighbour.
    In a sparse map, neighbours lie several pixels apart.
    """
    density = max(np.count_nonzero(is_measured), 1) / is_measured.size
    spacing = max(1, round(float(np.sqrt(1 / density))))  # mean distance of measured pixels [px]
    inliers = is_measured
    for _ in range(_MAX_OUTLIER_PASSES):
        alike_in_3x3 = _alike_neighbour_fraction(
            logs, log_ratios, inliers, radius=1, spacing=spacing
        )
        alike_in_7x7 = _alike_neighbour_fraction(
            logs, log_ratios, inliers, radius=3, spacing=spacing
        )
        is_on_surface = alike_in_7x7 >= _MIN_ALIKE_WIDE
        is_at_edge = (alike_in_3x3 >= _MIN_ALIKE_NEAR) & (alike_in_7x7 >= _MIN_ALIKE_WIDE_AT_EDGE)
        remaining = inliers & (is_on_surface | is_at_edge)
        if np.array_equal(remaining, inliers):
            break
        inliers = remaining
    return inliers


def _alike_neighbour_fraction(
    logs: Float[np.ndarray, "h w"],
    log_ratios: Float[np.ndarray, "h w"],
    mask: Mask,
    *,
    radius: int,
    spacing: int,
) -> Float[np.ndarray, "h w"]:
    """Fraction of each pixel's neighbours in the mask that are on its surface.

    A neighbour is on it if its depth is alike, or its ratio to the network's depth. A pixel without
    neighbours has a fraction of 1.
    """
    alike_count = np.zeros(mask.shape, np.float32)
    neighbour_count = np.zeros(mask.shape, np.float32)
    offsets = range(-radius, radius + 1)
    for row_offset, column_offset in itertools.product(offsets, repeat=2):
        if (row_offset, column_offset) == (0, 0):
            continue
        # All pixels that have a neighbour at this offset are compared with it at once.
        pixels, neighbours = _overlapping_slices(
            mask.shape, row_offset * spacing, column_offset * spacing
        )
        are_both_in_mask = mask[pixels] & mask[neighbours]
        is_depth_alike = np.abs(logs[pixels] - logs[neighbours]) < MAX_SURFACE_STEP
        ratio_differences = log_ratios[pixels] - log_ratios[neighbours]
        is_ratio_alike = np.abs(ratio_differences) < MAX_SURFACE_STEP
        neighbour_count[pixels] += are_both_in_mask
        alike_count[pixels] += are_both_in_mask & (is_depth_alike | is_ratio_alike)
    return np.where(neighbour_count > 0, alike_count / np.maximum(neighbour_count, 1), 1.0)


def _overlapping_slices(
    shape: tuple[int, ...], row_offset: int, column_offset: int
) -> tuple[tuple[slice, slice], tuple[slice, slice]]:
    """Slices of the pixels that have a neighbour at an offset, and of these neighbours."""
    rows, neighbour_rows = _overlap_along_axis(shape[0], row_offset)
    columns, neighbour_columns = _overlap_along_axis(shape[1], column_offset)
    return (rows, columns), (neighbour_rows, neighbour_columns)


def _overlap_along_axis(length: int, offset: int) -> tuple[slice, slice]:
    """Slices of an axis whose entries are pairs of a pixel and its neighbour at an offset.

    For example, of a length of 5 and an offset of 2: 0 to 3 and 2 to 5.
    """
    pair_count = max(0, length - abs(offset))
    first, first_neighbour = max(0, -offset), max(0, offset)
    return slice(first, first + pair_count), slice(first_neighbour, first_neighbour + pair_count)


@dataclass(frozen=True, slots=True, kw_only=True)
class _ExtrapolatedRatios:
    """Log ratios of true depth to the network's, extrapolated over gaps.

    Attributes:
        median_of_three: Median of three extrapolations: the smooth one, the nearest pixel's ratio,
            and ``flat``.
        flat: Continues the nearest pixel's depth, for surfaces that face the camera.
    """

    median_of_three: Float[np.ndarray, "h w"]
    flat: Float[np.ndarray, "h w"]


def _extrapolate_ratios(
    network_logs: Float[np.ndarray, "h w"], log_ratios: Float[np.ndarray, "h w"], known: Mask
) -> _ExtrapolatedRatios:
    """Extrapolate the log ratios of known pixels over all other pixels."""
    smooth_ratios = fill_smoothly(log_ratios, known)
    if known.all():
        return _ExtrapolatedRatios(median_of_three=smooth_ratios, flat=smooth_ratios)
    rows, columns = nearest_known_pixels(known)
    nearest_ratios = log_ratios[rows, columns]
    # The nearest pixel's depth, as a ratio to the network's depth at the pixel to be filled.
    flat_ratios = nearest_ratios + network_logs[rows, columns] - network_logs
    # The median of three numbers is one of them, limited to the range of the other two.
    lower = np.minimum(smooth_ratios, nearest_ratios)
    upper = np.maximum(smooth_ratios, nearest_ratios)
    median_ratios = np.clip(flat_ratios, lower, upper)
    return _ExtrapolatedRatios(
        median_of_three=np.where(known, log_ratios, median_ratios),
        flat=np.where(known, log_ratios, flat_ratios),
    )


def nearest_known_pixels(mask: Mask) -> tuple[Indices, Indices]:
    """Row and column of the nearest pixel of the mask, for each pixel.

    Jump flooding finds the nearest one almost always (Rong and Tan, "Jump Flooding in GPU", I3D
    2006): each unknown pixel looks at the eight pixels ``step`` away, and takes over their nearest
    pixel if that is closer than its own. Then the step is halved.
    """
    height, width = mask.shape
    rows, columns = np.indices(mask.shape)
    # A pixel that has found nothing yet points at a negative row, which is no candidate.
    not_found = -4 * max(height, width)
    nearest_rows, nearest_columns = (
        np.where(mask, indices, not_found) for indices in (rows, columns)
    )
    unknown_rows, unknown_columns = np.nonzero(~mask)
    least_squared_distance = np.full(unknown_rows.size, np.inf)
    step = 1 << (max(height, width).bit_length() - 1)  # largest power of two up to the longer side
    while step >= 1:
        # What the neighbours have found is read as it was before this step, so it is only replaced
        # after the loop over them.
        found_rows = nearest_rows[unknown_rows, unknown_columns]
        found_columns = nearest_columns[unknown_rows, unknown_columns]
        # The step (0, 0), to the pixel itself, does no harm.
        for row_step, column_step in itertools.product((-step, 0, step), repeat=2):
            neighbours = (
                np.clip(unknown_rows + row_step, 0, height - 1),
                np.clip(unknown_columns + column_step, 0, width - 1),
            )
            candidate_rows = nearest_rows[neighbours]
            candidate_columns = nearest_columns[neighbours]
            row_distance = candidate_rows - unknown_rows
            column_distance = candidate_columns - unknown_columns
            squared_distance = np.square(row_distance) + np.square(column_distance)
            is_nearer = (squared_distance < least_squared_distance) & (candidate_rows >= 0)
            least_squared_distance = np.where(is_nearer, squared_distance, least_squared_distance)
            found_rows = np.where(is_nearer, candidate_rows, found_rows)
            found_columns = np.where(is_nearer, candidate_columns, found_columns)
        nearest_rows[unknown_rows, unknown_columns] = found_rows
        nearest_columns[unknown_rows, unknown_columns] = found_columns
        step //= 2
    return nearest_rows, nearest_columns


def fill_smoothly(values: Float[np.ndarray, "h w"], mask: Mask) -> Float[np.ndarray, "h w"]:
    """Extrapolate the values of a mask smoothly over the other pixels.

    It solves Laplace's equation approximately, from coarse to fine: the solution at half the size
    is enlarged, and a few averages over neighbours (Jacobi iteration) refine it.
    """
    if mask.all():
        return values
    if min(values.shape) <= 2:
        mean = float(values[mask].mean()) if mask.any() else 0.0
        return np.where(mask, values, mean)

    coarse = fill_smoothly(*_downsample_masked(values, mask))
    height, width = values.shape
    filled = _double_rows(_double_rows(coarse, height).T, width).T
    filled[mask] = values[mask]
    for _ in range(_RELAXATIONS):
        padded = np.pad(filled, 1, mode="edge")
        above, below = padded[:-2, 1:-1], padded[2:, 1:-1]
        left, right = padded[1:-1, :-2], padded[1:-1, 2:]
        filled = np.where(mask, values, (above + below + left + right) / 4)
    return filled


def _double_rows(values: Float[np.ndarray, "n m"], new_count: int) -> Float[np.ndarray, "k m"]:
    """Interpolate linearly between rows; ``new_count`` is twice their number, or one less."""
    count = len(values)
    position = np.clip((np.arange(new_count) + 0.5) / 2 - 0.5, 0, count - 1)
    before = np.minimum(position.astype(int), max(count - 2, 0))
    after = np.minimum(before + 1, count - 1)
    weight = (position - before)[:, None]
    return (1 - weight) * values[before] + weight * values[after]


def _downsample_masked(
    values: Float[np.ndarray, "h w"], mask: Mask
) -> tuple[Float[np.ndarray, "a b"], Mask]:
    """Mean of the masked-in pixels in each 2x2 block, and the mask of blocks that have any."""
    block_counts = _sum_blocks(mask.astype(np.float64))
    block_sums = _sum_blocks(np.where(mask, values, 0).astype(np.float64))
    return block_sums / np.maximum(block_counts, 1), block_counts > 0


def _sum_blocks(values: Float[np.ndarray, "h w"]) -> Float[np.ndarray, "a b"]:
    """Sum of each 2x2 block; odd sizes get one more row or column of zeros."""
    height, width = values.shape
    padded = np.pad(values, ((0, height % 2), (0, width % 2)))
    rows_and_columns_of_blocks = (padded.shape[0] // 2, 2, padded.shape[1] // 2, 2)
    return padded.reshape(rows_and_columns_of_blocks).sum(axis=(1, 3))


@dataclass(frozen=True, slots=True, kw_only=True)
class _ExtrapolationTrial:
    """Which extrapolation is better on measured pixels that were hidden.

    Attributes:
        is_flat_better: Whether ``_ExtrapolatedRatios.flat`` is better than ``median_of_three``.
        error: Relative error that ``COVERAGE`` of the hidden pixels stay below with the better one;
            None if too few pixels could be hidden.
    """

    is_flat_better: bool = False
    error: float | None = None


def _try_on_hidden_pixels(
    network_logs: Float[np.ndarray, "h w"], log_ratios: Float[np.ndarray, "h w"], measured: Mask
) -> _ExtrapolationTrial:
    """Hide measured pixels in holes like those to be filled, and compare the extrapolations."""
    # One array for each of the moved masks of holes.
    median_error_arrays: list[Values] = []
    flat_error_arrays: list[Values] = []
    for holes in _shifted_holes(measured):
        extrapolated = _extrapolate_ratios(network_logs, log_ratios, measured & ~holes)
        hidden = measured & holes
        true_ratios = log_ratios[hidden]
        median_error_arrays.append(np.abs(extrapolated.median_of_three[hidden] - true_ratios))
        flat_error_arrays.append(np.abs(extrapolated.flat[hidden] - true_ratios))
    hidden_count = sum(errors.size for errors in flat_error_arrays)
    if hidden_count < _MIN_TRIAL_PIXELS:
        return _ExtrapolationTrial()
    median_errors = np.concatenate(median_error_arrays)
    flat_errors = np.concatenate(flat_error_arrays)

    is_flat_better = bool(np.median(flat_errors) < np.median(median_errors))
    log_errors = flat_errors if is_flat_better else median_errors
    # An error of a log ratio is one of log depth, so its exponential is a ratio of depths.
    relative_error = float(np.expm1(np.quantile(log_errors, COVERAGE)))
    return _ExtrapolationTrial(
        is_flat_better=is_flat_better, error=max(relative_error, _MIN_STATED_ERROR)
    )


def _shifted_holes(mask: Mask) -> Iterator[Mask]:
    """Yield the holes of the mask, moved elsewhere, where enough of the mask remains."""
    holes = ~mask
    height, width = mask.shape
    for down, across in _HOLE_SHIFTS:
        shifted = np.roll(holes, (round(down * height), round(across * width)), axis=(0, 1))
        if np.count_nonzero(mask & ~shifted) > MIN_MEASURED_FRACTION * mask.size / 2:
            yield shifted
