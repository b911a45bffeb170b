"""Write videos of pictures with sound, or of 16-bit numbers."""

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

_MP4_SOUND_CODECS = frozenset({"aac", "ac3", "alac", "eac3", "flac", "mp2", "mp3", "opus"})
"""Codecs that players support in MP4. FFmpeg would write others too, which few programs play."""
_BT709 = 1
"""Code point of BT.709, as primaries, transfer and matrix (ITU-T H.273)."""
_LIMITED_RANGE = 1
"""FFmpeg's code of the range 16 to 235."""
_REPRODUCIBLE = {"fflags": "+bitexact"}
"""FFmpeg's option that prevents random identifiers in Matroska."""


def sound_suffix(path: Path) -> str | None:
    """Return the suffix of a container that can hold a video's sound: .mp4, .mkv, or None."""
    with open_container(path) as source:
        name = _codec_name(source.streams.audio[0]) if source.streams.audio else None
    if name in _MP4_SOUND_CODECS:
        return ".mp4"
    with av.open(io.BytesIO(), "w", format="matroska") as container:
        return ".mkv" if name in container.supported_codecs else None


class Sound:
    """Copier of a video's first sound track into another file."""

    def __init__(self, path: Path, target: OutputContainer, *, origin: Fraction) -> None:
        """Copy from a video, whose time ``origin`` [s] becomes zero in the target."""
        self.fault: str | None = None
        self._fault_message = (
            f"{printable(path)}: its sound is damaged and was only copied up to the damage"
        )
        self._target = target
        self._packets = self._sound_packets(path, origin)
        self._next_packet = next(self._packets, None)

    def copy_until(self, time: Fraction | None) -> None:
        """Copy the sound before ``time`` [s]; None for all of it."""
        while self._next_packet is not None:
            if time is not None and _decoding_time(self._next_packet) >= time:
                return
            try:
                self._target.mux(self._next_packet)
            except (av.error.ArgumentError, av.error.InvalidDataError):
                self._next_packet = None
                self.fault = self._fault_message
                return
            self._next_packet = next(self._packets, None)

    def _sound_packets(self, path: Path, origin: Fraction) -> Iterator[Packet]:
        """Yield the packets that can be copied, with their times in the new file."""
        with open_container(path) as source:
            track = source.streams.audio[0]
            copied_track: Stream = self._target.add_stream_from_template(track)
            shift = round(origin / track.time_base) if track.time_base else 0
            latest: int | None = None
            try:
                for packet in source.demux(track):
                    if packet.dts is None or packet.pts is None or packet.is_corrupt:
                        continue
                    if latest is not None and packet.dts <= latest:
                        continue
                    latest = packet.dts
                    packet.dts -= shift
                    packet.pts -= shift
                    packet.stream = copied_track  # pyright: ignore[reportAttributeAccessIssue]
                    yield packet
            except FFmpegError:
                self.fault = self._fault_message


def _codec_name(track: Stream) -> str | None:
    return None if track.codec_context is None else track.codec_context.codec.canonical_name


def _decoding_time(packet: Packet) -> Fraction:
    """Return the time at which a packet is decoded [s]."""
    assert packet.dts is not None, "_sound_packets skips packets without a time"
    assert packet.time_base is not None, "demuxers set the time base of every packet"
    return packet.dts * packet.time_base


class VideoWriter:
    """Writer of a video, which ``writing_part`` opens."""

    def __init__(
        self,
        container: OutputContainer,
        stream: VideoStream,
        video_format: VideoFormat,
        sound: Sound | None,
        part: Path,
    ) -> None:
        """Write frames into a stream of an open container, and copy the sound alongside."""
        self.part = part
        self._container, self._stream, self._format = container, stream, video_format
        self._sound = sound
        self._is_finished = False

    @property
    def fault(self) -> str | None:
        """Damage in the sound, in one line; None without damage."""
        return None if self._sound is None else self._sound.fault

    def write(self, pixels: Pixels | UInt16[np.ndarray, "h w"], ticks: int) -> None:
        """Add the next frame, which is shown at a time in ticks."""
        assert pixels.shape[:2] == self._format.size, "a video has frames of one size"
        frame = self._video_frame(pixels)
        frame.pts = ticks
        frame.time_base = self._format.time_base
        if self._sound is not None:
            self._sound.copy_until(ticks * self._format.time_base)
        self._container.mux(self._stream.encode(frame))

    def finish(self) -> None:
        """Write the rest of the frames and the sound, and close the file."""
        if self._is_finished:
            return
        self._container.mux(self._stream.encode())
        if self._sound is not None:
            self._sound.copy_until(None)
        self._container.close()
        self._is_finished = True

    def _video_frame(self, pixels: Pixels | UInt16[np.ndarray, "h w"]) -> VideoFrame:
        """Make PyAV's frame from the pixels, in the pixel format of the codec.

        Odd sides are padded by repeating the last row or column.
        """
        if self._format.coding is Coding.NUMBERS:
            return VideoFrame.from_ndarray(np.ascontiguousarray(pixels), format="gray16le")
        height, width = self._format.size
        coded_height, coded_width = self._format.coded_size
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
    path: Path, part: Path, video_format: VideoFormat, *, sound: SoundSource | None = None
) -> Iterator[VideoWriter]:
    """Open a video for writing, and finish it at the end of the block.

    ``part`` is the temporary file that is written. ``path`` is its final name, whose suffix
    determines the container.

    Raises:
        OutputError: If it cannot be written.
    """
    container_name = {".mp4": "mp4", ".mkv": "matroska"}[path.suffix]
    # The prefix "file:" keeps FFmpeg from taking a colon in the name for a protocol.
    container = av.open(
        f"file:{part.absolute()}", "w", format=container_name, options=dict(_REPRODUCIBLE)
    )
    try:
        stream = _add_video_stream(path, container, video_format)
        copied = None if sound is None else Sound(sound.path, container, origin=sound.origin)
        writer = VideoWriter(container, stream, video_format, copied, part)
        yield writer
        writer.finish()
    except FFmpegError as error:
        _close_silently(container)
        if isinstance(error, OSError):  # for example a full disk, which the caller reports
            raise
        raise OutputError(f"cannot be written ({reason(error)})", path=path) from error
    except BaseException:
        _close_silently(container)
        raise


def _add_video_stream(
    path: Path, container: OutputContainer, video_format: VideoFormat
) -> VideoStream:
    """Add the stream of frames to a container, with the codec of the format."""
    codec = "libx264" if video_format.coding is Coding.PICTURE else "ffv1"
    try:
        if video_format.coding is Coding.PICTURE:
            stream = _add_picture_stream(container, video_format.rate)
        else:
            options = {"level": "3", "slicecrc": "1"}
            stream = container.add_stream(codec, rate=video_format.rate, options=options)
            stream.pix_fmt = "gray16le"
    except FFmpegError as error:
        raise OutputError(
            f"this build of PyAV cannot encode with {codec}: install PyAV from PyPI", path=path
        ) from error
    stream.height, stream.width = video_format.coded_size
    stream.codec_context.time_base = video_format.time_base
    stream.time_base = video_format.time_base
    return stream


def _add_picture_stream(container: OutputContainer, rate: Fraction) -> VideoStream:
    """Add a stream of 8-bit pictures, with the colours of BT.709 in limited range."""
    # With its macroblock tree, x264 is not reproducible on processors with AVX-512. Without the
    # tree, CRF 19 gives the quality that CRF 18 gives with it.
    options = {"crf": "19", "preset": "veryfast", "mbtree": "0"}
    stream = container.add_stream("libx264", rate=rate, options=options)
    stream.pix_fmt = "yuv420p"
    stream.codec_context.colorspace = _BT709
    stream.codec_context.color_primaries = _BT709
    stream.codec_context.color_trc = _BT709
    stream.codec_context.color_range = _LIMITED_RANGE
    return stream


def _close_silently(container: OutputContainer) -> None:
    try:
        container.close()
    except (FFmpegError, OSError):
        return
