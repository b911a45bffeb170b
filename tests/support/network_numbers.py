"""Whether two computations of the same network agree, by all of its numbers and not by the worst.

Kernels of another processor, engine, precision or batch size sum in another order, so float32
numbers of a network differ in their last digits nearly everywhere. At a few pixels a network turns
such a difference into a large one: where it rounds a place, compares two numbers, or divides by
one near zero. How large the worst pixel becomes, and which one it is, is chance. A fault of the
code (channels in another order, another normalisation, a picture moved by half a pixel) changes
the median, or far more pixels than a few.
"""

from typing import Any

import numpy as np


def assert_networks_agree(
    actual: Any,
    expected: Any,
    *,
    median: float,
    tolerance: float,
    limit: float,
    share: float = 1e-3,
) -> None:
    """Fail where two arrays differ by more than kernels do.

    Differences are absolute: give logarithms to compare depth by ratio, or divide by the range.

    Parameters
    ----------
    actual, expected
        Finite numbers of one shape, of NumPy or of torch.
    median
        Largest median difference.
    tolerance
        Largest difference of all numbers but a few.
    limit
        Largest difference of any number. It is far above ``tolerance``, yet below what a wrong
        sign or another order would give.
    share
        Largest share of numbers that differ by more than ``tolerance``, 0 to 1.
    """
    actual, expected = _as_float64(actual), _as_float64(expected)
    assert actual.shape == expected.shape
    assert np.isfinite(actual).all()
    assert np.isfinite(expected).all()
    difference = np.abs(actual - expected)
    middle, largest = np.median(difference), difference.max()
    beyond = np.mean(difference > tolerance)
    found = (
        f"{difference.size:,} numbers differ by {middle:.2g} in the median (at most {median:g}), "
        f"{beyond:.3%} of them by more than {tolerance:g} (at most {share:.3%}), "
        f"and the largest difference is {largest:.2g} (at most {limit:g})"
    )
    assert middle <= median, found
    assert beyond <= share, found
    assert largest <= limit, found


def _as_float64(values: Any) -> np.ndarray:
    if hasattr(values, "detach"):
        values = values.detach().cpu().double()
    return np.asarray(values, np.float64)
