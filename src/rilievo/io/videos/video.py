"""Upright frames of video files, with square pixels and their times."""

import math
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import TypeVar

import numpy as np

from rilievo.arrays.shapes import Pixels, UInt8
from rilievo.errors import InputError
from rilievo.errors.messages import Note
from rilievo.io.files.limits import check_size
from rilievo.io.files.names import printable
from rilievo.io.videos.container import (
    Damage,
    VideoFrame,
    VideoStream,
    decode_frames,
    expected_end,
    open_container,
    video_stream,
)
from rilievo.io.videos.frame_colours import check_signal, frame_signal, srgb_pixels
from rilievo.io.videos.frame_source import DEFAULT_RATE, Frame, FrameSource, OpenFile
from rilievo.records.sample import Photo

# Largest plausible aspect.
_MAX_PIXEL_ASPECT = 8


@dataclass(frozen=True, slots=True, kw_only=True)
class Orientation:
    """Transposition, then mirroring, to upright."""

    transpose: bool
    mirror_rows: bool
    mirror_columns: bool

    def apply(self, pixels: UInt8[np.ndarray, "a b 3"]) -> Pixels:
        """Turn pixels upright."""
        if self.transpose:
            pixels = pixels.transpose(1, 0, 2)
        if self.mirror_rows:
            pixels = pixels[::-1]
        if self.mirror_columns:
            pixels = pixels[:, ::-1]
        return np.ascontiguousarray(pixels)


def frame_orientation(picture: VideoFrame) -> Orientation:
    """Transposition and mirroring by the display matrix (a b u; c d v; x y w), 16.16 fixed point.

    A stored pixel (p, q) is shown at (a p + c q, b p + d q).
    """
    data = picture.side_data.get("DISPLAYMATRIX")
    if data is None:
        return Orientation(transpose=False, mirror_rows=False, mirror_columns=False)
    a, b, _, c, d, *_ = (int(value) for value in np.frombuffer(bytes(data), np.int32))  # pyright: ignore[reportArgumentType]
    if abs(b) + abs(c) > abs(a) + abs(d):
        return Orientation(transpose=True, mirror_rows=b < 0, mirror_columns=c < 0)
    return Orientation(transpose=False, mirror_rows=d < 0, mirror_columns=a < 0)


def square_shape(stream: VideoStream) -> tuple[int, int]:
    """Size (height, width) with square pixels, by stretching."""
    height, width = stream.height, stream.width
    aspect = stream.sample_aspect_ratio or Fraction(1)
    if not Fraction(1, _MAX_PIXEL_ASPECT) <= aspect <= _MAX_PIXEL_ASPECT:
        return height, width
    if aspect > 1:
        return height, round(width * aspect)
    return round(height / aspect), width


Item = TypeVar("Item")

# Share of the rate from which ``fps`` keeps all.
_SAME_RATE = Fraction(998, 1000)

# Longest gap [s]; failing clocks jump by years.
LONGEST_GAP = 600


def nearest_in_time(
    timed: Iterable[tuple[int, Item]], spacing: Fraction, step: int
) -> Iterator[tuple[int, Item]]:
    """Yield the frames nearest to evenly spaced times, each once; all times are ticks.

    The last frame is shown for ``step``.
    """
    goal, held = Fraction(0), None
    start = 0
    for ticks, item in timed:
        if held is None:
            start = ticks
        else:
            # The frame held is the nearest one up to halfway; of two as near, the earlier counts.
            halfway = Fraction(held[0] + ticks, 2) - start
            if goal <= halfway:
                yield held
                goal = (math.floor(halfway / spacing) + 1) * spacing
        held = ticks, item
    if held is not None and goal < held[0] - start + Fraction(step, 2):
        yield held


class VideoReader(FrameSource):
    """Upright frames of a video with square pixels and their times.

    Every iteration decodes anew. Packets that cannot be decoded are named in ``fault``.
    """

    has_alpha = False

    def __init__(self, path: Path | OpenFile, *, fps: Fraction | None = None) -> None:
        """Open a file; ``fps`` keeps the frames nearest in time, at most all of them."""
        self.path, self.fault, self.notes = Path(str(path)), None, ()
        self._file = path
        with open_container(path) as container:
            stream = video_stream(path, container)
            check_size(printable(str(path)), (stream.height, stream.width))
            self.time_base = stream.time_base or Fraction(1, 90_000)
            self.rate = stream.average_rate or stream.guessed_rate or DEFAULT_RATE
            self.origin = Fraction(container.start_time or 0, 1_000_000)
            self.has_audio = bool(container.streams.audio)
            self._expected_end = expected_end(container, stream)
            self._shape = square_shape(stream)
            if self._shape != (stream.height, stream.width):
                check_size(printable(str(path)), self._shape)
                self.notes = (_square_pixels_note(stream, self._shape),)
            self.frame_estimate = stream.frames or None
            if not self.frame_estimate and self._expected_end is not None:
                self.frame_estimate = round(self._expected_end * self.rate)
            self._read_rate, self._fps = self.rate, fps
            # The average of a variable rate is below that of some seconds.
            highest = max(self.rate, stream.guessed_rate or 0)
            self._thins = fps is not None and fps < _SAME_RATE * highest
            if fps is not None and self._thins and fps < self.rate:
                if self.frame_estimate:
                    self.frame_estimate = math.ceil(self.frame_estimate * fps / self.rate)
                self.rate = fps
        first = next(decode_frames(path, Damage()), None)
        if first is None:
            raise InputError("no frame of this video can be decoded; is it whole?", path=path)
        check_signal(first, printable(str(path)))
        signal = frame_signal(first)
        self._peak = signal.peak
        if signal.note is not None:
            self.notes = (*self.notes, signal.note)
        self._turn, self._changes = frame_orientation(first), self.notes
        height, width = self._shape
        self.size = (width, height) if self._turn.transpose else (height, width)

    def __iter__(self) -> Iterator[Frame]:
        self.fault = None
        damage = Damage()
        step = max(1, round(1 / (self._read_rate * self.time_base)))
        count, end, gaps = 0, Fraction(0), []

        def timed() -> Iterator[tuple[int, VideoFrame]]:
            nonlocal count, end
            ticks: int | None = None
            closed = 0
            for picture in decode_frames(self._file, damage):
                before, ticks = ticks, _next_ticks(picture, ticks, step)
                if before is not None and (ticks - before) * self.time_base > LONGEST_GAP:
                    closed += ticks - before - step
                    gaps.append(
                        f"{float((ticks - before) * self.time_base):,.0f} s at frame {count}"
                    )
                end = (ticks + (picture.duration or step)) * self.time_base
                count += 1
                yield ticks - closed, picture

        frames, index = timed(), -1
        if self._fps is not None and self._thins:
            frames = nearest_in_time(frames, 1 / (self._fps * self.time_base), step)
        for index, (ticks, picture) in enumerate(frames):
            pixels = self._turn.apply(srgb_pixels(picture, self._shape, peak=self._peak))
            photo = Photo(pixels=pixels, name=f"{self.path} frame {index}")
            yield Frame(photo=photo, index=index, ticks=ticks)
        self.fault = self._damage_words(damage, count, end)
        notes: list[str] = []
        if self._fps is not None and index + 1 == count:
            fps, rate = float(self._fps), float(self._read_rate)
            problem = f"{fps:g} keeps all frames: the video has {rate:.4g} a second"
            notes.append(Note(problem, option="fps"))
        if gaps:
            several = f" and {len(gaps) - 1} more" if len(gaps) > 1 else ""
            notes.append(f"its times jump by {gaps[0]}{several}: the gap was closed")
        if notes:
            self.notes = (*self._changes, *notes)

    def _damage_words(self, damage: Damage, frames: int, end: Fraction) -> str | None:
        faults: list[str] = []
        if damage.count:
            faults.append(
                f"{damage.count} broken {'packet' if damage.count == 1 else 'packets'}, "
                f"the first after frame {damage.after}"
            )
        tolerance = max(Fraction(1, 10), 3 / self._read_rate)
        expected = self._expected_end
        if expected is not None and end < expected - tolerance:
            faults.append(f"it ends at {float(end):.2f} s of {float(expected):.2f} s")
        if not faults:
            return None
        words = "; ".join((*faults, f"{frames} frames were read"))
        return f"{printable(self.path)}: the video is broken: {words}"


def _next_ticks(picture: VideoFrame, previous: int | None, step: int) -> int:
    """Time of a frame, or the next possible one."""
    if picture.pts is None:
        return 0 if previous is None else previous + step
    return picture.pts if previous is None else max(picture.pts, previous + 1)


def _square_pixels_note(stream: VideoStream, shape: tuple[int, int]) -> str:
    height, width = shape
    return (
        f"pixels {stream.sample_aspect_ratio} times as wide as high were made square: "
        f"{stream.width}x{stream.height} to {width}x{height}"
    )
