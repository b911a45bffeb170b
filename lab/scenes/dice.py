"""The random number generator for building scenes."""

import math
import random
from collections.abc import Sequence
from typing import TypeVar

Item = TypeVar("Item")


class Dice(random.Random):
    """Python's random generator with further distributions for scenes.

    It is used instead of numpy's because a scene takes thousands of single numbers, which cost
    some microseconds each in numpy.
    """

    def chance(self, share: float) -> bool:
        """True with the probability ``share``, in [0, 1]."""
        return self.random() < share

    def log_uniform(self, low: float, high: float) -> float:
        """A positive number whose logarithm is uniform between those of ``low`` and ``high``."""
        return math.exp(self.uniform(math.log(low), math.log(high)))

    def count(self, low: int, high: int) -> int:
        """An integer from ``low`` to ``high``, both included."""
        return self.randint(low, high)

    def angle(self) -> float:
        """A direction in the plane [rad], from 0 to 2π."""
        return self.uniform(0.0, 2.0 * math.pi)

    def sign(self) -> int:
        """Minus one or plus one."""
        return 1 if self.random() < 0.5 else -1

    def vector(self, low: float, high: float) -> tuple[float, float, float]:
        """Three independent uniform numbers."""
        return self.uniform(low, high), self.uniform(low, high), self.uniform(low, high)

    def weighted(self, options: Sequence[Item], weights: Sequence[float]) -> Item:
        """One of the options, drawn by weight."""
        return self.choices(options, weights)[0]
