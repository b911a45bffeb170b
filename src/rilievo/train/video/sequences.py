"""Sequences of frames as they lie on disk: the record that every source of frames gives."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from jaxtyping import Float64

from rilievo.errors import InputError
from rilievo.io.limits import check_regular, printable
from rilievo.io.photo import read_photo
from rilievo.train.video.camera import SequenceCamera
from rilievo.types import Photo


@dataclass(frozen=True, slots=True, kw_only=True)
class OtherEye:
    """The second camera of a stereo pair.

    Attributes:
        sequence: The id of its frames, which have the same numbers at the same moment.
        shift: x of the other camera's frame less x of this one's for one point [m]: negative
            where this is the left eye.
    """

    sequence: str
    shift: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Listed:
    """Frames that a list names as targets, by number.

    Attributes:
        training: To learn from.
        held_out: To validate with; None where the list does not say.
    """

    training: tuple[int, ...]
    held_out: tuple[int, ...] | None = None


SOURCE_ALONE = Listed(training=())
"""Of the other eye: a target in both would be seen in training and held out."""


@dataclass(frozen=True, slots=True, kw_only=True)
class FrameSequence:
    """Frames of one camera, in the order of time.

    Attributes:
        id: Unique in the run.
        files: The frames; empty of a video.
        numbers: Of each frame in time: neighbours differ by one, and a gap is a missing frame.
        video: The file, of a video.
        shape: (height, width) of the frames as they are stored.
        camera: Of frames of that size.
        poses: ``world_T_cam`` [m] of each frame, NaN where unknown; None where none are.
        poses_file: Of a video, whose frames are counted later.
        listed: The targets; None where every frame may be one.
        other_eye: Of a stereo pair.
        measured: Whether stillness and cuts are found by measuring motion.
        stride: Frames between neighbours, of datasets that are used with one; None where measured
            motion says it.
        hood: Share of the height at the bottom that shows the car itself.
    """

    id: str
    files: tuple[Path, ...] = ()
    numbers: tuple[int, ...] = ()
    video: Path | None = None
    shape: tuple[int, int]
    camera: SequenceCamera
    poses: Float64[np.ndarray, "n 4 4"] | None = None
    poses_file: Path | None = None
    listed: Listed | None = None
    other_eye: OtherEye | None = None
    measured: bool = True
    stride: int | None = None
    hood: float = 0.0


def first_photo(files: tuple[Path, ...], place: Path) -> Photo:
    """The first frame that can be read, which says the size and the camera of a sequence.

    Raises:
        InputError: If none can, saying what the last one has.
    """
    problem = "there is none"
    for file in files:
        try:
            check_regular(file)
            return read_photo(file)
        except InputError as error:
            problem = str(error)
    raise InputError(f"{printable(place)}: no frame can be read: {problem}")
