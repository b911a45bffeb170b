"""Sources of frames with times."""

from abc import ABC, abstractmethod
from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path

from rilievo.frozen import frozen
from rilievo.types import Photo

DEFAULT_RATE = Fraction(30)
"""Rate of a folder [1/s]."""


@frozen
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
        """Release what reading takes."""
