"""Gain of a run over its start on held-out frames, with an interval."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from rilievo.arrays.shapes import Float64
from rilievo.training.arrays import Indices
from rilievo.training.video.frames.targets import FramePlace

_BLOCK = 5
_DRAWS = 4000
_STUDENT = (
    *(12.706, 4.303, 3.182, 2.776, 2.571, 2.447, 2.365, 2.306, 2.262, 2.228),
    *(2.201, 2.179, 2.160, 2.145, 2.131, 2.120, 2.110, 2.101, 2.093, 2.086),
)
"""Student's factors of an interval of 95 %, for 1 to 20 degrees of freedom."""
_NORMAL, _SLOPE = 1.960, 2.5


@dataclass(frozen=True, slots=True, kw_only=True)
class Gain:
    """Share by which learned weights err less than the start; None as an end for too few blocks."""

    share: float
    low: float | None = None
    high: float | None = None
    frames: int

    @property
    def words(self) -> str:
        """Words such as "better by 4 % (1 to 7)"."""
        frames = f"{self.frames:,} held-out frame{'s' * (self.frames != 1)}"
        if self.low is None or self.high is None:
            return f"no difference that {frames} can show: they are too few"
        if self.low > 0:
            return (
                f"better by {_percent(self.share)} % "
                f"({_percent(self.low)} to {_percent(self.high)})"
            )
        if self.high < 0:
            return (
                f"worse by {_percent(-self.share)} % "
                f"({_percent(-self.high)} to {_percent(-self.low)})"
            )
        return (
            f"no difference that {frames} can show "
            f"({_signed_percent(self.low)} to {_signed_percent(self.high)} %)"
        )


def _percent(share: float) -> str:
    return f"{100 * share:.0f}"


def _signed_percent(share: float) -> str:
    percent = round(100 * share)
    sign = "+" if percent > 0 else "\u2212" if percent < 0 else ""
    return f"{sign}{abs(percent)}"


def error_gain(
    places: Sequence[FramePlace], start: Sequence[float], learned: Sequence[float]
) -> Gain:
    """Gain in errors of the same frames, in time order, with Student's interval.

    Neighbouring frames err alike, so that blocks are drawn (bootstrap).
    """
    errors = np.array([start, learned], np.float64)
    finite = np.isfinite(errors).all(axis=0)
    errors = errors[:, finite]
    if not errors.size or not errors[0].sum() > 0:
        return Gain(share=0.0, low=None, high=None, frames=int(finite.sum()))
    blocks = _block_numbers([places[index] for index in np.flatnonzero(finite).tolist()])
    share = 1 - float(errors[1].sum() / errors[0].sum())
    half = _half_confidence_interval(errors, blocks)
    return Gain(
        share=share,
        low=None if half is None else share - half,
        high=None if half is None else share + half,
        frames=int(finite.sum()),
    )


def _block_numbers(places: Sequence[FramePlace]) -> Indices:
    """Block of each frame, counted from 0."""
    numbers: list[int] = []
    first = None
    for place in places:
        begins = (
            first is None
            or place.sequence != first.sequence
            or not 0 <= place.frame - first.frame < _BLOCK
        )
        if begins:
            first = place
        numbers.append((numbers[-1] if numbers else -1) + begins)
    return np.array(numbers, np.int64)


def _half_confidence_interval(errors: Float64[np.ndarray, "2 n"], blocks: Indices) -> float | None:
    count = int(blocks[-1]) + 1
    if count < 2:
        return None
    sums = np.array([np.bincount(blocks, row) for row in errors])
    drawn = np.random.default_rng(0).integers(count, size=(_DRAWS, count))
    before, after = (row[drawn].sum(axis=1) for row in sums)
    gains = 1 - after[before > 0] / before[before > 0]
    # A sample of n blocks varies by (n - 1) / n less than what it was drawn from.
    spread = float(gains.std()) * math.sqrt(count / (count - 1))
    return _student_factor(count - 1) * spread


def _student_factor(degrees: int) -> float:
    return _STUDENT[degrees - 1] if degrees <= len(_STUDENT) else _NORMAL + _SLOPE / degrees
