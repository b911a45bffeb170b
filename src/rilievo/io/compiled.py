"""Functions compiled by numba, kept on disk where that is possible."""

from collections.abc import Callable
from typing import Any


def compiled(function: Callable[..., Any], *, nogil: bool = False) -> Any:
    """Compile a function, keeping the result on disk so that other processes start at once.

    The result lies beside the function's file, or in the user's cache. Where neither can be
    written, every process compiles anew.

    Args:
        function: In the part of Python that numba knows.
        nogil: Whether threads run it side by side, without Python's lock.
    """
    import numba

    def compile_it(*, cache: bool) -> Any:
        made = numba.njit(cache=cache, nogil=nogil, fastmath=True, error_model="numpy")
        return made(function)

    try:
        return compile_it(cache=True)
    except RuntimeError:  # numba's "cannot cache function: no locator available"
        return compile_it(cache=False)
