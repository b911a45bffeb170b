"""Sums over the pixels of an image."""

import numpy as np
from jaxtyping import Float64


def dot(a: Float64[np.ndarray, "n"], b: Float64[np.ndarray, "n"]) -> np.float64:
    """Sum of products, computed on the calling thread.

    BLAS would start a thread per core, which does not speed up sums that wait for memory and slows
    evaluations that run in parallel.
    """
    return np.einsum("n,n->", a, b)
