"""Errors of depth by true depth, in ranges that are half an octave wide."""

import numpy as np

from rilievo.arrays.shapes import Values
from rilievo.evaluation.metrics.metric import RangeSums
from rilievo.evaluation.metrics.pairs import Indices
from rilievo.evaluation.records import RangeError

RANGES_PER_OCTAVE = 2
NEAREST_RANGE = -8
"""Half octaves from 1 m to the beginning of the first range, at 6 cm. It also has nearer pixels."""
RANGE_COUNT = 28
"""Number of ranges. The last begins at 724 m, and has all pixels beyond."""


def range_sums(true: Values, relative_errors: Values) -> RangeSums:
    """Sum the pixels, absolute and signed relative errors of an image by ranges of true depth."""
    index = _range_indices(true)
    return np.stack(
        [
            np.bincount(index, minlength=RANGE_COUNT).astype(np.float64),
            np.bincount(index, np.abs(relative_errors), RANGE_COUNT),
            np.bincount(index, relative_errors, RANGE_COUNT),
        ]
    )


def range_errors(sums: RangeSums) -> tuple[RangeError, ...]:
    """Mean errors by ranges of true depth, from sums over images; empty ranges are left out."""
    edges = 2.0 ** ((NEAREST_RANGE + np.arange(RANGE_COUNT + 1)) / RANGES_PER_OCTAVE)
    return tuple(
        RangeError(
            near=float(edges[index]),
            far=float(edges[index + 1]),
            pixels=int(pixels),
            abs_rel=float(absolute_sum / pixels),
            bias=float(signed_sum / pixels),
        )
        for index, (pixels, absolute_sum, signed_sum) in enumerate(sums.T)
        if pixels
    )


def _range_indices(true: Values) -> Indices:
    # Single precision is enough to tell ranges apart, and twice as fast.
    half_octaves = np.log2(true.astype(np.float32))
    half_octaves *= RANGES_PER_OCTAVE
    half_octaves -= NEAREST_RANGE
    return np.clip(half_octaves, 0, RANGE_COUNT - 1, out=half_octaves).astype(np.int64)
