"""Functions compiled by numba."""

from collections.abc import Callable
from typing import Any


def compiled(function: Callable[..., Any], *, nogil: bool = False) -> Any:
    """Compile a function by numba, which caches it beside its file or in the user's cache.

    Args:
        function: Function of arrays and numbers.
        nogil: Whether it runs in several threads at the same time.
    """
    try:
        return _compile(function, cache=True, nogil=nogil)
    except RuntimeError:  # numba's "cannot cache function: no locator available"
        return _compile(function, cache=False, nogil=nogil)


def _compile(function: Callable[..., Any], *, cache: bool, nogil: bool) -> Any:
    import numba

    compile_function = numba.njit(cache=cache, nogil=nogil, fastmath=True, error_model="numpy")
    return compile_function(function)
