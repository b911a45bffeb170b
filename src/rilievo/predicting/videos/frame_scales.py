"""Consistent scales for the frames of a video.

A model gives each frame its own scale (and shift, if its depth is affine). Two remedies are here.

``ScaleTrack`` smooths the scale over time, once all frames are known:

1. A frame is compared with a reference: the frame before it, or the first of a still stretch. The
   change of log scale, added up along the references, is the apparent path A of each shot.

2. The corrected path P is the minimum of

    Σ (P_t - A_t)² + Σ μ_t (P_{t+1} - 2 P_t + P_{t-1})² + Σ w_t (P_t - P_{t-1})²

   The first sum prevents drift. The second removes fast changes (``SMOOTHED``), but not between
   still stretches. The third holds the scale of a still camera (``STILL``, ``HELD``). This is the
   smoother of Whittaker (1923), and of Hodrick and Prescott (1997).

``ShotFitter`` and ``StreamFitter`` fit affine depth to a reference depth, with one scale and shift
(an ``Anchoring``) per shot: the first once all frames are known, the second while they arrive.
"""

import math
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import groupby, pairwise
from threading import Lock

import numpy as np
from PIL import Image

from rilievo.alignment.anchor import anchor_values, paired_values
from rilievo.arrays.shapes import Bool, Field, Float32, Float64, Mask, Pixels, Values
from rilievo.errors import CalibrationError, InputError
from rilievo.errors.messages import Text
from rilievo.predicting.photographs.anchoring import (
    anchoring_or_refusal,
    anchoring_refusal,
    is_listed_model,
)
from rilievo.predicting.videos.steadying import MOVING, Correction
from rilievo.prediction import Prediction
from rilievo.records.depth_map import DepthKind, DepthMap
from rilievo.records.prediction_record import Anchoring
from rilievo.records.sample import Photo

_MAX_SAMPLES = 1 << 14
"""Most pixels of a frame that are compared."""
_TRIM = 0.1
"""Quantile at each end that a trimmed mean leaves out."""
_MIN_COMPARED = 0.05
"""Least share of unmoved pixels that are compared alone, without the others."""

_MAX_MOTION = 0.25
"""Largest motion of a pixel that counts as unmoved [px of the sample]."""
_MIN_EDGE_SLOPE = 4.0
"""Least slope of an edge [grey levels per pixel], and most noise [grey levels]."""
_MIN_EDGE_PIXELS = 16
_MIN_STILL_EDGES = 0.5
"""Least share of edges that are unmoved where the camera stands still."""

_CUT_CORRELATION = 0.5
_CUT_COLOUR_DISTANCE = 0.25
"""Limits of a cut: within shots the correlation is above 0.57 and the distance of colours below
0.23, between shots below 0.45 and above 0.3."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Look:
    """Layout and colours of a picture, for finding cuts.

    Attributes:
        layout: Pixels of a picture of 32 x 24 grey levels, of zero mean and unit length.
        colours: Histogram of 8 x 8 x 8 colours, of sum 1.
    """

    layout: Float64[np.ndarray, "768"]
    colours: Float64[np.ndarray, "512"]

    def is_cut(self, later: "Look") -> bool:
        """Whether layout and colours both differ; a flash keeps layout, fast motion colours."""
        correlation = self.layout @ later.layout
        colour_distance = np.abs(self.colours - later.colours).sum() / 2
        return bool(correlation < _CUT_CORRELATION and colour_distance > _CUT_COLOUR_DISTANCE)


@dataclass(frozen=True, slots=True, kw_only=True)
class FrameSample:
    """Coarse sample of a frame.

    Attributes:
        values: Log depth, or affine values.
        valid: Pixels with depth.
        is_log: Whether ``values`` are logarithms, so that their difference is a change of scale.
        grey: Grey levels, 0 to 255, on the same grid.
        look: Layout and colours.
    """

    values: Field
    valid: Mask
    is_log: bool
    grey: Field
    look: Look


@dataclass(frozen=True, slots=True, kw_only=True)
class FrameComparison:
    """Comparison of a frame with its reference.

    Attributes:
        is_cut: Whether they are of different shots; nothing else is known then.
        is_still: Whether the camera stood still between them.
        log_growth: Log of the frame's scale over that of the reference.
        mean: Trimmed mean of the frame's values.
        reference_mean: Trimmed mean of the reference's values.
    """

    is_cut: bool
    is_still: bool = False
    log_growth: float = 0.0
    mean: float = 0.0
    reference_mean: float = 0.0


def sample_frame(depth: DepthMap, photo: Photo) -> FrameSample:
    """Sample the depth and the look of a frame on a coarse grid."""
    stride = max(1, int(np.ceil(np.sqrt(depth.values.size / _MAX_SAMPLES))))
    grid = np.s_[stride // 2 :: stride, stride // 2 :: stride]
    values, valid = depth.values[grid], depth.valid[grid]
    if depth.is_depth:
        values = np.log(values, where=valid, out=np.zeros_like(values))

    image = _shrink(photo.pixels, values.shape)
    return FrameSample(
        values=values,
        valid=valid,
        is_log=depth.is_depth,
        grey=np.asarray(image.convert("L"), np.float32),
        look=_look_of_image(image),
    )


def picture_look(pixels: Pixels) -> Look:
    """Layout and colours of a picture of any size."""
    height, width = pixels.shape[:2]
    factor = min(1.0, (_MAX_SAMPLES / (height * width)) ** 0.5)
    shape = max(1, round(factor * height)), max(1, round(factor * width))
    return _look_of_image(_shrink(pixels, shape))


def _shrink(pixels: Pixels, shape: tuple[int, ...]) -> Image.Image:
    height, width = shape
    image = Image.fromarray(pixels)
    return image.resize((width, height), Image.Resampling.BOX, reducing_gap=2.0)


def _look_of_image(image: Image.Image) -> Look:
    return Look(layout=_grey_layout(image), colours=_colour_histogram(np.asarray(image)))


def _grey_layout(image: Image.Image) -> Float64[np.ndarray, "768"]:
    thumbnail = image.convert("L").resize((32, 24), Image.Resampling.BOX)
    grey = np.asarray(thumbnail, np.float64).ravel()
    grey -= grey.mean()
    return grey / max(float(np.linalg.norm(grey)), 1e-9)


def _colour_histogram(pixels: Pixels) -> Float64[np.ndarray, "512"]:
    red, green, blue = np.moveaxis((pixels >> 5).astype(np.intp), 2, 0)
    bins = red * 64 + green * 8 + blue
    return np.bincount(bins.ravel(), minlength=512) / bins.size


def compare_frames(reference: FrameSample, sample: FrameSample) -> FrameComparison:
    """Find a cut, or the change of scale and mean, from a reference to a later frame."""
    if sample.values.shape != reference.values.shape or reference.look.is_cut(sample.look):
        return FrameComparison(is_cut=True)

    is_unmoved, is_still = _find_still_pixels(reference.grey, sample.grey)
    both_valid = reference.valid & sample.valid
    # While the camera moves, unmoved pixels are mostly flat ones, a worse sample than all pixels.
    compared = both_valid & is_unmoved if is_still else both_valid
    if np.count_nonzero(compared) < _MIN_COMPARED * compared.size:
        compared = both_valid
    if not compared.any():
        return FrameComparison(is_cut=False, is_still=is_still)

    before = reference.values[compared].astype(np.float64)
    after = sample.values[compared].astype(np.float64)
    mean, reference_mean = _trimmed_mean(after), _trimmed_mean(before)
    if sample.is_log:
        log_growth = _trimmed_mean(after - before)
    else:
        spread = np.abs(after - mean).mean()
        reference_spread = np.abs(before - reference_mean).mean()
        log_growth = _log_ratio(spread, reference_spread)
    return FrameComparison(
        is_cut=False,
        is_still=is_still,
        log_growth=log_growth,
        mean=mean,
        reference_mean=reference_mean,
    )


def _find_still_pixels(before: Field, after: Field) -> tuple[Mask, bool]:
    """Find unmoved pixels, and whether the camera stands still.

    A pixel of slope s that moves by d changes by s d, the normal flow of Horn and Schunck (1981).
    The change of flat pixels is noise; that of the whole frame is exposure.
    """
    change = after - before
    change = np.abs(change - np.median(change))
    gradient_y, gradient_x = np.gradient((before + after) / 2)
    slope = np.hypot(gradient_x, gradient_y)

    is_flat = slope <= np.quantile(slope, 1 / 3)
    noise = min(2.0 * float(np.median(change[is_flat])), _MIN_EDGE_SLOPE)
    is_unmoved = change <= _MAX_MOTION * slope + noise

    # Only at edges does motion change a pixel by clearly more than noise.
    is_edge = slope > max(_MIN_EDGE_SLOPE, 2 * noise / _MAX_MOTION)
    unmoved_edges = is_unmoved[is_edge]
    if unmoved_edges.size < _MIN_EDGE_PIXELS:
        return is_unmoved, False
    return is_unmoved, bool(unmoved_edges.mean() >= _MIN_STILL_EDGES)


def _trimmed_mean(values: Values) -> float:
    """Mean without the outer tenths, which flickers less than the median."""
    low, high = np.quantile(values, (_TRIM, 1 - _TRIM))
    return float(values[(values >= low) & (values <= high)].mean())


def _log_ratio(numerator: float, denominator: float) -> float:
    """Log of a ratio of positive numbers; 0 if one of them is 0, as of constant depth."""
    if numerator <= 0 or denominator <= 0:
        return 0.0
    return float(np.log(numerator / denominator))


SMOOTHED = 1.5
"""Period of the changes of scale that are halved [s]; slower ones are followed."""
HELD = 10.0
"""Time constant of following the model while the camera stands still [s]."""
STILL = 0.5
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
    min_frames = max(2, round(STILL * rate))
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
    period = max(SMOOTHED * rate, _MIN_PERIOD)
    # A wave of this period is damped by 1 / (1 + μ (2 sin(π / period))⁴) = 1/2.
    halving_weight = (2 * math.sin(math.pi / period)) ** -4
    bending_weight = np.full(max(len(apparent) - 2, 0), halving_weight)
    step_weight = np.where(held[1:], (HELD * rate) ** 2, 0.0)

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
    """Solve the normal equations of the sums in the module's docstring, of five diagonals."""
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


_MAX_SHOT_FRAMES = 8
"""Most frames by which a shot is fitted."""
_MAX_STREAM_GAP = 16
"""Most frames between two by which a shot of a stream is fitted."""
_MAX_FRAME_PIXELS = 512
"""Most pixels of such a frame."""

Reference = Callable[[Photo], DepthMap]
"""Function that computes the reference depth of a frame."""


@dataclass(frozen=True, slots=True)
class _FramePair:
    """Values of one frame and its reference depth at the same pixels."""

    frame: int
    values: Float32[np.ndarray, "n"]
    reference: Float32[np.ndarray, "n"]


def _frame_pair(frame: int, depth: DepthMap, reference: DepthMap) -> _FramePair:
    values, reference_values = paired_values(depth, reference)
    step = max(1, math.ceil(values.size / _MAX_FRAME_PIXELS))
    return _FramePair(
        frame=frame,
        values=values[::step].astype(np.float32),
        reference=reference_values[::step].astype(np.float32),
    )


def _concatenate_as_float64(arrays: Sequence[Float32[np.ndarray, "_"]]) -> Values:
    return np.concatenate(arrays).astype(np.float64)


def _corrected_values(pair: _FramePair, corrections: Sequence[Correction]) -> Values:
    correction = corrections[pair.frame]
    return correction.scale * pair.values.astype(np.float64) + correction.shift


def _fit_or_refuse(
    values: Values, reference: Values, *, is_inverse: bool, is_listed: bool
) -> Anchoring:
    """Fit of affine values to reference depth, or the reason why there is none."""
    try:
        fit = anchor_values(values, reference, is_inverse=is_inverse)
        return anchoring_or_refusal(fit, is_listed=is_listed)
    except CalibrationError as error:
        return anchoring_refusal(error)


class _ShotFrames:
    """A few frames of a shot, sampled evenly over its length, which is not known beforehand."""

    def __init__(self, first_frame: int) -> None:
        self.first_frame = first_frame
        self.pairs: list[_FramePair] = []
        self._stride = 1

    def is_sampled(self, frame: int) -> bool:
        """Whether a frame is to be sampled."""
        return (frame - self.first_frame) % self._stride == 0

    def add(self, pair: _FramePair) -> None:
        """Add a sampled frame; if there are too many, keep every second one."""
        self.pairs.append(pair)
        if len(self.pairs) > _MAX_SHOT_FRAMES:
            self._stride *= 2
            self.pairs = [old for old in self.pairs if self.is_sampled(old.frame)]


class ShotFitter:
    """Fitter of the shots of a video to reference depth, by a few sampled frames of each shot."""

    def __init__(self, reference: Reference, kind: DepthKind, *, is_listed: bool) -> None:
        """Collect frames of affine depth.

        Args:
            reference: Function that computes the reference depth of a frame.
            kind: Kind of the frames' depth.
            is_listed: Whether rilievo lists the model, so that weaker agreement is accepted.
        """
        self._reference = reference
        self._is_inverse = kind is DepthKind.AFFINE_INVERSE
        self._is_listed = is_listed
        self._shots: list[_ShotFrames] = []

    def add_frame(self, frame: int, first_frame: int, depth: DepthMap, photo: Photo) -> None:
        """Add the next frame, of the shot that begins with frame ``first_frame``."""
        if not self._shots or self._shots[-1].first_frame != first_frame:
            self._shots.append(_ShotFrames(first_frame))
        shot = self._shots[-1]
        if shot.is_sampled(frame):
            shot.add(_frame_pair(frame, depth, self._reference(photo)))

    def fit_shots(self, corrections: Sequence[Correction]) -> tuple[Anchoring, ...]:
        """Fit each shot, by frames of which scales and shifts are corrected.

        Raises:
            InputError: If a shot cannot be fitted.
        """
        ends = [*(shot.first_frame for shot in self._shots[1:]), len(corrections)]
        return tuple(
            self._fit_shot(shot, end, corrections)
            for shot, end in zip(self._shots, ends, strict=True)
        )

    def _fit_shot(
        self, shot: _ShotFrames, end: int, corrections: Sequence[Correction]
    ) -> Anchoring:
        """Fit the shot that ends before frame ``end``."""
        anchoring = _fit_or_refuse(
            np.concatenate([_corrected_values(pair, corrections) for pair in shot.pairs]),
            _concatenate_as_float64([pair.reference for pair in shot.pairs]),
            is_inverse=self._is_inverse,
            is_listed=self._is_listed,
        )
        reason_to_refuse = anchoring.refused
        if reason_to_refuse is not None:
            raise InputError(
                problem=Text(f"frames {shot.first_frame} to {end - 1}: ", reason_to_refuse)
            )
        return anchoring


class _OpenShot:
    """Shot of a stream that has not ended, with its newest sampled frames.

    A frame is sampled, and the shot fitted, when the anchoring of its prediction is first read.
    This may happen in several threads at once.
    """

    def __init__(self, first_frame: int) -> None:
        self._first_frame = first_frame
        self._pairs: deque[_FramePair] = deque(maxlen=_MAX_SHOT_FRAMES)
        self._lock = Lock()

    def fit(
        self, frame: int, depth: DepthMap, photo: Photo, reference: Reference, *, is_listed: bool
    ) -> Anchoring:
        """Fit the shot up to a frame; if that is impossible, the result says why."""
        try:
            pairs = self._sample_pairs(frame, depth, photo, reference)
        except CalibrationError as error:
            return anchoring_refusal(error)
        return _fit_or_refuse(
            _concatenate_as_float64([pair.values for pair in pairs]),
            _concatenate_as_float64([pair.reference for pair in pairs]),
            is_inverse=depth.kind is DepthKind.AFFINE_INVERSE,
            is_listed=is_listed,
        )

    def _sample_pairs(
        self, frame: int, depth: DepthMap, photo: Photo, reference: Reference
    ) -> list[_FramePair]:
        """Sample a frame if it is due, and return all sampled frames."""
        with self._lock:
            if self._is_sampled(frame):
                self._pairs.append(_frame_pair(frame, depth, reference(photo)))
            return list(self._pairs)

    def _is_sampled(self, frame: int) -> bool:
        """Whether a frame is due; if all are read, frames 0, 1, 2, 4, 8, 16, 32, 48, ... are."""
        if not self._pairs:
            return True
        last_frame = self._pairs[-1].frame
        gap = min(_MAX_STREAM_GAP, max(1, last_frame - self._first_frame))
        return frame - last_frame >= gap


class StreamFitter:
    """Fitter of the shots of a stream to reference depth, while its frames arrive."""

    def __init__(self, reference: Reference) -> None:
        self._reference = reference
        self._frame_count = 0
        self._last_sample: FrameSample | None = None
        self._shot = _OpenShot(0)

    def add_frame(self, prediction: Prediction) -> Prediction:
        """Add the next frame; its shot is fitted when ``anchoring`` of the result is first read.

        A prediction whose depth needs no fit is returned unchanged.
        """
        depth, photo = prediction.depth_or_none, prediction.photo
        if depth is None or depth.is_depth or photo is None:
            return prediction

        frame = self._frame_count
        self._frame_count += 1
        sample = sample_frame(depth, photo)
        if self._last_sample is None or compare_frames(self._last_sample, sample).is_cut:
            self._shot = _OpenShot(frame)
        self._last_sample = sample

        # The shot of this frame, which a later frame may end.
        shot, reference = self._shot, self._reference
        is_listed = is_listed_model(prediction.made_by)
        prepared = prediction.but()
        prepared.defer(
            "anchoring", lambda: shot.fit(frame, depth, photo, reference, is_listed=is_listed)
        )
        return prepared
