"""Notice depth that is turned or mirrored against other depth of the same picture.

Programs write rows from below (PFM, OpenGL), exchange rows and columns (MATLAB), or mirror the
picture of a camera. Such a map is in order with the other one only after it was turned back.
"""

from collections.abc import Callable, Mapping

import numpy as np

from rilievo.alignment.anchor import rank_correlation
from rilievo.arrays.shapes import Field, Mask

_GRID_SIDE = 48
"""Rows and columns of the grid of pixels at which maps are compared."""
_MIN_PIXELS = 200
"""Least number of these pixels at which both maps have depth."""
_MIN_CORRELATION = 0.6
"""Least rank correlation of a map that was turned back."""
_MIN_LEAD = 0.25
"""What that has more than the rank correlation of the map as it is.

Of 28 maps of six sensors beside a network's depth none is taken for turned, and of their turned
copies 22 are (upside down, and by 180 degrees) and 16 (mirrored); rooms are alike on both sides.
"""

EXCHANGED = "with rows and columns exchanged"
"""Turn of square maps alone."""
_Grid = np.ndarray
TURNS: Mapping[str, Callable[[_Grid], _Grid]] = {
    "upside down": lambda grid: grid[::-1],
    "mirrored": lambda grid: grid[:, ::-1],
    "turned by 180 degrees": lambda grid: grid[::-1, ::-1],
    EXCHANGED: lambda grid: grid.T,
}
"""How a map may be turned, and the function that turns it back."""


def how_turned(
    depth: Field, valid: Mask, reference: Field, reference_valid: Mask, *, is_inverse: bool = False
) -> str | None:
    """How a depth map is turned, a key of ``TURNS``; None if it is in order, or in no order at all.

    Args:
        depth: Depth that may be turned.
        valid: Pixels where it is known.
        reference: Depth of the same picture and the same size.
        reference_valid: Pixels where that is known.
        is_inverse: Whether one of the two is inverse depth.
    """
    if min(*depth.shape, *reference.shape) < _GRID_SIDE:
        return None
    values, is_known = _sample(depth), _sample(valid)
    reference_values, reference_known = _sample(reference), _sample(reference_valid)
    sign = -1 if is_inverse else 1

    def correlation(turn: Callable[[_Grid], _Grid]) -> float:
        both = turn(is_known) & reference_known
        if both.sum() < _MIN_PIXELS:
            return np.nan
        return sign * rank_correlation(turn(values)[both], reference_values[both])

    as_it_is = correlation(lambda grid: grid)
    # Nothing follows from a correlation that is not known.
    if not as_it_is < 1 - _MIN_LEAD:
        return None
    is_square = depth.shape[0] == depth.shape[1]
    correlations = {
        words: correlation(turn) for words, turn in TURNS.items() if is_square or words != EXCHANGED
    }
    best = max(correlations, key=lambda words: np.nan_to_num(correlations[words], nan=-1))
    is_better = correlations[best] > max(_MIN_CORRELATION, as_it_is + _MIN_LEAD)
    return best if is_better else None


def _sample(field: np.ndarray) -> _Grid:
    """Pixels of a grid that is symmetric about the middle of the map."""
    rows, columns = (
        ((2 * np.arange(_GRID_SIDE) + 1) * size) // (2 * _GRID_SIDE) for size in field.shape
    )
    return field[np.ix_(rows, columns)]
