"""Outputs that are steady where nothing moves in a video."""

from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np

from rilievo.arrays.shapes import Field, Mask, UInt8
from rilievo.models.base import Inference
from rilievo.predicting.videos.frame_answers import StoredAnswers

MOVING = -1
"""Stretch of a frame whose camera moves."""
_WINDOW = 6
"""Frames before and after that count."""
_UNMOVED = 0.25
"""Motion of an unmoved pixel [px]."""
_FAINT = 4.0
"""Largest change of noise [grey levels]."""
_AROUND = 2
_SAME_SHARE = 0.8
_NOTHING, _DARK = np.zeros((1, 1), np.float32), np.zeros((1, 1), np.uint8)


@dataclass(frozen=True, slots=True, kw_only=True)
class Correction:
    """Correction of a frame: factor ``scale``, then ``shift``."""

    scale: float
    shift: float = 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class ScaledFrame:
    """Frame at the network's resolution.

    Attributes:
        numbers: Numbers, of depth logarithms.
        grey: Brightness, 0 to 255.
        stretch: Still stretch, or ``MOVING``.
    """

    numbers: Field
    valid: Mask
    grey: UInt8[np.ndarray, "h w"]
    stretch: int


def steady_means(frames: Iterable[ScaledFrame]) -> Iterator[Field]:
    """Yield each frame's numbers, averaged where nothing moves."""
    window: deque[ScaledFrame] = deque()
    at = 0
    for frame in frames:
        window.append(frame)
        if len(window) - at > _WINDOW:
            yield _steady_mean(window, at)
            at += 1
        if at > _WINDOW:
            window.popleft()
            at -= 1
    while at < len(window):
        yield _steady_mean(window, at)
        at += 1


def still_frames(stretches: Sequence[int]) -> tuple[tuple[int, int], ...]:
    """First and last frame of each still stretch."""
    spans = []
    for number in dict.fromkeys(stretch for stretch in stretches if stretch != MOVING):
        frames = [index for index, label in enumerate(stretches) if label == number]
        spans.append((frames[0], frames[-1]))
    return tuple(spans)


def steady_answers(
    stored: StoredAnswers,
    corrections: Sequence[Correction],
    stretches: Sequence[int],
    *,
    is_positive: bool,
) -> Iterator[Inference]:
    """Yield stored outputs, corrected and steadied."""
    waiting: deque[Inference] = deque()

    def frames() -> Iterator[ScaledFrame]:
        for (answer, grey), by, stretch in zip(stored, corrections, stretches, strict=True):
            answer = _correct_answer(answer, by)
            waiting.append(answer)
            depth = answer.depth
            is_still = stretch != MOVING and depth is not None and grey is not None
            if not is_still:
                depth, grey, stretch = _NOTHING, _DARK, MOVING
            assert depth is not None, "checked above"
            assert grey is not None, "checked above"
            valid = np.ones(depth.shape, bool) if answer.valid is None else answer.valid
            yield ScaledFrame(
                numbers=np.log(depth) if is_still and is_positive else depth,
                valid=valid if is_still else np.ones(depth.shape, bool),
                grey=grey,
                stretch=stretch,
            )

    for numbers in steady_means(frames()):
        answer = waiting.popleft()
        if numbers is _NOTHING:
            yield answer
        else:
            yield replace(answer, depth=np.exp(numbers) if is_positive else numbers)


def _correct_answer(answer: Inference, by: Correction) -> Inference:
    if answer.depth is None:
        return answer
    depth = answer.depth * np.float32(by.scale)
    depth += np.float32(by.shift)
    return replace(answer, depth=depth)


def _steady_mean(window: deque[ScaledFrame], at: int) -> Field:
    now = window[at]
    if now.stretch == MOVING:
        return now.numbers
    total, count = now.numbers.copy(), np.ones(now.numbers.shape, np.float32)
    grey = now.grey.astype(np.float32)
    slope = _grey_slope(grey)
    for index in range(max(0, at - _WINDOW), min(len(window), at + _WINDOW + 1)):
        other = window[index]
        if index == at or other.stretch != now.stretch or other.grey.shape != now.grey.shape:
            continue
        same = _still_pixels(grey, other.grey.astype(np.float32), slope) & other.valid & now.valid
        total += np.where(same, other.numbers, np.float32(0))
        count += same
    return total / count


def _grey_slope(grey: Field) -> Field:
    down, across = np.gradient(grey)
    return np.hypot(down, across)


def _still_pixels(
    now: Field,
    other: Field,
    slope: Field,
) -> Mask:
    change = other - now
    sample = np.s_[::3, ::3]
    change -= np.float32(np.median(change[sample]))
    np.abs(change, out=change)
    flat = slope[sample] <= np.quantile(slope[sample], 1 / 3)
    noise = min(3.0 * float(np.median(change[sample][flat])), _FAINT)
    return (
        _true_share_in_window(change <= _UNMOVED * slope + np.float32(max(noise, 1.0)))
        >= _SAME_SHARE
    )


def _true_share_in_window(mask: Mask) -> Field:
    side = 2 * _AROUND + 1
    padded = np.pad(mask, _AROUND, mode="edge").astype(np.float32)
    sums = np.pad(padded.cumsum(axis=0), ((1, 0), (0, 0)))
    rows = sums[side:] - sums[:-side]
    sums = np.pad(rows.cumsum(axis=1), ((0, 0), (1, 0)))
    return (sums[:, side:] - sums[:, :-side]) / np.float32(side * side)
