"""Selection of the frames of a video that are nearest to evenly spaced times."""

import math
from collections.abc import Iterable, Iterator
from fractions import Fraction
from typing import TypeVar

Item = TypeVar("Item")


def nearest_in_time(
    timed: Iterable[tuple[int, Item]], spacing: Fraction, step: int
) -> Iterator[tuple[int, Item]]:
    """Yield the frames nearest to evenly spaced times, each once, with their own times.

    Args:
        timed: Time and content of every frame, in ascending order [ticks].
        spacing: Ticks between the evenly spaced times, which begin with the first frame.
        step: Ticks for which the last frame is shown.
    """
    goal, held = Fraction(0), None
    start = 0
    for ticks, item in timed:
        if held is None:
            start = ticks
        else:
            # The frame held is the nearest one up to halfway; of two as near, the earlier counts.
            halfway = Fraction(held[0] + ticks, 2) - start
            if goal <= halfway:
                yield held
                goal = (math.floor(halfway / spacing) + 1) * spacing
        held = ticks, item
    if held is not None and goal < held[0] - start + Fraction(step, 2):
        yield held
