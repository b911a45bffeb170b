"""Cost of whole answers: CPU time of two networks in turns, and bytes of their files."""

import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
from judge_changes import interval
from panel_rule import DRAWS, Change

import rilievo
from rilievo.io.photographs.photo import read_photo
from rilievo.models.base import Model

_FIRST = 2
"""Answers that are not counted, in which caches fill."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Cost:
    """Cost of a network beside another's.

    Attributes:
        old_ms: Median CPU time of an answer of the first network [ms].
        new_ms: Time of the second one [ms].
        ratio: Median over pairs of the second over the first, with its interval.
        old_bytes: Size of the first file.
        new_bytes: Size of the second file.
    """

    old_ms: float
    new_ms: float
    ratio: Change
    old_bytes: int
    new_bytes: int

    def record(self) -> dict[str, object]:
        """Return the figures as JSON has them."""
        return asdict(self)


def cost(models: Sequence[Model], paths: Sequence[Path], photo: Path, pairs: int = 24) -> Cost:
    """Measure both networks in turns, on one thread and one photograph."""
    pixels = read_photo(photo).pixels
    times = np.zeros((pairs + _FIRST, 2))
    for pair in times:
        for place, model in enumerate(models):
            began = time.process_time()
            rilievo.predict(pixels, model=model)
            pair[place] = 1000 * (time.process_time() - began)
    times = times[_FIRST:]
    ratios = times[:, 1] / times[:, 0]
    drawn = np.random.default_rng(0).integers(pairs, size=(DRAWS, pairs))
    old, new = np.median(times, axis=0)
    return Cost(
        old_ms=float(old),
        new_ms=float(new),
        ratio=interval(float(np.median(ratios)), np.median(ratios[drawn], axis=1)),
        old_bytes=paths[0].stat().st_size,
        new_bytes=paths[1].stat().st_size,
    )
