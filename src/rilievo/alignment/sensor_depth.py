"""Depth of a sensor at many pixels: it stays, and the network fills the rest.

Outliers disagree with neighbours in depth and in their ratio to the network. Holes get the median
of three continuations: the network times a membrane's ratio (Laplace's equation), times the nearest
ratio, and the nearest depth.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from rilievo.arrays.shapes import Field, Float, Int, Mask
from rilievo.errors import CalibrationError
from rilievo.records.depth_map import DepthKind, DepthMap

Indices = Int[np.ndarray, "h w"]
MEASURED = "measured pixels"
"""Name of this method among the calibrations."""
LEAST_SHARE = 0.01
"""Share of measured pixels from which the depth is that of a sensor, not of single points."""
COVERAGE = 0.8
"""Share of filled pixels whose error is below the stated one."""

_MAX_SURFACE_STEP = 0.05
"""Largest difference of log depth between neighbours on one surface."""
_MIN_ALIKE_WIDE = 0.3
"""Share of the 7x7 neighbours that a pixel of a surface resembles."""
_MIN_ALIKE_NEAR, _MIN_ALIKE_WIDE_AT_EDGE = 3 / 8, 0.15
"""The same at an edge, where the 3x3 neighbours decide: shares of 3x3 and of 7x7."""
_MAX_OUTLIER_PASSES = 4
_ALL_MEASURED = 0.999
"""Share of the pixels around a resized one that are measured, if all are."""
_RELAXATIONS = 8
"""Averages over neighbours at each size of the membrane."""
_HOLE_SHIFTS = ((0.37, 0.29), (0.61, 0.71))
"""Shifts of the holes that are cut out of measured depth as a trial, of height and width."""
_MIN_TRIED_PIXELS = 200
_MIN_STATED_ERROR = 0.01
"""Least error that filled pixels are said to have."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Filled:
    """Measured depth [m] whose holes the network fills.

    Attributes:
        depth: Depth at the network's size.
        measured: Pixels of it that the sensor measured.
        points: Number of measured pixels of the sensor's map.
        outliers: Number of them that were left out.
        error: Relative error that ``COVERAGE`` of filled pixels stay below; None if it could not
            be found out.
    """

    depth: DepthMap
    measured: Mask
    points: int
    outliers: int
    error: float | None


def is_dense(measured: Field) -> bool:
    """Whether a map [m] has enough measured pixels to stay."""
    return bool(np.count_nonzero(measured > 0) > LEAST_SHARE * measured.size)


def fill_measured_depth(depth: DepthMap, measured: Field) -> Filled | None:
    """Fill the gaps (0) of measured depth [m] by the network's.

    Args:
        depth: The network's depth, up to scale.
        measured: Measured depth [m] of any size.

    Returns:
        Filled depth at the network's size; None if too little is left without outliers.
    """
    network_logs = _log_depth_at_size(depth, measured.shape)
    is_measured = (measured > 0) & np.isfinite(measured)
    measured_logs = np.log(np.where(is_measured, measured, 1.0))
    log_ratios = measured_logs - network_logs
    inliers = _inlier_mask(measured_logs, log_ratios, is_measured)
    if np.count_nonzero(inliers) <= LEAST_SHARE * inliers.size:
        return None

    trial = _try_continuations(network_logs, log_ratios, inliers)
    continued = _continue_ratios(network_logs, log_ratios, inliers)
    chosen_ratios = continued.flat if trial.is_flat_better else continued.median
    filled = depth.values * np.exp(_resize_bilinear(chosen_ratios, depth.shape))
    resized = resize_measured(np.where(inliers, measured, 0.0), depth.shape)
    values = np.where(resized.known, resized.values, filled).astype(np.float32)
    points = int(np.count_nonzero(is_measured))
    return Filled(
        depth=DepthMap(values=values, kind=DepthKind.METRIC, valid=depth.valid | resized.known),
        measured=resized.known,
        points=points,
        outliers=points - int(np.count_nonzero(inliers)),
        error=trial.error,
    )


def _log_depth_at_size(depth: DepthMap, shape: tuple[int, ...]) -> Float[np.ndarray, "h w"]:
    """Log depth of the covering pixels in a map of another size, continued over invalid ones."""
    rows, columns = (
        ((np.arange(new) + 0.5) * old / new).astype(int)
        for new, old in zip(shape, depth.shape, strict=True)
    )
    values = depth.values[rows[:, None], columns].astype(np.float64)
    valid = depth.valid[rows[:, None], columns]
    if not valid.any():
        raise CalibrationError("the model gives no depth where the sensor has")
    logs = np.log(np.where(valid, values, 1.0))
    return logs if valid.all() else membrane(logs, valid)


def _inlier_mask(
    logs: Float[np.ndarray, "h w"], log_ratios: Float[np.ndarray, "h w"], is_measured: Mask
) -> Mask:
    """Measured pixels that resemble enough of their neighbours, without outliers.

    Neighbours of a sparse map lie some pixels apart.
    """
    density = max(np.count_nonzero(is_measured), 1) / is_measured.size
    spacing = max(1, round(float(np.sqrt(1 / density))))
    inliers = is_measured
    for _ in range(_MAX_OUTLIER_PASSES):
        near, wide = (
            _share_of_alike_neighbours(logs, log_ratios, inliers, radius, spacing)
            for radius in (1, 3)
        )
        is_at_edge = (near >= _MIN_ALIKE_NEAR) & (wide >= _MIN_ALIKE_WIDE_AT_EDGE)
        remaining = inliers & ((wide >= _MIN_ALIKE_WIDE) | is_at_edge)
        if np.array_equal(remaining, inliers):
            break
        inliers = remaining
    return inliers


def _share_of_alike_neighbours(
    logs: Float[np.ndarray, "h w"],
    log_ratios: Float[np.ndarray, "h w"],
    mask: Mask,
    radius: int,
    spacing: int,
) -> Float[np.ndarray, "h w"]:
    """Share of each pixel's neighbours in the mask that are on its surface; 1 without neighbours.

    A neighbour is on it if its depth is alike, or its ratio to the network's depth.
    """
    alike_count = np.zeros(mask.shape, np.float32)
    neighbour_count = np.zeros(mask.shape, np.float32)
    for down in range(-radius, radius + 1):
        for across in range(-radius, radius + 1):
            if (down, across) == (0, 0):
                continue
            pixels, neighbours = _overlapping_slices(mask.shape, down * spacing, across * spacing)
            both = mask[pixels] & mask[neighbours]
            alike = np.abs(logs[pixels] - logs[neighbours]) < _MAX_SURFACE_STEP
            alike |= np.abs(log_ratios[pixels] - log_ratios[neighbours]) < _MAX_SURFACE_STEP
            neighbour_count[pixels] += both
            alike_count[pixels] += both & alike
    return np.where(neighbour_count > 0, alike_count / np.maximum(neighbour_count, 1), 1.0)


def _overlapping_slices(
    shape: tuple[int, ...], down: int, across: int
) -> tuple[tuple[slice, ...], tuple[slice, ...]]:
    """Slices of the pixels that have a neighbour so many rows and columns away, and of these."""
    offsets_and_sizes = list(zip((down, across), shape, strict=True))
    pixels = tuple(
        slice(max(0, -offset), max(0, size - max(0, offset))) for offset, size in offsets_and_sizes
    )
    neighbours = tuple(
        slice(max(0, offset), max(0, size - max(0, -offset))) for offset, size in offsets_and_sizes
    )
    return pixels, neighbours


@dataclass(frozen=True, slots=True, kw_only=True)
class _Continuations:
    """Log ratios of true depth to the network's, continued over gaps.

    Attributes:
        median: Median of three continuations: smooth, nearest ratio, and nearest depth.
        flat: The one by the nearest pixel's depth, for surfaces that face the camera.
    """

    median: Float[np.ndarray, "h w"]
    flat: Float[np.ndarray, "h w"]


def _continue_ratios(
    network_logs: Float[np.ndarray, "h w"], log_ratios: Float[np.ndarray, "h w"], mask: Mask
) -> _Continuations:
    smooth = membrane(log_ratios, mask)
    if mask.all():
        return _Continuations(median=smooth, flat=smooth)
    rows, columns = nearest_known_pixels(mask)
    nearest = log_ratios[rows, columns]
    # The depth of the nearest pixel, as a ratio to the network's depth at the pixel to be filled.
    flat = nearest + network_logs[rows, columns] - network_logs
    low, high = np.minimum(smooth, nearest), np.maximum(smooth, nearest)
    median = np.clip(flat, low, high)
    return _Continuations(
        median=np.where(mask, log_ratios, median), flat=np.where(mask, log_ratios, flat)
    )


def nearest_known_pixels(mask: Mask) -> tuple[Indices, Indices]:
    """Row and column of the nearest pixel of the mask, for each pixel.

    Jump flooding finds nearly always the nearest one (Rong and Tan, "Jump Flooding in GPU", I3D
    2006).
    """
    rows, columns = np.indices(mask.shape)
    unknown = -4 * max(mask.shape)
    best_rows, best_columns = np.where(mask, rows, unknown), np.where(mask, columns, unknown)
    gap_rows, gap_columns = np.nonzero(~mask)
    least_distance = np.full(gap_rows.size, np.inf)
    step = 1 << max(mask.shape).bit_length() - 1
    while step >= 1:
        found_rows = best_rows[gap_rows, gap_columns]
        found_columns = best_columns[gap_rows, gap_columns]
        for down in (-step, 0, step):
            for across in (-step, 0, step):
                neighbours = (
                    np.clip(gap_rows + down, 0, mask.shape[0] - 1),
                    np.clip(gap_columns + across, 0, mask.shape[1] - 1),
                )
                row, column = best_rows[neighbours], best_columns[neighbours]
                distance = np.square(row - gap_rows) + np.square(column - gap_columns)
                is_nearer = (distance < least_distance) & (row >= 0)
                least_distance = np.where(is_nearer, distance, least_distance)
                found_rows = np.where(is_nearer, row, found_rows)
                found_columns = np.where(is_nearer, column, found_columns)
        best_rows[gap_rows, gap_columns] = found_rows
        best_columns[gap_rows, gap_columns] = found_columns
        step //= 2
    return best_rows, best_columns


def membrane(values: Float[np.ndarray, "h w"], mask: Mask) -> Float[np.ndarray, "h w"]:
    """Continue the values of a mask smoothly over the other pixels.

    It solves Laplace's equation approximately, from coarse to fine.
    """
    if mask.all():
        return values
    if min(values.shape) <= 2:
        mean = float(values[mask].mean()) if mask.any() else 0.0
        return np.where(mask, values, mean)

    coarse = membrane(*_halve_by_means(values, mask))
    height, width = values.shape
    continued = _double_rows(_double_rows(coarse, height).T, width).T
    continued[mask] = values[mask]
    for _ in range(_RELAXATIONS):
        padded = np.pad(continued, 1, mode="edge")
        above, below = padded[:-2, 1:-1], padded[2:, 1:-1]
        left, right = padded[1:-1, :-2], padded[1:-1, 2:]
        continued = np.where(mask, values, (above + below + left + right) / 4)
    return continued


def _double_rows(values: Float[np.ndarray, "n m"], size: int) -> Float[np.ndarray, "k m"]:
    """Interpolate rows to twice their number, or one less; ``size`` is the new number."""
    position = np.clip((np.arange(size) + 0.5) / 2 - 0.5, 0, len(values) - 1)
    low = np.minimum(position.astype(int), max(len(values) - 2, 0))
    weight = (position - low)[:, None]
    return (1 - weight) * values[low] + weight * values[np.minimum(low + 1, len(values) - 1)]


def _halve_by_means(
    values: Float[np.ndarray, "h w"], mask: Mask
) -> tuple[Float[np.ndarray, "a b"], Mask]:
    """Mean of the mask's pixels in each block of 2x2, and whether there is one."""
    height, width = (side + side % 2 for side in values.shape)
    counts, sums = np.zeros((height, width)), np.zeros((height, width))
    counts[: values.shape[0], : values.shape[1]] = mask
    sums[: values.shape[0], : values.shape[1]] = np.where(mask, values, 0)
    blocks = (height // 2, 2, width // 2, 2)
    counts = counts.reshape(blocks).sum(axis=(1, 3))
    sums = sums.reshape(blocks).sum(axis=(1, 3))
    return sums / np.maximum(counts, 1), counts > 0


def _resize_bilinear(values: Float[np.ndarray, "h w"], shape: tuple[int, int]) -> Field:
    for axis, size in enumerate(shape):
        old = values.shape[axis]
        if old == size:
            continue
        position = np.clip((np.arange(size) + 0.5) * old / size - 0.5, 0, old - 1)
        low = np.minimum(position.astype(int), max(old - 2, 0))
        weight = (position - low).reshape((-1, 1) if axis == 0 else (1, -1))
        high = np.minimum(low + 1, old - 1)
        values = (1 - weight) * values.take(low, axis) + weight * values.take(high, axis)
    return values


@dataclass(frozen=True, slots=True, kw_only=True)
class Resized:
    """Measured map at another size; ``known`` is False in its gaps."""

    values: Float[np.ndarray, "h w"]
    known: Mask


def resize_measured(measured: Float[np.ndarray, "a b"], shape: tuple[int, int]) -> Resized:
    """Resize measured depth, without new depth between two surfaces.

    Within a surface the depth is interpolated. At its edges and beside gaps (0), it is that of the
    covering pixel.
    """
    if measured.shape == shape:
        return Resized(values=measured, known=measured > 0)
    rows, columns = (
        ((np.arange(new) + 0.5) * old / new).astype(int)
        for new, old in zip(shape, measured.shape, strict=True)
    )
    covering = measured[rows[:, None], columns]
    measured_share = _resize_bilinear((measured > 0).astype(np.float64), shape)
    interpolated = _resize_bilinear(measured.astype(np.float64), shape)
    is_on_surface = np.abs(interpolated - covering) < _MAX_SURFACE_STEP * covering
    is_inside = (measured_share > _ALL_MEASURED) & is_on_surface
    return Resized(values=np.where(is_inside, interpolated, covering), known=covering > 0)


@dataclass(frozen=True, slots=True, kw_only=True)
class _ContinuationTrial:
    """Which continuation is better on measured pixels that were hidden, and its relative error.

    ``error`` is None if too few pixels could be hidden.
    """

    is_flat_better: bool = False
    error: float | None = None


def _try_continuations(
    network_logs: Float[np.ndarray, "h w"], log_ratios: Float[np.ndarray, "h w"], mask: Mask
) -> _ContinuationTrial:
    """Hide measured pixels in holes of the same forms, and fill them."""
    errors_of_trials: list[Float[np.ndarray, "2 n"]] = []
    for hole in _shifted_holes(mask):
        hidden = mask & hole
        continued = _continue_ratios(network_logs, log_ratios, mask & ~hole)
        filled = np.stack([continued.median[hidden], continued.flat[hidden]])
        errors_of_trials.append(np.abs(filled - log_ratios[hidden]))
    errors = np.concatenate(errors_of_trials, axis=1) if errors_of_trials else np.zeros((2, 0))
    if errors.shape[1] < _MIN_TRIED_PIXELS:
        return _ContinuationTrial()

    median_error, flat_error = np.median(errors, axis=1)
    is_flat_better = bool(flat_error < median_error)
    error = float(np.expm1(np.quantile(errors[int(is_flat_better)], COVERAGE)))
    return _ContinuationTrial(is_flat_better=is_flat_better, error=max(error, _MIN_STATED_ERROR))


def _shifted_holes(mask: Mask) -> Iterator[Mask]:
    """Holes of the mask at other places, where enough of the mask remains."""
    holes = ~mask
    for down, across in _HOLE_SHIFTS:
        shift = (round(down * mask.shape[0]), round(across * mask.shape[1]))
        shifted = np.roll(holes, shift, axis=(0, 1))
        if np.count_nonzero(mask & ~shifted) > LEAST_SHARE * mask.size / 2:
            yield shifted
