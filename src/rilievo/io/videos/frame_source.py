"""Sources of frames in order, each with its time.

A source can be iterated any number of times, and holds one frame in memory at a time.
"""

from abc import ABC, abstractmethod
from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path

from rilievo.frozen import frozen
from rilievo.types import Photo

DEFAULT_RATE = Fraction(30)
"""Default frame rate of a folder of frames [1/s]."""


@frozen
class Frame:
    """One frame of a video.

    Attributes:
        photo: Upright frame with square pixels, of the size that its source states.
        index: Index of the frame, from 0, counting only frames that could be read.
        ticks: Time of presentation in units of the source's ``time_base``; strictly increasing.
        file: Name of the file that is this frame; empty for a video.
        stem: Name of its results, which no other frame has; the number of a video's frame.
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
        has_alpha: Whether pixels of frames may be transparent.
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
        """Yield the readable frames in order; damage after the first frame raises no error."""

    def close(self) -> None:  # noqa: B027
        """Give up what reading takes; most sources take nothing between two iterations."""
