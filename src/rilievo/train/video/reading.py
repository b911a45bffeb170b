"""Frames from files: decoded, undistorted and resized to the training size."""

from pathlib import Path

import numpy as np
from jaxtyping import UInt8
from PIL import Image

from rilievo.errors import InputError
from rilievo.io.decode import decode
from rilievo.io.exif import exif_facts
from rilievo.io.limits import MAX_PIXELS, check_regular, printable, reason
from rilievo.io.pixels import upright_pixels
from rilievo.train.video.calibration import Straightening, straight, straightening
from rilievo.train.video.sequences import FrameSequence

PYRAMID_SCALES = 3
"""Number of times that the size of a frame is halved."""


class OddSizeError(InputError):
    """Frames of one sequence differ in size, which skipping frames does not fix."""


def read_frame(
    sequence: FrameSequence, index: int, size: tuple[int, int], how: Straightening | None
) -> UInt8[np.ndarray, "h w 3"]:
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
    sequence: FrameSequence, index: int, size: tuple[int, int], how: Straightening | None
) -> UInt8[np.ndarray, "h w 3"] | str:
    """Read one frame, or return one line on why it cannot be read."""
    try:
        return read_frame(sequence, index, size, how)
    except OddSizeError:
        raise
    except InputError as error:
        return str(error)


def how_straight(sequence: FrameSequence) -> Straightening | None:
    """Return the map that undistorts the frames of a sequence; None without distortion."""
    lens = sequence.camera.lens
    if lens is None:
        return None
    return straightening(lens, sequence.camera.camera.K, sequence.shape)


def at_size(
    frame: Image.Image | UInt8[np.ndarray, "a b 3"],
    size: tuple[int, int],
    how: Straightening | None,
) -> UInt8[np.ndarray, "h w 3"]:
    """Resize a decoded frame to the training size: Lanczos over bytes, as published."""
    if how is not None:
        frame = straight(np.asarray(frame), how)
    image = frame if isinstance(frame, Image.Image) else Image.fromarray(frame)
    return np.asarray(image.resize((size[1], size[0]), Image.Resampling.LANCZOS))


def pyramid_of(frame: UInt8[np.ndarray, "h w 3"]) -> tuple[UInt8[np.ndarray, "_ _ 3"], ...]:
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
