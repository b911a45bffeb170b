"""Errors of depth by true depth, in ranges that are half an octave wide."""

import numpy as np

from rilievo.arrays.shapes import Values
from rilievo.evaluation.metrics.metric import RangeSums
from rilievo.evaluation.records import RangeError

RANGES_PER_OCTAVE = 2
FIRST_RANGE_START = -8
"""Half octaves from 1 m to the start of the first range, at 6 cm, which also has nearer pixels."""
RANGE_COUNT = 28
"""Number of ranges. The last begins at 724 m, and has all pixels beyond."""


def range_sums(true: Values, relative_errors: Values) -> RangeSums:
    """Count the pixels of an image, and sum their absolute and signed relative errors, by range."""
    # Single precision is enough to tell ranges apart, and twice as fast.
    index = np.log2(true.astype(np.float32))
    index *= RANGES_PER_OCTAVE
    index -= FIRST_RANGE_START
    index = np.clip(index, 0, RANGE_COUNT - 1, out=index).astype(np.int64)
    return np.stack(
        [
            np.bincount(index, minlength=RANGE_COUNT).astype(np.float64),
            np.bincount(index, np.abs(relative_errors), RANGE_COUNT),
            np.bincount(index, relative_errors, RANGE_COUNT),
        ]
    )


def range_errors(sums: RangeSums) -> tuple[RangeError, ...]:
    """Mean errors by ranges of true depth, from sums over images; empty ranges are left out."""
    half_octaves = FIRST_RANGE_START + np.arange(RANGE_COUNT + 1)
    edges = 2.0 ** (half_octaves / RANGES_PER_OCTAVE)
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
