"""Write videos: pictures with sound, or 16-bit values."""

import io
from collections.abc import Iterator
from contextlib import contextmanager
from fractions import Fraction
from pathlib import Path

import numpy as np

from rilievo.arrays.shapes import Pixels, UInt16
from rilievo.errors import OutputError
from rilievo.io.files.limits import reason
from rilievo.io.files.names import printable
from rilievo.io.videos.container import (
    ColorRange,
    Colorspace,
    FFmpegError,
    OutputContainer,
    Packet,
    Stream,
    VideoFrame,
    VideoStream,
    av,
    open_container,
)
from rilievo.io.videos.frame_source import Coding, SoundSource, VideoFormat

# Codecs that players expect in MP4. FFmpeg would write others, which few programs play.
_IN_MP4 = frozenset({"aac", "ac3", "alac", "eac3", "flac", "mp2", "mp3", "opus"})

_BT709 = 1

_LIMITED_RANGE = 1

# FFmpeg's option against random identifiers in Matroska.
_REPEATABLE = {"fflags": "+bitexact"}


def sound_suffix(path: Path) -> str | None:
    """Suffix that can hold this video's sound: .mp4, .mkv or None."""
    with open_container(path) as source:
        name = _codec_name(source.streams.audio[0]) if source.streams.audio else None
    if name in _IN_MP4:
        return ".mp4"
    with av.open(io.BytesIO(), "w", format="matroska") as container:
        return ".mkv" if name in container.supported_codecs else None


class Sound:
    """First sound track, copied into another file."""

    def __init__(self, path: Path, target: OutputContainer, *, origin: Fraction) -> None:
        self.fault: str | None = None
        self._broken = f"{printable(path)}: its sound is broken and was copied up to there"
        self._target = target
        self._packets = self._sound_packets(path, origin)
        self._waiting = next(self._packets, None)

    def copy_until(self, time: Fraction | None) -> None:
        """Copy the sound before ``time`` [s], or all."""
        while self._waiting is not None and (
            time is None or _packet_dts_seconds(self._waiting) < time
        ):
            try:
                self._target.mux(self._waiting)
            except (av.error.ArgumentError, av.error.InvalidDataError):
                self._waiting, self.fault = None, self._broken
                return
            self._waiting = next(self._packets, None)

    def _sound_packets(self, path: Path, origin: Fraction) -> Iterator[Packet]:
        with open_container(path) as source:
            track = source.streams.audio[0]
            copy: Stream = self._target.add_stream_from_template(track)
            shift = round(origin / track.time_base) if track.time_base else 0
            latest: int | None = None
            try:
                for packet in source.demux(track):
                    if packet.dts is None or packet.pts is None or packet.is_corrupt:
                        continue
                    if latest is not None and packet.dts <= latest:
                        continue
                    latest = packet.dts
                    packet.dts, packet.pts = packet.dts - shift, packet.pts - shift
                    packet.stream = copy  # pyright: ignore[reportAttributeAccessIssue]
                    yield packet
            except FFmpegError:
                self.fault = self._broken


def _codec_name(track: Stream) -> str | None:
    return None if track.codec_context is None else track.codec_context.codec.canonical_name


def _packet_dts_seconds(packet: Packet) -> Fraction:
    assert packet.dts is not None, "packets without are left out"
    assert packet.time_base is not None, "demuxers give every packet one"
    return packet.dts * packet.time_base


class VideoWriter:
    """Video being written, from ``writing_part``."""

    def __init__(
        self,
        container: OutputContainer,
        stream: VideoStream,
        like: VideoFormat,
        sound: Sound | None,
        part: Path,
    ) -> None:
        self.part = part
        self._container, self._stream, self._like = container, stream, like
        self._sound, self._finished = sound, False

    @property
    def fault(self) -> str | None:
        """Damage in the sound, in one line."""
        return None if self._sound is None else self._sound.fault

    def write(self, pixels: Pixels | UInt16[np.ndarray, "h w"], ticks: int) -> None:
        """Add a frame at a time in ticks."""
        assert pixels.shape[:2] == self._like.size, "a video has frames of one size"
        frame = self._video_frame(pixels)
        frame.pts, frame.time_base = ticks, self._like.time_base
        if self._sound is not None:
            self._sound.copy_until(ticks * self._like.time_base)
        self._container.mux(self._stream.encode(frame))

    def finish(self) -> None:
        """Write the rest of frames and sound."""
        if self._finished:
            return
        self._container.mux(self._stream.encode())
        if self._sound is not None:
            self._sound.copy_until(None)
        self._container.close()
        self._finished = True

    def _video_frame(self, pixels: Pixels | UInt16[np.ndarray, "h w"]) -> VideoFrame:
        if self._like.coding is Coding.NUMBERS:
            return VideoFrame.from_ndarray(np.ascontiguousarray(pixels), format="gray16le")
        (height, width), (coded_height, coded_width) = self._like.size, self._like.coded_size
        if (height, width) != (coded_height, coded_width):
            margins = ((0, coded_height - height), (0, coded_width - width), (0, 0))
            pixels = np.pad(pixels, margins, mode="edge")
        frame = VideoFrame.from_ndarray(np.ascontiguousarray(pixels), format="rgb24")
        return frame.reformat(
            format="yuv420p",
            dst_colorspace=Colorspace.ITU709,
            dst_color_range=ColorRange.MPEG,
        )


@contextmanager
def writing_part(
    path: Path, part: Path, like: VideoFormat, *, sound: SoundSource | None = None
) -> Iterator[VideoWriter]:
    """Write to ``part`` a video to be renamed to ``path``, whose suffix is its form."""
    container_name = {".mp4": "mp4", ".mkv": "matroska"}[path.suffix]
    # The prefix "file:" keeps FFmpeg from taking a colon in the name for a protocol.
    container = av.open(
        f"file:{part.absolute()}", "w", format=container_name, options=dict(_REPEATABLE)
    )
    try:
        stream = _add_video_stream(path, container, like)
        copied = None if sound is None else Sound(sound.path, container, origin=sound.origin)
        writer = VideoWriter(container, stream, like, copied, part)
        yield writer
        writer.finish()
    except FFmpegError as error:
        _close_silently(container)
        if isinstance(error, OSError):  # such as of a full disk
            raise
        raise OutputError(f"cannot be written ({reason(error)})", path=path) from error
    except BaseException:
        _close_silently(container)
        raise


def _add_video_stream(path: Path, container: OutputContainer, like: VideoFormat) -> VideoStream:
    try:
        if like.coding is Coding.PICTURE:
            # With its tree of macroblocks, x264 answers otherwise from call to call on processors
            # with AVX-512; without it, CRF 19 is as good as 18 was.
            options = {"crf": "19", "preset": "veryfast", "mbtree": "0"}
            stream = container.add_stream("libx264", rate=like.rate, options=options)
            stream.pix_fmt = "yuv420p"
            stream.codec_context.colorspace = _BT709
            stream.codec_context.color_primaries = _BT709
            stream.codec_context.color_trc = _BT709
            stream.codec_context.color_range = _LIMITED_RANGE
        else:
            options = {"level": "3", "slicecrc": "1"}
            stream = container.add_stream("ffv1", rate=like.rate, options=options)
            stream.pix_fmt = "gray16le"
    except FFmpegError as error:
        raise OutputError(f"this build of PyAV cannot encode {like.coding}s", path=path) from error
    stream.height, stream.width = like.coded_size
    stream.time_base = stream.codec_context.time_base = like.time_base
    return stream


def _close_silently(container: OutputContainer) -> None:
    try:
        container.close()
    except (FFmpegError, OSError):
        return
