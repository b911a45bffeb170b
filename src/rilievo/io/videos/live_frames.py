"""Read frames of a camera or a stream as they arrive."""

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

Notify = Callable[[str], None]
"""Function that is called with a note for the user."""

_PROTOCOLS = ("http", "https", "rtsp", "rtsps", "rtmp", "udp", "srt")
"""Protocols of addresses that are opened."""
_LOWER_PROTOCOLS = ("crypto", "data", "tcp", "rtp", "tls", "httpproxy")
"""Protocols on which those are based. "file" is not allowed: a remote playlist must not open local
files."""
_STREAM_OPTIONS: dict[str, str] = {"protocol_whitelist": ",".join((*_PROTOCOLS, *_LOWER_PROTOCOLS))}
_TIMEOUTS = (10.0, 30.0)  # [s], to open a source, and to wait for a packet


def live_frames(
    source: str | Path | int,
    *,
    newest: bool = False,
    fps: float | None = None,
    notify: Notify = lambda note: None,
) -> Iterator[Pixels]:
    """Yield RGB frames of a camera, a stream or a video file.

    Args:
        source: Number of a camera (0 is /dev/video0), an address (http, https, rtsp, rtmp, udp,
            srt), or a file.
        newest: Whether to skip to the latest frame, so that a slow consumer keeps up.
        fps: Frames per second to keep, nearest in time by the timestamps; None for all.
        notify: Function that is called with notes, for example on the conversion of HDR.

    Raises:
        InputError: If the source cannot be opened, breaks off, or has no frame.
    """
    rate = None if fps is None else Fraction(fps).limit_denominator(1001)
    frames = _frames_of_source(source, rate, notify)
    return _newest_frames(frames) if newest else frames


def _frames_of_source(
    source: str | Path | int, fps: Fraction | None, notify: Notify
) -> Iterator[Pixels]:
    """Yield the frames of a camera, an address or a file."""
    if isinstance(source, int):
        yield from _decode_live(
            f"/dev/video{source}", f"camera {source}", fps, notify, input_format="v4l2"
        )
    elif isinstance(source, str) and source.partition("://")[0].lower() in _PROTOCOLS:
        yield from _decode_live(source, printable(source), fps, notify, options=_STREAM_OPTIONS)
    else:
        yield from _frames_of_file(Path(source), fps, notify)


def _frames_of_file(path: Path, fps: Fraction | None, notify: Notify) -> Iterator[Pixels]:
    """Yield the frames of a video file, and report the notes on it."""
    video = VideoReader(path, fps=fps)
    first_notes = video.notes
    for note in first_notes:
        notify(note_about(printable(path), note))
    for frame in video:
        yield frame.photo.pixels
    # Broken frames and jumps in time are known at the end only.
    if video.fault is not None:
        notify(video.fault)
    for note in video.notes[len(first_notes) :]:
        notify(note_about(printable(path), note))


def _decode_live(
    address: str,
    name: str,
    fps: Fraction | None,
    notify: Notify,
    *,
    input_format: str | None = None,
    options: dict[str, str] | None = None,
) -> Iterator[Pixels]:
    """Yield the frames of a camera or a stream; ``name`` is its name in messages."""
    frame_count = 0
    peak = None  # luminance of the brightest pixel in HDR, by the first frame
    try:
        with av.open(
            address, format=input_format, options=dict(options or {}), timeout=_TIMEOUTS
        ) as container:
            if not container.streams.video:
                raise InputError(
                    "the source has no video track; choose a camera or a video stream", path=name
                )
            stream = container.streams.video[0]
            frames = container.decode(video=0)
            if fps is not None:
                frames = _thin_frames(frames, stream, fps)
            for frame in frames:
                shape = square_shape(stream)
                check_size(name, shape)
                if frame_count == 0:
                    check_signal(frame, name)
                    signal = frame_signal(frame)
                    peak = signal.peak
                    if signal.note is not None:
                        notify(note_about(name, signal.note))
                yield frame_orientation(frame).apply(srgb_pixels(frame, shape, peak=peak))
                frame_count += 1
    except InputError:
        raise
    except (FFmpegError, OSError, ValueError) as error:
        after = f" after frame {frame_count}" if frame_count else ""
        raise InputError(
            f"the source cannot be read{after} ({reason(error)})", path=name
        ) from error
    if not frame_count:
        raise InputError("the source has no frame that can be decoded", path=name)


def _thin_frames(
    frames: Iterable[VideoFrame], stream: VideoStream, fps: Fraction
) -> Iterator[VideoFrame]:
    """Keep ``fps`` frames per second of a stream, those nearest in time."""
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
    """Yield frames with strictly increasing times [ticks], even if the stream's clock restarts.

    If a frame has no timestamp, or its timestamp jumps, ``step`` ticks are assumed to have passed.
    """
    time = 0
    last_pts: int | None = None
    for frame in frames:
        elapsed = step if frame.pts is None or last_pts is None else frame.pts - last_pts
        is_plausible = 0 < elapsed <= longest_gap
        time += elapsed if is_plausible else step
        last_pts = frame.pts
        yield time, frame


class _LatestFrame:
    """Slot for the latest frame of a source, which one thread puts in and another takes out."""

    def __init__(self) -> None:
        self._change = threading.Condition()
        self._frame: Pixels | None = None
        self._error: BaseException | None = None
        self._has_ended = False
        self.is_abandoned = False  # whether the consumer has stopped

    def put(self, frame: Pixels) -> None:
        """Replace the frame, whether it was taken or not."""
        with self._change:
            self._frame = frame
            self._change.notify()

    def end(self, error: BaseException | None) -> None:
        """Mark the end of the source, with the error that ended it, if any."""
        with self._change:
            self._has_ended = True
            self._error = error
            self._change.notify()

    def take(self) -> Pixels | None:
        """Wait for a new frame; return None at the end, or raise the source's error."""
        with self._change:
            self._change.wait_for(lambda: self._frame is not None or self._has_ended)
            frame = self._frame
            self._frame = None
            if frame is None and self._error is not None:
                raise self._error
            return frame


def _newest_frames(frames: Iterator[Pixels]) -> Iterator[Pixels]:
    """Yield the latest frame each time, while a thread reads the frames."""
    latest = _LatestFrame()
    threading.Thread(target=_put_frames, args=(frames, latest), name="live", daemon=True).start()
    try:
        while (frame := latest.take()) is not None:
            yield frame
    finally:
        latest.is_abandoned = True


def _put_frames(frames: Iterator[Pixels], latest: _LatestFrame) -> None:
    """Read all frames in a thread, and put each into ``latest``."""
    try:
        for frame in frames:
            latest.put(frame)
            if latest.is_abandoned:
                break
    except Exception as error:
        latest.end(error)
    else:
        latest.end(None)
