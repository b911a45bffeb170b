"""Sums over the pixels of an image."""

import numpy as np
from jaxtyping import Float64


def dot(a: Float64[np.ndarray, "n"], b: Float64[np.ndarray, "n"]) -> np.float64:
    """Sum of products, on the thread that asks.

    BLAS would wake a thread per core for it: they win nothing on sums that wait for memory, and
    stand in the way of evaluations that run beside each other.
    """
    return np.einsum("n,n->", a, b)
