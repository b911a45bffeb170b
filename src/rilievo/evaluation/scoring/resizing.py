"""Resize predictions to the size of the truth, which itself is never resized.

A prediction that shows only a part of the picture was put into its place before (``placing``).
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
from rilievo.evaluation.benchmarks.benchmark import Interpolation
from rilievo.evaluation.benchmarks.user_rules import call_interpolation
from rilievo.evaluation.metrics.pairs import Indices
from rilievo.extensions.trust import is_import_path
from rilievo.records.depth_map import DepthKind, DepthMap

_CUBIC_PARAMETER = -0.75
"""Parameter a of cubic convolution (Keys 1981), as in PyTorch and OpenCV. Nothing is filtered
before it shrinks, as in all programs that we compared."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _LinearWeights:
    """The two old pixels that a new one lies between along an axis, and the weight of ``high``."""

    low: Indices
    high: Indices
    weight: Values


def resize_depth(predicted: DepthMap, shape: Size, interpolation: Interpolation | str) -> DepthMap:
    """Resize a depth map; a new pixel is valid where all old pixels that it touches are.

    Raises:
        InputError: If affine depth is to be interpolated as inverse depth.
    """
    if predicted.shape == shape:
        return predicted
    values, kind = predicted.values, predicted.kind
    interpolates_inverse = interpolation is Interpolation.BILINEAR_INVERSE
    if interpolates_inverse and kind is DepthKind.AFFINE:
        raise InputError(
            "depth of kind 'affine' cannot be interpolated as inverse depth: its zero is not "
            f"known; give predictions of the truth's size, {shape[0]} x {shape[1]}"
        )

    invalid = ~predicted.valid
    valid = np.ones(shape, bool)
    if invalid.any():
        # Any finite number will do, because what it touches is invalid.
        values = np.where(invalid, np.float32(1), values)
        valid = _resize_map(invalid.astype(np.float32), shape, interpolation) == 0
    if interpolates_inverse and kind.is_depth:
        resized = 1 / _resize_map(1 / values.astype(np.float64), shape, interpolation)
    else:
        resized = _resize_map(values, shape, interpolation)
    return DepthMap(values=resized.astype(np.float32), kind=kind, valid=valid)


def resize_normals(
    predicted: Float32[np.ndarray, "3 a b"],
    shape: Size,
    interpolation: Interpolation | str,
) -> Vectors:
    """Resize normals, which do not stay of unit length; NaN where an invalid one is touched."""
    size = (predicted.shape[1], predicted.shape[2])
    if size == shape:
        return predicted
    invalid = ~nonzero_vector_mask(predicted)
    if invalid.any():
        predicted = np.where(invalid, np.float32(0), predicted)
    channels = [_resize_map(channel, shape, interpolation) for channel in predicted]
    resized = np.stack(channels).astype(np.float32)
    if invalid.any():
        touches_invalid = _resize_map(invalid.astype(np.float32), shape, interpolation) != 0
        resized[:, touches_invalid] = np.nan
    return resized


def resize_confidence(confidence: Float32[np.ndarray, "a b"], shape: Size) -> Field:
    """Resize confidences, always bilinearly."""
    size = (confidence.shape[0], confidence.shape[1])
    if size == shape:
        return confidence
    return _resize_map(confidence, shape, Interpolation.BILINEAR).astype(np.float32)


def nonzero_vector_mask(normals: Vectors) -> Mask:
    """Mask of the pixels whose vector is finite and longer than zero."""
    with np.errstate(over="ignore", invalid="ignore"):
        squares = np.einsum("chw,chw->hw", normals, normals, dtype=np.float64)
    return np.isfinite(squares) & (squares > 0)


def _resize_map(
    values: Float[np.ndarray, "a b"], shape: Size, interpolation: Interpolation | str
) -> AnyPlane:
    """Resize a map first along its columns, then along its rows."""
    if is_import_path(interpolation):
        return call_interpolation(interpolation, values, shape)
    interpolation = Interpolation(interpolation)
    if interpolation is Interpolation.BICUBIC_CORNERS:
        tall = _resize_rows_cubic(values.astype(np.float64), shape[0])
        return _resize_rows_cubic(tall.T, shape[1]).T
    rows = _linear_weights(values.shape[0], shape[0], interpolation)
    columns = _linear_weights(values.shape[1], shape[1], interpolation)
    if interpolation is Interpolation.NEAREST:
        return values[rows.low[:, None], columns.low]
    tall = _blend_rows(values.astype(np.float64), rows)
    return _blend_rows(tall.T, columns).T


def _blend_rows(
    values: Float64[np.ndarray, "n m"], weights: _LinearWeights
) -> Float64[np.ndarray, "k m"]:
    """New rows, each between two old ones: low + weight * (high - low), without extra copies."""
    low, high = values[weights.low], values[weights.high]
    high -= low
    high *= weights.weight[:, None]
    return np.add(low, high, out=low)


def _resize_rows_cubic(
    values: Float64[np.ndarray, "n m"], new_size: int
) -> Float64[np.ndarray, "k m"]:
    """Resize along the rows by cubic convolution, corners on corners, with repeated end rows."""
    old_size = values.shape[0]
    position = _corner_positions(old_size, new_size)
    below = np.floor(position).astype(np.int64)
    resized = np.zeros((new_size, values.shape[1]))
    for step in (-1, 0, 1, 2):
        weight = _cubic_weight(np.abs(position - below - step))
        resized += weight[:, None] * values[np.clip(below + step, 0, old_size - 1)]
    return resized


def _cubic_weight(distance: Values) -> Values:
    """Weight of an old pixel at a distance of up to 2 pixels (Keys 1981)."""
    a = _CUBIC_PARAMETER
    near = ((a + 2) * distance - (a + 3)) * distance * distance + 1
    far = a * (((distance - 5) * distance + 8) * distance - 4)
    return np.where(distance <= 1, near, far)


def _corner_positions(old_size: int, new_size: int) -> Float64[np.ndarray, "k"]:
    """Positions of new pixels among old ones, with corners on corners."""
    if new_size == 1:
        return np.zeros(1)
    return np.arange(new_size) * ((old_size - 1) / (new_size - 1))


def _linear_weights(old_size: int, new_size: int, interpolation: Interpolation) -> _LinearWeights:
    """Neighbours and weights of new pixels along one axis."""
    index = np.arange(new_size)
    if interpolation is Interpolation.NEAREST:
        nearest = ((index + 0.5) * old_size / new_size).astype(np.int64)
        nearest = np.minimum(nearest, old_size - 1)
        return _LinearWeights(low=nearest, high=nearest, weight=np.zeros(new_size))
    if interpolation is Interpolation.BILINEAR_CORNERS:
        position = _corner_positions(old_size, new_size)
    else:
        position = (index + 0.5) * old_size / new_size - 0.5
    position = np.clip(position, 0, old_size - 1)
    low = np.minimum(position.astype(np.int64), max(old_size - 2, 0))
    high = np.minimum(low + 1, old_size - 1)
    return _LinearWeights(low=low, high=high, weight=position - low)
