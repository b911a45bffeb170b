"""How much smaller the errors of learned weights are than those of the start."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from rilievo.arrays.shapes import Float64
from rilievo.errors.messages import count_text
from rilievo.training.arrays import Indices
from rilievo.training.video.frames.targets import FramePlace

_BLOCK_FRAMES = 5
"""Neighbouring frames that count as one, since they err alike."""
_RESAMPLES = 4000
"""Samples of the bootstrap."""
_STUDENT_QUANTILES = (
    *(12.706, 4.303, 3.182, 2.776, 2.571, 2.447, 2.365, 2.306, 2.262, 2.228),
    *(2.201, 2.179, 2.160, 2.145, 2.131, 2.120, 2.110, 2.101, 2.093, 2.086),
)
"""Quantiles of Student's distribution for a 95% interval, for 1 to 20 degrees of freedom."""
_NORMAL_QUANTILE, _STUDENT_CORRECTION = 1.960, 2.5
"""For n > 20 degrees of freedom, the quantile is about 1.960 + 2.5 / n."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Gain:
    """Gain of learned weights over the start, on held-out frames.

    Attributes:
        share: Fraction by which the error is smaller; negative if it is larger.
        low: Lower end of the 95% confidence interval of ``share``; None for too few frames.
        high: Upper end of the same interval, at most 1, because no error is negative.
    """

    share: float
    low: float | None = None
    high: float | None = None
    frames: int

    @property
    def words(self) -> str:
        """Description such as "better by 4% (1 to 7)"."""
        no_difference = f"no measurable difference on {count_text(self.frames, 'held-out frame')}"
        if self.low is None or self.high is None:
            return f"{no_difference} (too few)"
        if self.low > 0:
            interval = f"{_percent(self.low)} to {_percent(self.high)}"
            return f"better by {_percent(self.share)}% ({interval})"
        if self.high < 0:
            interval = f"{_percent(-self.high)} to {_percent(-self.low)}"
            return f"worse by {_percent(-self.share)}% ({interval})"
        return f"{no_difference} ({_signed_percent(self.low)} to {_signed_percent(self.high)}%)"


def _percent(fraction: float) -> str:
    return f"{100 * fraction:.0f}"


def _signed_percent(fraction: float) -> str:
    percent = round(100 * fraction)
    minus = "\u2212"
    if percent == 0:
        return "0"
    return f"{'+' if percent > 0 else minus}{abs(percent)}"


def error_gain(
    places: Sequence[FramePlace], start_errors: Sequence[float], learned_errors: Sequence[float]
) -> Gain:
    """Compare the errors of learned weights with those of the start, by a bootstrap of blocks.

    Both have an error for each frame, in the order of time. Frames are left out if one of their
    errors is not finite.
    """
    all_errors = np.array([start_errors, learned_errors], np.float64)
    is_finite = np.isfinite(all_errors).all(axis=0)
    finite_errors = all_errors[:, is_finite]
    finite_places = [places[index] for index in np.flatnonzero(is_finite).tolist()]
    num_frames = len(finite_places)
    start_total = finite_errors[0].sum()
    learned_total = finite_errors[1].sum()
    if not start_total > 0:
        return Gain(share=0.0, frames=num_frames)

    fraction = 1 - float(learned_total / start_total)
    half_width = _confidence_half_width(finite_errors, _block_indices(finite_places))
    if half_width is None:
        return Gain(share=fraction, frames=num_frames)
    # The interval still covers the true gain as often, because that never exceeds 1.
    high = min(1.0, fraction + half_width)
    return Gain(share=fraction, low=fraction - half_width, high=high, frames=num_frames)


def _block_indices(places: Sequence[FramePlace]) -> Indices:
    """Index of the block of each frame; a block is up to five neighbouring frames of a sequence."""
    block_starts: list[FramePlace] = []
    block_indices: list[int] = []
    for place in places:
        if not block_starts or not _is_in_block(place, block_starts[-1]):
            block_starts.append(place)
        block_indices.append(len(block_starts) - 1)
    return np.array(block_indices, np.int64)


def _is_in_block(place: FramePlace, block_start: FramePlace) -> bool:
    """Whether a frame is in the block that starts with ``block_start``."""
    is_same_sequence = place.sequence == block_start.sequence
    return is_same_sequence and 0 <= place.frame - block_start.frame < _BLOCK_FRAMES


def _confidence_half_width(
    errors: Float64[np.ndarray, "2 n"], block_indices: Indices
) -> float | None:
    """Half the width of the 95% interval of the gain; None for a single block.

    The rows of ``errors`` are those of the start and of the learned weights. The standard error of
    the gain is found by a bootstrap of whole blocks, because neighbouring frames err alike, and is
    multiplied by the quantile of Student's distribution.
    """
    num_blocks = int(block_indices[-1]) + 1
    if num_blocks < 2:
        return None
    start_by_block, learned_by_block = (np.bincount(block_indices, row) for row in errors)
    resamples = np.random.default_rng(0).integers(num_blocks, size=(_RESAMPLES, num_blocks))
    start_totals = start_by_block[resamples].sum(axis=1)
    learned_totals = learned_by_block[resamples].sum(axis=1)
    has_error = start_totals > 0
    gains = 1 - learned_totals[has_error] / start_totals[has_error]

    # The variance over resamples of n blocks is (n - 1) / n of that of the blocks' source.
    standard_error = float(gains.std()) * math.sqrt(num_blocks / (num_blocks - 1))
    return _student_quantile(num_blocks - 1) * standard_error


def _student_quantile(degrees_of_freedom: int) -> float:
    if degrees_of_freedom <= len(_STUDENT_QUANTILES):
        return _STUDENT_QUANTILES[degrees_of_freedom - 1]
    return _NORMAL_QUANTILE + _STUDENT_CORRECTION / degrees_of_freedom
