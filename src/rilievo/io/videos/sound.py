"""Sound of a video, copied into another."""

import io
from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path

from rilievo.io.files.limits import printable
from rilievo.io.videos.container import (
    FFmpegError,
    OutputContainer,
    Packet,
    Stream,
    av,
    opened,
)

# Codecs that players expect in MP4. FFmpeg would write others, which few programs play.
_IN_MP4 = frozenset({"aac", "ac3", "alac", "eac3", "flac", "mp2", "mp3", "opus"})


def sound_suffix(path: Path) -> str | None:
    """Suffix of a file that can hold this video's sound: .mp4 or .mkv; None if neither can."""
    with opened(path) as source:
        name = _codec(source.streams.audio[0]) if source.streams.audio else None
    if name in _IN_MP4:
        return ".mp4"
    with av.open(io.BytesIO(), "w", format="matroska") as container:
        return ".mkv" if name in container.supported_codecs else None


class Sound:
    """The first sound track of a video, copied into another file as that is written."""

    def __init__(self, path: Path, target: OutputContainer, *, origin: Fraction) -> None:
        self.fault: str | None = None
        self._target = target
        self._packets = self._read(path, origin)
        self._waiting = next(self._packets, None)

    def copy_until(self, time: Fraction | None) -> None:
        """Copy the sound before ``time`` [s], or all that is left if None."""
        while self._waiting is not None and (time is None or _time(self._waiting) < time):
            self._target.mux(self._waiting)
            self._waiting = next(self._packets, None)

    def _read(self, path: Path, origin: Fraction) -> Iterator[Packet]:
        """Yield packets in ascending order, with times relative to ``origin``, for the target."""
        with opened(path) as source:
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
                self.fault = f"{printable(path)}: its sound is broken and was copied up to there"


def _codec(track: Stream) -> str | None:
    return None if track.codec_context is None else track.codec_context.codec.canonical_name


def _time(packet: Packet) -> Fraction:
    assert packet.dts is not None, "packets without are left out"
    assert packet.time_base is not None, "demuxers give every packet one"
    return packet.dts * packet.time_base
