"""Consistent scales for the frames of a video, once all frames are known.

A model gives each frame its own scale (and shift, if its depth is affine). ``ScaleTrack`` smooths
the scale over time:

1. A frame is compared with a reference: the frame before it, or the first of a still stretch. The
   change of log scale, added up along the references, is the apparent path A of each shot.

2. The corrected path P is the minimum of

    Σ (P_t - A_t)² + Σ μ_t (P_{t+1} - 2 P_t + P_{t-1})² + Σ w_t (P_t - P_{t-1})²

   The first sum prevents drift. The second removes fast changes (``HALVED_PERIOD``), but not
   between still stretches. The third holds the scale of a still camera (``HOLD_TIME``). This is the
   smoother of Whittaker (1923), and of Hodrick and Prescott (1997).
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import groupby, pairwise

import numpy as np

from rilievo.arrays.shapes import Bool, Float64, Values
from rilievo.predicting.videos.frame_comparison import (
    FrameComparison,
    FrameSample,
    compare_frames,
)
from rilievo.predicting.videos.steadying import MOVING, Correction
from rilievo.records.depth_map import DepthKind

HALVED_PERIOD = 1.5
"""Period of the changes of scale that are halved [s]; slower ones are followed."""
HOLD_TIME = 10.0
"""Time constant of following the model while the camera stands still [s]."""
MIN_STILL_TIME = 0.5
"""Least duration of a still stretch [s]."""

_CREEP_WEIGHT = 10.0
"""Weight w of a step between two still stretches, as of a camera that creeps on."""
_MIN_PERIOD = 8
"""Least period of smoothing [frames], in videos of few frames a second."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _FrameStep:
    """Change of a frame against its reference; the first frame of a shot is its own reference."""

    reference: int
    is_still: bool = False
    log_growth: float = 0.0
    mean: float = 0.0
    reference_mean: float = 0.0


class ScaleTrack:
    """Collector of a video's frames in order, from which corrections are computed."""

    def __init__(self, kind: DepthKind) -> None:
        self._is_affine = kind in (DepthKind.AFFINE, DepthKind.AFFINE_INVERSE)
        self._steps: list[_FrameStep] = []
        self._reference: FrameSample | None = None
        self._reference_index = 0

    def add_frame(self, sample: FrameSample, *, is_new_shot: bool = False) -> bool:
        """Add the next frame; with ``is_new_shot`` it is already known to begin a shot.

        Returns:
            Whether a shot begins with this frame.
        """
        index = len(self._steps)
        if is_new_shot or self._reference is None:
            comparison = FrameComparison(is_cut=True)
        else:
            comparison = compare_frames(self._reference, sample)

        self._steps.append(
            _FrameStep(
                reference=index if comparison.is_cut else self._reference_index,
                is_still=comparison.is_still,
                log_growth=comparison.log_growth,
                mean=comparison.mean,
                reference_mean=comparison.reference_mean,
            )
        )
        # In a still stretch all frames are compared with its first, so that errors do not add up.
        if not comparison.is_still:
            self._reference, self._reference_index = sample, index
        return comparison.is_cut

    @property
    def shots(self) -> list[int]:
        """First frames of shots; the first is 0."""
        return [index for index, step in enumerate(self._steps) if step.reference == index]

    def stretches(self, rate: float) -> list[int]:
        """First frame of the still stretch of each frame, or ``MOVING``.

        ``rate`` is in frames per second.
        """
        stretches = [MOVING] * len(self._steps)
        for index in np.flatnonzero(_is_held(self._steps, rate)).tolist():
            first = self._steps[index].reference
            stretches[index] = first
            if stretches[first] == MOVING:
                stretches[first] = first
        return stretches

    def corrections(self, rate: float) -> list[Correction]:
        """Compute the scale and shift that correct each frame; ``rate`` in frames per second."""
        corrections: list[Correction] = []
        for first, end in pairwise([*self.shots, len(self._steps)]):
            corrections += self._correct_shot(first, end, rate)
        return corrections

    def _correct_shot(self, first: int, end: int, rate: float) -> list[Correction]:
        """Corrections of the frames of a shot, which are ``first`` to ``end - 1``."""
        steps = self._steps[first:end]
        references = [step.reference - first for step in steps]
        held = _is_held(steps, rate)

        log_scale = _sum_along_references([step.log_growth for step in steps], references)
        scales = np.exp(smooth_path(log_scale, held, rate=rate) - log_scale).tolist()
        if not self._is_affine:
            return [Correction(scale=scale) for scale in scales]

        # Rises of the mean, after the scales are corrected.
        rises = [
            scales[index] * step.mean - scales[references[index]] * step.reference_mean
            for index, step in enumerate(steps)
        ]
        mean = _sum_along_references(rises, references)
        shifts = (smooth_path(mean, held, rate=rate) - mean).tolist()
        return [
            Correction(scale=scale, shift=shift)
            for scale, shift in zip(scales, shifts, strict=True)
        ]


def _is_held(steps: Sequence[_FrameStep], rate: float) -> Bool[np.ndarray, "n"]:
    """Frames of still stretches that are long enough to hold the scale."""
    min_frames = max(2, round(MIN_STILL_TIME * rate))
    held = np.zeros(len(steps), bool)
    first = 0
    for (is_still, _), stretch in groupby(steps, key=lambda step: (step.is_still, step.reference)):
        count = len(list(stretch))
        held[first : first + count] = is_still and count >= min_frames
        first += count
    return held


def _sum_along_references(rises: Sequence[float], references: Sequence[int]) -> Values:
    """Path from 0, in which each frame rises from its reference, an earlier frame."""
    path = np.zeros(len(rises))
    for index in range(1, len(rises)):
        path[index] = path[references[index]] + rises[index]
    return path


def smooth_path(apparent: Values, held: Bool[np.ndarray, "n"], *, rate: float) -> Values:
    """Smooth a path of log scales or shifts over the frames of a shot; see the module.

    Args:
        apparent: Path A of the model.
        held: Frames in still stretches, in which the path is nearly constant.
        rate: Frames per second.
    """
    period = max(HALVED_PERIOD * rate, _MIN_PERIOD)
    # A wave of this period is damped by 1 / (1 + μ (2 sin(π / period))⁴) = 1/2.
    halving_weight = (2 * math.sin(math.pi / period)) ** -4
    bending_weight = np.full(max(len(apparent) - 2, 0), halving_weight)
    step_weight = np.where(held[1:], (HOLD_TIME * rate) ** 2, 0.0)

    # A single moving frame between still ones is the first of a new still stretch: the camera
    # creeps, and the scale steps from one stretch to the next.
    is_between = ~held[2:-1] & held[1:-2] & held[3:]
    step_weight[1:-1][is_between] = _CREEP_WEIGHT
    bending_weight[:-1][is_between] = 0.0
    bending_weight[1:][is_between] = 0.0
    return _solve_path(apparent, bending_weight, step_weight)


def _solve_path(
    apparent: Values,
    bending_weight: Float64[np.ndarray, "m"],
    step_weight: Float64[np.ndarray, "n-1"],
) -> Values:
    """Path P of the least sum in the module's docstring, for the path A of the model.

    The normal equations have five diagonals: the main one, and two to each side, which are equal.

    Args:
        apparent: Path A.
        bending_weight: Weight μ of each bend of the path.
        step_weight: Weight w of each step.
    """
    count = len(apparent)
    diagonal, first, second = np.ones(count), np.zeros(count), np.zeros(count)

    # A squared step (-1, 1).
    diagonal[1:] += step_weight
    diagonal[:-1] += step_weight
    first[:-1] -= step_weight

    # A squared bend (1, -2, 1).
    if count > 2:
        diagonal[:-2] += bending_weight
        diagonal[1:-1] += 4 * bending_weight
        diagonal[2:] += bending_weight
        first[:-2] -= 2 * bending_weight
        first[1:-1] -= 2 * bending_weight
        second[:-2] += bending_weight
    return _solve_five_diagonals(diagonal, first, second, apparent)


def _solve_five_diagonals(diagonal: Values, first: Values, second: Values, right: Values) -> Values:
    """Solve M x = right by M = L D Lᵀ, for a symmetric M of five diagonals.

    ``first`` and ``second`` are the diagonals beside the main one. Row i of L is
    (..., l2[i-2], l1[i-1], 1).
    """
    count = len(diagonal)
    # Two zero rows in front avoid special cases for the first rows.
    d, l1, l2, y = ([0.0] * (count + 2) for _ in range(4))
    rows = zip(diagonal.tolist(), first.tolist(), second.tolist(), right.tolist(), strict=True)
    for i, (m0, m1, m2, value) in enumerate(rows, start=2):
        d[i] = m0 - l1[i - 1] ** 2 * d[i - 1] - l2[i - 2] ** 2 * d[i - 2]
        l1[i] = (m1 - l2[i - 1] * d[i - 1] * l1[i - 1]) / d[i]
        l2[i] = m2 / d[i]
        y[i] = value - l1[i - 1] * y[i - 1] - l2[i - 2] * y[i - 2]

    x = [0.0] * (count + 4)
    for i in range(count + 1, 1, -1):
        x[i] = y[i] / d[i] - l1[i] * x[i + 1] - l2[i] * x[i + 2]
    return np.array(x[2 : count + 2])
