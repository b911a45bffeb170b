"""Sequences of frames on disk: the record that every source of frames returns."""

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
    """Second camera of a stereo pair.

    Attributes:
        sequence: Id of the sequence of its frames, which have the same numbers at the same time.
        shift: x of a point in the other camera's frame minus x in this one's [m]; negative where
            this is the left camera.
    """

    sequence: str
    shift: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Listed:
    """Frames that a list names as targets, by number.

    Attributes:
        held_out: Numbers of the targets to validate with; None where the list has none.
    """

    training: tuple[int, ...]
    held_out: tuple[int, ...] | None = None


SOURCE_ALONE = Listed(training=())
"""List for the other camera of a stereo pair, whose frames are sources only: if both cameras had
targets, frames would be seen in training and held out."""


@dataclass(frozen=True, slots=True, kw_only=True)
class FrameSequence:
    """Frames of one camera, in the order of time.

    Attributes:
        id: Id, unique in the run.
        files: Files of the frames; empty for a video.
        numbers: Number of each frame in time: neighbours differ by one, and a gap is a missing
            frame.
        video: File of a video; None for a sequence of files.
        shape: (height, width) of the frames as they are stored.
        poses: ``world_T_cam`` [m] of each frame, NaN where unknown; None where there are none.
        poses_file: File of the poses of a video, whose frames are counted later.
        listed: Targets that a list names; None where every frame may be one.
        other_eye: Other camera of a stereo pair; None without.
        measured: Whether static frames and cuts are found by measuring motion.
        stride: Frames between neighbours, for datasets with a fixed stride; None where measured
            motion sets it.
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
    """Read the first readable frame, which gives the size and the camera of a sequence."""
    problem = "there is none"
    for file in files:
        try:
            check_regular(file)
            return read_photo(file, own_depth=False)
        except InputError as error:
            problem = str(error)
    raise InputError(f"{printable(place)}: no frame can be read: {problem}")
