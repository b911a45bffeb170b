"""Clips with their frames and poses, read at the training size."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image

from rilievo.arrays.shapes import Matrix, Pixels, Transform, Transforms, UInt8
from rilievo.data.clips.sequence_camera import (
    SequenceCamera,
    UndistortionMap,
    undistort,
    undistortion_map,
)
from rilievo.errors import InputError
from rilievo.errors.messages import Text, note_of
from rilievo.geometry.transforms import invert
from rilievo.io.files.limits import MAX_PIXELS, check_regular, reason
from rilievo.io.files.names import printable
from rilievo.io.photographs.decode import decode
from rilievo.io.photographs.exif import exif_facts
from rilievo.io.photographs.photo import read_photo
from rilievo.io.photographs.pixels import upright_pixels
from rilievo.records.sample import Photo

PYRAMID_SCALES = 3  # halvings


@dataclass(frozen=True, slots=True, kw_only=True)
class OtherEye:
    """Second camera, whose x is ``shift`` more [m]; negative in the left."""

    sequence: str
    shift: float


@dataclass(frozen=True, slots=True, kw_only=True)
class ListedTargets:
    """Numbers of target frames of a list, for training and validation."""

    training: tuple[int, ...]
    held_out: tuple[int, ...] | None = None


# Frames of the other camera must not be targets too.
SOURCE_ALONE = ListedTargets(training=())


@dataclass(frozen=True, slots=True, kw_only=True)
class Clip:
    """Frames of one camera in time, with poses.

    Attributes:
        numbers: Number of each frame.
        shape: (height, width) as stored.
        poses: ``world_T_cam`` [m], NaN where unknown.
        listed: Targets of a list; None where all may be.
        stride: Frames between neighbours; None for measured motion.
        hood: Share of the height that shows the car.
    """

    id: str
    files: tuple[Path, ...] = ()
    numbers: tuple[int, ...] = ()
    video: Path | None = None
    shape: tuple[int, int]
    camera: SequenceCamera
    poses: Transforms | None = None
    poses_file: Path | None = None
    listed: ListedTargets | None = None
    other_eye: OtherEye | None = None
    measured: bool = True
    stride: int | None = None
    hood: float = 0.0

    def K_at(self, size: tuple[int, int]) -> Matrix:
        """Intrinsics at a size [px], without distortion."""
        camera = self.camera.camera.resized(size=self.shape, new_size=size)
        return camera.needs_pinhole("a clip")

    def motion(self, source: int, target: int) -> Transform | None:
        """``source_T_target`` [m]; None where unknown."""
        if self.poses is None:
            return None
        world_T_source, world_T_target = self.poses[source], self.poses[target]
        if not (np.isfinite(world_T_target).all() and np.isfinite(world_T_source).all()):
            return None
        return invert(world_T_source) @ world_T_target


@dataclass(frozen=True, slots=True, kw_only=True)
class ClipFrame:
    """One frame, or the reason why it cannot be used; ``seconds`` may be its number."""

    index: int
    name: str
    seconds: float
    pixels: Pixels | None = None
    problem: str | None = None


def first_photo(files: tuple[Path, ...], place: Path) -> Photo:
    """Read the first readable frame, which gives size and camera."""
    problem = "there is none"
    for file in files:
        try:
            check_regular(file)
            return read_photo(file, own_depth=False)
        except InputError as error:
            problem = note_of(error)
    raise InputError("no frame can be read:", path=printable(place), problem=Text(problem))


class OddSizeError(InputError):
    """Frames of different size, which skipping does not fix."""


def read_frame(
    sequence: Clip, index: int, size: tuple[int, int], undistortion: UndistortionMap | None
) -> Pixels:
    """Read a frame at the training size."""
    path = sequence.files[index]
    image = _read_upright(path)
    if (image.height, image.width) != sequence.shape:
        other = next(file for file in sequence.files if file != path)
        raise OddSizeError(
            f"{printable(path)}: is {image.width}x{image.height}, but "
            f"{printable(other.name)} and the other frames are {sequence.shape[1]}x"
            f"{sequence.shape[0]}; a sequence has one size: put these frames into a folder of "
            "their own"
        )
    return undistort_and_resize(image, size, undistortion)


def frame_or_reason(
    sequence: Clip, index: int, size: tuple[int, int], undistortion: UndistortionMap | None
) -> Pixels | str:
    """Read a frame, or return a line on why not."""
    try:
        return read_frame(sequence, index, size, undistortion)
    except OddSizeError:
        raise
    except InputError as error:
        return note_of(error)


def sequence_undistortion(sequence: Clip) -> UndistortionMap | None:
    """Map of a sequence with distortion, else None."""
    lens = sequence.camera.lens
    if lens is None:
        return None
    return undistortion_map(lens, sequence.camera.camera.K, sequence.shape)


def undistort_and_resize(
    frame: Image.Image | UInt8[np.ndarray, "a b 3"],
    size: tuple[int, int],
    undistortion: UndistortionMap | None,
) -> Pixels:
    """Remove distortion, if any; resize by Lanczos, as published."""
    if undistortion is not None:
        frame = undistort(np.asarray(frame), undistortion)
    image = frame if isinstance(frame, Image.Image) else Image.fromarray(frame)
    return np.asarray(image.resize((size[1], size[0]), Image.Resampling.LANCZOS))


def frame_pyramid(frame: Pixels) -> tuple[UInt8[np.ndarray, "_ _ 3"], ...]:
    """Resize a frame to a half, a quarter and an eighth."""
    image = Image.fromarray(frame)
    smaller: list[np.ndarray] = []
    for _ in range(PYRAMID_SCALES):
        halves = (image.width // 2, image.height // 2)
        image = image.resize(halves, Image.Resampling.LANCZOS)
        smaller.append(np.asarray(image))
    return tuple(smaller)


def _read_upright(path: Path) -> Image.Image:
    """Upright RGB."""
    name = printable(path)
    size_bytes = check_regular(path)
    try:
        with path.open("rb") as file:
            image = decode(file, name, size_bytes=size_bytes, max_pixels=MAX_PIXELS)
    except OSError as error:
        raise InputError(f"{name}: cannot be read ({reason(error)})") from error
    turned = exif_facts(image).orientation
    if image.mode == "RGB" and turned == 1 and not image.info.get("icc_profile"):
        return image
    return Image.fromarray(upright_pixels(image, orientation=turned, name=name))
