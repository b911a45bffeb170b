"""Frames at the training size: read from their files each time, or held in memory."""

from collections.abc import Callable, Mapping
from functools import cached_property
from typing import Protocol, runtime_checkable

import numpy as np
from jaxtyping import UInt8

from rilievo.errors import InputError, OptionError
from rilievo.io.frames import open_video
from rilievo.io.limits import printable
from rilievo.train.video.lens import Straightening, straightening
from rilievo.train.video.reading import OddSizeError, at_size, read_frame
from rilievo.train.video.sequences import FrameSequence

Progress = Callable[[str, int, int], None]
"""Callback with the id of a sequence, the number of its frames that are done, and their total."""

_MOST_HELD = 4 * 2**30
"""Limit of a video's frames in memory [bytes]; longer videos need a cache."""


@runtime_checkable
class Frames(Protocol):
    """Frames of one sequence."""

    @property
    def count(self) -> int:
        """Number of frames, broken ones included."""
        ...

    @property
    def broken(self) -> Mapping[int, str]:
        """Reasons of the frames that are known to be broken, by index."""
        ...

    @property
    def fault(self) -> str | None:
        """Fault of a video, one line; None without."""
        ...

    def frame(self, index: int) -> UInt8[np.ndarray, "h w 3"]:
        """Return one frame, which is not to be written to.

        Raises:
            InputError: If it is broken.
        """
        ...


class FileFrames:
    """Frames that are decoded whenever they are requested."""

    def __init__(self, sequence: FrameSequence, size: tuple[int, int]) -> None:
        self._sequence, self._size = sequence, size
        self.count = len(sequence.files)
        self.broken: Mapping[int, str] = {}
        self.fault: str | None = None

    @cached_property
    def _how(self) -> Straightening | None:
        return how_straight(self._sequence)

    def frame(self, index: int) -> UInt8[np.ndarray, "h w 3"]:
        """Decode one frame.

        Raises:
            InputError: If it is broken, or not of the size of the others.
        """
        return read_frame(self._sequence, index, self._size, self._how)


class HeldFrames:
    """Frames of a video, decoded once into memory."""

    def __init__(
        self, sequence: FrameSequence, size: tuple[int, int], progress: Progress | None
    ) -> None:
        """Decode the video.

        Raises:
            InputError: If it cannot be read.
            OptionError: If its frames are too many to hold.
        """
        assert sequence.video is not None, "of a video"
        reader = open_video(sequence.video)
        how = how_straight(sequence)
        held: list[np.ndarray] = []
        for frame in reader:
            held.append(at_size(frame.photo.pixels, size, how))
            if len(held) * held[0].nbytes > _MOST_HELD:
                raise OptionError(
                    f"{printable(sequence.video)}: takes more than {_MOST_HELD / 2**30:g} GiB of "
                    "memory at this size; give a folder for a cache"
                )
            if progress is not None:
                progress(sequence.id, len(held), max(len(held), reader.frame_estimate or 0))
        self._held = held
        self.count = len(held)
        self.broken: Mapping[int, str] = {}
        self.fault = reader.fault

    def frame(self, index: int) -> UInt8[np.ndarray, "h w 3"]:
        """Return one frame.

        Raises:
            InputError: Never, since frames that cannot be decoded are not among them.
        """
        return self._held[index]


def how_straight(sequence: FrameSequence) -> Straightening | None:
    """Return the map that undistorts the frames of a sequence; None without distortion."""
    lens = sequence.camera.lens
    if lens is None:
        return None
    return straightening(lens, sequence.camera.camera.K, sequence.shape)


def frame_or_reason(frames: Frames, index: int) -> UInt8[np.ndarray, "h w 3"] | str:
    """Return a frame, or one line on why there is none.

    Raises:
        OddSizeError: If the frame is not of the size of the others.
    """
    try:
        return frames.frame(index)
    except OddSizeError:
        raise
    except InputError as error:
        return str(error)
