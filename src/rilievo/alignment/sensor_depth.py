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
LEAST_SHARE = 0.01
"""Share of pixels from which depth is a sensor's."""
COVERAGE = 0.8
"""Share of filled pixels below the stated error."""
# Difference of log depth of one surface's neighbours.
_ALIKE = 0.05
# Share of neighbours in 7x7 that a surface's pixel is like.
_LEAST_WIDE = 0.3
_LEAST_NEAR, _LEAST_AROUND = 3 / 8, 0.15
# Share of a pixel's sources that are measured.
_WHOLE = 0.999
_PASSES = 4
_RELAXATIONS = 8
# Shifts of holes, as shares of height and width.
_HOLE_SHIFTS = ((0.37, 0.29), (0.61, 0.71))
_LEAST_HELD = 200
# Least error that filled pixels are said to have.
_LEAST_ERROR = 0.01


@dataclass(frozen=True, slots=True, kw_only=True)
class Filled:
    """Measured depth [m] whose holes the network fills.

    Attributes:
        points: Measured pixels of the map.
        outliers: Number left out.
        error: Relative error that ``COVERAGE`` of filled pixels stay below.
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
    """Fill gaps (0) by the network's; None if outliers leave too little."""
    network = _log_depth_at_size(depth, measured.shape)
    mask = (measured > 0) & np.isfinite(measured)
    points = int(np.count_nonzero(mask))
    logs = np.log(np.where(mask, measured, 1.0))
    ratios = logs - network
    inliers = _inlier_mask(logs, ratios, mask)
    if np.count_nonzero(inliers) <= LEAST_SHARE * inliers.size:
        return None
    judged = _test_continuations(network, ratios, inliers)
    field = _continue_ratios(network, ratios, inliers).flat_or_middle(flat=judged.flat)
    values = depth.values * np.exp(_resize_bilinear(field, depth.shape))
    whole = resize_measured(np.where(inliers, measured, 0.0), depth.shape)
    at = whole.known
    values = np.where(at, whole.values, values).astype(np.float32)
    metric = DepthMap(values=values, kind=DepthKind.METRIC, valid=depth.valid | at)
    outliers = points - int(np.count_nonzero(inliers))
    return Filled(depth=metric, measured=at, points=points, outliers=outliers, error=judged.error)


def _log_depth_at_size(depth: DepthMap, shape: tuple[int, ...]) -> Float[np.ndarray, "h w"]:
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
    logs: Float[np.ndarray, "h w"], ratios: Float[np.ndarray, "h w"], mask: Mask
) -> Mask:
    step = max(1, round(float(np.sqrt(mask.size / max(np.count_nonzero(mask), 1)))))
    inliers = mask
    for _ in range(_PASSES):
        near, wide = (
            _share_of_alike_neighbours(logs, ratios, inliers, reach, step) for reach in (1, 3)
        )
        now = inliers & ((wide >= _LEAST_WIDE) | ((near >= _LEAST_NEAR) & (wide >= _LEAST_AROUND)))
        if np.array_equal(now, inliers):
            break
        inliers = now
    return inliers


def _share_of_alike_neighbours(
    logs: Float[np.ndarray, "h w"],
    ratios: Float[np.ndarray, "h w"],
    mask: Mask,
    reach: int,
    step: int,
) -> Float[np.ndarray, "h w"]:
    like = np.zeros(mask.shape, np.float32)
    there = np.zeros(mask.shape, np.float32)
    for down in range(-reach, reach + 1):
        for across in range(-reach, reach + 1):
            if (down, across) == (0, 0):
                continue
            here, other = _overlapping_slices(mask.shape, down * step, across * step)
            both = mask[here] & mask[other]
            alike = np.abs(logs[here] - logs[other]) < _ALIKE
            alike |= np.abs(ratios[here] - ratios[other]) < _ALIKE
            there[here] += both
            like[here] += both & alike
    return np.where(there > 0, like / np.maximum(there, 1), 1.0)


def _overlapping_slices(
    shape: tuple[int, ...], down: int, across: int
) -> tuple[tuple[slice, ...], tuple[slice, ...]]:
    here = tuple(
        slice(max(0, -move), max(0, size - max(0, move)))
        for move, size in zip((down, across), shape, strict=True)
    )
    other = tuple(
        slice(max(0, move), max(0, size - max(0, -move)))
        for move, size in zip((down, across), shape, strict=True)
    )
    return here, other


@dataclass(frozen=True, slots=True, kw_only=True)
class _Continuations:
    middle: Float[np.ndarray, "h w"]
    flat: Float[np.ndarray, "h w"]

    def flat_or_middle(self, *, flat: bool) -> Float[np.ndarray, "h w"]:
        return self.flat if flat else self.middle


def _continue_ratios(
    network: Float[np.ndarray, "h w"], ratios: Float[np.ndarray, "h w"], mask: Mask
) -> _Continuations:
    smooth = membrane(ratios, mask)
    if mask.all():
        return _Continuations(middle=smooth, flat=smooth)
    rows, columns = nearest_known_pixels(mask)
    nearest = ratios[rows, columns]
    # The nearest pixel's own depth, as a ratio to the network's here.
    flat = nearest + network[rows, columns] - network
    middle = np.maximum(np.minimum(smooth, nearest), np.minimum(np.maximum(smooth, nearest), flat))
    return _Continuations(middle=np.where(mask, ratios, middle), flat=np.where(mask, ratios, flat))


def nearest_known_pixels(mask: Mask) -> tuple[Indices, Indices]:
    """Row and column of the nearest known pixel, nearly.

    Jump flooding: Rong and Tan, "Jump Flooding in GPU", I3D 2006.
    """
    rows, columns = np.indices(mask.shape)
    far = 4 * max(mask.shape)
    best_rows, best_columns = np.where(mask, rows, -far), np.where(mask, columns, -far)
    empty_rows, empty_columns = np.nonzero(~mask)
    distance = np.full(empty_rows.size, np.inf)
    step = 1 << max(mask.shape).bit_length() - 1
    while step >= 1:
        found_rows = best_rows[empty_rows, empty_columns]
        found_columns = best_columns[empty_rows, empty_columns]
        for down in (-step, 0, step):
            for across in (-step, 0, step):
                at = (
                    np.clip(empty_rows + down, 0, mask.shape[0] - 1),
                    np.clip(empty_columns + across, 0, mask.shape[1] - 1),
                )
                row, column = best_rows[at], best_columns[at]
                away = np.square(row - empty_rows) + np.square(column - empty_columns)
                nearer = (away < distance) & (row >= 0)
                distance = np.where(nearer, away, distance)
                found_rows = np.where(nearer, row, found_rows)
                found_columns = np.where(nearer, column, found_columns)
        best_rows[empty_rows, empty_columns] = found_rows
        best_columns[empty_rows, empty_columns] = found_columns
        step //= 2
    return best_rows, best_columns


def membrane(values: Float[np.ndarray, "h w"], mask: Mask) -> Float[np.ndarray, "h w"]:
    """Continue values smoothly over unknown pixels, by Laplace's equation from coarse to fine."""
    if mask.all():
        return values
    if min(values.shape) <= 2:
        mean = float(values[mask].mean()) if mask.any() else 0.0
        return np.where(mask, values, mean)
    coarse = membrane(*_halve_by_means(values, mask))
    height, width = values.shape
    whole = _double_rows(_double_rows(coarse, height).T, width).T
    whole[mask] = values[mask]
    for _ in range(_RELAXATIONS):
        around = np.pad(whole, 1, mode="edge")
        mean = (around[:-2, 1:-1] + around[2:, 1:-1] + around[1:-1, :-2] + around[1:-1, 2:]) / 4
        whole = np.where(mask, values, mean)
    return whole


def _double_rows(values: Float[np.ndarray, "n m"], size: int) -> Float[np.ndarray, "k m"]:
    place = np.clip((np.arange(size) + 0.5) / 2 - 0.5, 0, len(values) - 1)
    low = np.minimum(place.astype(int), max(len(values) - 2, 0))
    weight = (place - low)[:, None]
    return (1 - weight) * values[low] + weight * values[np.minimum(low + 1, len(values) - 1)]


def _halve_by_means(
    values: Float[np.ndarray, "h w"], mask: Mask
) -> tuple[Float[np.ndarray, "a b"], Mask]:
    height, width = (side + side % 2 for side in values.shape)
    weights = np.zeros((height, width))
    weights[: values.shape[0], : values.shape[1]] = mask
    sums = np.zeros((height, width))
    sums[: values.shape[0], : values.shape[1]] = np.where(mask, values, 0)
    blocks = (height // 2, 2, width // 2, 2)
    weights, sums = (part.reshape(blocks).sum(axis=(1, 3)) for part in (weights, sums))
    return sums / np.maximum(weights, 1), weights > 0


def _resize_bilinear(values: Float[np.ndarray, "h w"], shape: tuple[int, int]) -> Field:
    for axis, size in enumerate(shape):
        old = values.shape[axis]
        if old == size:
            continue
        place = np.clip((np.arange(size) + 0.5) * old / size - 0.5, 0, old - 1)
        low = np.minimum(place.astype(int), max(old - 2, 0))
        weight = (place - low).reshape((-1, 1) if axis == 0 else (1, -1))
        high = np.minimum(low + 1, old - 1)
        values = (1 - weight) * values.take(low, axis) + weight * values.take(high, axis)
    return values


@dataclass(frozen=True, slots=True, kw_only=True)
class Resized:
    """Measured map at another size."""

    values: Float[np.ndarray, "h w"]
    known: Mask


def resize_measured(measured: Float[np.ndarray, "a b"], shape: tuple[int, int]) -> Resized:
    """Resize measured depth: the covering pixel's, or interpolated in a surface."""
    if measured.shape == shape:
        return Resized(values=measured, known=measured > 0)
    rows, columns = (
        ((np.arange(new) + 0.5) * old / new).astype(int)
        for new, old in zip(shape, measured.shape, strict=True)
    )
    nearest = measured[rows[:, None], columns]
    share = _resize_bilinear((measured > 0).astype(np.float64), shape)
    smooth = _resize_bilinear(measured.astype(np.float64), shape)
    close = (share > _WHOLE) & (np.abs(smooth - nearest) < _ALIKE * nearest)
    return Resized(values=np.where(close, smooth, nearest), known=nearest > 0)


@dataclass(frozen=True, slots=True, kw_only=True)
class _ContinuationTrial:
    flat: bool = False
    error: float | None = None


def _test_continuations(
    network: Float[np.ndarray, "h w"], ratios: Float[np.ndarray, "h w"], mask: Mask
) -> _ContinuationTrial:
    misses: list[Float[np.ndarray, "2 n"]] = []
    for hidden in _shifted_holes(mask):
        test = mask & hidden
        both = _continue_ratios(network, ratios, mask & ~hidden)
        misses.append(np.abs(np.stack([both.middle[test], both.flat[test]]) - ratios[test]))
    every = np.concatenate(misses, axis=1) if misses else np.zeros((2, 0))
    if every.shape[1] < _LEAST_HELD:
        return _ContinuationTrial()
    middle, flat = np.median(every, axis=1)
    is_flat = bool(flat < middle)
    error = float(np.expm1(np.quantile(every[int(is_flat)], COVERAGE)))
    return _ContinuationTrial(flat=is_flat, error=max(error, _LEAST_ERROR))


def _shifted_holes(mask: Mask) -> Iterator[Mask]:
    holes = ~mask
    for down, across in _HOLE_SHIFTS:
        shift = (round(down * mask.shape[0]), round(across * mask.shape[1]))
        moved = np.roll(holes, shift, axis=(0, 1))
        if np.count_nonzero(mask & ~moved) > LEAST_SHARE * mask.size / 2:
            yield moved
