"""Network outputs of a video, in a file, and steady where nothing moves.

While the camera stands still, a pixel has the mean over frames around in which it looks the same.
"""

import os
import tempfile
from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import IO

import numpy as np

from rilievo.arrays.shapes import Field, Float32, Mask, UInt8
from rilievo.errors.messages import OptionName, Text
from rilievo.io.files.atomic import unwritable
from rilievo.io.files.machine import check_disk_space
from rilievo.models.base import Inference

MOVING = -1
"""Stretch of a frame whose camera moves."""

_STEPS = 65535
_FEW_STEPS = 255
_UNIT = 32767
_WINDOW = 6
"""Frames before and after that count."""
_UNMOVED = 0.25
"""Motion of an unmoved pixel [px]."""
_FAINT = 4.0
"""Largest change of noise [grey levels]."""
_AROUND = 2
_SAME_SHARE = 0.8
_NOTHING, _DARK = np.zeros((1, 1), np.float32), np.zeros((1, 1), np.uint8)


@dataclass(slots=True)
class AnswerLayout:
    """Layout of consecutive answers, and their number."""

    record: np.dtype
    count: int = 0

    @property
    def bytes(self) -> int:
        """Bytes of these frames."""
        return self.count * self.record.itemsize


class StoredAnswers:
    """Network outputs of frames in a file.

    Depth has 16 bits over its frame's range, logarithmic (0.01 % from 1 to 500) if positive;
    normals 1/32767, confidence 1/65535, sky 1/255.
    """

    def __init__(self, file: IO[bytes], *, is_positive: bool) -> None:
        self._file = file
        self._is_positive = is_positive
        self.layouts: list[AnswerLayout] = []
        self.folder, self.expected = Path(), 0

    def expect(self, folder: Path, frames: int) -> None:
        """Set what the first ``append`` compares with free space."""
        self.folder, self.expected = folder, frames

    @property
    def count(self) -> int:
        """Number of frames."""
        return sum(layout.count for layout in self.layouts)

    @property
    def end(self) -> int:
        """Bytes of all frames."""
        return sum(layout.bytes for layout in self.layouts)

    def append(self, answer: Inference, grey: UInt8[np.ndarray, "h w"] | None = None) -> None:
        """Append the next frame."""
        record = _row_dtype(answer, grey)
        if not self.count and self.expected:
            check_disk_space(
                self.folder,
                self.expected * record.itemsize,
                f"the answers of {self.expected:,} frames",
                Text(
                    "choose another folder with ",
                    OptionName("output"),
                    ", or a lower ",
                    OptionName("fps"),
                ),
            )
        row = np.zeros((), record)
        if answer.depth is not None:
            valid = np.ones(answer.depth.shape, bool) if answer.valid is None else answer.valid
            depth = _fill_invalid(answer.depth, valid)
            numbers = np.log(depth) if self._is_positive else depth
            low, high = float(numbers.min()), float(numbers.max())
            step = (high - low) / _STEPS or 1.0
            row["low"], row["step"], row["valid"] = low, step, valid
            row["depth"] = np.rint((numbers - np.float32(low)) / np.float32(step)).clip(0, _STEPS)
        if answer.normals is not None:
            # Where there are none, they are NaN.
            row["normals"] = np.rint(np.nan_to_num(answer.normals) * np.float32(_UNIT))
        if grey is not None:
            row["grey"] = grey
        if answer.confidence is not None:
            row["confidence"] = np.rint(answer.confidence * np.float32(_STEPS))
        if answer.sky is not None:
            row["sky"] = np.rint(answer.sky * np.float32(_FEW_STEPS))
        self._file.seek(self.end)
        self._file.write(row.tobytes())
        if not self.layouts or self.layouts[-1].record != record:
            self.layouts.append(AnswerLayout(record))
        self.layouts[-1].count += 1

    def __iter__(self) -> Iterator[tuple[Inference, UInt8[np.ndarray, "h w"] | None]]:
        return (
            (self._answer_of_row(row), row["grey"] if "grey" in _column_names(row) else None)
            for row in self._stored_rows()
        )

    def _stored_rows(self) -> Iterator[np.void]:
        place = 0
        for layout in self.layouts:
            for _ in range(layout.count):
                self._file.seek(place)
                row = self._file.read(layout.record.itemsize)
                place += len(row)
                yield np.frombuffer(row, layout.record)[0]

    def _answer_of_row(self, row: np.void) -> Inference:
        names = _column_names(row)
        return Inference(
            depth=self._depth_of_row(row) if "depth" in names else None,
            valid=_valid_mask(row) if "depth" in names else None,
            normals=_divide_as_float32(row["normals"], _UNIT) if "normals" in names else None,
            confidence=_divide_as_float32(row["confidence"], _STEPS)
            if "confidence" in names
            else None,
            sky=_divide_as_float32(row["sky"], _FEW_STEPS) if "sky" in names else None,
        )

    def _depth_of_row(self, row: np.void) -> Field:
        numbers = row["depth"].astype(np.float32)
        numbers *= np.float32(row["step"])
        numbers += np.float32(row["low"])
        return np.exp(numbers, out=numbers) if self._is_positive else numbers


@contextmanager
def open_stored_answers(folder: Path, *, is_positive: bool) -> Iterator[StoredAnswers]:
    """Open storage in an unnamed temporary file."""
    with nameless_file(folder) as file:
        yield StoredAnswers(file, is_positive=is_positive)


def nameless_file(folder: Path) -> IO[bytes]:
    """Open a file that ``os.link`` may name on Linux.

    Raises:
        OutputError: If the folder cannot be written.
    """
    if hasattr(os, "O_TMPFILE"):
        with suppress(OSError):  # some file systems have no such files
            return os.fdopen(os.open(folder, os.O_TMPFILE | os.O_RDWR, 0o600), "w+b")
    try:
        return tempfile.TemporaryFile(dir=folder)
    except OSError as error:
        raise unwritable(folder, error) from error


def _row_dtype(answer: Inference, grey: UInt8[np.ndarray, "h w"] | None) -> np.dtype:
    fields: list[tuple[str, str] | tuple[str, str, tuple[int, ...]]] = []
    if answer.depth is not None:
        fields += [("low", "f8"), ("step", "f8"), ("depth", "u2", answer.depth.shape)]
        # Always, because some models give a mask only for frames that have a hole.
        fields.append(("valid", "?", answer.depth.shape))
    if grey is not None:
        fields.append(("grey", "u1", grey.shape))
    if answer.normals is not None:
        fields.append(("normals", "i2", answer.normals.shape))
    if answer.confidence is not None:
        fields.append(("confidence", "u2", answer.confidence.shape))
    if answer.sky is not None:
        fields.append(("sky", "u1", answer.sky.shape))
    return np.dtype(fields)


def _column_names(row: np.void) -> tuple[str, ...]:
    return row.dtype.names or ()


def _fill_invalid(depth: Field, valid: Mask) -> Field:
    """Depth with its least valid number where invalid."""
    if valid.all():
        return depth
    least = depth[valid].min() if valid.any() else np.float32(1)
    return np.where(valid, depth, least)


def _valid_mask(row: np.void) -> Mask | None:
    """Mask of valid pixels; None where all are."""
    return None if row["valid"].all() else row["valid"]


def _divide_as_float32(stored: np.ndarray, unit: int) -> Float32[np.ndarray, "..."]:
    return stored.astype(np.float32) * np.float32(1 / unit)


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
