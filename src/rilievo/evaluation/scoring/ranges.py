"""Errors of depth by true depth, in ranges of half an octave."""

import numpy as np

from rilievo.evaluation.arrays import Indices, RangeSums
from rilievo.evaluation.records import RangeError
from rilievo.shapes import Values

PER_OCTAVE = 2
NEAREST = -8
"""Octaves: the first range begins at 2**(-8 / 2), 6 cm, and has everything nearer too."""
COUNT = 28
"""The last one begins at 724 m, and has everything farther too."""


def range_sums(true: Values, relative: Values) -> RangeSums:
    """Pixels, sum of |relative| and sum of relative in each range of true depth."""
    place = _place(true)
    return np.stack(
        [
            np.bincount(place, minlength=COUNT).astype(np.float64),
            np.bincount(place, np.abs(relative), COUNT),
            np.bincount(place, relative, COUNT),
        ]
    )


def range_errors(sums: RangeSums) -> tuple[RangeError, ...]:
    """Errors by range from the sums of all images, without ranges that have no pixels."""
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


def _place(true: Values) -> Indices:
    # Single precision is enough to tell ranges apart, and twice as fast.
    octaves = np.log2(true.astype(np.float32))
    octaves *= PER_OCTAVE
    octaves -= NEAREST
    return np.clip(octaves, 0, COUNT - 1, out=octaves).astype(np.int64)
