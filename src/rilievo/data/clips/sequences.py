"""Clips with their frames and poses, read at a size."""

import math
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image

from rilievo.arrays.shapes import Mask, Matrix, Pixels, Size, Transform, Transforms, UInt8
from rilievo.data.clips.sequence_camera import SequenceCamera
from rilievo.data.clips.undistortion import (
    UndistortionMap,
    shrink_mask,
    undistort,
    undistortion_map,
)
from rilievo.errors import InputError
from rilievo.errors.messages import Text, note_of
from rilievo.geometry.transforms import invert
from rilievo.io.files.limits import check_regular
from rilievo.io.files.names import printable
from rilievo.io.photographs.photo import read_photo, read_rgb
from rilievo.records.sample import Photo


@dataclass(frozen=True, slots=True, kw_only=True)
class OtherEye:
    """The other camera of a stereo pair.

    Attributes:
        sequence: Name of the clip that it took.
        x_offset: Translation in x from this camera's frame to the other's [m]; negative if the
            other camera is to the right.
    """

    sequence: str
    x_offset: float


@dataclass(frozen=True, slots=True, kw_only=True)
class ListedTargets:
    """Frame numbers of the targets in a list.

    Attributes:
        training: Targets for training.
        held_out: Targets for validation; None if the list has none.
    """

    training: tuple[int, ...]
    held_out: tuple[int, ...] | None = None


NO_TARGETS = ListedTargets(training=())
"""For the other camera of a pair, whose frames are sources and must not be targets too."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Clip:
    """Frames of one camera in time, with poses.

    Attributes:
        id: Name of the clip.
        files: Files of the frames; empty for a video.
        frame_numbers: Number of each frame in its dataset; empty for a video.
        video: The video; None for a folder of frames.
        shape: (height, width) as stored [px].
        camera: Camera at that size.
        poses: ``world_T_cam`` [m], NaN where unknown; None if there are none.
        poses_file: File of poses of a video, whose frames are not counted yet.
        listed_targets: Targets of a list; None if all frames may be targets.
        other_eye: The other camera of a stereo pair.
        measures_motion: Whether frames are chosen by the motion that is measured between them.
        stride: Frames between neighbours; None to choose it by the measured motion.
        bonnet_fraction: Fraction of the height, at the bottom, that shows the car.
    """

    id: str
    files: tuple[Path, ...] = ()
    frame_numbers: tuple[int, ...] = ()
    video: Path | None = None
    shape: Size
    camera: SequenceCamera
    poses: Transforms | None = None
    poses_file: Path | None = None
    listed_targets: ListedTargets | None = None
    other_eye: OtherEye | None = None
    measures_motion: bool = True
    stride: int | None = None
    bonnet_fraction: float = 0.0

    def K_at(self, size: Size) -> Matrix:
        """Intrinsics at a size [px], without distortion."""
        camera = self.camera.camera.resized(size=self.shape, new_size=size)
        return camera.needs_pinhole("a clip")

    def frame_name(self, index: int) -> str:
        """Name of a frame's file, or six digits for a frame of a video."""
        return f"{index:06d}" if self.video is not None else self.files[index].name

    def motion(self, source: int, target: int) -> Transform | None:
        """Motion ``source_T_target`` [m] between two frames; None where unknown."""
        if self.poses is None:
            return None
        world_T_source, world_T_target = self.poses[source], self.poses[target]
        if not (np.isfinite(world_T_target).all() and np.isfinite(world_T_source).all()):
            return None
        return invert(world_T_source) @ world_T_target


@dataclass(frozen=True, slots=True, kw_only=True)
class ClipFrame:
    """One frame, or the reason why it cannot be used.

    Attributes:
        index: Index in the clip.
        name: Name of the file, or the index for a video.
        seconds: Time [s], or the frame's number if the clip has no times.
        pixels: Colours; None if the frame cannot be used.
        problem: A line on why the frame cannot be used.
    """

    index: int
    name: str
    seconds: float
    pixels: Pixels | None = None
    problem: str | None = None


def first_photo(files: tuple[Path, ...], folder: Path) -> Photo:
    """Read the first readable frame, which gives a clip its size and its camera.

    Raises:
        InputError: If no frame can be read; it says why the last one cannot.
    """
    last_problem = "the folder contains no frames"
    for file in files:
        try:
            check_regular(file)
            return read_photo(file, own_depth=False)
        except InputError as error:
            last_problem = note_of(error)
    raise InputError("no frame can be read:", path=printable(folder), problem=Text(last_problem))


class OddSizeError(InputError):
    """Error for a frame that differs in size from the rest, which skipping it would not mend."""


def read_frame(clip: Clip, index: int, size: Size, undistortion: UndistortionMap | None) -> Pixels:
    """Read a frame, remove its distortion, and resize it.

    Raises:
        OddSizeError: If its size differs from the clip's.
        InputError: If it cannot be read.
    """
    path = clip.files[index]
    image = read_rgb(path)
    if (image.height, image.width) != clip.shape:
        height, width = clip.shape
        # The first frame that can be read gave the clip its size, so there is another file.
        neighbour = next(file for file in clip.files if file != path)
        raise OddSizeError(
            f"{printable(path)}: is {image.width}x{image.height}, but {printable(neighbour.name)} "
            f"and the other frames are {width}x{height}; all frames of a sequence must have the "
            "same size: move those of another size to a separate folder"
        )
    return undistort_and_resize(image, size, undistortion)


class FrameReader:
    """Reads the frames of a clip at a size, without lens distortion.

    Args:
        clip: The clip.
        size: (height, width) of the frames that it returns [px].
    """

    def __init__(self, clip: Clip, size: Size) -> None:
        self._clip = clip
        self._size = size
        self._undistortion: UndistortionMap | None = None
        lens = clip.camera.lens
        if lens is not None:
            self._undistortion = undistortion_map(lens, clip.camera.camera.K, clip.shape)

    def read(self, index: int) -> Pixels | str:
        """Read a frame from its file, or return a line on why it cannot be read.

        Raises:
            OddSizeError: If its size differs from the clip's.
        """
        try:
            return read_frame(self._clip, index, self._size, self._undistortion)
        except OddSizeError:
            raise
        except InputError as error:
            return note_of(error)

    def resize(self, decoded: Pixels) -> Pixels:
        """Remove the distortion of a decoded frame of a video, and resize the frame."""
        return undistort_and_resize(decoded, self._size, self._undistortion)

    def valid_pixels(self) -> Mask | None:
        """Pixels that show the scene, at the size of the reader; None for all.

        Pixels without a scene are the border that undistortion leaves empty, and the car's bonnet.
        """
        bonnet_fraction = self._clip.bonnet_fraction
        if self._undistortion is None and not bonnet_fraction:
            return None
        if self._undistortion is None:
            valid = np.ones(self._size, bool)
        else:
            valid = np.array(shrink_mask(self._undistortion.valid, self._size))
        height, _ = self._size
        first_bonnet_row = math.floor(height * (1 - bonnet_fraction))
        valid[first_bonnet_row:] = False
        return valid


def undistort_and_resize(
    frame: Image.Image | UInt8[np.ndarray, "a b 3"],
    size: Size,
    undistortion: UndistortionMap | None,
) -> Pixels:
    """Remove the distortion of a frame, and resize it by Lanczos as Monodepth2 does."""
    if undistortion is not None:
        frame = undistort(np.asarray(frame), undistortion)
    image = frame if isinstance(frame, Image.Image) else Image.fromarray(frame)
    return np.asarray(image.resize((size[1], size[0]), Image.Resampling.LANCZOS))
