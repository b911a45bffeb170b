"""Types of videos: frames, formats and open files, without what reads them."""

import io
import os
from abc import ABC, abstractmethod
from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum
from fractions import Fraction
from pathlib import Path

from rilievo.records.sample import Photo

DEFAULT_RATE = Fraction(30)
"""Rate of a folder [1/s]."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Frame:
    """Upright frame with square pixels.

    Attributes:
        index: Index among readable frames, from 0.
        ticks: Time in ``time_base``; strictly increasing.
        stem: Unique name of its results.
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
    """Video or folder of frames, to be iterated any number of times.

    Attributes:
        size: (height, width) of every frame.
        rate: Average frame rate [1/s].
        time_base: Exact duration of a tick [s].
        origin: Time [s] that is zero for picture and sound.
        notes: Changes to all frames, a line each.
        fault: Damage in one line, once all frames were read.
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

    @abstractmethod
    def __iter__(self) -> Iterator[Frame]:
        """Yield readable frames; damage after the first raises no error."""

    def close(self) -> None:  # noqa: B027
        """Close what reading opened."""


class Coding(StrEnum):
    """Storage of a video's frames."""

    PICTURE = "picture"
    """H.264, 8 bits, 4:2:0; plays everywhere."""
    NUMBERS = "numbers"
    """FFV1 (RFC 9043), lossless 16-bit grey in Matroska."""


@dataclass(frozen=True, slots=True, kw_only=True)
class VideoFormat:
    """Properties of a video file."""

    size: tuple[int, int]
    rate: Fraction
    time_base: Fraction
    coding: Coding

    @property
    def coded_size(self) -> tuple[int, int]:
        """``size`` with the even sides that some codings need."""
        height, width = self.size
        if self.coding is Coding.PICTURE:
            return height + height % 2, width + width % 2
        return height, width


@dataclass(frozen=True, slots=True, kw_only=True)
class SoundSource:
    """Sound to copy from a video; ``origin`` [s] there is zero in the new file."""

    path: Path
    origin: Fraction


class OpenFile:
    """Open file by its number; ``str`` is its name in messages.

    Every reader has its own position.
    """

    def __init__(self, descriptor: int, name: str) -> None:
        self._descriptor, self._name = descriptor, name

    def __str__(self) -> str:
        return self._name

    def open_reader(self) -> "FileReader":
        """New reader at its beginning."""
        return FileReader(self._descriptor, self._name)


class FileReader(io.RawIOBase):
    """Binary file over a descriptor, which stays open."""

    def __init__(self, descriptor: int, name: str) -> None:
        self.name = name
        self._descriptor, self._at = descriptor, 0

    def readable(self) -> bool:
        """Whether it can be read."""
        return True

    def seekable(self) -> bool:
        """Whether it can seek."""
        return True

    def tell(self) -> int:
        """Position [bytes]."""
        return self._at

    def seek(self, offset: int, whence: int = io.SEEK_SET, /) -> int:
        """Change and return the position."""
        size = os.fstat(self._descriptor).st_size
        before = {io.SEEK_SET: 0, io.SEEK_CUR: self._at, io.SEEK_END: size}[whence]
        self._at = max(0, before + offset)
        return self._at

    def read(self, size: int = -1, /) -> bytes:
        """Read so many bytes, or the rest."""
        if size < 0:
            size = max(0, os.fstat(self._descriptor).st_size - self._at)
        content = os.pread(self._descriptor, size, self._at)
        self._at += len(content)
        return content
