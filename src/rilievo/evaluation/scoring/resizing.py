"""Predictions of another size brought to the truth, which itself is never resized.

Whether a prediction is of the whole truth was settled before (``placing``).
"""

from dataclasses import dataclass

import numpy as np

from rilievo.arrays.shapes import (
    AnyPlane,
    Field,
    Float,
    Float32,
    Float64,
    Mask,
    Size,
    Values,
    Vectors,
)
from rilievo.errors import InputError
from rilievo.evaluation.benchmarks.benchmark import Interpolation, call_interpolation
from rilievo.evaluation.metrics.pairs import Indices
from rilievo.extensions.trust import is_import_path
from rilievo.records.depth_map import DepthKind, DepthMap

# As in PyTorch and OpenCV; nothing is filtered before it shrinks, as in all programs compared.
_CUBIC = -0.75


@dataclass(frozen=True, slots=True, kw_only=True)
class _Taps:
    # (1 - weight) * [low] + weight * [high], along one axis
    low: Indices
    high: Indices
    weight: Values


def resize_depth(predicted: DepthMap, shape: Size, interpolation: Interpolation | str) -> DepthMap:
    """A depth map at the truth's size, valid where all its sources are."""
    if predicted.shape == shape:
        return predicted
    values, kind = predicted.values, predicted.kind
    inverted = interpolation is Interpolation.BILINEAR_INVERSE and kind.is_depth
    if interpolation is Interpolation.BILINEAR_INVERSE and kind is DepthKind.AFFINE:
        raise InputError(
            "depth of kind 'affine' cannot be interpolated as inverse depth: its zero is not "
            f"known; give predictions of the truth's size, {shape[0]} x {shape[1]}"
        )
    invalid = ~predicted.valid
    if invalid.any():
        # Any finite number does: what it touches is not valid.
        values = np.where(invalid, np.float32(1), values)
    if inverted:
        resized = 1 / _resize_map(1 / values.astype(np.float64), shape, interpolation)
    else:
        resized = _resize_map(values, shape, interpolation)
    valid = np.ones(shape, bool)
    if invalid.any():
        valid = _resize_map(invalid.astype(np.float32), shape, interpolation) == 0
    return DepthMap(values=resized.astype(np.float32), kind=kind, valid=valid)


def resize_normals(
    predicted: Float32[np.ndarray, "3 a b"],
    shape: Size,
    interpolation: Interpolation | str,
) -> Vectors:
    """Normals at the truth's size, of unit length only if not resized."""
    size = (predicted.shape[1], predicted.shape[2])
    if size == shape:
        return predicted
    valid = nonzero_vector_mask(predicted)
    if not valid.all():
        predicted = np.where(valid, predicted, np.float32(0))
    channels = [_resize_map(channel, shape, interpolation) for channel in predicted]
    resized = np.stack(channels).astype(np.float32)
    if not valid.all():
        resized[:, _resize_map((~valid).astype(np.float32), shape, interpolation) != 0] = np.nan
    return resized


def resize_confidence(confidence: Float32[np.ndarray, "a b"], shape: Size) -> Field:
    """Confidence at the truth's size, always bilinear."""
    size = (confidence.shape[0], confidence.shape[1])
    if size == shape:
        return confidence
    return _resize_map(confidence, shape, Interpolation.BILINEAR).astype(np.float32)


def nonzero_vector_mask(normals: Vectors) -> Mask:
    """Mask of vectors that are finite and longer than zero."""
    with np.errstate(over="ignore", invalid="ignore"):
        squares = np.einsum("chw,chw->hw", normals, normals, dtype=np.float64)
    return np.isfinite(squares) & (squares > 0)


def _resize_map(
    values: Float[np.ndarray, "a b"], shape: Size, interpolation: Interpolation | str
) -> AnyPlane:
    if is_import_path(interpolation):
        return call_interpolation(interpolation, values, shape)
    interpolation = Interpolation(interpolation)
    if interpolation is Interpolation.BICUBIC_CORNERS:
        tall = _resize_rows_cubic(values.shape[0], shape[0], values.astype(np.float64))
        return _resize_rows_cubic(values.shape[1], shape[1], tall.T).T
    rows = _linear_taps(values.shape[0], shape[0], interpolation)
    columns = _linear_taps(values.shape[1], shape[1], interpolation)
    if interpolation is Interpolation.NEAREST:
        return values[rows.low[:, None], columns.low]
    tall = _blend_rows(values.astype(np.float64), rows)
    return _blend_rows(tall.T, columns).T


def _blend_rows(values: Float64[np.ndarray, "n m"], taps: _Taps) -> Float64[np.ndarray, "k m"]:
    """Rows between two old ones, by weight."""
    low, high = values[taps.low], values[taps.high]
    high -= low
    high *= taps.weight[:, None]
    return np.add(low, high, out=low)


# Keys 1981, corners on corners, ends repeated.
def _resize_rows_cubic(
    old: int, new: int, values: Float64[np.ndarray, "n m"]
) -> Float64[np.ndarray, "k m"]:
    place = _corner_positions(old, new)
    below = np.floor(place).astype(np.int64)
    resized = np.zeros((new, values.shape[1]))
    for step in (-1, 0, 1, 2):
        distance = np.abs(place - below - step)
        near = ((_CUBIC + 2) * distance - (_CUBIC + 3)) * distance * distance + 1
        far = _CUBIC * (((distance - 5) * distance + 8) * distance - 4)
        weight = np.where(distance <= 1, near, far)
        resized += weight[:, None] * values[np.clip(below + step, 0, old - 1)]
    return resized


def _corner_positions(old: int, new: int) -> Float64[np.ndarray, "k"]:
    """Positions of new pixels among old ones, corners aligned."""
    return np.arange(new) * ((old - 1) / (new - 1)) if new > 1 else np.zeros(1)


def _linear_taps(old: int, new: int, interpolation: Interpolation | str) -> _Taps:
    """Two old pixels of each new one, and their weight."""
    index = np.arange(new)
    if interpolation is Interpolation.NEAREST:
        nearest = np.minimum(((index + 0.5) * old / new).astype(np.int64), old - 1)
        return _Taps(low=nearest, high=nearest, weight=np.zeros(new))
    if interpolation is Interpolation.BILINEAR_CORNERS:
        place = _corner_positions(old, new)
    else:
        place = (index + 0.5) * old / new - 0.5
    place = np.clip(place, 0, old - 1)
    low = np.minimum(place.astype(np.int64), max(old - 2, 0))
    return _Taps(low=low, high=np.minimum(low + 1, old - 1), weight=place - low)
