"""Moving pictures as the pipeline sees them: frames in order, each with its own time.

A source can be gone through any number of times, and holds one frame at a time.
"""

import re
from abc import ABC, abstractmethod
from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

from rilievo.errors import InputError, OptionError
from rilievo.io.limits import printable, reason
from rilievo.io.photo import read_photo
from rilievo.io.signatures import HEAD_BYTES, PHOTO_SUFFIXES, PhotoFormat, identify
from rilievo.types import OwnDepth, Photo

VIDEO_SUFFIXES = frozenset(
    (
        *(".3g2", ".3gp", ".asf", ".avi", ".flv", ".m2ts", ".m4v", ".mkv", ".mov", ".mp4"),
        *(".mpeg", ".mpg", ".mts", ".mxf", ".nut", ".ogv", ".ts", ".vob", ".webm", ".wmv", ".y4m"),
    )
)
"""Names that say video."""

DEFAULT_RATE = Fraction(30)
"""Frames a second of a folder of frames, when nobody says."""


def is_video(path: Path) -> bool:
    """Whether a file is a video: by its first bytes, or by its name where these say nothing.

    A broken video is still a video, so that what is said of it is about videos.
    """
    try:
        if not path.is_file():
            return False
        with path.open("rb") as file:
            found = identify(file.read(HEAD_BYTES))
    except OSError:
        found = None
    if found is not None and found.name == "a video":
        return True
    return not isinstance(found, PhotoFormat) and path.suffix.lower() in VIDEO_SUFFIXES


@dataclass(frozen=True, slots=True, kw_only=True)
class Frame:
    """One frame of a moving picture.

    Attributes:
        photo: Upright, square pixels, of the size of its source.
        index: 0 for the first frame that could be read, then one more each.
        ticks: Time of presentation in units of the source's ``time_base``; strictly increasing.
    """

    photo: Photo
    index: int
    ticks: int


class FrameSource(ABC):
    """A video, or a folder of frames.

    Attributes:
        path: The file or folder.
        size: (height, width) of every frame.
        rate: Average frames a second.
        time_base: Seconds of one tick, exactly.
        frame_estimate: How many frames to expect, for a progress bar; None where unknown.
        origin: Time [s] that is zero for picture and sound alike; a frame may come after it.
        has_audio: Whether there is sound to copy.
        notes: What was done to all frames, such as pixels made square; one line each.
        fault: What was broken, one line, once all frames were gone through; None if nothing.
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
        """The frames from the first to the last that can be read; never an error after that."""


def open_video(path: Path) -> FrameSource:
    """Open a video file and decode its first frame.

    Raises:
        MissingExtraError: If PyAV is not installed.
        InputError: If it is not a video that can be read.
    """
    from rilievo.io.video import VideoReader

    return VideoReader(path)


class FrameFolder(FrameSource):
    """The photographs of one folder, in natural order (``frame2`` before ``frame10``).

    A frame that is broken, or not of the first one's size, is passed over and named in ``fault``;
    its place in time stays empty.

    Attributes:
        own_depth: Depth that the file of the first frame holds; None if it was not asked for.
    """

    own_depth: OwnDepth | None

    def __init__(
        self, path: Path, *, rate: Fraction = DEFAULT_RATE, own_depth: bool = False
    ) -> None:
        """List the folder and read its first frame.

        Args:
            path: The folder; what lies in folders inside it is not looked at.
            rate: Frames a second.
            own_depth: Read the depth that the file of the first frame holds. Frames are read
                without theirs.

        Raises:
            InputError: If it has no photograph that can be read.
            OptionError: If the rate is not positive.
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
        """The frames in order; ``ticks`` is the place of the file in the folder."""
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
                f"{printable(self.path)}: {len(passed)} of {len(self._files)} frames passed over, "
                f"the first: {passed[0]}"
            )

    def _first(self, *, own_depth: bool) -> Photo:
        problem = "the folder has no photographs"
        for file in self._files:
            try:
                return read_photo(file, own_depth=own_depth)
            except InputError as error:
                problem = f"none of its photographs can be read, the last: {error}"
        raise InputError(f"{printable(self.path)}: {problem}")


def natural_order(name: str) -> tuple[tuple[int, str], ...]:
    """A sorting key under which numbers inside names count as numbers."""
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
        raise InputError(
            f"{printable(path)}: the folder cannot be listed: {reason(error)}"
        ) from error
    return sorted(files, key=lambda file: natural_order(file.name))


def _times(size: tuple[int, int]) -> str:
    height, width = size
    return f"{width}x{height}"
