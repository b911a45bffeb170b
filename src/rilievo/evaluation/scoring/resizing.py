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
class _AxisNeighbours:
    """Old pixels before and after each new one (equal for NEAREST), and the weight of ``after``."""

    before: Indices
    after: Indices
    weight: Values


def resize_depth(predicted: DepthMap, shape: Size, interpolation: Interpolation | str) -> DepthMap:
    """Resize a depth map; a new pixel is valid where all old pixels that it touches are."""
    if predicted.shape == shape:
        return predicted
    values, kind = predicted.values, predicted.kind
    interpolates_inverse = interpolation is Interpolation.BILINEAR_INVERSE
    if interpolates_inverse and kind is DepthKind.AFFINE:
        raise InputError(
            "depth of kind 'affine' cannot be interpolated as inverse depth, because its zero is "
            "unknown; give predictions at the size of the ground truth, "
            f"{shape[1]}x{shape[0]} pixels"
        )

    invalid = ~predicted.valid
    valid = np.ones(shape, bool)
    if invalid.any():
        # Any finite number will do, because what it touches is invalid.
        values = np.where(invalid, np.float32(1), values)
        invalid_weight = _resize_map(invalid.astype(np.float32), shape, interpolation)
        valid = invalid_weight == 0
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
    """Resize normals; those that were interpolated from an invalid normal become NaN.

    The resized normals are not of unit length.
    """
    old_shape = (predicted.shape[1], predicted.shape[2])
    if old_shape == shape:
        return predicted
    invalid = ~nonzero_vector_mask(predicted)
    if invalid.any():
        predicted = np.where(invalid, np.float32(0), predicted)
    components = [_resize_map(component, shape, interpolation) for component in predicted]
    resized = np.stack(components).astype(np.float32)
    if invalid.any():
        invalid_weight = _resize_map(invalid.astype(np.float32), shape, interpolation)
        resized[:, invalid_weight != 0] = np.nan
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
        squared_lengths = np.einsum("chw,chw->hw", normals, normals, dtype=np.float64)
    return np.isfinite(squared_lengths) & (squared_lengths > 0)


def _resize_map(
    values: Float[np.ndarray, "a b"], shape: Size, interpolation: Interpolation | str
) -> AnyPlane:
    """Resize a map by a built-in interpolation, or by the import path of a user's function.

    The result is float64, or of the type of ``values`` for nearest pixels.
    """
    if is_import_path(interpolation):
        return call_interpolation(interpolation, values, shape)
    interpolation = Interpolation(interpolation)
    height, width = shape
    if interpolation is Interpolation.BICUBIC_CORNERS:
        rows_resized = _resize_rows_cubic(values.astype(np.float64), height)
        return _resize_rows_cubic(rows_resized.T, width).T
    rows = _neighbours_along_axis(values.shape[0], height, interpolation)
    columns = _neighbours_along_axis(values.shape[1], width, interpolation)
    if interpolation is Interpolation.NEAREST:
        return values[rows.before[:, None], columns.before]
    rows_resized = _blend_rows(values.astype(np.float64), rows)
    return _blend_rows(rows_resized.T, columns).T


def _blend_rows(
    values: Float64[np.ndarray, "n m"], neighbours: _AxisNeighbours
) -> Float64[np.ndarray, "k m"]:
    """Interpolate new rows between old ones: before + weight * (after - before)."""
    before, after = values[neighbours.before], values[neighbours.after]
    # Both are copies, so they can be changed in place, which saves more copies of large maps.
    after -= before
    after *= neighbours.weight[:, None]
    return np.add(before, after, out=before)


def _resize_rows_cubic(
    values: Float64[np.ndarray, "n m"], new_size: int
) -> Float64[np.ndarray, "k m"]:
    """Resize along the rows by cubic convolution, with aligned corners and repeated end rows."""
    old_size = values.shape[0]
    position = _corner_positions(old_size, new_size)
    row_before = np.floor(position).astype(np.int64)
    resized = np.zeros((new_size, values.shape[1]))
    for step in (-1, 0, 1, 2):
        weight = _cubic_weight(np.abs(position - row_before - step))
        resized += weight[:, None] * values[np.clip(row_before + step, 0, old_size - 1)]
    return resized


def _cubic_weight(distance: Values) -> Values:
    """Weight of an old pixel at a distance of up to 2 pixels (Keys 1981).

    It is (a + 2) d³ - (a + 3) d² + 1 up to a distance of 1, and a (d³ - 5 d² + 8 d - 4) beyond.
    """
    a = _CUBIC_PARAMETER
    near = ((a + 2) * distance - (a + 3)) * distance * distance + 1
    far = a * (((distance - 5) * distance + 8) * distance - 4)
    return np.where(distance <= 1, near, far)


def _corner_positions(old_size: int, new_size: int) -> Float64[np.ndarray, "k"]:
    """Positions of new pixels among old ones, where the first and last pixels coincide."""
    if new_size == 1:
        return np.zeros(1)
    return np.arange(new_size) * ((old_size - 1) / (new_size - 1))


def _neighbours_along_axis(
    old_size: int, new_size: int, interpolation: Interpolation
) -> _AxisNeighbours:
    """Old neighbours of the new pixels along one axis, and their weights."""
    index = np.arange(new_size)
    if interpolation is Interpolation.NEAREST:
        nearest = ((index + 0.5) * old_size / new_size).astype(np.int64)
        nearest = np.minimum(nearest, old_size - 1)
        return _AxisNeighbours(before=nearest, after=nearest, weight=np.zeros(new_size))
    if interpolation is Interpolation.BILINEAR_CORNERS:
        position = _corner_positions(old_size, new_size)
    else:
        # Pixel centres lie at half pixels.
        position = (index + 0.5) * old_size / new_size - 0.5
    position = np.clip(position, 0, old_size - 1)
    before = np.minimum(position.astype(np.int64), max(old_size - 2, 0))
    after = np.minimum(before + 1, old_size - 1)
    return _AxisNeighbours(before=before, after=after, weight=position - before)
