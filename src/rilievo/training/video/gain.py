"""How much smaller the errors of learned weights are than those of the start."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from rilievo.arrays.shapes import Float64
from rilievo.training.arrays import Indices
from rilievo.training.video.frames.targets import FramePlace

_BLOCK_FRAMES = 5
"""Neighbouring frames that count as one, since they err alike."""
_RESAMPLES = 4000
"""Samples of the bootstrap."""
_STUDENT = (
    *(12.706, 4.303, 3.182, 2.776, 2.571, 2.447, 2.365, 2.306, 2.262, 2.228),
    *(2.201, 2.179, 2.160, 2.145, 2.131, 2.120, 2.110, 2.101, 2.093, 2.086),
)
"""Quantiles of Student's distribution for a 95 % interval, for 1 to 20 degrees of freedom."""
_NORMAL, _SLOPE = 1.960, 2.5
"""For more degrees of freedom n, the quantile is about ``_NORMAL + _SLOPE / n``."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Gain:
    """Gain of learned weights over the start, on held-out frames.

    Attributes:
        share: Share by which the error is smaller; negative if it is larger.
        low: Lower end of the 95 % interval of ``share``; None if there are too few frames.
        high: Upper end.
        frames: Number of frames that were compared.
    """

    share: float
    low: float | None = None
    high: float | None = None
    frames: int

    @property
    def words(self) -> str:
        """Description such as "better by 4 % (1 to 7)"."""
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
    """Compare the errors of learned weights with those of the start, by a bootstrap of blocks.

    Args:
        places: Places of the frames, in the order of time.
        start: Error of each frame with the start. Frames with an error that is not finite are left
            out.
        learned: Error of each frame with the learned weights.
    """
    errors = np.array([start, learned], np.float64)
    is_finite = np.isfinite(errors).all(axis=0)
    errors = errors[:, is_finite]
    frames = int(is_finite.sum())
    if not errors.size or not errors[0].sum() > 0:
        return Gain(share=0.0, frames=frames)

    share = 1 - float(errors[1].sum() / errors[0].sum())
    blocks = _block_numbers([places[index] for index in np.flatnonzero(is_finite).tolist()])
    half_width = _half_confidence_interval(errors, blocks)
    if half_width is None:
        return Gain(share=share, frames=frames)
    return Gain(share=share, low=share - half_width, high=share + half_width, frames=frames)


def _block_numbers(places: Sequence[FramePlace]) -> Indices:
    """Number of the block of each frame: neighbouring frames of a sequence, from 0."""
    numbers: list[int] = []
    first = None
    for place in places:
        is_in_block = (
            first is not None
            and place.sequence == first.sequence
            and 0 <= place.frame - first.frame < _BLOCK_FRAMES
        )
        if is_in_block:
            numbers.append(numbers[-1])
        else:
            first = place
            numbers.append(numbers[-1] + 1 if numbers else 0)
    return np.array(numbers, np.int64)


def _half_confidence_interval(errors: Float64[np.ndarray, "2 n"], blocks: Indices) -> float | None:
    """Half the width of the 95 % interval of the gain; None for a single block.

    The rows of ``errors`` are those of the start and of the learned weights.
    """
    block_count = int(blocks[-1]) + 1
    if block_count < 2:
        return None
    block_sums = np.array([np.bincount(blocks, row) for row in errors])
    resamples = np.random.default_rng(0).integers(block_count, size=(_RESAMPLES, block_count))
    start, learned = (sums[resamples].sum(axis=1) for sums in block_sums)
    gains = 1 - learned[start > 0] / start[start > 0]
    # A sample of n blocks varies by (n - 1) / n less than what it was drawn from.
    standard_error = float(gains.std()) * math.sqrt(block_count / (block_count - 1))
    return _student_factor(block_count - 1) * standard_error


def _student_factor(degrees: int) -> float:
    return _STUDENT[degrees - 1] if degrees <= len(_STUDENT) else _NORMAL + _SLOPE / degrees
