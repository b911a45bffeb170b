"""Affine depth of views: scale and shift of each, from overlaps.

They are solved in log distance, by least absolute differences; one factor stays free.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from rilievo.geometry.sphere.scales import Layers, ScalePlaces
from rilievo.shapes import Float32, Float64, Values

_SHIFT = 1 / 19
"""Shift, relative to a view's span, where its ends are twenty to one."""
_LEAST_SHIFT, _MOST_SHIFT = 1e-3, 20.0
_HELD = 1e-4
"""Weight that holds log shifts to the start."""
_BRIDGE = 1e-6
"""Weight that holds factors to 1; one factor is free."""
_ENDS = (2.0, 98.0)
"""Percentiles of a view's ends."""
_LEAST_SPAN = 0.3
"""Least span of a view, relative to the others."""
_FLOOR = 0.3
"""Least shifted value, relative to the shift."""
_STRIDES = (4, 2)
"""Strides of the overlaps, coarse to fine."""
_ROUNDS = 40
_FARTHEST_STEP = 0.7
"""Largest change of a log shift in a round."""
_LEAST = 1e-3
"""Least residual, in logarithms."""


def spanned(views: Sequence[Float32[np.ndarray, "a b"]]) -> list[Float32[np.ndarray, "a b"]]:
    """Affine values from 0 to 1 between each view's ends."""
    ends = np.array([np.percentile(view, _ENDS) for view in views])
    spans = ends[:, 1] - ends[:, 0]
    spans = np.maximum(spans, max(_LEAST_SPAN * float(np.median(spans)), 1e-9))
    return [
        (view - np.float32(low)) / np.float32(span)
        for view, low, span in zip(views, ends[:, 0], spans, strict=True)
    ]


def log_depth(
    values: Float32[np.ndarray, "*n"], shift: float, *, inverse: bool
) -> Float32[np.ndarray, "*n"]:
    """Log z of spanned values, up to a factor."""
    logs = np.log(np.maximum(values + np.float32(shift), np.float32(_FLOOR * shift)))
    return -logs if inverse else logs


@dataclass(frozen=True, slots=True)
class _Pair:
    first: int
    second: int
    values: tuple[Values, Values]
    lengths: Values
    weights: Values


def shifts_of(layers: Layers, places: ScalePlaces, *, inverse: bool) -> Float64[np.ndarray, "k"]:
    """Shifts of views, solved with their factors; ``layers`` have log ray lengths added."""
    count = len(layers.values)
    # Factors, then logarithms of shifts, relative to where one begins.
    numbers = np.zeros(2 * count)
    for stride in _STRIDES:
        pairs = _pairs(layers, places, stride)
        for _ in range(_ROUNDS if pairs else 0):
            change = _change(pairs, numbers, -1.0 if inverse else 1.0)
            change *= min(1.0, _FARTHEST_STEP / max(float(np.abs(change[count:]).max()), 1e-9))
            numbers += change
            limits = np.log(np.array([_LEAST_SHIFT, _MOST_SHIFT]) / _SHIFT)
            numbers[count:] = numbers[count:].clip(*limits)
            if np.abs(change).max() < 1e-4:
                break
    return np.asarray(_SHIFT * np.exp(numbers[count:]))


def _pairs(layers: Layers, places: ScalePlaces, stride: int) -> list[_Pair]:
    some = (..., slice(None, None, stride), slice(None, None, stride))
    lengths = places.lengths[some].astype(np.float64)
    values = layers.values[some] - lengths
    pairs = []
    for overlap in layers.overlaps(stride):
        first, second, shared = overlap.first, overlap.second, overlap.shared
        of_both = values[first][shared], values[second][shared]
        farther = (lengths[second] - lengths[first])[shared]
        pairs.append(_Pair(first, second, of_both, farther, overlap.weights))
    return pairs


def _change(
    pairs: list[_Pair], numbers: Float64[np.ndarray, "k2"], sign: float
) -> Float64[np.ndarray, "k2"]:
    count = len(numbers) // 2
    factors, shifts = numbers[:count], _SHIFT * np.exp(numbers[count:])
    matrix, right = np.zeros((2 * count, 2 * count)), np.zeros(2 * count)
    for pair in pairs:
        logs, slopes = zip(
            *(
                _shifted(values, float(shifts[view]))
                for values, view in zip(pair.values, (pair.first, pair.second), strict=True)
            ),
            strict=True,
        )
        residuals = factors[pair.second] - factors[pair.first] + pair.lengths
        residuals += sign * (logs[1] - logs[0])
        one = np.ones_like(residuals)
        features = np.stack([one, sign * slopes[1], -one, -sign * slopes[0]])
        weighted = features * (pair.weights / np.maximum(np.abs(residuals), _LEAST))
        at = [pair.second, count + pair.second, pair.first, count + pair.first]
        matrix[np.ix_(at, at)] += weighted @ features.T
        right[at] -= weighted @ residuals
    means = np.diagonal(matrix).reshape(2, count).mean(axis=1)
    held = np.maximum(np.repeat(means * (_BRIDGE, _HELD), count), 1e-12)
    return np.linalg.solve(matrix + np.diag(held), right - held * numbers)


def _shifted(values: Values, shift: float) -> tuple[Values, Values]:
    least = _FLOOR * shift
    above = np.maximum(values + shift, least)
    return np.log(above), np.where(values + shift > least, shift / above, 1.0)
