"""Opening video files safely, and getting at their frames whatever is broken in them.

Only regular files in a short list of containers are opened, and nothing that such a file refers
to: no network addresses, no playlists, no lists of other files.
"""

import re
from collections.abc import Generator, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from fractions import Fraction
from itertools import islice
from pathlib import Path

from rilievo.errors import InputError
from rilievo.io.limits import MAX_PIXELS, check_regular, printable, reason
from rilievo.io.pyav import (
    Disposition,
    EndOfVideo,
    FFmpegError,
    InputContainer,
    Packet,
    VideoFrame,
    VideoStream,
    av,
)

# FFmpeg's names. Playlists and lists of files (hls, dash, concat, image2, ...) are not among them.
_CONTAINERS = (
    "mov,mp4,m4a,3gp,3g2,mj2,matroska,webm,avi,mpeg,mpegts,flv,ogg,asf,mxf,nut,yuv4mpegpipe"
)
_OPTIONS = {"format_whitelist": _CONTAINERS, "protocol_whitelist": "file"}

_UHD = 3840 * 2160
_MOST_GROWTH = 16
"""A frame may have so many times the pixels that the header announces, or be of ``_UHD``."""

_MAX_FAULTS_IN_A_ROW = 32
"""After so many failures with no packet between them, the rest of a file is given up."""


@dataclass(slots=True)
class Damage:
    """What went wrong while decoding; it grows as the reader goes on.

    Attributes:
        frames: Decoded so far.
        count: Broken places.
        after: Frames decoded before the first of them.
    """

    frames: int = 0
    count: int = 0
    after: int = 0

    def add(self) -> None:
        """Count one more broken place."""
        if not self.count:
            self.after = self.frames
        self.count += 1


@contextmanager
def opened(path: Path) -> Generator[InputContainer, None, None]:
    """A container open for reading, whose every failure is an ``InputError``."""
    check_regular(path)
    try:
        # "file:" keeps FFmpeg from taking a name such as "tcp:..." for an address.
        container = av.open(
            f"file:{path.absolute()}", options=dict(_OPTIONS), metadata_errors="replace"
        )
    except (FFmpegError, UnicodeError, OSError, ValueError) as error:
        raise InputError(
            f"{printable(path)}: not a video that can be opened ({_said(error)}); "
            "MP4, MOV, Matroska, WebM, AVI and MPEG files are"
        ) from error
    with container:
        yield container


def video_stream(path: Path, container: InputContainer) -> VideoStream:
    """The first picture track that moves (an album's cover is a picture track too)."""
    moving = [
        stream
        for stream in container.streams.video
        if not stream.disposition & Disposition.attached_pic
    ]
    if not moving:
        found = "only sound" if container.streams.audio else "no picture track"
        raise InputError(f"{printable(path)}: the file has {found}; expected a video")
    stream = moving[0]
    if stream.codec_context is None:
        raise InputError(
            f"{printable(path)}: the video's codec is not known; convert it to H.264 first"
        )
    # Frames may change in size, but a broken file can announce a huge one in its middle.
    most = min(MAX_PIXELS, max(_MOST_GROWTH * stream.height * stream.width, _UHD))
    stream.codec_context.options = {"max_pixels": str(most)}
    return stream


def expected_end(container: InputContainer, stream: VideoStream) -> Fraction | None:
    """When the last frame ends, by the header [s]; None where the header does not say."""
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


def pictures(path: Path, damage: Damage) -> Iterator[VideoFrame]:
    """Every frame of a video that can be decoded, in order of presentation.

    Args:
        path: The file.
        damage: Told of every broken place.

    Raises:
        InputError: If it cannot be opened or has no video.
    """
    shown = 0
    with opened(path) as container:
        stream = video_stream(path, container)
        stream.thread_type = "AUTO"
        try:
            for packet in container.demux(stream):
                for picture in _strict(packet):
                    yield picture
                    shown += 1
            return
        except (FFmpegError, _BrokenPacketError):
            # Several threads lose good frames beside a broken packet. One thread does not, so
            # the file is gone through again from its beginning with one.
            pass
    with opened(path) as container:
        stream = video_stream(path, container)
        stream.thread_type = "NONE"
        yield from islice(_salvage(container, stream, damage), shown, None)


class _BrokenPacketError(Exception):
    """The container says itself that a packet is not whole."""


def _strict(packet: Packet) -> list[VideoFrame]:
    if packet.is_corrupt:
        raise _BrokenPacketError
    return packet.decode()


def _salvage(
    container: InputContainer, stream: VideoStream, damage: Damage
) -> Iterator[VideoFrame]:
    """Decode what can be decoded, counting what cannot."""
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
    """The packets of one track, going on after a broken place where the container can."""
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


def _said(error: Exception) -> str:
    return getattr(error, "strerror", None) or reason(error)
