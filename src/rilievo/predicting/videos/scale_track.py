"""Make the scales of a video's frames consistent, once all frames are known.

A model predicts each frame with a scale of its own (and a shift, if its depth is affine).
``ScaleTrack`` smooths the scale over time:

1. Each frame is compared with a reference, which is the frame before it, or the first frame of a
   still stretch. The changes of log scale, summed along the references, are the measured path A of
   a shot.

2. The smoothed path P minimizes

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
"""Changes of scale with this period [s] are halved; slower ones are kept."""
HOLD_TIME = 10.0
"""Time constant with which the scale follows the model while the camera stands still [s]."""
MIN_STILL_TIME = 0.5
"""Minimum duration of a still stretch [s]."""

_CREEP_WEIGHT = 10.0
"""Weight w of a step between two still stretches, between which the camera creeps."""
_MIN_PERIOD = 8
"""Minimum period of smoothing [frames], for videos with few frames per second."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _FrameStep:
    """Change from a reference frame to a frame; the first frame of a shot is its own reference.

    Attributes:
        reference: Index of the reference frame.
        is_still: Whether the camera stood still between them.
        log_growth: Log of the ratio of the frame's scale to that of the reference.
        mean: Mean of the frame's values, over the pixels that were compared.
        reference_mean: The same of the reference.
    """

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
        """Add the next frame.

        ``is_new_shot`` says that a shot is known to begin with this frame.

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
        # All frames of a still stretch are compared with its first, so that errors do not add up.
        if not comparison.is_still:
            self._reference = sample
            self._reference_index = index
        return comparison.is_cut

    @property
    def shots(self) -> list[int]:
        """First frames of shots; the first is 0."""
        return [index for index, step in enumerate(self._steps) if step.reference == index]

    def stretches(self, rate: float) -> list[int]:
        """Return the still stretch of each frame, which is its first frame, or ``MOVING``.

        ``rate`` is in frames per second.
        """
        stretches = [MOVING] * len(self._steps)
        for index in np.flatnonzero(_find_held_frames(self._steps, rate)).tolist():
            first_frame = self._steps[index].reference
            stretches[index] = first_frame
            # The first frame belongs to the stretch, unless it ends the stretch before.
            if stretches[first_frame] == MOVING:
                stretches[first_frame] = first_frame
        return stretches

    def corrections(self, rate: float) -> list[Correction]:
        """Compute the scale and shift that correct each frame; ``rate`` in frames per second."""
        corrections: list[Correction] = []
        for first, end in pairwise([*self.shots, len(self._steps)]):
            corrections += self._correct_shot(first, end, rate)
        return corrections

    def _correct_shot(self, first: int, end: int, rate: float) -> list[Correction]:
        """Compute the corrections of the frames of a shot, which are ``first`` to ``end - 1``."""
        steps = self._steps[first:end]
        references = [step.reference - first for step in steps]
        is_held = _find_held_frames(steps, rate)

        log_scale = _sum_along_references([step.log_growth for step in steps], references)
        scales = np.exp(smooth_path(log_scale, is_held, rate=rate) - log_scale).tolist()
        if not self._is_affine:
            return [Correction(scale=scale) for scale in scales]

        # Once the scales are corrected, the shifts follow from the changes of the mean.
        mean_changes = [
            scales[index] * step.mean - scales[references[index]] * step.reference_mean
            for index, step in enumerate(steps)
        ]
        mean = _sum_along_references(mean_changes, references)
        shifts = (smooth_path(mean, is_held, rate=rate) - mean).tolist()
        return [
            Correction(scale=scale, shift=shift)
            for scale, shift in zip(scales, shifts, strict=True)
        ]


def _find_held_frames(steps: Sequence[_FrameStep], rate: float) -> Bool[np.ndarray, "n"]:
    """Mask of the frames in still stretches that are long enough to hold the scale."""
    min_frames = max(2, round(MIN_STILL_TIME * rate))
    is_held = np.zeros(len(steps), bool)
    stretch_start = 0
    # Consecutive still frames with the same reference are one stretch.
    for (is_still, _), stretch in groupby(steps, key=lambda step: (step.is_still, step.reference)):
        stretch_end = stretch_start + len(list(stretch))
        is_long = stretch_end - stretch_start >= min_frames
        is_held[stretch_start:stretch_end] = is_still and is_long
        stretch_start = stretch_end
    return is_held


def _sum_along_references(changes: Sequence[float], references: Sequence[int]) -> Values:
    """Sum changes against earlier frames, whose indices are ``references``, to a path from 0."""
    path = np.zeros(len(changes))
    for index in range(1, len(changes)):
        path[index] = path[references[index]] + changes[index]
    return path


def smooth_path(measured: Values, is_held: Bool[np.ndarray, "n"], *, rate: float) -> Values:
    """Smooth a path of log scales or shifts over the frames of a shot.

    Args:
        measured: Path of the changes that the frames show, A in the module's docstring.
        is_held: Frames of still stretches, in which the result is nearly constant.
        rate: Frames per second.

    Returns:
        The smoothed path, P in the module's docstring.
    """
    bending_weight = np.full(max(len(measured) - 2, 0), _halving_weight(rate))
    step_weight = np.where(is_held[1:], (HOLD_TIME * rate) ** 2, 0.0)

    # A single moving frame between still ones begins a new still stretch, because the camera
    # creeps. There the scale may step from one stretch to the next: the weight of the step is small
    # and the bends before and after it cost nothing.
    begins_stretch = ~is_held[2:-1] & is_held[1:-2] & is_held[3:]
    step_weight[1:-1][begins_stretch] = _CREEP_WEIGHT
    bending_weight[:-1][begins_stretch] = 0.0
    bending_weight[1:][begins_stretch] = 0.0
    return _solve_path(measured, bending_weight, step_weight)


def _halving_weight(rate: float) -> float:
    """Weight μ of bends with which changes of the period ``HALVED_PERIOD`` are halved."""
    period = max(HALVED_PERIOD * rate, _MIN_PERIOD)
    # A wave of this period is multiplied by 1 / (1 + μ (2 sin(π / period))⁴), which has to be 1/2.
    return (2 * math.sin(math.pi / period)) ** -4


def _solve_path(
    measured: Values,
    bending_weight: Float64[np.ndarray, "m"],
    step_weight: Float64[np.ndarray, "n-1"],
) -> Values:
    """Find the path P that minimizes the sum in the module's docstring.

    The normal equations are (I + Σ w s sᵀ + Σ μ b bᵀ) P = A, where s = (-1, 1) takes a step and
    b = (1, -2, 1) a bend at neighbouring frames. This symmetric matrix has five diagonals.
    """
    count = len(measured)
    main_diagonal = np.ones(count)
    first_diagonal = np.zeros(count)
    second_diagonal = np.zeros(count)

    # Steps: the entries of s sᵀ are 1 and -1.
    main_diagonal[1:] += step_weight
    main_diagonal[:-1] += step_weight
    first_diagonal[:-1] -= step_weight

    # Bends: the entries of b bᵀ are 1, 4, 1 on the main diagonal, -2 and -2 beside it, and 1.
    if count > 2:
        main_diagonal[:-2] += bending_weight
        main_diagonal[1:-1] += 4 * bending_weight
        main_diagonal[2:] += bending_weight
        first_diagonal[:-2] -= 2 * bending_weight
        first_diagonal[1:-1] -= 2 * bending_weight
        second_diagonal[:-2] += bending_weight
    return _solve_pentadiagonal(main_diagonal, first_diagonal, second_diagonal, measured)


def _solve_pentadiagonal(
    main_diagonal: Values, first_diagonal: Values, second_diagonal: Values, right_side: Values
) -> Values:
    """Solve M x = right_side for a symmetric pentadiagonal M, by the factorization M = L D Lᵀ.

    L has the entries l1[i] and l2[i] one and two rows below the ones of its diagonal, and D has the
    entries d[i]. Forward substitution gives y, and backward substitution x.
    """
    count = len(main_diagonal)
    # Two zeros in front stand for the rows before the first.
    d, l1, l2, y = ([0.0] * (count + 2) for _ in range(4))
    rows = zip(
        main_diagonal.tolist(),
        first_diagonal.tolist(),
        second_diagonal.tolist(),
        right_side.tolist(),
        strict=True,
    )
    for i, (m0, m1, m2, value) in enumerate(rows, start=2):
        d[i] = m0 - l1[i - 1] ** 2 * d[i - 1] - l2[i - 2] ** 2 * d[i - 2]
        l1[i] = (m1 - l2[i - 1] * d[i - 1] * l1[i - 1]) / d[i]
        l2[i] = m2 / d[i]
        y[i] = value - l1[i - 1] * y[i - 1] - l2[i - 2] * y[i - 2]

    x = [0.0] * (count + 4)
    for i in range(count + 1, 1, -1):
        x[i] = y[i] / d[i] - l1[i] * x[i + 1] - l2[i] * x[i + 2]
    return np.array(x[2 : count + 2])
