"""Alignment of the scales of a video's frames over time.

A model that sees one frame at a time gives each its own scale (and, for the affine kinds, its own
shift), so depth flickers. Each frame is corrected by one factor (and shift), found from all frames:

1. Every frame is compared with a reference, an earlier frame of the same shot: the typical ratio
   of their numbers is their growth. While the camera stands still the reference stays the same,
   and only pixels that hardly moved count; otherwise it is the frame before. The chained
   logarithms of these ratios are the apparent path A of the scale: true changes of the scene (a
   camera that comes nearer) plus each frame's random error of scale.
2. A chain of ratios drifts as a random walk does, so A is not simply subtracted. The path P of the
   corrected video is the smoothest near A: in each shot the minimum of

       Σ (P_t - A_t)² + Σ μ_t (P_{t+1} - 2 P_t + P_{t-1})² + Σ w_t (P_t - P_{t-1})²

   The first sum keeps the model's own scale in the long run: the correction P - A has mean zero
   in a shot, so nothing drifts. The second removes fast changes (``SMOOTHED``) and keeps steady
   motion: it is zero for a straight line. The third holds the scale while the camera stands still
   for some time (``STILL``, ``HELD``), and is zero elsewhere. A creeping camera looks like one
   still stretch after another: between two of them the second sum is dropped, so that their
   scales may differ.
3. Each shot is treated separately, as the scales of two shots are unrelated.

The first two sums are the smoother of Whittaker (1923), and of Hodrick and Prescott (1997).
"""

import math
from collections.abc import Sequence
from itertools import groupby, pairwise

import numpy as np

from rilievo.frozen import frozen
from rilievo.predicting.videos.frame_answers import MOVING, Correction
from rilievo.predicting.videos.looks import FrameSample, compare
from rilievo.shapes import Bool, Float64, Values
from rilievo.types import DepthKind

SMOOTHED = 1.5
"""Period [s] at which a change of scale is halved; faster changes are removed."""
HELD = 10.0
"""Time [s] in which the scale follows the model's own while the camera stands still."""
STILL = 0.5
"""Time [s] without motion of the picture after which the camera counts as standing still."""

_CREEPING = 10.0
"""w between two still stretches: they differ by about 1 %, and a model's frames by a few."""
_FEWEST_FRAMES = 8
"""Least length of ``SMOOTHED`` in frames: a sequence of few frames per second flickers too."""


@frozen
class _Step:
    """Comparison of one frame with its reference.

    Attributes:
        reference: Index of the frame it was compared with; its own if it begins a shot.
        is_still: Whether the camera has not moved between them.
        growth: Logarithm of its scale over the reference's.
        level: Trimmed mean of its numbers, over the pixels compared.
        reference_level: Trimmed mean of the reference's numbers, over the same pixels.
    """

    reference: int
    is_still: bool = False
    growth: float = 0.0
    level: float = 0.0
    reference_level: float = 0.0


class ScaleTrack:
    """Collector of a video's frames, in one pass, that computes a correction for each."""

    def __init__(self, kind: DepthKind) -> None:
        self._affine = kind in (DepthKind.AFFINE, DepthKind.AFFINE_INVERSE)
        self._steps: list[_Step] = []
        self._reference: FrameSample | None = None
        self._reference_index = 0

    def watch(self, sample: FrameSample, *, begins: bool = False) -> bool:
        """Compare the next frame with its reference, unless it ``begins`` a shot in any case.

        Returns:
            Whether it begins a shot.
        """
        index = len(self._steps)
        reference = None if begins else self._reference
        comparison = None if reference is None else compare(reference, sample)
        if comparison is None or comparison.is_cut:
            self._steps.append(_Step(reference=index))
        else:
            self._steps.append(
                _Step(
                    reference=self._reference_index,
                    is_still=comparison.is_still,
                    growth=comparison.growth,
                    level=comparison.level,
                    reference_level=comparison.reference_level,
                )
            )
        if comparison is None or comparison.is_cut or not comparison.is_still:
            self._reference, self._reference_index = sample, index
        return comparison is None or comparison.is_cut

    @property
    def shots(self) -> list[int]:
        """Indices of the frames at which a shot begins; the first is 0."""
        return [index for index, step in enumerate(self._steps) if step.reference == index]

    def stretches(self, rate: float) -> list[int]:
        """Number of the stretch in which the camera stands still, for each frame.

        Frames of one stretch show the same view; ``MOVING`` where the camera moves, or stands still
        for less than ``STILL``.
        """
        numbers = [MOVING] * len(self._steps)
        held = _held(self._steps, max(2, round(STILL * rate)))
        for index in np.flatnonzero(held).tolist():
            reference = self._steps[index].reference
            numbers[index] = reference
            if numbers[reference] == MOVING:
                numbers[reference] = reference
        return numbers

    def corrections(self, rate: float) -> list[Correction]:
        """Compute one correction per frame, from all frames watched."""
        firsts = [*self.shots, len(self._steps)]
        return [
            correction
            for first, end in pairwise(firsts)
            for correction in self._correct_shot(first, end, rate)
        ]

    def _correct_shot(self, first: int, end: int, rate: float) -> list[Correction]:
        steps = self._steps[first:end]
        references = [step.reference - first for step in steps]
        held = _held(steps, max(2, round(STILL * rate)))
        growth = _chain([step.growth for step in steps], references)
        scales = np.exp(smooth_path(growth, held, rate=rate) - growth)
        if not self._affine:
            return [Correction(scale=float(scale)) for scale in scales]
        rises = [
            scales[index] * step.level - scales[reference] * step.reference_level
            for index, (step, reference) in enumerate(zip(steps, references, strict=True))
        ]
        level = _chain(rises, references)
        shifts = smooth_path(level, held, rate=rate) - level
        return [
            Correction(scale=float(scale), shift=float(shift))
            for scale, shift in zip(scales, shifts, strict=True)
        ]


def smooth_path(apparent: Values, held: Bool[np.ndarray, "n"], *, rate: float) -> Values:
    """Compute the path P of the module's docstring, exactly and in linear time."""
    period = max(SMOOTHED * rate, _FEWEST_FRAMES)
    # The response to a wave of this period is 1 / (1 + μ (2 sin(π / period))⁴) = 1/2.
    bending = np.full(max(len(apparent) - 2, 0), (2 * math.sin(math.pi / period)) ** -4)
    holding = np.where(held[1:], (HELD * rate) ** 2, 0.0)
    creeping = ~held[2:-1] & held[1:-2] & held[3:]
    holding[1:-1][creeping] = _CREEPING
    bending[:-1][creeping] = bending[1:][creeping] = 0.0
    return _minimise(apparent, bending, holding)


def _minimise(
    apparent: Values,
    bending: Float64[np.ndarray, "m"],
    holding: Float64[np.ndarray, "n-1"],
) -> Values:
    """Compute the path for given weights μ and w, where the gradient of the three sums is zero."""
    count = len(apparent)
    diagonal, first, second = np.ones(count), np.zeros(count), np.zeros(count)
    diagonal[1:] += holding
    diagonal[:-1] += holding
    first[:-1] -= holding
    if count > 2:
        diagonal[:-2] += bending
        diagonal[1:-1] += 4 * bending
        diagonal[2:] += bending
        first[:-2] -= 2 * bending
        first[1:-1] -= 2 * bending
        second[:-2] += bending
    return _solve_five_diagonals(diagonal, first, second, apparent)


def _solve_five_diagonals(
    diagonal: Values,
    first: Values,
    second: Values,
    right: Values,
) -> Values:
    """Solve M x = right, M symmetric and positive definite, by its factors L D Lᵀ.

    ``first[i]`` is M[i, i + 1] and ``second[i]`` is M[i, i + 2]; entries beyond the end are zero.
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


def _chain(rises: Sequence[float], references: Sequence[int]) -> Values:
    """Sum up rises from reference to reference."""
    path = np.zeros(len(rises))
    for index in range(1, len(rises)):
        path[index] = path[references[index]] + rises[index]
    return path


def _held(steps: Sequence[_Step], fewest: int) -> Bool[np.ndarray, "n"]:
    """Find frames of stretches in which the camera stood still for at least ``fewest`` frames."""
    held = np.zeros(len(steps), bool)
    first = 0
    for (is_still, _), stretch in groupby(steps, key=lambda step: (step.is_still, step.reference)):
        end = first + len(list(stretch))
        held[first:end] = is_still and end - first >= fewest
        first = end
    return held
