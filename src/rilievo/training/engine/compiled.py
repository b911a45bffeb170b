"""Functions compiled by numba."""

from collections.abc import Callable
from typing import Any


def compiled(function: Callable[..., Any], *, nogil: bool = False) -> Any:
    """Compile a function with numba; ``nogil`` lets several threads run it at the same time.

    The result is cached beside the function's file or in the user's cache.
    """
    try:
        return _compile(function, cache=True, nogil=nogil)
    except RuntimeError:  # numba's "cannot cache function: no locator available"
        return _compile(function, cache=False, nogil=nogil)


def _compile(function: Callable[..., Any], *, cache: bool, nogil: bool) -> Any:
    import numba

    compile_function = numba.njit(cache=cache, nogil=nogil, fastmath=True, error_model="numpy")
    return compile_function(function)
