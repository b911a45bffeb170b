"""Read video files as upright frames with square pixels and times."""

import math
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import TypeVar

import numpy as np

from rilievo.arrays.shapes import Pixels, UInt8
from rilievo.errors import InputError
from rilievo.errors.messages import Note, count_text
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
"""Longest plausible gap between two frames [s]. Clocks that fail jump by years."""
_MAX_PIXEL_ASPECT = 8
"""Largest plausible ratio of a pixel's sides."""
_SAME_RATE = Fraction(998, 1000)
"""If ``fps`` is at least this fraction of a video's rate, all frames are kept."""
_MIN_END_TOLERANCE = Fraction(1, 10)
"""Time by which a complete video may end earlier than its header says [s]."""
_END_TOLERANCE_FRAMES = 3
"""The same in frames; the longer of the two applies."""

Item = TypeVar("Item")


@dataclass(frozen=True, slots=True, kw_only=True)
class Orientation:
    """How stored pixels are turned upright: they are transposed first, then mirrored."""

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
    """Read the orientation from the display matrix (a b u; c d v; x y w) in 16.16 fixed point.

    A stored pixel in column p and row q is shown in column a p + c q and row b p + d q. Only
    multiples of 90 degrees and mirror images are supported, in which either a and d or b and c are
    0. The latter exchange columns and rows, and a negative number mirrors what it maps to.
    """
    data = picture.side_data.get("DISPLAYMATRIX")
    if data is None:
        return Orientation(transpose=False, mirror_rows=False, mirror_columns=False)
    a, b, _, c, d, *_ = (int(value) for value in np.frombuffer(bytes(data), np.int32))  # pyright: ignore[reportArgumentType]
    exchanges_axes = abs(b) + abs(c) > abs(a) + abs(d)
    if exchanges_axes:
        return Orientation(transpose=True, mirror_rows=b < 0, mirror_columns=c < 0)
    return Orientation(transpose=False, mirror_rows=d < 0, mirror_columns=a < 0)


def square_shape(stream: VideoStream) -> tuple[int, int]:
    """Return height and width of the frames after their pixels are stretched to squares."""
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
        timed: Frames with their times [ticks], which increase.
        spacing: Distance of the times [ticks], the first of which is that of the first frame.
        step: Time for which the last frame is shown [ticks].
    """
    frames = iter(timed)
    first = next(frames, None)
    if first is None:
        return
    start, item = first
    ticks = start
    target_time = Fraction(0)  # after the first frame, the earliest without a frame so far
    for next_ticks, next_item in frames:
        # Up to halfway, this frame is the nearest one, and also at halfway itself.
        halfway = Fraction(ticks + next_ticks, 2) - start
        if target_time <= halfway:
            yield ticks, item
            target_time = (math.floor(halfway / spacing) + 1) * spacing
        ticks, item = next_ticks, next_item
    middle_of_last_frame = ticks - start + Fraction(step, 2)
    if target_time < middle_of_last_frame:
        yield ticks, item


class VideoReader(FrameSource):
    """Source of the upright frames of a video, with square pixels and times.

    Every iteration decodes the file again. Damaged packets are reported in ``fault``.
    """

    has_alpha = False

    def __init__(self, path: Path | OpenFile, *, fps: Fraction | None = None) -> None:
        """Open a file and decode its first frame.

        ``fps`` frames per second are kept, those nearest in time, or all if it is None.

        Raises:
            InputError: If it is no video, if no frame can be decoded, or if its colours are not
                supported.
        """
        self.path = Path(str(path))
        self.fault = None
        self.notes = ()
        self._file = path
        self._fps = fps
        with open_container(path) as container:
            self._read_header(container)
        first = next(decode_frames(path, Damage()), None)
        if first is None:
            raise InputError(
                "no frame of this video can be decoded; check that the file is complete", path=path
            )
        self._read_first_frame(first)

    def _read_header(self, container: InputContainer) -> None:
        """Read times, rate and size from the header, and reduce the rate to ``fps``."""
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

        self._source_rate = self.rate
        self._drops_frames = False
        if self._fps is not None:
            self._reduce_rate(
                self._fps, highest_rate=max(self.rate, stream.guessed_rate or self.rate)
            )

    def _reduce_rate(self, fps: Fraction, *, highest_rate: Fraction) -> None:
        """Decide whether frames are dropped for ``fps``, and reduce the rate and the estimate.

        A variable rate is above its average at times, up to ``highest_rate``, so that frames may be
        dropped there even if the average is not reduced.
        """
        self._drops_frames = fps < _SAME_RATE * highest_rate
        if self._drops_frames and fps < self.rate:
            if self.frame_estimate:
                self.frame_estimate = math.ceil(self.frame_estimate * fps / self.rate)
            self.rate = fps

    def _read_first_frame(self, picture: VideoFrame) -> None:
        """Read the colours and the orientation of all frames from the first one."""
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
        """Decode all frames, or those nearest in time to ``fps`` frames per second."""
        self.fault = None
        decoded = _DecodedFrames(self._file, self.time_base, self._source_rate)
        frames = iter(decoded)
        kept_count = 0
        if self._fps is not None and self._drops_frames:
            spacing = 1 / (self._fps * self.time_base)
            frames = nearest_in_time(frames, spacing, decoded.step)
        for index, (ticks, picture) in enumerate(frames):
            pixels = srgb_pixels(picture, self._square_shape, peak=self._peak)
            photo = Photo(pixels=self._orientation.apply(pixels), name=f"{self.path} frame {index}")
            yield Frame(photo=photo, index=index, ticks=ticks)
            kept_count = index + 1
        self.fault = self._describe_damage(decoded)
        notes = self._notes_at_end(decoded, kept_count)
        if notes:
            self.notes = (*self._first_notes, *notes)

    def _describe_damage(self, decoded: "_DecodedFrames") -> str | None:
        """Describe the damage after all frames were decoded; None if there is none."""
        faults = [*_packet_faults(decoded.damage), *self._early_end_faults(decoded.end)]
        if not faults:
            return None
        verb = "was" if decoded.frame_count == 1 else "were"
        frames_read = f"{count_text(decoded.frame_count, 'frame')} {verb} read"
        description = "; ".join((*faults, frames_read))
        return f"{printable(self.path)}: the video is broken: {description}"

    def _early_end_faults(self, end: Fraction) -> list[str]:
        """Describe an end [s] that is earlier than the header says; empty if it is not."""
        tolerance = max(_MIN_END_TOLERANCE, _END_TOLERANCE_FRAMES / self._source_rate)
        expected_end = self._expected_end
        if expected_end is None or end >= expected_end - tolerance:
            return []
        return [f"it ends at {float(end):.2f} s instead of {float(expected_end):.2f} s"]

    def _notes_at_end(self, decoded: "_DecodedFrames", kept_count: int) -> list[str]:
        """Return notes on an ``fps`` that kept all frames, and on times that jump."""
        notes: list[str] = []
        if self._fps is not None and kept_count == decoded.frame_count:
            fps, rate = float(self._fps), float(self._source_rate)
            problem = (
                f"{fps:g} keeps all frames, because the video has {rate:.4g} frames per second"
            )
            notes.append(Note(problem, option="fps"))
        gaps = decoded.gaps
        if gaps:
            further_gaps, closed_gaps = "", "the gap"
            if len(gaps) > 1:
                further_gaps = f" and at {count_text(len(gaps) - 1, 'more place')}"
                closed_gaps = "these gaps"
            notes.append(
                f"its timestamps jump by {gaps[0]}{further_gaps}, and rilievo closed {closed_gaps}"
            )
        return notes


def _packet_faults(damage: Damage) -> list[str]:
    """Describe the broken packets of a video; empty if there are none."""
    if not damage.packet_count:
        return []
    first = "" if damage.packet_count == 1 else "the first "
    return [
        f"it has {count_text(damage.packet_count, 'broken packet')}, {first}after "
        f"{count_text(damage.frames_before, 'frame')}"
    ]


class _DecodedFrames:
    """Frames of a video with strictly increasing times, in which long gaps are closed.

    Attributes:
        step: Time between two frames according to the rate [ticks].
        end: Time at which the latest frame ends [s].
        gaps: Description of each gap that was closed.
    """

    def __init__(self, file: Path | OpenFile, time_base: Fraction, rate: Fraction) -> None:
        self._file = file
        self._time_base = time_base
        self.step = max(1, round(1 / (rate * time_base)))
        self.frame_count = 0
        self.end = Fraction(0)
        self.gaps: list[str] = []
        self.damage = Damage()

    def __iter__(self) -> Iterator[tuple[int, VideoFrame]]:
        """Yield each frame with its time, from which the gaps before it are subtracted [ticks]."""
        previous_ticks: int | None = None
        closed_ticks = 0
        for picture in decode_frames(self._file, self.damage):
            ticks = _ticks_after(previous_ticks, picture, self.step)
            elapsed_ticks = 0 if previous_ticks is None else ticks - previous_ticks
            elapsed = elapsed_ticks * self._time_base  # [s]
            if elapsed > LONGEST_GAP:
                closed_ticks += elapsed_ticks - self.step
                self.gaps.append(f"{float(elapsed):,.0f} s at frame {self.frame_count}")
            self.end = (ticks + (picture.duration or self.step)) * self._time_base
            self.frame_count += 1
            previous_ticks = ticks
            yield ticks - closed_ticks, picture


def _ticks_after(previous_ticks: int | None, picture: VideoFrame, step: int) -> int:
    """Return the time of a frame, or the next possible time if it has none or is not later."""
    if picture.pts is None:
        return 0 if previous_ticks is None else previous_ticks + step
    return picture.pts if previous_ticks is None else max(picture.pts, previous_ticks + 1)


def _square_pixels_note(stream: VideoStream, shape: tuple[int, int]) -> str:
    """Return a note that frames were stretched to square pixels, to ``shape`` (height, width)."""
    height, width = shape
    return (
        f"its pixels are {stream.sample_aspect_ratio} times as wide as they are high, so its "
        f"frames were resized from {stream.width}x{stream.height} to {width}x{height}"
    )
