"""Clips: frames in the order of time with a camera and poses, read at the training size."""

from pathlib import Path

import numpy as np
from PIL import Image

from rilievo.data.clips.camera import SequenceCamera, Straightening, straight, straightening
from rilievo.errors import InputError
from rilievo.frozen import frozen
from rilievo.geometry.transforms import invert
from rilievo.io.files.limits import MAX_PIXELS, check_regular, printable, reason
from rilievo.io.photographs.decode import decode
from rilievo.io.photographs.file_camera import exif_facts
from rilievo.io.photographs.photo import read_photo
from rilievo.io.photographs.pixels import upright_pixels
from rilievo.messages import note_of, template
from rilievo.shapes import Matrix, Pixels, Transform, Transforms, UInt8
from rilievo.types import Photo

PYRAMID_SCALES = 3
"""Number of times that the size of a frame is halved."""


@frozen
class OtherEye:
    """Second camera of a stereo pair.

    Attributes:
        sequence: Id of the sequence of its frames, which have the same numbers at the same time.
        shift: x of a point in the other camera's frame minus x in this one's [m]; negative where
            this is the left camera.
    """

    sequence: str
    shift: float


@frozen
class ListedTargets:
    """Frames that a list names as targets, by number.

    Attributes:
        held_out: Numbers of the targets to validate with; None where the list has none.
    """

    training: tuple[int, ...]
    held_out: tuple[int, ...] | None = None


SOURCE_ALONE = ListedTargets(training=())
"""List for the other camera of a stereo pair, whose frames are sources only: if both cameras had
targets, frames would be seen in training and held out."""


@frozen
class Clip:
    """Frames of one camera, in the order of time, with their camera and poses.

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
    poses: Transforms | None = None
    poses_file: Path | None = None
    listed: ListedTargets | None = None
    other_eye: OtherEye | None = None
    measured: bool = True
    stride: int | None = None
    hood: float = 0.0

    def K_at(self, size: tuple[int, int]) -> Matrix:
        """Intrinsics of the frames at a size (height, width) [px].

        Frames are pinholes, as lens distortion is removed when they are read; so motion between
        them and fusing take K.
        """
        camera = self.camera.camera.resized(size=self.shape, new_size=size)
        return camera.needs_pinhole("a clip")

    def motion(self, source: int, target: int) -> Transform | None:
        """``source_T_target`` [m] of two frames; None where a pose is unknown."""
        if self.poses is None:
            return None
        world_T_source, world_T_target = self.poses[source], self.poses[target]
        if not (np.isfinite(world_T_target).all() and np.isfinite(world_T_source).all()):
            return None
        return invert(world_T_source) @ world_T_target


@frozen
class ClipFrame:
    """One frame, or the reason why it cannot be used.

    Attributes:
        index: Index among all frames of the clip.
        name: Name of the file; the frame number for a video.
        seconds: Time of the frame [s]; the frame number where no time is known.
    """

    index: int
    name: str
    seconds: float
    pixels: Pixels | None = None
    problem: str | None = None


def first_photo(files: tuple[Path, ...], place: Path) -> Photo:
    """Read the first readable frame, which gives the size and the camera of a sequence."""
    problem = "there is none"
    for file in files:
        try:
            check_regular(file)
            return read_photo(file, own_depth=False)
        except InputError as error:
            problem = note_of(error)
    raise InputError("no frame can be read:", path=printable(place), problem=template(problem))


class OddSizeError(InputError):
    """Frames of one sequence differ in size, which skipping frames does not fix."""


def read_frame(
    sequence: Clip, index: int, size: tuple[int, int], how: Straightening | None
) -> Pixels:
    """Read one frame of a sequence of files at the training size."""
    path = sequence.files[index]
    image = _upright(path)
    if (image.height, image.width) != sequence.shape:
        other = next(file for file in sequence.files if file != path)
        raise OddSizeError(
            f"{printable(path)}: is {image.width}x{image.height}, but "
            f"{printable(other.name)} and the other frames are {sequence.shape[1]}x"
            f"{sequence.shape[0]}; a sequence has one size: put these frames into a folder of "
            "their own"
        )
    return at_size(image, size, how)


def frame_or_reason(
    sequence: Clip, index: int, size: tuple[int, int], how: Straightening | None
) -> Pixels | str:
    """Read one frame, or return one line on why it cannot be read."""
    try:
        return read_frame(sequence, index, size, how)
    except OddSizeError:
        raise
    except InputError as error:
        return note_of(error)


def how_straight(sequence: Clip) -> Straightening | None:
    """Return the map that undistorts the frames of a sequence; None without distortion."""
    lens = sequence.camera.lens
    if lens is None:
        return None
    return straightening(lens, sequence.camera.camera.K, sequence.shape)


def at_size(
    frame: Image.Image | UInt8[np.ndarray, "a b 3"],
    size: tuple[int, int],
    how: Straightening | None,
) -> Pixels:
    """Resize a decoded frame to the training size: Lanczos over bytes, as published."""
    if how is not None:
        frame = straight(np.asarray(frame), how)
    image = frame if isinstance(frame, Image.Image) else Image.fromarray(frame)
    return np.asarray(image.resize((size[1], size[0]), Image.Resampling.LANCZOS))


def pyramid_of(frame: Pixels) -> tuple[UInt8[np.ndarray, "_ _ 3"], ...]:
    """Resize a frame to half, a quarter and an eighth of its size, each from the one before."""
    image = Image.fromarray(frame)
    smaller: list[np.ndarray] = []
    for _ in range(PYRAMID_SCALES):
        halves = (image.width // 2, image.height // 2)
        image = image.resize(halves, Image.Resampling.LANCZOS)
        smaller.append(np.asarray(image))
    return tuple(smaller)


def _upright(path: Path) -> Image.Image:
    """Read a photograph as upright RGB.

    RGB without a colour profile or rotation, as most frames are, is taken as Pillow decodes it,
    which takes half of the time of the general case.
    """
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
