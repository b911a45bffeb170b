"""Memory that threads have freed."""

import ctypes
import sys
from contextlib import suppress

# https://man7.org/linux/man-pages/man3/mallopt.3.html
_ARENA_MAX = -8
_ARENAS = 2


def share_arenas() -> None:
    """Let threads share freed memory, before they start."""
    _call_glibc("mallopt", _ARENA_MAX, _ARENAS)


def give_back() -> None:
    """Hand freed memory back to the system."""
    _call_glibc("malloc_trim", 0)


def _call_glibc(name: str, *arguments: int) -> None:
    if sys.platform == "linux":
        # Libraries other than GNU's have no such functions, and other habits.
        with suppress(OSError, AttributeError):
            getattr(ctypes.CDLL(None), name)(*arguments)
