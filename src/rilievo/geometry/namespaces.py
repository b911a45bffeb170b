"""Namespaces of array functions of NumPy and PyTorch."""

from typing import Any

import numpy as np

_IS_STANDARD = hasattr(np, "astype")
"""Whether NumPy has the array API, as since 2.1."""


def array_namespace(*arrays: object) -> Any:
    """NumPy itself, or a module of array-api-compat, imported on demand (0.1 s)."""
    if _IS_STANDARD and all(isinstance(array, np.ndarray | np.generic) for array in arrays):
        return np
    from array_api_compat import array_namespace as namespace

    return namespace(*arrays)
