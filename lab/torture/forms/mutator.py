"""Type of mutators, and extreme values for them."""

from collections.abc import Callable
from random import Random

Mutator = Callable[[bytes, Random], bytes]

EXTREMES = (0, 1, 2, 0x7F, 0x80, 0xFF, 0x7FFF, 0x8000, 0xFFFF, 10**6, 2**31 - 1, 2**31)
EXTREMES += (2**32 - 1, 2**32, 2**62, 2**63 - 1, 2**63, 2**64 - 1)
"""Numbers at which counts and lengths go wrong."""
