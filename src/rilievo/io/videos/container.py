"""Open video files by PyAV, and decode those that are damaged.

Only regular files of a few containers are opened, and nothing that they refer to.
"""

import re
from collections.abc import Generator, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from fractions import Fraction
from itertools import islice
from pathlib import Path
from typing import Any

from rilievo.errors import InputError, needing
from rilievo.io.files.limits import MAX_PIXELS, check_regular, reason
from rilievo.io.videos.frame_source import OpenFile

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

_CONTAINERS = (
    "mov,mp4,m4a,3gp,3g2,mj2,matroska,webm,avi,mpeg,mpegts,flv,ogg,asf,mxf,nut,yuv4mpegpipe"
)
"""Containers that are opened, by FFmpeg's names. Playlists and lists of files (hls, dash, concat,
image2, ...) are not among them, since they name other files."""
_FFMPEG_OPTIONS = {"format_whitelist": _CONTAINERS, "protocol_whitelist": "file"}
_PYAV_VERSION = int(av.__version__.partition(".")[0])
# Titles and comments may be in any encoding; PyAV 19 reads them so by itself.
_PYAV_OPTIONS: dict[str, Any] = {"metadata_errors": "surrogateescape"} if _PYAV_VERSION < 19 else {}
_UHD_PIXELS = 3840 * 2160
_MAX_GROWTH = 16
"""Largest number of pixels of a frame, over that of the file's header, or over ``_UHD_PIXELS``."""
_MAX_FAULTS_IN_A_ROW = 32
"""Failures after each other, without a packet between them, after which reading ends."""


@dataclass(slots=True)
class Damage:
    """Count of the damaged places in a video so far.

    Attributes:
        frames: Number of frames that were decoded.
        count: Number of damaged places.
        after: Number of frames before the first of them.
    """

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
    """Open a video file for the time of the block.

    Raises:
        InputError: If it is no regular file, or no video of a known container.
    """
    if isinstance(path, Path):
        check_regular(path)
    try:
        # The prefix "file:" keeps FFmpeg from taking a name such as "tcp:..." for an address.
        file = f"file:{path.absolute()}" if isinstance(path, Path) else path.open_reader()
        container = av.open(file, options=dict(_FFMPEG_OPTIONS), **_PYAV_OPTIONS)
    except (FFmpegError, UnicodeError, OSError, ValueError) as error:
        why = getattr(error, "strerror", None) or reason(error)
        raise InputError(
            f"not a video that can be read ({why}); expected MP4, MOV, Matroska, WebM, AVI or MPEG",
            path=path,
        ) from error
    with container:
        yield container


def video_stream(path: Path | OpenFile, container: InputContainer) -> VideoStream:
    """First video track of a container; pictures of covers are none.

    Raises:
        InputError: If there is none, or its codec is not known.
    """
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
    max_pixels = min(MAX_PIXELS, max(_MAX_GROWTH * stream.height * stream.width, _UHD_PIXELS))
    stream.codec_context.options = {"max_pixels": str(max_pixels)}
    return stream


def expected_end(container: InputContainer, stream: VideoStream) -> Fraction | None:
    """Time at which a video ends by its header [s]; None if it does not say."""
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
    """Decode every frame that can be decoded, in the order in which they are shown.

    ``damage`` counts what cannot.
    """
    count = 0
    with open_container(path) as container:
        stream = video_stream(path, container)
        stream.thread_type = "AUTO"
        try:
            for packet in container.demux(stream):
                for picture in _decode_strictly(packet):
                    yield picture
                    count += 1
            return
        except (FFmpegError, _BrokenPacketError):
            # With several threads, good frames beside a damaged packet are lost. With one thread
            # they are not, so the file is read again from its beginning with one.
            pass
    with open_container(path) as container:
        stream = video_stream(path, container)
        stream.thread_type = "NONE"
        yield from islice(_salvage_frames(container, stream, damage), count, None)


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
    """Decode all packets that can be decoded, and count the others."""
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
    """Read packets, and go on after failures, which are counted."""
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
