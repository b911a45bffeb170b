"""Reduce the flicker of a video's depth where nothing moves.

While the camera stands still, the depth of each unmoved pixel is averaged over a few frames.
"""

from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import tee

import numpy as np

from rilievo.arrays.shapes import Field, Mask, UInt8
from rilievo.models.base import Inference
from rilievo.predicting.videos.stored_inferences import StoredInferences

MOVING = -1
"""Stands for the still stretch of a frame in which the camera moves."""

_NEIGHBOUR_FRAMES = 6
"""Number of frames before, and of frames after, that are averaged with a frame."""
_MAX_MOTION = 0.25
"""Largest motion of a pixel that counts as unmoved [px]."""
_MIN_NOISE, _MAX_NOISE = 1.0, 4.0
"""Limits between which the measured noise of brightness is clamped [grey levels]."""
_WINDOW_RADIUS = 2
"""Radius of the square window around a pixel in which most pixels have to be unmoved [px]."""
_MIN_UNMOVED_FRACTION = 0.8
"""Minimum fraction of unmoved pixels in this window."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Correction:
    """Correction of a frame's depth: it is multiplied by ``scale``, then ``shift`` is added."""

    scale: float
    shift: float = 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class StillFrame:
    """Frame of a camera that stands still, at the network's resolution.

    Attributes:
        values: Log depth, or affine values.
        grey: Brightness, 0 to 255.
        stretch: First frame of the still stretch, which identifies it.
    """

    values: Field
    valid: Mask
    grey: UInt8[np.ndarray, "h w"]
    stretch: int


def steady_inferences(
    stored: StoredInferences,
    corrections: Sequence[Correction],
    stretches: Sequence[int],
    *,
    is_positive: bool,
) -> Iterator[Inference]:
    """Yield the stored inferences of all frames, corrected, and averaged where nothing moves.

    ``stretches`` has the still stretch of each frame, or ``MOVING``. Positive depth is averaged in
    its logarithm.
    """
    corrected_frames = _corrected_frames(stored, corrections, stretches)
    # The means lag some frames behind, because they need the frames after. ``tee`` keeps the frames
    # in between.
    frames_to_yield, frames_to_average = tee(corrected_frames)
    still_frames = (frame.as_still_frame(is_positive=is_positive) for frame in frames_to_average)
    for frame, mean in zip(frames_to_yield, steady_means(still_frames), strict=True):
        if mean is None:
            yield frame.inference
        else:
            yield replace(frame.inference, depth=np.exp(mean) if is_positive else mean)


@dataclass(frozen=True, slots=True, kw_only=True)
class _CorrectedFrame:
    """Frame whose depth has the corrected scale and shift.

    Attributes:
        grey: Brightness, 0 to 255; None if it was not stored.
        stretch: First frame of its still stretch, or ``MOVING``.
    """

    inference: Inference
    grey: UInt8[np.ndarray, "h w"] | None
    stretch: int

    def as_still_frame(self, *, is_positive: bool) -> StillFrame | None:
        """Return what is needed to average the frame; None if the camera moves."""
        depth = self.inference.depth
        if self.stretch == MOVING or depth is None or self.grey is None:
            return None
        valid = self.inference.valid
        return StillFrame(
            values=np.log(depth) if is_positive else depth,
            valid=np.ones(depth.shape, bool) if valid is None else valid,
            grey=self.grey,
            stretch=self.stretch,
        )


def _corrected_frames(
    stored: StoredInferences, corrections: Sequence[Correction], stretches: Sequence[int]
) -> Iterator[_CorrectedFrame]:
    """Yield the stored frames with the corrected depth of each."""
    frames = zip(stored, corrections, stretches, strict=True)
    for (inference, grey), correction, stretch in frames:
        corrected = _correct_inference(inference, correction)
        yield _CorrectedFrame(inference=corrected, grey=grey, stretch=stretch)


def _correct_inference(inference: Inference, correction: Correction) -> Inference:
    """Multiply and shift the depth of an inference."""
    if inference.depth is None:
        return inference
    depth = inference.depth * np.float32(correction.scale)
    depth += np.float32(correction.shift)
    return replace(inference, depth=depth)


def steady_means(frames: Iterable[StillFrame | None]) -> Iterator[Field | None]:
    """Yield the values of each frame, averaged over neighbouring frames where nothing moves.

    A frame is None if the camera moves, and its mean is None as well. The mean of a frame is
    computed once all frames up to ``_NEIGHBOUR_FRAMES`` after it have arrived.
    """
    # The frames up to ``_NEIGHBOUR_FRAMES`` before and after the current one.
    window: deque[StillFrame | None] = deque()
    current = 0  # index in the window of the frame whose mean is computed next
    for frame in frames:
        window.append(frame)
        later_frame_count = len(window) - current - 1
        if later_frame_count >= _NEIGHBOUR_FRAMES:
            yield _steady_mean(window, current)
            current += 1
        if current > _NEIGHBOUR_FRAMES:
            window.popleft()  # no later frame has this one as a neighbour
            current -= 1
    # The last frames have fewer neighbours after them.
    while current < len(window):
        yield _steady_mean(window, current)
        current += 1


def _steady_mean(window: deque[StillFrame | None], current: int) -> Field | None:
    """Average one frame in the window with the unmoved pixels of its neighbours."""
    frame = window[current]
    if frame is None:
        return None
    total = frame.values.copy()
    count = np.ones(frame.values.shape, np.float32)
    grey = frame.grey.astype(np.float32)
    slope = _brightness_slope(grey)
    first = max(0, current - _NEIGHBOUR_FRAMES)
    end = min(len(window), current + _NEIGHBOUR_FRAMES + 1)
    for index in range(first, end):
        neighbour = window[index]
        if index == current or neighbour is None:
            continue
        if neighbour.stretch != frame.stretch or neighbour.grey.shape != frame.grey.shape:
            continue
        is_unmoved = _find_unmoved_pixels(grey, neighbour.grey.astype(np.float32), slope)
        is_averaged = is_unmoved & neighbour.valid & frame.valid
        total += np.where(is_averaged, neighbour.values, np.float32(0))
        count += is_averaged
    return total / count


def _brightness_slope(grey: Field) -> Field:
    gradient_y, gradient_x = np.gradient(grey)
    return np.hypot(gradient_y, gradient_x)


def _find_unmoved_pixels(grey: Field, neighbour_grey: Field, slope: Field) -> Mask:
    """Find pixels around which brightness changes by noise and a tiny motion only.

    A pixel at brightness slope s that moves by d changes by s d. The noise is measured on flat
    pixels.
    """
    change = neighbour_grey - grey
    sample = np.s_[::3, ::3]  # for speed
    change -= np.float32(np.median(change[sample]))  # the median is a change of exposure
    np.abs(change, out=change)
    is_flat = slope[sample] <= np.quantile(slope[sample], 1 / 3)
    noise = min(3.0 * float(np.median(change[sample][is_flat])), _MAX_NOISE)
    max_change = _MAX_MOTION * slope + np.float32(max(noise, _MIN_NOISE))
    return _local_fraction(change <= max_change) >= _MIN_UNMOVED_FRACTION


def _local_fraction(mask: Mask) -> Field:
    """Compute the fraction of true pixels in a square window around each pixel (a box filter).

    The sum of a window is the difference of two cumulative sums, first along columns and then
    along rows.
    """
    side = 2 * _WINDOW_RADIUS + 1
    padded = np.pad(mask, _WINDOW_RADIUS, mode="edge").astype(np.float32)
    cumulative = np.pad(padded.cumsum(axis=0), ((1, 0), (0, 0)))
    column_sums = cumulative[side:] - cumulative[:-side]
    cumulative = np.pad(column_sums.cumsum(axis=1), ((0, 0), (1, 0)))
    window_sums = cumulative[:, side:] - cumulative[:, :-side]
    return window_sums / np.float32(side * side)


def still_spans(stretches: Sequence[int]) -> tuple[tuple[int, int], ...]:
    """Return the first and last frame of each still stretch, from the stretch of each frame."""
    spans: dict[int, tuple[int, int]] = {}
    for frame, stretch in enumerate(stretches):
        if stretch != MOVING:
            first, _ = spans.get(stretch, (frame, frame))
            spans[stretch] = (first, frame)
    return tuple(spans.values())
