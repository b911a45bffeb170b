"""Sources of video frames, in order and with their times, and formats of videos; without PyAV.

A source can be iterated any number of times, and holds one frame in memory at a time.
"""

import re
from abc import ABC, abstractmethod
from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum
from fractions import Fraction
from pathlib import Path

from rilievo.errors import InputError, OptionError
from rilievo.io.limits import printable, reason
from rilievo.io.photo import read_photo
from rilievo.io.signatures import PHOTO_SUFFIXES
from rilievo.types import OwnDepth, Photo


class Coding(StrEnum):
    """Storage of the frames of a video."""

    PICTURE = "picture"
    """H.264, 8 bits, 4:2:0, nearly without visible loss; plays everywhere."""
    NUMBERS = "numbers"
    """FFV1 (RFC 9043), 16-bit grey, lossless, in Matroska."""


@dataclass(frozen=True, slots=True, kw_only=True)
class VideoFormat:
    """Properties of a video file."""

    size: tuple[int, int]
    rate: Fraction
    time_base: Fraction
    coding: Coding

    @property
    def coded_size(self) -> tuple[int, int]:
        """``size``, with odd sides one larger where the coding has no odd ones."""
        height, width = self.size
        if self.coding is Coding.PICTURE:
            return height + height % 2, width + width % 2
        return height, width


@dataclass(frozen=True, slots=True, kw_only=True)
class SoundSource:
    """Source of the sound that is copied.

    Attributes:
        path: A video whose sound the file that is written can hold (``sound_suffix``).
        origin: Time [s] in that video that is zero in the file that is written.
    """

    path: Path
    origin: Fraction


DEFAULT_RATE = Fraction(30)
"""Default frame rate of a folder of frames [1/s]."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Frame:
    """One frame of a video.

    Attributes:
        photo: Upright frame with square pixels, of the size that its source states.
        index: Index of the frame, from 0, counting only frames that could be read.
        ticks: Time of presentation in units of the source's ``time_base``; strictly increasing.
    """

    photo: Photo
    index: int
    ticks: int


class FrameSource(ABC):
    """A video, or a folder of frames.

    Attributes:
        path: Path of the file or folder.
        size: Size (height, width) of every frame.
        rate: Average frame rate [1/s].
        time_base: Exact duration of one tick [s].
        frame_estimate: Expected number of frames, for a progress bar; None where unknown.
        origin: Time [s] that is zero for picture and sound alike; frames may start after it.
        has_audio: Whether there is sound to copy.
        notes: Changes made to all frames, such as resampling to square pixels; one line each.
        fault: Damage found, in one line, once all frames were read; None if there was none.
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

    @abstractmethod
    def __iter__(self) -> Iterator[Frame]:
        """Yield the readable frames in order; damage after the first frame raises no error."""

    def close(self) -> None:  # noqa: B027
        """Give up what reading takes; most sources take nothing between two iterations."""


def open_video(path: Path) -> FrameSource:
    """Open a video file and decode its first frame."""
    from rilievo.io.video import VideoReader

    return VideoReader(path)


class FrameFolder(FrameSource):
    """The photographs of one folder, in natural order (``frame2`` before ``frame10``).

    A frame that is broken, or of another size than the first, is skipped and named in ``fault``;
    its place in time stays empty.
    """

    own_depth: OwnDepth | None

    def __init__(
        self, path: Path, *, rate: Fraction = DEFAULT_RATE, own_depth: bool = False
    ) -> None:
        """List the folder and read its first frame.

        Args:
            path: Path of the folder; its subfolders are ignored.
            rate: Frame rate [1/s].
            own_depth: Whether to read the depth map stored in the file of the first frame. Those of
                the other frames are not read.
        """
        if rate <= 0:
            raise OptionError(f"a frame rate is positive, got {rate}")
        self.path, self.rate, self.time_base = path, rate, 1 / rate
        self.origin = Fraction(0)
        self.has_audio, self.notes, self.fault = False, (), None
        self._files = _list_photos(path)
        self.frame_estimate = len(self._files)
        first = self._first(own_depth=own_depth)
        self.size, self.own_depth = first.shape, first.own_depth

    def __iter__(self) -> Iterator[Frame]:
        self.fault = None
        passed: list[str] = []
        index = 0
        for ticks, file in enumerate(self._files):
            try:
                photo = read_photo(file, own_depth=False)
            except InputError as error:
                passed.append(str(error))
                continue
            if photo.shape != self.size:
                passed.append(f"{printable(file)}: {_times(photo.shape)}, not {_times(self.size)}")
                continue
            yield Frame(photo=photo, index=index, ticks=ticks)
            index += 1
        if passed:
            self.fault = (
                f"{printable(self.path)}: {len(passed)} of {len(self._files)} frames skipped, "
                f"the first: {passed[0]}"
            )

    def _first(self, *, own_depth: bool) -> Photo:
        problem = "the folder has no photographs"
        for file in self._files:
            try:
                return read_photo(file, own_depth=own_depth)
            except InputError as error:
                problem = f"none of its photographs can be read, the last: {error}"
        raise InputError(f"{self.path}: {problem}")


def natural_order(name: str) -> tuple[tuple[int, str], ...]:
    """Sort key that orders numbers inside names by value."""
    return tuple(
        (int(part), part) if part.isdecimal() else (-1, part) for part in re.split(r"(\d+)", name)
    )


def _list_photos(path: Path) -> list[Path]:
    try:
        files = [
            file
            for file in path.iterdir()
            if file.suffix.lower() in PHOTO_SUFFIXES and not file.name.startswith(".")
        ]
    except OSError as error:
        raise InputError(f"{path}: the folder cannot be listed: {reason(error)}") from error
    return sorted(files, key=lambda file: natural_order(file.name))


def _times(size: tuple[int, int]) -> str:
    height, width = size
    return f"{width}x{height}"
