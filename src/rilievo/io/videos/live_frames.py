"""Frames of a camera or a stream, as they arrive."""

import threading
from collections.abc import Callable, Iterable, Iterator
from fractions import Fraction
from pathlib import Path

from rilievo.arrays.shapes import Pixels
from rilievo.errors import InputError
from rilievo.errors.messages import note_about
from rilievo.io.files.limits import check_size, reason
from rilievo.io.files.names import printable
from rilievo.io.videos.container import FFmpegError, VideoFrame, VideoStream, av
from rilievo.io.videos.frame_colours import check_signal, frame_signal, srgb_pixels
from rilievo.io.videos.frame_source import DEFAULT_RATE
from rilievo.io.videos.video import (
    LONGEST_GAP,
    VideoReader,
    frame_orientation,
    nearest_in_time,
    square_shape,
)

Tell = Callable[[str], None]
"""Function that hears a note."""

_PROTOCOLS = ("http", "https", "rtsp", "rtsps", "rtmp", "udp", "srt")

# Protocols below those. "file" is left out: a remote playlist must not open files here.
_BELOW = ("crypto", "data", "tcp", "rtp", "tls", "httpproxy")
_STREAM_OPTIONS: dict[str, str] = {"protocol_whitelist": ",".join((*_PROTOCOLS, *_BELOW))}
_TIMEOUT = (10.0, 30.0)  # s, to open and to wait for a packet


def live_frames(
    source: str | Path | int,
    *,
    newest: bool = False,
    fps: float | None = None,
    tell: Tell = lambda note: None,
) -> Iterator[Pixels]:
    """Yield RGB frames of a camera, a stream or a video file.

    A source is a number (0 is /dev/video0), an address (http, https, rtsp, rtmp, udp, srt), or a
    file. ``newest`` yields the latest frame, so that a slow consumer keeps up. ``fps`` keeps so
    many frames of each second, those nearest in time, by the times in the stream. ``tell`` hears
    how frames are converted, such as those of high dynamic range.
    """
    rate = None if fps is None else Fraction(fps).limit_denominator(1001)
    frames = _frames_of_source(source, rate, tell)
    return _newest_frames(frames) if newest else frames


def _frames_of_source(
    source: str | Path | int, fps: Fraction | None, tell: Tell
) -> Iterator[Pixels]:
    if isinstance(source, int):
        yield from _decode_live(f"/dev/video{source}", f"camera {source}", fps, tell, form="v4l2")
    elif isinstance(source, str) and source.partition("://")[0].lower() in _PROTOCOLS:
        yield from _decode_live(source, printable(source), fps, tell, options=_STREAM_OPTIONS)
    else:
        yield from _frames_of_file(Path(source), fps, tell)


def _frames_of_file(path: Path, fps: Fraction | None, tell: Tell) -> Iterator[Pixels]:
    video = VideoReader(path, fps=fps)
    at_start = video.notes
    for note in at_start:
        tell(note_about(printable(path), note))
    for frame in video:
        yield frame.photo.pixels
    # What is known at the end: broken frames, gaps, and a rate that keeps all frames.
    if video.fault is not None:
        tell(video.fault)
    for note in video.notes[len(at_start) :]:
        tell(note_about(printable(path), note))


def _decode_live(
    place: str,
    name: str,
    fps: Fraction | None,
    tell: Tell,
    *,
    form: str | None = None,
    options: dict[str, str] | None = None,
) -> Iterator[Pixels]:
    count, peak = 0, None
    try:
        with av.open(
            place, format=form, options=dict(options or {}), timeout=_TIMEOUT
        ) as container:
            if not container.streams.video:
                raise InputError("has no video track", path=name)
            frames = container.decode(video=0)
            if fps is not None:
                frames = _thin_frames(frames, container.streams.video[0], fps)
            for frame in frames:
                shape = square_shape(container.streams.video[0])
                check_size(name, shape)
                if not count:
                    check_signal(frame, name)
                    signal = frame_signal(frame)
                    peak = signal.peak
                    if signal.note is not None:
                        tell(note_about(name, signal.note))
                yield frame_orientation(frame).apply(srgb_pixels(frame, shape, peak=peak))
                count += 1
    except (FFmpegError, OSError, ValueError) as error:
        if isinstance(error, InputError):
            raise
        after = f" after {count} frames" if count else ""
        raise InputError(f"cannot be read{after} ({reason(error)})", path=name) from error
    if not count:
        raise InputError("has no frame that can be decoded", path=name)


def _thin_frames(
    frames: Iterable[VideoFrame], stream: VideoStream, fps: Fraction
) -> Iterator[VideoFrame]:
    """Keep so many frames a second of a stream, those nearest in time."""
    time_base = stream.time_base or Fraction(1, 90_000)
    rate = stream.average_rate or stream.guessed_rate or DEFAULT_RATE
    step = max(1, round(1 / (rate * time_base)))
    longest_gap = LONGEST_GAP / time_base
    timed = _frames_with_steady_times(frames, step, longest_gap)
    for _, frame in nearest_in_time(timed, 1 / (fps * time_base), step):
        yield frame


def _frames_with_steady_times(
    frames: Iterable[VideoFrame], step: int, longest_gap: Fraction
) -> Iterator[tuple[int, VideoFrame]]:
    """Frames with times that always grow, although the clock of a stream may begin anew."""
    time, former = 0, None
    for frame in frames:
        passed = step if frame.pts is None or former is None else frame.pts - former
        time += passed if 0 < passed <= longest_gap else step
        former = frame.pts
        yield time, frame


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
