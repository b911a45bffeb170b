"""Depth of views whose values are affine, before views are compared.

Values x of a view mean a x + b, which is depth z, or its inverse. The shift is taken so that the
ends of the view are twenty to one; what is wrong about that is, to first order, a power of depth,
which shows where views overlap (``scales``).
"""

from collections.abc import Sequence

import numpy as np
from jaxtyping import Float32

_SHIFT = 1 / 19
"""Shift, relative to the span of a view, at which its ends are twenty to one."""
_ENDS = (2.0, 98.0)
"""Percentiles taken for the ends of a view's values."""
_LEAST_SPAN = 0.3
"""Least span of a view's values, relative to that of the others: one may see a single wall."""
_FLOOR = 0.3
"""Least value after the shift, relative to the shift."""


def log_depths(
    views: Sequence[Float32[np.ndarray, "a b"]], *, inverse: bool
) -> list[Float32[np.ndarray, "a b"]]:
    """Logarithms of z of views, each up to a factor and all to one power.

    Args:
        views: Affine values of each view.
        inverse: Whether values are affine in inverse depth.
    """
    ends = np.array([np.percentile(view, _ENDS) for view in views])
    spans = ends[:, 1] - ends[:, 0]
    spans = np.maximum(spans, max(_LEAST_SPAN * float(np.median(spans)), 1e-9))
    found = []
    for view, low, span in zip(views, ends[:, 0], spans, strict=True):
        shifted = (view - np.float32(low)) / np.float32(span) + np.float32(_SHIFT)
        logs = np.log(np.maximum(shifted, np.float32(_FLOOR * _SHIFT)))
        found.append(-logs if inverse else logs)
    return found
