"""Frames of video files, decoded by PyAV, and of cameras and streams.

Only regular files of a few containers are opened, and nothing that they refer to.
"""

import math
import re
import threading
from collections.abc import Generator, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from fractions import Fraction
from itertools import islice
from pathlib import Path
from typing import Any, TypeVar

import numpy as np

from rilievo.arrays.shapes import Pixels, UInt8
from rilievo.errors import InputError, needing
from rilievo.errors.messages import Note
from rilievo.io.files.limits import MAX_PIXELS, check_regular, check_size, reason
from rilievo.io.files.names import printable
from rilievo.io.videos.frame_source import DEFAULT_RATE, Frame, FrameSource, OpenFile
from rilievo.records.sample import Photo

# PyAV is no part of the core: its wheel has 104 MB and carries codecs under the GPL.
with needing("reading or writing a video", "video"):
    import av
    from av import Packet, VideoFrame
    from av.container import InputContainer, OutputContainer  # noqa: F401
    from av.error import EOFError as EndOfVideo
    from av.error import FFmpegError
    from av.stream import Disposition, Stream  # noqa: F401
    from av.video.reformatter import ColorRange, Colorspace  # noqa: F401
    from av.video.stream import VideoStream

# FFmpeg's names. Playlists and lists of files (hls, dash, concat, image2, ...) are not among them.
_CONTAINERS = (
    "mov,mp4,m4a,3gp,3g2,mj2,matroska,webm,avi,mpeg,mpegts,flv,ogg,asf,mxf,nut,yuv4mpegpipe"
)
_OPTIONS = {"format_whitelist": _CONTAINERS, "protocol_whitelist": "file"}

# Titles and comments may be in any encoding; PyAV 19 reads them so by itself.
_TEXT: dict[str, Any] = (
    {"metadata_errors": "surrogateescape"} if int(av.__version__.partition(".")[0]) < 19 else {}
)
_UHD = 3840 * 2160
# Factor of the header's size, or of ``_UHD``.
_MOST_GROWTH = 16
# Failures without a packet.
_MAX_FAULTS_IN_A_ROW = 32
_UNSPECIFIED = 2
# Largest plausible aspect.
_MAX_PIXEL_ASPECT = 8


@dataclass(slots=True)
class Damage:
    """Counts of damage so far."""

    frames: int = 0
    count: int = 0
    after: int = 0

    def add(self) -> None:
        """Count one damaged place."""
        if not self.count:
            self.after = self.frames
        self.count += 1


@contextmanager
def open_container(path: Path | OpenFile) -> Generator[InputContainer, None, None]:
    """Yield an open container; failures are ``InputError``."""
    if isinstance(path, Path):
        check_regular(path)
    try:
        # The prefix "file:" keeps FFmpeg from taking a name such as "tcp:..." for an address.
        file = f"file:{path.absolute()}" if isinstance(path, Path) else path.open_reader()
        container = av.open(file, options=dict(_OPTIONS), **_TEXT)
    except (FFmpegError, UnicodeError, OSError, ValueError) as error:
        why = getattr(error, "strerror", None) or reason(error)
        raise InputError(
            (
                f"not a video that can be read ({why}); expected MP4, MOV, "
                "Matroska, WebM, AVI or MPEG"
            ),
            path=path,
        ) from error
    with container:
        yield container


def video_stream(path: Path | OpenFile, container: InputContainer) -> VideoStream:
    """First video track with motion; covers have none."""
    moving = [
        stream
        for stream in container.streams.video
        if not stream.disposition & Disposition.attached_pic
    ]
    if not moving:
        content = "only sound" if container.streams.audio else "no picture track"
        raise InputError(f"the file has {content}; expected a video", path=path)
    stream = moving[0]
    if stream.codec_context is None:
        raise InputError("the video's codec is not known; convert it to H.264 first", path=path)
    # The size may change between frames, but a damaged file can announce a huge one midway.
    most = min(MAX_PIXELS, max(_MOST_GROWTH * stream.height * stream.width, _UHD))
    stream.codec_context.options = {"max_pixels": str(most)}
    return stream


def expected_end(container: InputContainer, stream: VideoStream) -> Fraction | None:
    """End by the header [s], if stated."""
    start = (stream.start_time or 0) * (stream.time_base or 0)
    if stream.duration is not None and stream.time_base is not None:
        return start + stream.duration * stream.time_base
    stated = re.fullmatch(r"(\d+):(\d+):(\d+(?:\.\d+)?)", stream.metadata.get("DURATION", ""))
    if stated:
        hours, minutes, seconds = stated.groups()
        return int(hours) * 3600 + int(minutes) * 60 + Fraction(seconds)
    if container.duration is not None and not container.streams.audio:
        return start + Fraction(container.duration, 1_000_000)
    return None


def decode_frames(path: Path | OpenFile, damage: Damage) -> Iterator[VideoFrame]:
    """Decode every possible frame, in order of presentation."""
    shown = 0
    with open_container(path) as container:
        stream = video_stream(path, container)
        stream.thread_type = "AUTO"
        try:
            for packet in container.demux(stream):
                for picture in _decode_strictly(packet):
                    yield picture
                    shown += 1
            return
        except (FFmpegError, _BrokenPacketError):
            # With several threads, good frames beside a damaged packet are lost. With one thread
            # they are not, so the file is read again from its beginning with one.
            pass
    with open_container(path) as container:
        stream = video_stream(path, container)
        stream.thread_type = "NONE"
        yield from islice(_salvage_frames(container, stream, damage), shown, None)


class _BrokenPacketError(Exception):
    """Packet that the container reports as damaged."""


def _decode_strictly(packet: Packet) -> list[VideoFrame]:
    if packet.is_corrupt:
        raise _BrokenPacketError
    return packet.decode()


def _salvage_frames(
    container: InputContainer, stream: VideoStream, damage: Damage
) -> Iterator[VideoFrame]:
    for packet in _packets(container, stream, damage):
        if packet.is_corrupt:
            damage.add()
        try:
            for picture in packet.decode():
                yield picture
                damage.frames += 1
        except EndOfVideo:
            return
        except FFmpegError:
            if not packet.is_corrupt:
                damage.add()


def _packets(container: InputContainer, stream: VideoStream, damage: Damage) -> Iterator[Packet]:
    faults = 0
    while faults < _MAX_FAULTS_IN_A_ROW:
        try:
            for packet in container.demux(stream):
                faults = 0
                yield packet
            return
        except FFmpegError:
            faults += 1
            damage.add()


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


def rgb(picture: VideoFrame, shape: tuple[int, int]) -> Pixels:
    """Convert a frame to RGB of one size."""
    height, width = shape
    # Untagged YCbCr is BT.709 in high definition and BT.601 below, as players assume.
    untagged_hd = picture.colorspace == _UNSPECIFIED and picture.height >= 720
    return picture.to_ndarray(
        format="rgb24",
        width=width,
        height=height,
        src_colorspace=Colorspace.ITU709 if untagged_hd else None,
    )


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
_LONGEST_GAP = 600


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
                if before is not None and (ticks - before) * self.time_base > _LONGEST_GAP:
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
            pixels = self._turn.apply(rgb(picture, self._shape))
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


_PROTOCOLS = ("http", "https", "rtsp", "rtsps", "rtmp", "udp", "srt")
# Protocols below those. "file" is left out: a remote playlist must not open files here.
_BELOW = ("crypto", "data", "tcp", "rtp", "tls", "httpproxy")
_STREAM_OPTIONS: dict[str, str] = {"protocol_whitelist": ",".join((*_PROTOCOLS, *_BELOW))}
_TIMEOUT = (10.0, 30.0)  # s, to open and to wait for a packet


def live_frames(source: str | Path | int, *, newest: bool = False) -> Iterator[Pixels]:
    """Yield RGB frames of a camera, a stream or a video file.

    A source is a number (0 is /dev/video0), an address (http, https, rtsp, rtmp, udp, srt), or a
    file. ``newest`` yields the latest frame, so that a slow consumer keeps up.
    """
    frames = _frames_of_source(source)
    return _newest_frames(frames) if newest else frames


def _frames_of_source(source: str | Path | int) -> Iterator[Pixels]:
    if isinstance(source, int):
        yield from _decode_live(f"/dev/video{source}", f"camera {source}", form="v4l2")
    elif isinstance(source, str) and source.partition("://")[0].lower() in _PROTOCOLS:
        yield from _decode_live(source, printable(source), options=_STREAM_OPTIONS)
    else:
        yield from (frame.photo.pixels for frame in VideoReader(Path(source)))


def _decode_live(
    place: str, name: str, *, form: str | None = None, options: dict[str, str] | None = None
) -> Iterator[Pixels]:
    count = 0
    try:
        with av.open(
            place, format=form, options=dict(options or {}), timeout=_TIMEOUT
        ) as container:
            if not container.streams.video:
                raise InputError("has no video track", path=name)
            for frame in container.decode(video=0):
                shape = square_shape(container.streams.video[0])
                check_size(name, shape)
                yield frame_orientation(frame).apply(rgb(frame, shape))
                count += 1
    except (FFmpegError, OSError, ValueError) as error:
        if isinstance(error, InputError):
            raise
        after = f" after {count} frames" if count else ""
        raise InputError(f"cannot be read{after} ({reason(error)})", path=name) from error
    if not count:
        raise InputError("has no frame that can be decoded", path=name)


class _LatestFrame:
    def __init__(self) -> None:
        self._change = threading.Condition()
        self._frame: Pixels | None = None
        self._error: BaseException | None = None
        self._ended = False
        self.left = False

    def replace_frame(self, frame: Pixels) -> None:
        with self._change:
            self._frame = frame
            self._change.notify()

    def mark_end(self, error: BaseException | None) -> None:
        with self._change:
            self._ended, self._error = True, error
            self._change.notify()

    def wait_for_frame(self) -> Pixels | None:
        with self._change:
            self._change.wait_for(lambda: self._frame is not None or self._ended)
            frame, self._frame = self._frame, None
            if frame is None and self._error is not None:
                raise self._error
            return frame


def _newest_frames(frames: Iterator[Pixels]) -> Iterator[Pixels]:
    slot = _LatestFrame()
    threading.Thread(target=_put_frames, args=(frames, slot), name="live", daemon=True).start()
    try:
        while (frame := slot.wait_for_frame()) is not None:
            yield frame
    finally:
        slot.left = True


def _put_frames(frames: Iterator[Pixels], slot: _LatestFrame) -> None:
    try:
        for frame in frames:
            slot.replace_frame(frame)
            if slot.left:
                break
    except Exception as error:
        slot.mark_end(error)
    else:
        slot.mark_end(None)
