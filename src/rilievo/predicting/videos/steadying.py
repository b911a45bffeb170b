"""Depth of a video that is held steady where nothing moves.

While the camera stands still, the depth of each unmoved pixel is the mean over a few frames.
"""

from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np

from rilievo.arrays.shapes import Field, Mask, UInt8
from rilievo.models.base import Inference
from rilievo.predicting.videos.frame_answers import StoredAnswers

MOVING = -1
"""Number of a frame's still stretch if the camera moves."""

_NEIGHBOUR_FRAMES = 6
"""Frames before, and frames after, that are averaged with a frame."""
_MAX_MOTION = 0.25
"""Largest motion of a pixel that counts as unmoved [px]."""
_MIN_NOISE, _MAX_NOISE = 1.0, 4.0
"""Limits of the change of brightness that counts as noise [grey levels]."""
_WINDOW_RADIUS = 2
"""Pixels to each side of a pixel that have to be unmoved, too."""
_MIN_UNMOVED_SHARE = 0.8
"""Least share of these pixels that are unmoved."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Correction:
    """Correction of a frame's depth: it is multiplied by ``scale``, then ``shift`` is added."""

    scale: float
    shift: float = 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class StillFrame:
    """Frame of a camera that stands still, at the network's resolution.

    Attributes:
        values: Logarithms of depth, or affine values.
        valid: Pixels with depth.
        grey: Brightness, 0 to 255.
        stretch: Number of the still stretch; only its own frames are averaged.
    """

    values: Field
    valid: Mask
    grey: UInt8[np.ndarray, "h w"]
    stretch: int


def steady_answers(
    stored: StoredAnswers,
    corrections: Sequence[Correction],
    stretches: Sequence[int],
    *,
    is_positive: bool,
) -> Iterator[Inference]:
    """Yield the stored answers of all frames, corrected, and held steady where nothing moves.

    Args:
        stored: Answers of the network.
        corrections: Scale and shift of each frame.
        stretches: Still stretch of each frame, or ``MOVING``.
        is_positive: Whether depth is positive, so that its logarithms are averaged.
    """
    waiting: deque[Inference] = deque()

    def frames() -> Iterator[StillFrame | None]:
        rows = zip(stored, corrections, stretches, strict=True)
        for (answer, grey), correction, stretch in rows:
            corrected = _correct_answer(answer, correction)
            waiting.append(corrected)
            depth = corrected.depth
            if stretch == MOVING or depth is None or grey is None:
                yield None
                continue
            valid = corrected.valid
            yield StillFrame(
                values=np.log(depth) if is_positive else depth,
                valid=np.ones(depth.shape, bool) if valid is None else valid,
                grey=grey,
                stretch=stretch,
            )

    for mean in steady_means(frames()):
        answer = waiting.popleft()
        if mean is None:
            yield answer
        else:
            yield replace(answer, depth=np.exp(mean) if is_positive else mean)


def _correct_answer(answer: Inference, correction: Correction) -> Inference:
    """Answer whose depth is multiplied and shifted by a correction."""
    if answer.depth is None:
        return answer
    depth = answer.depth * np.float32(correction.scale)
    depth += np.float32(correction.shift)
    return replace(answer, depth=depth)


def steady_means(frames: Iterable[StillFrame | None]) -> Iterator[Field | None]:
    """Yield the values of each frame, averaged over neighbouring frames where nothing moves.

    A frame is None if the camera moves, and its mean is None as well.
    """
    window: deque[StillFrame | None] = deque()
    current = 0  # Index in the window of the frame whose mean is next.
    for frame in frames:
        window.append(frame)
        if len(window) - current > _NEIGHBOUR_FRAMES:
            yield _steady_mean(window, current)
            current += 1
        if current > _NEIGHBOUR_FRAMES:
            window.popleft()
            current -= 1
    while current < len(window):
        yield _steady_mean(window, current)
        current += 1


def _steady_mean(window: deque[StillFrame | None], current: int) -> Field | None:
    """Mean of one frame in the window over the unmoved pixels of its neighbours."""
    frame = window[current]
    if frame is None:
        return None
    total, count = frame.values.copy(), np.ones(frame.values.shape, np.float32)
    grey = frame.grey.astype(np.float32)
    slope = _brightness_slope(grey)
    first = max(0, current - _NEIGHBOUR_FRAMES)
    for index in range(first, min(len(window), current + _NEIGHBOUR_FRAMES + 1)):
        neighbour = window[index]
        if index == current or neighbour is None or neighbour.stretch != frame.stretch:
            continue
        if neighbour.grey.shape != frame.grey.shape:
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
    """Pixels around which brightness changes no more than by noise and a tiny motion.

    A pixel of slope s that moves by d changes by s d. The change of flat pixels is noise; that of
    the whole frame is exposure.
    """
    change = neighbour_grey - grey
    sample = np.s_[::3, ::3]
    change -= np.float32(np.median(change[sample]))
    np.abs(change, out=change)
    is_flat = slope[sample] <= np.quantile(slope[sample], 1 / 3)
    noise = min(3.0 * float(np.median(change[sample][is_flat])), _MAX_NOISE)
    max_change = _MAX_MOTION * slope + np.float32(max(noise, _MIN_NOISE))
    return _share_around_pixels(change <= max_change) >= _MIN_UNMOVED_SHARE


def _share_around_pixels(mask: Mask) -> Field:
    """Share of true pixels in a square window around each pixel, by cumulated sums."""
    side = 2 * _WINDOW_RADIUS + 1
    padded = np.pad(mask, _WINDOW_RADIUS, mode="edge").astype(np.float32)
    cumulated = np.pad(padded.cumsum(axis=0), ((1, 0), (0, 0)))
    column_sums = cumulated[side:] - cumulated[:-side]
    cumulated = np.pad(column_sums.cumsum(axis=1), ((0, 0), (1, 0)))
    return (cumulated[:, side:] - cumulated[:, :-side]) / np.float32(side * side)


def still_frames(stretches: Sequence[int]) -> tuple[tuple[int, int], ...]:
    """First and last frame of each still stretch; ``stretches`` has the number of each frame."""
    spans: dict[int, tuple[int, int]] = {}
    for frame, stretch in enumerate(stretches):
        if stretch != MOVING:
            first, _ = spans.get(stretch, (frame, frame))
            spans[stretch] = (first, frame)
    return tuple(spans.values())
