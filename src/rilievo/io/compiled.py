"""Functions compiled by numba, cached on disk where possible."""

from collections.abc import Callable
from typing import Any


def compiled(function: Callable[..., Any], *, nogil: bool = False) -> Any:
    """Compile a function and cache the result on disk, so that later processes start at once.

    The cache lies beside the function's file, or in the user's cache folder. Where neither is
    writable, every process compiles anew.

    Args:
        function: Function in the subset of Python that numba compiles.
        nogil: Whether to release Python's global lock, so that threads run it in parallel.
    """
    import numba

    def compile_it(*, cache: bool) -> Any:
        made = numba.njit(cache=cache, nogil=nogil, fastmath=True, error_model="numpy")
        return made(function)

    try:
        return compile_it(cache=True)
    except RuntimeError:  # numba's "cannot cache function: no locator available"
        return compile_it(cache=False)
