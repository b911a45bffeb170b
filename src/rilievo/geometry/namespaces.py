"""Namespaces of array functions, for geometry of NumPy's arrays and PyTorch's tensors alike."""

from typing import Any


def array_namespace(*arrays: object) -> Any:
    """Functions for the type of these arrays; array-api-compat is imported at the first call."""
    from array_api_compat import array_namespace as namespace

    return namespace(*arrays)
