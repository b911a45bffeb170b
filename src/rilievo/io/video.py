"""Frames of videos with PyAV: of a file in order, of a camera or a stream as they arrive."""

import threading
from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path

import numpy as np
from jaxtyping import UInt8

from rilievo.errors import InputError
from rilievo.io.container import (
    Damage,
    FFmpegError,
    VideoFrame,
    VideoStream,
    av,
    expected_end,
    opened,
    pictures,
    rgb,
    square_shape,
    turn_of,
    video_stream,
)
from rilievo.io.frames import DEFAULT_RATE, Frame, FrameSource
from rilievo.io.limits import check_size, printable, reason
from rilievo.types import Photo


class VideoReader(FrameSource):
    """Frames of a video file: upright, with square pixels and their own times.

    Every iteration decodes the file anew, frame by frame. Packets that cannot be decoded are
    skipped and named in ``fault``.
    """

    def __init__(self, path: Path) -> None:
        self.path, self.fault, self.notes = path, None, ()
        with opened(path) as container:
            stream = video_stream(path, container)
            check_size(printable(path), (stream.height, stream.width))
            self.time_base = stream.time_base or Fraction(1, 90_000)
            self.rate = stream.average_rate or stream.guessed_rate or DEFAULT_RATE
            self.origin = Fraction(container.start_time or 0, 1_000_000)
            self.has_audio = bool(container.streams.audio)
            self._expected_end = expected_end(container, stream)
            self._shape = square_shape(stream)
            if self._shape != (stream.height, stream.width):
                check_size(printable(path), self._shape)
                self.notes = (_say_squared(stream, self._shape),)
            self.frame_estimate = stream.frames or None
            if not self.frame_estimate and self._expected_end is not None:
                self.frame_estimate = round(self._expected_end * self.rate)
        first = next(pictures(path, Damage()), None)
        if first is None:
            raise InputError(f"{path}: no frame of this video can be decoded; is it whole?")
        self._turn = turn_of(first)
        height, width = self._shape
        self.size = (width, height) if self._turn.transpose else (height, width)

    def __iter__(self) -> Iterator[Frame]:
        self.fault = None
        damage = Damage()
        step = max(1, round(1 / (self.rate * self.time_base)))
        ticks: int | None = None
        index, end = 0, Fraction(0)
        for picture in pictures(self.path, damage):
            ticks = _next_ticks(picture, ticks, step)
            end = (ticks + (picture.duration or step)) * self.time_base
            pixels = self._turn.apply(rgb(picture, self._shape))
            photo = Photo(pixels=pixels, name=f"{self.path} frame {index}")
            yield Frame(photo=photo, index=index, ticks=ticks)
            index += 1
        self.fault = self._describe(damage, index, end)

    def _describe(self, damage: Damage, frames: int, end: Fraction) -> str | None:
        """Describe the damage in one line; None if there was none."""
        faults: list[str] = []
        if damage.count:
            faults.append(
                f"{damage.count} broken {'packet' if damage.count == 1 else 'packets'}, "
                f"the first after frame {damage.after}"
            )
        tolerance = max(Fraction(1, 10), 3 / self.rate)
        expected = self._expected_end
        if expected is not None and end < expected - tolerance:
            faults.append(f"it ends at {float(end):.2f} s of {float(expected):.2f} s")
        if not faults:
            return None
        said = "; ".join((*faults, f"{frames} frames were read"))
        return f"{printable(self.path)}: the video is broken: {said}"


def _next_ticks(picture: VideoFrame, previous: int | None, step: int) -> int:
    """Time of the frame; where a broken file has none or goes back, the next possible one."""
    if picture.pts is None:
        return 0 if previous is None else previous + step
    return picture.pts if previous is None else max(picture.pts, previous + 1)


def _say_squared(stream: VideoStream, shape: tuple[int, int]) -> str:
    height, width = shape
    return (
        f"pixels {stream.sample_aspect_ratio} times as wide as high were made square: "
        f"{stream.width}x{stream.height} to {width}x{height}"
    )


Pixels = UInt8[np.ndarray, "h w 3"]

_PROTOCOLS = ("http", "https", "rtsp", "rtsps", "rtmp", "udp", "srt")
# Protocols below those. "file" is left out: a remote playlist must not open files here.
_BELOW = ("crypto", "data", "tcp", "rtp", "tls", "httpproxy")
_OPTIONS: dict[str, str] = {"protocol_whitelist": ",".join((*_PROTOCOLS, *_BELOW))}
_TIMEOUT = (10.0, 30.0)  # s, to open and to wait for a packet


def live_frames(source: str | Path | int, *, newest: bool = False) -> Iterator[Pixels]:
    """Yield RGB frames of a camera, a stream or a video file, one in memory at a time.

    Args:
        source: Number of a camera (0 is /dev/video0), an address (http, https, rtsp, rtmp, udp,
            srt), or a video file.
        newest: Whether to decode in a separate thread and yield the latest frame each time, so that
            a slow consumer does not fall behind the camera. False yields every frame.
    """
    frames = _each(source)
    return _latest(frames) if newest else frames


def _each(source: str | Path | int) -> Iterator[Pixels]:
    if isinstance(source, int):
        yield from _decoded(f"/dev/video{source}", f"camera {source}", form="v4l2")
    elif isinstance(source, str) and source.partition("://")[0].lower() in _PROTOCOLS:
        yield from _decoded(source, printable(source), options=_OPTIONS)
    else:
        yield from (frame.photo.pixels for frame in VideoReader(Path(source)))


def _decoded(
    place: str, name: str, *, form: str | None = None, options: dict[str, str] | None = None
) -> Iterator[Pixels]:
    count = 0
    try:
        with av.open(
            place, format=form, options=dict(options or {}), timeout=_TIMEOUT
        ) as container:
            if not container.streams.video:
                raise InputError(f"{name}: has no video track")
            for frame in container.decode(video=0):
                shape = square_shape(container.streams.video[0])
                check_size(name, shape)
                yield turn_of(frame).apply(rgb(frame, shape))
                count += 1
    except (FFmpegError, OSError, ValueError) as error:
        if isinstance(error, InputError):
            raise
        after = f" after {count} frames" if count else ""
        raise InputError(f"{name}: cannot be read{after} ({reason(error)})") from error
    if not count:
        raise InputError(f"{name}: has no frame that can be decoded")


class _Slot:
    """A single-frame buffer between the decoding thread and the consumer."""

    def __init__(self) -> None:
        self._change = threading.Condition()
        self._frame: Pixels | None = None
        self._error: BaseException | None = None
        self._ended = False
        self.left = False
        """Whether the consumer has stopped."""

    def put(self, frame: Pixels) -> None:
        with self._change:
            self._frame = frame
            self._change.notify()

    def end(self, error: BaseException | None) -> None:
        with self._change:
            self._ended, self._error = True, error
            self._change.notify()

    def take(self) -> Pixels | None:
        """Wait for a frame that was not taken yet; None at the end of the source."""
        with self._change:
            self._change.wait_for(lambda: self._frame is not None or self._ended)
            frame, self._frame = self._frame, None
            if frame is None and self._error is not None:
                raise self._error
            return frame


def _latest(frames: Iterator[Pixels]) -> Iterator[Pixels]:
    slot = _Slot()
    threading.Thread(target=_fill, args=(frames, slot), name="live", daemon=True).start()
    try:
        while (frame := slot.take()) is not None:
            yield frame
    finally:
        slot.left = True


def _fill(frames: Iterator[Pixels], slot: _Slot) -> None:
    try:
        for frame in frames:
            slot.put(frame)
            if slot.left:
                break
    except Exception as error:
        slot.end(error)
    else:
        slot.end(None)
