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
    InputContainer,
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

LONGEST_GAP = 600
"""Longest gap between two frames [s]; clocks that fail jump by years."""
_MAX_PIXEL_ASPECT = 8
"""Largest ratio of a pixel's sides that is believed."""
_SAME_RATE = Fraction(998, 1000)
"""Share of a video's rate from which on ``fps`` keeps all of its frames."""
_MIN_END_TOLERANCE = Fraction(1, 10)
"""Time by which a whole video may end before its header says so [s]."""
_END_TOLERANCE_FRAMES = 3
"""The same in frames; the longer of the two counts."""

Item = TypeVar("Item")


@dataclass(frozen=True, slots=True, kw_only=True)
class Orientation:
    """How stored pixels become upright: they are transposed first, then mirrored."""

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
    """Orientation by the display matrix (a b u; c d v; x y w), 16.16 fixed point.

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
    """Height and width of frames whose pixels were made square by stretching the shorter side."""
    height, width = stream.height, stream.width
    aspect = stream.sample_aspect_ratio or Fraction(1)
    if not Fraction(1, _MAX_PIXEL_ASPECT) <= aspect <= _MAX_PIXEL_ASPECT:
        return height, width
    if aspect > 1:
        return height, round(width * aspect)
    return round(height / aspect), width


def nearest_in_time(
    timed: Iterable[tuple[int, Item]], spacing: Fraction, step: int
) -> Iterator[tuple[int, Item]]:
    """Yield the frames nearest to evenly spaced times, each at most once.

    Args:
        timed: Time of each frame [ticks], and the frame.
        spacing: Distance of the times [ticks].
        step: Time for which the last frame is shown [ticks].
    """
    target_time, held = Fraction(0), None
    start = 0
    for ticks, item in timed:
        if held is None:
            start = ticks
        else:
            held_ticks, _ = held
            # The frame held is the nearest one up to halfway; of two as near, the earlier counts.
            halfway = Fraction(held_ticks + ticks, 2) - start
            if target_time <= halfway:
                yield held
                target_time = (math.floor(halfway / spacing) + 1) * spacing
        held = ticks, item
    if held is not None and target_time < held[0] - start + Fraction(step, 2):
        yield held


class VideoReader(FrameSource):
    """Upright frames of a video with square pixels and their times.

    Every iteration decodes anew. Packets that cannot be decoded are named in ``fault``.
    """

    has_alpha = False

    def __init__(self, path: Path | OpenFile, *, fps: Fraction | None = None) -> None:
        """Open a file and decode its first frame.

        Args:
            path: Video file.
            fps: Frames to keep of each second, nearest in time, at most all of them; None for all.

        Raises:
            InputError: If it is no video, no frame can be decoded, or its colours are not known.
        """
        self.path, self.fault, self.notes = Path(str(path)), None, ()
        self._file, self._fps = path, fps
        with open_container(path) as container:
            self._read_header(container)
        first = next(decode_frames(path, Damage()), None)
        if first is None:
            raise InputError("no frame of this video can be decoded; is it whole?", path=path)
        self._read_first_frame(first)

    def _read_header(self, container: InputContainer) -> None:
        """Read times, rate and size, which are those of the frames that are kept."""
        name = printable(str(self._file))
        stream = video_stream(self._file, container)
        check_size(name, (stream.height, stream.width))
        self.time_base = stream.time_base or Fraction(1, 90_000)
        self.rate = stream.average_rate or stream.guessed_rate or DEFAULT_RATE
        self.origin = Fraction(container.start_time or 0, 1_000_000)
        self.has_audio = bool(container.streams.audio)
        self._expected_end = expected_end(container, stream)
        self._square_shape = square_shape(stream)
        if self._square_shape != (stream.height, stream.width):
            check_size(name, self._square_shape)
            self.notes = (_square_pixels_note(stream, self._square_shape),)
        self.frame_estimate = stream.frames or None
        if not self.frame_estimate and self._expected_end is not None:
            self.frame_estimate = round(self._expected_end * self.rate)

        self._source_rate, fps = self.rate, self._fps
        # The average of a variable rate is below that of some seconds.
        highest_rate = max(self.rate, stream.guessed_rate or 0)
        self._thins = fps is not None and fps < _SAME_RATE * highest_rate
        if fps is not None and self._thins and fps < self.rate:
            if self.frame_estimate:
                self.frame_estimate = math.ceil(self.frame_estimate * fps / self.rate)
            self.rate = fps

    def _read_first_frame(self, picture: VideoFrame) -> None:
        """Read the colours and the orientation of all frames."""
        check_signal(picture, printable(str(self._file)))
        signal = frame_signal(picture)
        self._peak = signal.peak
        if signal.note is not None:
            self.notes = (*self.notes, signal.note)
        self._first_notes = self.notes
        self._orientation = frame_orientation(picture)
        height, width = self._square_shape
        self.size = (width, height) if self._orientation.transpose else (height, width)

    def __iter__(self) -> Iterator[Frame]:
        self.fault = None
        decoded = _DecodedFrames(self._file, self.time_base, self._source_rate)
        frames, kept = iter(decoded), 0
        if self._fps is not None and self._thins:
            spacing = 1 / (self._fps * self.time_base)
            frames = nearest_in_time(frames, spacing, decoded.step)
        for index, (ticks, picture) in enumerate(frames):
            pixels = srgb_pixels(picture, self._square_shape, peak=self._peak)
            photo = Photo(pixels=self._orientation.apply(pixels), name=f"{self.path} frame {index}")
            yield Frame(photo=photo, index=index, ticks=ticks)
            kept = index + 1
        self.fault = self._describe_damage(decoded)
        notes = self._notes_at_end(decoded, kept)
        if notes:
            self.notes = (*self._first_notes, *notes)

    def _describe_damage(self, decoded: "_DecodedFrames") -> str | None:
        """Sentence on damage, after all frames were decoded; None if the video is whole."""
        faults: list[str] = []
        damage = decoded.damage
        if damage.count:
            faults.append(
                f"{damage.count} broken {'packet' if damage.count == 1 else 'packets'}, "
                f"the first after frame {damage.after}"
            )
        tolerance = max(_MIN_END_TOLERANCE, _END_TOLERANCE_FRAMES / self._source_rate)
        end, expected = decoded.end, self._expected_end
        if expected is not None and end < expected - tolerance:
            faults.append(f"it ends at {float(end):.2f} s of {float(expected):.2f} s")
        if not faults:
            return None
        description = "; ".join((*faults, f"{decoded.count} frames were read"))
        return f"{printable(self.path)}: the video is broken: {description}"

    def _notes_at_end(self, decoded: "_DecodedFrames", kept: int) -> list[str]:
        """Notes on a rate that keeps all frames, and on times that jump."""
        notes: list[str] = []
        if self._fps is not None and kept == decoded.count:
            fps, rate = float(self._fps), float(self._source_rate)
            problem = f"{fps:g} keeps all frames: the video has {rate:.4g} a second"
            notes.append(Note(problem, option="fps"))
        gaps = decoded.gaps
        if gaps:
            more = f" and {len(gaps) - 1} more" if len(gaps) > 1 else ""
            notes.append(f"its times jump by {gaps[0]}{more}: the gap was closed")
        return notes


class _DecodedFrames:
    """Frames of a video with times that grow, and in which long gaps are closed.

    Attributes:
        step: Time between two frames by the rate [ticks].
        count: Number of frames that were decoded so far.
        end: Time at which the latest one ends [s].
        gaps: Description of each gap that was closed.
        damage: Damage so far.
    """

    def __init__(self, file: Path | OpenFile, time_base: Fraction, rate: Fraction) -> None:
        self._file, self._time_base = file, time_base
        self.step = max(1, round(1 / (rate * time_base)))
        self.count, self.end = 0, Fraction(0)
        self.gaps: list[str] = []
        self.damage = Damage()

    def __iter__(self) -> Iterator[tuple[int, VideoFrame]]:
        ticks: int | None = None
        closed_ticks = 0
        for picture in decode_frames(self._file, self.damage):
            previous, ticks = ticks, _next_ticks(picture, ticks, self.step)
            if previous is not None and (ticks - previous) * self._time_base > LONGEST_GAP:
                closed_ticks += ticks - previous - self.step
                seconds = float((ticks - previous) * self._time_base)
                self.gaps.append(f"{seconds:,.0f} s at frame {self.count}")
            self.end = (ticks + (picture.duration or self.step)) * self._time_base
            self.count += 1
            yield ticks - closed_ticks, picture


def _next_ticks(picture: VideoFrame, previous: int | None, step: int) -> int:
    """Time of a frame, or the next possible one if it has none or is not later."""
    if picture.pts is None:
        return 0 if previous is None else previous + step
    return picture.pts if previous is None else max(picture.pts, previous + 1)


def _square_pixels_note(stream: VideoStream, shape: tuple[int, int]) -> str:
    """Note that frames were stretched to square pixels, to ``shape`` (height, width)."""
    height, width = shape
    return (
        f"pixels {stream.sample_aspect_ratio} times as wide as high were made square: "
        f"{stream.width}x{stream.height} to {width}x{height}"
    )
