"""Base class of video sources, formats of videos, and open files. None of them needs PyAV."""

import io
import os
from abc import ABC, abstractmethod
from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum
from fractions import Fraction
from pathlib import Path

from rilievo.records.depth_map import OwnDepth
from rilievo.records.sample import Photo

DEFAULT_RATE = Fraction(30)
"""Frames per second of a folder, and of videos that do not state their rate."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Frame:
    """Upright frame with square pixels.

    Attributes:
        index: Index among the readable frames.
        ticks: Time in units of the source's ``time_base``; strictly increasing.
        file: Name of the frame's file in a folder; empty in a video.
        stem: Unique name for the frame's results.
    """

    photo: Photo
    index: int
    ticks: int
    file: str = ""
    stem: str = ""

    def __post_init__(self) -> None:
        if not self.stem:
            object.__setattr__(self, "stem", f"{self.index:06d}")


class FrameSource(ABC):
    """Video or folder of frames, which can be iterated any number of times.

    Attributes:
        size: Height and width of every frame [px].
        rate: Average frame rate [1/s].
        time_base: Exact duration of a tick [s].
        origin: Time that is zero for picture and sound [s].
        frame_estimate: Approximate number of frames; None if unknown.
        notes: Notes on changes to all frames, one line each.
        fault: Damage in one line, known after all frames were read; None if there is none.
        has_alpha: Whether frames may have transparent pixels.
        is_folder: Whether the frames are files in a folder.
        own_depth: Depth map in the file of the first frame, if it was asked for.
    """

    path: Path
    size: tuple[int, int]
    rate: Fraction
    time_base: Fraction
    origin: Fraction
    frame_estimate: int | None
    has_audio: bool
    notes: tuple[str, ...]
    fault: str | None
    has_alpha: bool = True
    is_folder: bool = False
    own_depth: OwnDepth | None = None

    @abstractmethod
    def __iter__(self) -> Iterator[Frame]:
        """Yield the readable frames; damage after the first frame raises no error."""

    def close(self) -> None:  # noqa: B027
        """Close what reading opened."""


class Coding(StrEnum):
    """How a video file stores its frames."""

    PICTURE = "picture"
    """H.264, 8 bits, 4:2:0; plays everywhere."""
    NUMBERS = "numbers"
    """FFV1 (RFC 9043), lossless 16-bit grey in Matroska."""


@dataclass(frozen=True, slots=True, kw_only=True)
class VideoFormat:
    """Properties of a video file that is written."""

    size: tuple[int, int]
    rate: Fraction
    time_base: Fraction
    coding: Coding

    @property
    def coded_size(self) -> tuple[int, int]:
        """Height and width of the stored frames; H.264 needs even sides."""
        height, width = self.size
        if self.coding is Coding.PICTURE:
            return height + height % 2, width + width % 2
        return height, width


@dataclass(frozen=True, slots=True, kw_only=True)
class SoundSource:
    """Sound that is copied from a video.

    ``origin`` is the time in it that is zero in the new file [s].
    """

    path: Path
    origin: Fraction


class OpenFile:
    """File that is open already, by its descriptor; ``str`` is its name in messages."""

    def __init__(self, descriptor: int, name: str) -> None:
        self._descriptor, self._name = descriptor, name

    def __str__(self) -> str:
        return self._name

    def open_reader(self) -> "FileReader":
        """Open a reader with a position of its own, at the beginning of the file."""
        return FileReader(self._descriptor, self._name)


class FileReader(io.RawIOBase):
    """Binary file with a position of its own, over a descriptor that stays open."""

    def __init__(self, descriptor: int, name: str) -> None:
        self.name = name
        self._descriptor = descriptor
        self._position = 0

    def readable(self) -> bool:
        """Whether it can be read."""
        return True

    def seekable(self) -> bool:
        """Whether it can seek."""
        return True

    def tell(self) -> int:
        """Position [bytes]."""
        return self._position

    def seek(self, offset: int, whence: int = io.SEEK_SET, /) -> int:
        """Change and return the position."""
        file_size = os.fstat(self._descriptor).st_size
        start = {io.SEEK_SET: 0, io.SEEK_CUR: self._position, io.SEEK_END: file_size}[whence]
        self._position = max(0, start + offset)
        return self._position

    def read(self, size: int = -1, /) -> bytes:
        """Read at most ``size`` bytes, or the rest of the file if ``size`` is negative."""
        if size < 0:
            size = max(0, os.fstat(self._descriptor).st_size - self._position)
        content = os.pread(self._descriptor, size, self._position)
        self._position += len(content)
        return content
