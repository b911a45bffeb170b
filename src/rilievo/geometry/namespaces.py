"""Namespaces of array functions, for geometry of NumPy's arrays and PyTorch's tensors alike."""

from typing import Any

import numpy as np

_IS_STANDARD = hasattr(np, "astype")
"""Whether NumPy itself has all functions of the array API, as it does since 2.1."""


def array_namespace(*arrays: object) -> Any:
    """Functions for the type of these arrays: NumPy itself, or a module of array-api-compat.

    array-api-compat is imported at the first call that needs it: its module of NumPy takes a tenth
    of a second.
    """
    if _IS_STANDARD and all(isinstance(array, np.ndarray | np.generic) for array in arrays):
        return np
    from array_api_compat import array_namespace as namespace

    return namespace(*arrays)
