"""Functions compiled by numba."""

from collections.abc import Callable
from typing import Any


def compiled(function: Callable[..., Any], *, nogil: bool = False) -> Any:
    """Compile a function by numba, cached beside its file or in the user's cache."""
    import numba

    def compile_it(*, cache: bool) -> Any:
        made = numba.njit(cache=cache, nogil=nogil, fastmath=True, error_model="numpy")
        return made(function)

    try:
        return compile_it(cache=True)
    except RuntimeError:  # numba's "cannot cache function: no locator available"
        return compile_it(cache=False)
