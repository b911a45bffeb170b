"""Errors of depth by true depth, in ranges of half an octave."""

import numpy as np

from rilievo.arrays.shapes import Values
from rilievo.evaluation.metrics.metric import RangeSums
from rilievo.evaluation.metrics.pairs import Indices
from rilievo.evaluation.records import RangeError

PER_OCTAVE = 2

# Half octaves from 6 cm to 724 m; the first and the last have all that is nearer or farther, too.
NEAREST = -8
COUNT = 28


def range_sums(true: Values, relative: Values) -> RangeSums:
    """Pixels, sum of |relative| and sum of relative by range of true depth."""
    place = _half_octave_indices(true)
    return np.stack(
        [
            np.bincount(place, minlength=COUNT).astype(np.float64),
            np.bincount(place, np.abs(relative), COUNT),
            np.bincount(place, relative, COUNT),
        ]
    )


def range_errors(sums: RangeSums) -> tuple[RangeError, ...]:
    """Errors by range of true depth, from their sums."""
    edges = 2.0 ** ((NEAREST + np.arange(COUNT + 1)) / PER_OCTAVE)
    return tuple(
        RangeError(
            near=float(edges[index]),
            far=float(edges[index + 1]),
            pixels=int(pixels),
            abs_rel=float(size / pixels),
            bias=float(signed / pixels),
        )
        for index, (pixels, size, signed) in enumerate(sums.T)
        if pixels
    )


def _half_octave_indices(true: Values) -> Indices:
    # Single precision is enough to tell ranges apart, and twice as fast.
    octaves = np.log2(true.astype(np.float32))
    octaves *= PER_OCTAVE
    octaves -= NEAREST
    return np.clip(octaves, 0, COUNT - 1, out=octaves).astype(np.int64)
