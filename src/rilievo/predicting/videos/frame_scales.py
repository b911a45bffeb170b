"""Scales of a video's frames: aligned over time, or anchored.

A model gives each frame its own scale (and shift), which a factor (and shift) corrects:

1. The typical ratio of a frame's numbers to those of a reference, the frame before or a fixed one
of a still camera, is its growth. Chained logarithms are the apparent path A.

2. The corrected path P is the minimum in a shot of

    Σ (P_t - A_t)² + Σ μ_t (P_{t+1} - 2 P_t + P_{t-1})² + Σ w_t (P_t - P_{t-1})²

The first sum prevents drift; the second removes fast changes (``SMOOTHED``), not between still
stretches; the third holds the scale of a still camera (``STILL``, ``HELD``). It is the smoother of
Whittaker (1923), and of Hodrick and Prescott (1997).
"""

import math
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from itertools import groupby, pairwise
from threading import Lock

import numpy as np
from PIL import Image

from rilievo.alignment.anchor import anchor_values, paired_values
from rilievo.depth_map import DepthKind, DepthMap
from rilievo.errors import CalibrationError, InputError
from rilievo.frozen import frozen
from rilievo.messages import template
from rilievo.predicting.photographs.fitting import anchoring_or_refusal, anchoring_refusal, is_known
from rilievo.predicting.videos.frame_answers import MOVING, Correction
from rilievo.prediction import Prediction
from rilievo.prediction_record import Anchoring
from rilievo.sample import Photo
from rilievo.shapes import Bool, Field, Float32, Float64, Mask, Pixels, Values

_SAMPLES = 1 << 14

_UNMOVED = 0.25
"""Motion of an unmoved pixel [px of the sample]."""
_FAINT = 4.0
"""Least slope of an edge [grey levels per pixel]."""
_STILL_SHARE = 0.5
"""Least unmoved share of edges."""
_TRIMMED = 0.1
_FEWEST = 0.05

_CUT_CORRELATION = 0.5
_CUT_COLOURS = 0.25
"""Limits of a cut: within shots correlation is above 0.57 and colour distance below 0.23, across
below 0.45 and above 0.3.
"""


@frozen
class Look:
    """Layout and colours of a picture.

    Attributes:
        layout: Tiny grey picture, zero mean, unit length.
        colours: Shares of 512 colours.
    """

    layout: Float64[np.ndarray, "768"]
    colours: Float64[np.ndarray, "512"]

    def is_cut(self, other: "Look") -> bool:
        """Whether both differ; a flash keeps layout, fast motion colours."""
        apart = np.abs(self.colours - other.colours).sum() / 2
        return bool(self.layout @ other.layout < _CUT_CORRELATION and apart > _CUT_COLOURS)


@frozen
class FrameSample:
    """Coarse sample of one frame; ``numbers`` of depth are logarithms."""

    numbers: Field
    valid: Mask
    is_logarithm: bool
    grey: Field
    look: Look


@frozen
class FrameComparison:
    """Comparison of two frames.

    Attributes:
        is_cut: Whether scenes differ.
        growth: Logarithm of later over earlier scale.
        level: Trimmed mean of the later numbers.
        reference_level: Trimmed mean of the earlier.
    """

    is_cut: bool
    is_still: bool = False
    growth: float = 0.0
    level: float = 0.0
    reference_level: float = 0.0


def sample_frame(depth: DepthMap, photo: Photo) -> FrameSample:
    """Depth, grey and look of a frame, coarsely."""
    stride = max(1, int(np.ceil(np.sqrt(depth.values.size / _SAMPLES))))
    grid = np.s_[stride // 2 :: stride, stride // 2 :: stride]
    numbers, valid = depth.values[grid], depth.valid[grid]
    if depth.is_depth:
        numbers = np.log(numbers, where=valid, out=np.zeros_like(numbers))
    small = _box_resize(photo.pixels, numbers.shape)
    return FrameSample(
        numbers=numbers,
        valid=valid,
        is_logarithm=depth.is_depth,
        grey=np.asarray(small.convert("L"), np.float32),
        look=_look_of_image(small),
    )


def picture_look(pixels: Pixels) -> Look:
    """Look of a picture of any size."""
    height, width = pixels.shape[:2]
    share = min(1.0, (_SAMPLES / (height * width)) ** 0.5)
    return _look_of_image(
        _box_resize(pixels, (max(1, round(share * height)), max(1, round(share * width))))
    )


def compare_frames(reference: FrameSample, sample: FrameSample) -> FrameComparison:
    """Find a cut, or changes of scale and level, between two frames."""
    if sample.numbers.shape != reference.numbers.shape or reference.look.is_cut(sample.look):
        return FrameComparison(is_cut=True)
    unmoved, is_still = _still_pixels(reference.grey, sample.grey)
    both = reference.valid & sample.valid
    # If the camera moves, unmoved pixels are mostly flat ones, a worse sample than all pixels.
    chosen = both & unmoved if is_still else both
    if np.count_nonzero(chosen) < _FEWEST * chosen.size:
        chosen = both
    if not chosen.any():
        return FrameComparison(is_cut=False, is_still=is_still)
    before = reference.numbers[chosen].astype(np.float64)
    after = sample.numbers[chosen].astype(np.float64)
    level, reference_level = _trimmed_mean(after), _trimmed_mean(before)
    if sample.is_logarithm:
        growth = _trimmed_mean(after - before)
    else:
        growth = _log_ratio_or_0(
            np.abs(after - level).mean(), np.abs(before - reference_level).mean()
        )
    return FrameComparison(
        is_cut=False,
        is_still=is_still,
        growth=growth,
        level=level,
        reference_level=reference_level,
    )


def _trimmed_mean(numbers: Values) -> float:
    """Mean without the outer tenths, which flickers less than the median."""
    low, high = np.quantile(numbers, (_TRIMMED, 1 - _TRIMMED))
    return float(numbers[(numbers >= low) & (numbers <= high)].mean())


def _still_pixels(before: Field, after: Field) -> tuple[Mask, bool]:
    """Unmoved pixels and camera, by the normal flow of Horn and Schunck (1981)."""
    change = after - before
    change = np.abs(change - np.median(change))
    down, across = np.gradient((before + after) / 2)
    slope = np.hypot(down, across)
    flat = slope <= np.quantile(slope, 1 / 3)
    noise = min(2.0 * float(np.median(change[flat])), _FAINT)
    unmoved = change <= _UNMOVED * slope + noise
    telling = slope > max(_FAINT, 2 * noise / _UNMOVED)
    still = unmoved[telling]
    return unmoved, bool(still.size >= 16 and still.mean() >= _STILL_SHARE)


def _box_resize(pixels: Pixels, shape: tuple[int, ...]) -> Image.Image:
    height, width = shape
    image = Image.fromarray(pixels)
    return image.resize((width, height), Image.Resampling.BOX, reducing_gap=2.0)


def _look_of_image(image: Image.Image) -> Look:
    return Look(layout=_grey_layout(image), colours=_colour_histogram(np.asarray(image)))


def _grey_layout(image: Image.Image) -> Float64[np.ndarray, "768"]:
    tiny = image.convert("L").resize((32, 24), Image.Resampling.BOX)
    grey = np.asarray(tiny, np.float64).ravel()
    grey -= grey.mean()
    return grey / max(float(np.linalg.norm(grey)), 1e-9)


def _colour_histogram(pixels: Pixels) -> Float64[np.ndarray, "512"]:
    coarse = (pixels >> 5).astype(np.intp)
    index = coarse[..., 0] * 64 + coarse[..., 1] * 8 + coarse[..., 2]
    return np.bincount(index.ravel(), minlength=512) / index.size


def _log_ratio_or_0(one: float, other: float) -> float:
    return float(np.log(one / other)) if one > 0 and other > 0 else 0.0


SMOOTHED = 1.5
"""Period [s] at which changes are halved."""
HELD = 10.0
"""Time [s] of following the model while still."""
STILL = 0.5
"""Time [s] without motion of a still camera."""

_CREEPING = 10.0
"""Weight w between still stretches."""
_FEWEST_FRAMES = 8


@frozen
class _FrameStep:
    reference: int
    is_still: bool = False
    growth: float = 0.0
    level: float = 0.0
    reference_level: float = 0.0


class ScaleTrack:
    """Collector of a video's frames that computes corrections."""

    def __init__(self, kind: DepthKind) -> None:
        self._affine = kind in (DepthKind.AFFINE, DepthKind.AFFINE_INVERSE)
        self._steps: list[_FrameStep] = []
        self._reference: FrameSample | None = None
        self._reference_index = 0

    def add_and_tell_shot(self, sample: FrameSample, *, begins: bool = False) -> bool:
        """Compare the next frame; return whether a shot begins."""
        index = len(self._steps)
        reference = None if begins else self._reference
        comparison = None if reference is None else compare_frames(reference, sample)
        if comparison is None or comparison.is_cut:
            self._steps.append(_FrameStep(reference=index))
        else:
            self._steps.append(
                _FrameStep(
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
        """First frames of shots; the first is 0."""
        return [index for index, step in enumerate(self._steps) if step.reference == index]

    def stretches(self, rate: float) -> list[int]:
        """Still stretch of each frame, or ``MOVING``."""
        numbers = [MOVING] * len(self._steps)
        held = _long_still_mask(self._steps, max(2, round(STILL * rate)))
        for index in np.flatnonzero(held).tolist():
            reference = self._steps[index].reference
            numbers[index] = reference
            if numbers[reference] == MOVING:
                numbers[reference] = reference
        return numbers

    def corrections(self, rate: float) -> list[Correction]:
        """Compute one correction per frame."""
        firsts = [*self.shots, len(self._steps)]
        return [
            correction
            for first, end in pairwise(firsts)
            for correction in self._correct_shot(first, end, rate)
        ]

    def _correct_shot(self, first: int, end: int, rate: float) -> list[Correction]:
        steps = self._steps[first:end]
        references = [step.reference - first for step in steps]
        held = _long_still_mask(steps, max(2, round(STILL * rate)))
        growth = _sum_along_references([step.growth for step in steps], references)
        scales = np.exp(smooth_path(growth, held, rate=rate) - growth)
        if not self._affine:
            return [Correction(scale=float(scale)) for scale in scales]
        rises = [
            scales[index] * step.level - scales[reference] * step.reference_level
            for index, (step, reference) in enumerate(zip(steps, references, strict=True))
        ]
        level = _sum_along_references(rises, references)
        shifts = smooth_path(level, held, rate=rate) - level
        return [
            Correction(scale=float(scale), shift=float(shift))
            for scale, shift in zip(scales, shifts, strict=True)
        ]


def smooth_path(apparent: Values, held: Bool[np.ndarray, "n"], *, rate: float) -> Values:
    """Smooth log scales or shifts over frames; constant where ``held``."""
    period = max(SMOOTHED * rate, _FEWEST_FRAMES)
    # The response to a wave of this period is 1 / (1 + μ (2 sin(π / period))⁴) = 1/2.
    bending = np.full(max(len(apparent) - 2, 0), (2 * math.sin(math.pi / period)) ** -4)
    holding = np.where(held[1:], (HELD * rate) ** 2, 0.0)
    creeping = ~held[2:-1] & held[1:-2] & held[3:]
    holding[1:-1][creeping] = _CREEPING
    bending[:-1][creeping] = bending[1:][creeping] = 0.0
    return _solve_path(apparent, bending, holding)


def _solve_path(
    apparent: Values,
    bending: Float64[np.ndarray, "m"],
    holding: Float64[np.ndarray, "n-1"],
) -> Values:
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
    """Solve M x = right by L D Lᵀ; ``first`` and ``second`` are diagonals."""
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


def _sum_along_references(rises: Sequence[float], references: Sequence[int]) -> Values:
    path = np.zeros(len(rises))
    for index in range(1, len(rises)):
        path[index] = path[references[index]] + rises[index]
    return path


def _long_still_mask(steps: Sequence[_FrameStep], fewest: int) -> Bool[np.ndarray, "n"]:
    held = np.zeros(len(steps), bool)
    first = 0
    for (is_still, _), stretch in groupby(steps, key=lambda step: (step.is_still, step.reference)):
        end = first + len(list(stretch))
        held[first:end] = is_still and end - first >= fewest
        first = end
    return held


_FRAMES = 8
"""Most frames of a shot."""
_APART = 16
"""Frames between two of a stream."""
_PLACES = 512

Reference = Callable[[Photo], DepthMap]
"""Function to a frame's reference depth."""


@dataclass(frozen=True, slots=True)
class _FramePair:
    frame: int
    x: Float32[np.ndarray, "n"]
    reference: Float32[np.ndarray, "n"]


def _frame_pair(frame: int, depth: DepthMap, reference: DepthMap) -> _FramePair:
    x, z = paired_values(depth, reference)
    step = max(1, -(-x.size // _PLACES))
    return _FramePair(frame, x[::step].astype(np.float32), z[::step].astype(np.float32))


def _concatenate_as_float64(arrays: Sequence[Float32[np.ndarray, "_"]]) -> Values:
    return np.concatenate(arrays).astype(np.float64)


class _ShotFrames:
    def __init__(self, first: int) -> None:
        self.first, self.stride = first, 1
        self.pairs: list[_FramePair] = []

    def takes(self, frame: int) -> bool:
        return (frame - self.first) % self.stride == 0

    def add(self, pair: _FramePair) -> None:
        """Add a frame; when full, keep every second."""
        self.pairs.append(pair)
        if len(self.pairs) > _FRAMES:
            self.stride *= 2
            self.pairs = [frame_pair for frame_pair in self.pairs if self.takes(frame_pair.frame)]


class AnchorTrack:
    """Collector of frames that anchor shots."""

    def __init__(self, reference: Reference, kind: DepthKind, *, is_known: bool) -> None:
        self._reference, self._is_inverse = reference, kind is DepthKind.AFFINE_INVERSE
        self._is_known = is_known
        self._shots: list[_ShotFrames] = []

    def add_frame(self, frame: int, first: int, depth: DepthMap, photo: Photo) -> None:
        """Take the next frame of a shot."""
        if not self._shots or self._shots[-1].first != first:
            self._shots.append(_ShotFrames(first))
        shot = self._shots[-1]
        if not shot.takes(frame):
            return
        shot.add(_frame_pair(frame, depth, self._reference(photo)))

    def anchorings(self, corrections: Sequence[Correction]) -> tuple[Anchoring, ...]:
        """Anchorings of shots.

        Raises:
            InputError: If a shot cannot be anchored.
        """
        return tuple(
            self._shot_anchoring(shot, end, corrections)
            for shot, end in zip(
                self._shots,
                [*(shot.first for shot in self._shots[1:]), len(corrections)],
                strict=True,
            )
        )

    def _shot_anchoring(
        self, shot: _ShotFrames, end: int, corrections: Sequence[Correction]
    ) -> Anchoring:
        x = np.concatenate(
            [
                corrections[pair.frame].scale * pair.x.astype(np.float64)
                + corrections[pair.frame].shift
                for pair in shot.pairs
            ]
        )
        reference = _concatenate_as_float64([pair.reference for pair in shot.pairs])
        try:
            fitted = anchor_values(x, reference, is_inverse=self._is_inverse)
            anchoring = anchoring_or_refusal(fitted, is_known=self._is_known)
        except CalibrationError as error:
            anchoring = anchoring_refusal(error)
        if anchoring.refused is not None:
            raise InputError(
                problem=f"frames {shot.first} to {end - 1}: {template(anchoring.refused)}"
            )
        return anchoring


@dataclass(slots=True)
class _OpenShot:
    first: int
    pairs: deque[_FramePair] = field(default_factory=lambda: deque(maxlen=_FRAMES))
    lock: Lock = field(default_factory=Lock)

    def takes(self, frame: int) -> bool:
        """Whether to show frame 0, 1, 2, 4, 8, 16, 32, 48, ..."""
        if not self.pairs:
            return True
        last = self.pairs[-1].frame
        return frame - last >= min(_APART, max(1, last - self.first))

    def anchoring(
        self, frame: int, depth: DepthMap, photo: Photo, reference: Reference, *, is_known: bool
    ) -> Anchoring:
        with self.lock:
            try:
                if self.takes(frame):
                    self.pairs.append(_frame_pair(frame, depth, reference(photo)))
                x = _concatenate_as_float64([pair.x for pair in self.pairs])
                z = _concatenate_as_float64([pair.reference for pair in self.pairs])
                is_inverse = depth.kind is DepthKind.AFFINE_INVERSE
                fitted = anchor_values(x, z, is_inverse=is_inverse)
                return anchoring_or_refusal(fitted, is_known=is_known)
            except CalibrationError as error:
                return anchoring_refusal(error)


class RunningAnchor:
    """Anchoring of a stream's frames in order."""

    def __init__(self, reference: Reference) -> None:
        self._reference = reference
        self._count = 0
        self._sample: FrameSample | None = None
        self._shot = _OpenShot(0)

    def anchorable(self, prediction: Prediction) -> Prediction:
        """The next frame, which is anchored once that is needed; unchanged if it is depth."""
        depth, photo = prediction.depth_or_none, prediction.photo
        if depth is None or depth.is_depth or photo is None:
            return prediction
        frame, self._count = self._count, self._count + 1
        sample = sample_frame(depth, photo)
        if self._sample is None or compare_frames(self._sample, sample).is_cut:
            self._shot = _OpenShot(frame)
        self._sample = sample
        shot, reference, is_familiar = self._shot, self._reference, is_known(prediction.made_by)
        anchored = prediction.but()
        anchored.defer(
            "anchoring",
            lambda: shot.anchoring(frame, depth, photo, reference, is_known=is_familiar),
        )
        return anchored
