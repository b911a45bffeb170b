"""Open video files with PyAV, and decode them even if they are damaged.

Only regular files in a few container formats are opened, and no file that they refer to.
"""

import re
from collections.abc import Generator, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from fractions import Fraction
from itertools import islice
from pathlib import Path
from typing import Any

from rilievo.errors import InputError, explain_missing_extra
from rilievo.io.files.limits import MAX_PIXELS, check_regular, reason
from rilievo.io.videos.frame_source import OpenFile

# PyAV is an optional dependency: its wheel has 104 MB and contains codecs under the GPL.
with explain_missing_extra("reading or writing a video", "video"):
    import av
    from av import Packet, VideoFrame
    from av.container import InputContainer, OutputContainer  # noqa: F401
    from av.error import EOFError as EndOfVideo
    from av.error import FFmpegError
    from av.stream import Disposition, Stream  # noqa: F401
    from av.video.reformatter import ColorRange, Colorspace  # noqa: F401
    from av.video.stream import VideoStream

_CONTAINERS = (
    "mov,mp4,m4a,3gp,3g2,mj2,matroska,webm,avi,mpeg,mpegts,flv,ogg,asf,mxf,nut,yuv4mpegpipe"
)
"""Container formats that are opened, by FFmpeg's names. Playlists (hls, dash, concat, image2, ...)
are not among them, because they refer to other files."""
_FFMPEG_OPTIONS = {"format_whitelist": _CONTAINERS, "protocol_whitelist": "file"}
_PYAV_VERSION = int(av.__version__.partition(".")[0])
# Titles and comments may be in any encoding; PyAV 19 handles that by default.
_PYAV_OPTIONS: dict[str, Any] = {"metadata_errors": "surrogateescape"} if _PYAV_VERSION < 19 else {}
_UHD_PIXELS = 3840 * 2160
_MAX_GROWTH = 16
"""A frame may have so many times the pixels that the header states, or ``_UHD_PIXELS``."""
_MAX_CONSECUTIVE_FAULTS = 32
"""Reading ends after so many failures without a packet between them."""


@dataclass(slots=True)
class Damage:
    """Damage that was found so far while a video is decoded.

    Attributes:
        packet_count: Number of damaged packets.
        frames_before: Number of frames that were decoded before the first damaged packet.
    """

    packet_count: int = 0
    frames_before: int = 0

    def add_damaged_packet(self) -> None:
        """Count a damaged packet."""
        self.packet_count += 1

    def add_decoded_frame(self) -> None:
        """Count a decoded frame, unless a packet was damaged already."""
        if not self.packet_count:
            self.frames_before += 1


@contextmanager
def open_container(path: Path | OpenFile) -> Generator[InputContainer, None, None]:
    """Open a video file for the time of the block.

    Raises:
        InputError: If it is no regular file, or no video of a known container.
    """
    if isinstance(path, Path):
        check_regular(path)
    try:
        # The prefix "file:" prevents that FFmpeg takes a name such as "tcp:..." for an address.
        file = f"file:{path.absolute()}" if isinstance(path, Path) else path.open_reader()
        container = av.open(file, options=dict(_FFMPEG_OPTIONS), **_PYAV_OPTIONS)
    except (FFmpegError, UnicodeError, OSError, ValueError) as error:
        detail = getattr(error, "strerror", None) or reason(error)
        raise InputError(
            f"this is not a readable video ({detail}); expected MP4, MOV, Matroska, WebM, AVI or "
            "MPEG",
            path=path,
        ) from error
    with container:
        yield container


def video_stream(path: Path | OpenFile, container: InputContainer) -> VideoStream:
    """Find the first video track of a container; cover pictures do not count.

    The size of its frames is limited, because a damaged file can announce a huge one midway.

    Raises:
        InputError: If there is none, or if its codec is unknown.
    """
    video_streams = [
        stream
        for stream in container.streams.video
        if not stream.disposition & Disposition.attached_pic
    ]
    if not video_streams:
        content = "only sound" if container.streams.audio else "no video track"
        raise InputError(f"the file has {content}; expected a video", path=path)
    stream = video_streams[0]
    if stream.codec_context is None:
        raise InputError(
            "the video's codec is unknown; convert the video to H.264 first", path=path
        )
    max_pixels = min(MAX_PIXELS, max(_MAX_GROWTH * stream.height * stream.width, _UHD_PIXELS))
    stream.codec_context.options = {"max_pixels": str(max_pixels)}
    return stream


def expected_end(container: InputContainer, stream: VideoStream) -> Fraction | None:
    """Return the time at which a video ends [s] according to its header; None if not stated."""
    start = (stream.start_time or 0) * (stream.time_base or 0)
    if stream.duration is not None and stream.time_base is not None:
        return start + stream.duration * stream.time_base
    # Matroska writes a text such as 00:01:02.500.
    duration = re.fullmatch(r"(\d+):(\d+):(\d+(?:\.\d+)?)", stream.metadata.get("DURATION", ""))
    if duration:
        hours, minutes, seconds = duration.groups()
        return int(hours) * 3600 + int(minutes) * 60 + Fraction(seconds)
    if container.duration is not None and not container.streams.audio:
        return start + Fraction(container.duration, 1_000_000)
    return None


def decode_frames(path: Path | OpenFile, damage: Damage) -> Iterator[VideoFrame]:
    """Decode every frame that can be decoded, in the order of display.

    The frames are decoded with several threads until a packet is damaged. Then the file is decoded
    again with one thread, because several threads would also lose good frames beside the packet.

    ``damage`` counts what cannot be decoded.
    """
    yielded_count = 0
    with open_container(path) as container:
        stream = video_stream(path, container)
        stream.thread_type = "AUTO"
        try:
            for packet in container.demux(stream):
                for picture in _decode_strictly(packet):
                    yield picture
                    yielded_count += 1
            return
        except (FFmpegError, _BrokenPacketError):
            pass
    with open_container(path) as container:
        stream = video_stream(path, container)
        stream.thread_type = "NONE"
        yield from islice(_salvage_frames(container, stream, damage), yielded_count, None)


class _BrokenPacketError(Exception):
    """Packet that the container reports as damaged."""


def _decode_strictly(packet: Packet) -> list[VideoFrame]:
    """Decode a packet, or raise ``_BrokenPacketError`` or PyAV's error if it is damaged."""
    if packet.is_corrupt:
        raise _BrokenPacketError
    return packet.decode()


def _salvage_frames(
    container: InputContainer, stream: VideoStream, damage: Damage
) -> Iterator[VideoFrame]:
    """Decode all packets that can be decoded, and count the others in ``damage``."""
    for packet in _read_packets(container, stream, damage):
        if packet.is_corrupt:
            damage.add_damaged_packet()
        try:
            for picture in packet.decode():
                yield picture
                damage.add_decoded_frame()
        except EndOfVideo:
            return
        except FFmpegError:
            if not packet.is_corrupt:  # else it is counted already
                damage.add_damaged_packet()


def _read_packets(
    container: InputContainer, stream: VideoStream, damage: Damage
) -> Iterator[Packet]:
    """Read packets, and continue after failures, which are counted."""
    consecutive_faults = 0
    while consecutive_faults < _MAX_CONSECUTIVE_FAULTS:
        try:
            for packet in container.demux(stream):
                consecutive_faults = 0
                yield packet
            return
        except FFmpegError:
            consecutive_faults += 1
            damage.add_damaged_packet()
