"""Read photographs from paths, URLs, bytes, arrays and Pillow images.

Where a whole ``Photo`` is not needed, ``read_rgb`` reads only the picture, and ``header_size``,
``read_orientation`` and ``read_png_texts`` only what stands beside the pixels.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from io import BufferedReader, BytesIO
from pathlib import Path
from pkgutil import iter_modules
from typing import Any, Literal, Protocol, runtime_checkable

import numpy as np
from PIL import Image
from PIL.PngImagePlugin import PngImageFile

from rilievo.arrays.shapes import Mask, Pixels
from rilievo.errors import InputError, InputTypeError, OptionError
from rilievo.errors.messages import Note, OptionName, Text
from rilievo.io.files.archives import PILLOW_ERRORS
from rilievo.io.files.limits import MAX_PIXELS, check_regular, check_size, reason
from rilievo.io.files.names import printable
from rilievo.io.files.tiff_directories import has_further_tiff_pages
from rilievo.io.photographs.decode import (
    decode_image,
    opened_undecoded,
    pillow_errors_as_input_errors,
)
from rilievo.io.photographs.exif import ExifMetadata, read_exif_metadata
from rilievo.io.photographs.exif_crops import ExifCamera, exif_camera, is_exif_focal_note
from rilievo.io.photographs.pixels import NOT_STRETCHED, upright_picture, upright_pixels
from rilievo.io.photographs.signatures import PHOTO_FORMATS
from rilievo.io.photographs.xmp import camera_from_gpano, read_xmp_packets
from rilievo.records.sample import Photo

_CHANNELS = (1, 3, 4)  # grey, RGB, RGBA
_CONTRAST_SAMPLES = 2**13  # pixels from which contrast is computed
_MIN_CONTRAST = 16
"""Smallest range of levels, of 256, without a note that the picture has little contrast."""
_DEPTH_KEYS = frozenset({"xmp", "depth_images", "mp", "heif"})
"""Keys of Pillow's ``info``, of which a photograph with depth of its own has at least one."""
_ORIENTATION = 0x0112  # tag of EXIF
_MAX_ORIENTATION = 8
_SIDEWAYS = (5, 6, 7, 8)
"""Orientations of pictures that are stored turned by 90 degrees."""


@runtime_checkable
class Readable(Protocol):
    """Open file, or another object whose ``read`` returns bytes."""

    def read(self) -> Any:
        """Read what remains."""


@runtime_checkable
class Tensor(Protocol):
    """Tensor of torch, recognised by its methods so that torch need not be imported."""

    def detach(self) -> Any:
        """Return the tensor without its gradient."""

    def cpu(self) -> Any:
        """Return the tensor in main memory."""


PhotoSource = (
    Path | str | bytes | bytearray | memoryview | np.ndarray | Image.Image | Readable | Tensor
)


@dataclass(frozen=True, slots=True, kw_only=True)
class _ReadOptions:
    max_pixels: int
    reads_own_depth: bool
    masks_transparent: bool
    stretches_grey: bool


def read_photo(
    source: PhotoSource,
    *,
    max_pixels: int = MAX_PIXELS,
    own_depth: bool = True,
    alpha: Literal["mask", "keep"] = "mask",
    stretch: bool = False,
) -> Photo:
    """Read one photograph, upright and in sRGB, with the camera of its file.

    The format is recognised by the content: JPEG, PNG, WebP, TIFF, BMP, GIF, AVIF, PNM, and HEIC
    with the extra ``formats``. Of several images in a file the first is read.

    Examples:
        >>> rilievo.read_photo("photo.jpg").shape
        (48, 64)

    Args:
        source: A path, http(s) URL, bytes or open file; a Pillow image; an array or tensor, RGB,
            RGBA or grey, of uint8, floats in 0 to 1, or grey uint16. OpenCV's arrays are BGR: pass
            ``image[..., ::-1]``.
        max_pixels: Largest number of pixels; a larger image is refused before it is decoded.
        own_depth: Read the depth map in the file, if any.
        alpha: "mask" makes pixels with alpha below half ``transparent`` and black, and composites
            the others over white. "keep" composites all over white.
        stretch: Make the 1st and 99th percentile of 16-bit grey black and white. Otherwise an image
            whose percentiles span less than a 16th of the levels is refused.

    Raises:
        MissingFileError: If the path does not exist.
        InputTypeError: If ``source`` is of another type.
        InputError: If it is in no known format, broken, or below 32 pixels a side.
    """
    if alpha not in ("mask", "keep"):
        raise OptionError(f"alpha must be 'mask' or 'keep', got {alpha!r}")
    options = _ReadOptions(
        max_pixels=max_pixels,
        reads_own_depth=own_depth,
        masks_transparent=alpha == "mask",
        stretches_grey=stretch,
    )
    if isinstance(source, np.ndarray):
        return _photo_from_array(source, options)
    if isinstance(source, Image.Image):
        return _photo_from_pillow(source, options)
    if isinstance(source, bytes | bytearray | memoryview):
        return _photo_from_bytes(bytes(source), "bytes", options)
    if isinstance(source, str) and source.lower().startswith(("http://", "https://")):
        from rilievo.io.files.web import fetch

        return _photo_from_bytes(fetch(source), printable(source), options)
    if isinstance(source, Path | str):
        name, size_bytes = printable(source), check_regular(source)
        try:
            with open(source, "rb") as file:
                return _photo_from_file(file, name, size_bytes, options)
        except OSError as error:
            raise InputError(f"the file cannot be read ({reason(error)})", path=name) from error
    if isinstance(source, Tensor):
        return _photo_from_array(_tensor_to_array(source), options)
    if isinstance(source, Readable):
        return _photo_from_open_file(source, options)
    raise InputTypeError(
        "this is not an image; expected a path, a URL, bytes, an open file, a numpy array, a "
        "tensor or a Pillow image",
        path=type(source).__name__,
    )


def read_rgb(path: Path, *, turn_upright: bool = True) -> Image.Image:
    """Read only the picture of a file as 8-bit sRGB, without its camera, depth and notes.

    ``turn_upright`` says whether to follow EXIF's orientation; otherwise, the picture is as stored.

    Raises:
        InputError: If it is in no known format, broken, or too small or large.
    """
    name = printable(path)
    size_bytes = check_regular(path)
    try:
        with path.open("rb") as file:
            image = decode_image(file, name, size_bytes=size_bytes, max_pixels=MAX_PIXELS)
    except OSError as error:
        raise InputError(f"{name}: cannot be read ({reason(error)})") from error
    orientation = read_exif_metadata(image).orientation if turn_upright else 1
    # Most pictures are plain RGB already, and need no conversion of orientation or colours.
    if image.mode == "RGB" and orientation == 1 and not image.info.get("icc_profile"):
        return image
    return Image.fromarray(upright_pixels(image, orientation=orientation, name=name))


def header_size(file: BufferedReader | BytesIO, name: str, *, max_pixels: int) -> tuple[int, int]:
    """Read the size (height, width) of an image from its header, in its stored orientation.

    Raises:
        InputError: If the format is unknown, or if the image is too large or broken.
    """
    with opened_undecoded(file, name, max_pixels=max_pixels, checks_content=True) as image:
        width, height = image.size
    return height, width


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredOrientation:
    """EXIF's orientation of a photograph, 1 to 8, and its size (height, width) once upright."""

    orientation: int
    upright_size: tuple[int, int]


def read_orientation(path: Path) -> StoredOrientation:
    """Read the orientation of a photograph file, and its upright size, from its header.

    Raises:
        InputError: If the format is unknown, or if the image is too large or broken.
    """
    name = printable(path)
    check_regular(path)
    try:
        with (
            path.open("rb") as file,
            opened_undecoded(file, name, max_pixels=MAX_PIXELS, checks_content=False) as image,
        ):
            stated_orientation = image.getexif().get(_ORIENTATION)
            width, height = image.size
    except OSError as error:
        raise InputError(f"the file cannot be read ({reason(error)})", path=name) from error
    is_valid = isinstance(stated_orientation, int) and 1 <= stated_orientation <= _MAX_ORIENTATION
    orientation = stated_orientation if is_valid else 1
    upright_size = (width, height) if orientation in _SIDEWAYS else (height, width)
    return StoredOrientation(orientation=orientation, upright_size=upright_size)


def shrink_to_image(photo: Photo, side: int) -> Image.Image:
    """Convert a photograph to an image that is at most ``side`` pixels wide and high."""
    image = Image.fromarray(photo.pixels)
    if max(image.size) > side:
        image.thumbnail((side, side), Image.Resampling.BOX, reducing_gap=2.0)
    return image


def read_png_texts(path: Path) -> Mapping[str, str]:
    """Read the texts that a PNG file has besides its pixels, by their keywords.

    Raises:
        InputError: If it is not a PNG file, or broken.
    """
    check_regular(path)
    with (
        pillow_errors_as_input_errors(printable(path), "PNG file"),
        path.open("rb") as stream,
        PngImageFile(stream) as image,
    ):
        return {str(name): text for name, text in image.info.items() if isinstance(text, str)}


def modules_for_reading() -> tuple[str, ...]:
    """Names of all modules that reading a photograph may import.

    A process that may not open files, such as the server's decoders, has to import them before.
    """
    package = __name__.rpartition(".")[0]
    own_modules = [f"{package}.{module.name}" for module in iter_modules([Path(__file__).parent])]
    decoders = [photo_format.module for photo_format in PHOTO_FORMATS]
    return (*own_modules, *decoders, "PIL.ImageCms")


def notes_without_exif_focal(photo: Photo) -> tuple[str, ...]:
    """Notes on a photograph whose camera the user names, so that EXIF's focal length is not used.

    Notes on the focal length in EXIF are left out, because they would mislead.
    """
    return tuple(note for note in photo.notes if not is_exif_focal_note(note))


def _photo_from_bytes(content: bytes, name: str, options: _ReadOptions) -> Photo:
    if not content:
        raise InputError("the content is empty (0 bytes); expected a complete file", path=name)
    return _photo_from_file(BytesIO(content), name, len(content), options)


def _photo_from_open_file(file: Readable, options: _ReadOptions) -> Photo:
    """Read a photograph from an open file, which must be in binary mode."""
    name = getattr(file, "name", None)
    name = printable(name) if isinstance(name, str) else "open file"
    try:
        content = file.read()
    except UnicodeDecodeError as error:
        raise InputTypeError(
            "the file is open as text; open it in binary mode, 'rb'", path=name
        ) from error
    except (OSError, ValueError) as error:
        raise InputError(f"the file cannot be read ({reason(error)})", path=name) from error
    if not isinstance(content, bytes):
        raise InputTypeError(
            f"the file returns {type(content).__name__} instead of bytes; open it in binary mode, "
            "'rb'",
            path=name,
        )
    return _photo_from_bytes(content, name, options)


def _tensor_to_array(tensor: Tensor) -> np.ndarray:
    """Convert a tensor of torch to an array with its channels last; a batch of one is unpacked."""
    cpu_tensor = tensor.detach().cpu()
    if cpu_tensor.is_floating_point():
        cpu_tensor = cpu_tensor.float()  # numpy has no bfloat16
    array = np.asarray(cpu_tensor)
    if array.ndim == 4 and len(array) == 1:
        array = array[0]
    if array.ndim == 3 and array.shape[0] in _CHANNELS and array.shape[2] not in _CHANNELS:
        array = np.moveaxis(array, 0, 2)
    return array


def _photo_from_file(
    file: BufferedReader | BytesIO, name: str, size_bytes: int, options: _ReadOptions
) -> Photo:
    image = decode_image(file, name, size_bytes=size_bytes, max_pixels=options.max_pixels)
    return _photo_from_image(image, name, options, file)


def _photo_from_pillow(image: Image.Image, options: _ReadOptions, name: str = "") -> Photo:
    name = name or printable(str(getattr(image, "filename", "") or "image"))
    return _photo_from_image(
        decode_image(image, name, max_pixels=options.max_pixels), name, options
    )


def _photo_from_image(
    image: Image.Image,
    name: str,
    options: _ReadOptions,
    file: BufferedReader | BytesIO | None = None,
) -> Photo:
    """Make a photograph from a decoded image: upright pixels, camera, own depth and notes.

    ``file`` is the file that it was decoded from; None if it is not open.
    """
    exif = read_exif_metadata(image)
    pages_note = _pages_note(image, file)
    picture = upright_picture(
        image,
        orientation=exif.orientation,
        name=name,
        masks=options.masks_transparent,
        stretch=options.stretches_grey,
    )
    pixels, transparent = picture.pixels, picture.transparent
    packets = read_xmp_packets(image)
    own_depth = None
    if options.reads_own_depth and not _DEPTH_KEYS.isdisjoint(image.info):
        # Imported on demand, because few photographs have depth of their own.
        from rilievo.io.photographs.own_depth import read_own_depth

        own_depth = read_own_depth(image, packets, file, exif.orientation)
    stated_camera = _stated_camera(image, exif, pixels.shape[:2], packets.main)

    transparent_note = None
    if transparent is not None:
        # Of all colours, black at transparent pixels changes the depth of the others least.
        pixels[transparent] = 0
        transparent_note = _transparent_note(transparent)
    notes = (
        pages_note,
        stated_camera.note,
        *picture.notes,
        transparent_note,
        _contrast_note(pixels, transparent),
    )
    return Photo(
        pixels=pixels,
        camera=stated_camera.camera,
        own_depth=own_depth,
        transparent=transparent,
        notes=tuple(note for note in notes if note),
        name=name,
        orientation=exif.orientation,
    )


def _stated_camera(
    image: Image.Image, exif: ExifMetadata, size: tuple[int, int], xmp: bytes
) -> ExifCamera:
    """Find the camera that a file states: that of a panorama, of HEIC, or else of EXIF.

    ``size`` is (height, width) of the upright picture, and ``xmp`` the main packet.
    """
    camera = camera_from_gpano(xmp, size) or exif.heif_camera
    if camera is not None:
        return ExifCamera(camera=camera)
    return exif_camera(image, exif, size, xmp)


def _transparent_note(transparent: Mask) -> Note:
    return Note(
        f"its transparent pixels ({100 * transparent.mean():.3g}%) have no depth",
        hint=Text(OptionName("alpha", "keep"), " blends them with white instead"),
    )


def _contrast_note(pixels: Pixels, transparent: Mask | None) -> str | None:
    """Note that a picture has little contrast, which is computed from some of its opaque pixels."""
    height, width = pixels.shape[:2]
    step = max(1, math.isqrt(height * width // _CONTRAST_SAMPLES))
    samples = pixels[::step, ::step]
    if transparent is not None:
        samples = samples[~transparent[::step, ::step]]
    if not samples.size:
        return None
    histogram = np.bincount(samples.reshape(-1), minlength=256)
    fraction_up_to_level = np.cumsum(histogram) / samples.size
    low, high = np.searchsorted(fraction_up_to_level, (0.01, 0.99))
    if high - low >= _MIN_CONTRAST:
        return None
    return (
        f"the image has little contrast (the 1st and 99th percentiles of its values are {low} and "
        f"{high} of 255), so its depth is unreliable"
    )


def _pages_note(image: Image.Image, file: BufferedReader | BytesIO | None) -> str | None:
    """Note that a file has more pages or pictures, which are not read."""
    if not _has_several_pictures(image, file):
        return None
    if image.format == "TIFF":
        return (
            "the file has several pages, and only the first was read: save each page as a "
            "separate file to process all of them"
        )
    return (
        "the image is animated, and only the first frame was read: save it as a video to process "
        "all frames"
    )


def _has_several_pictures(image: Image.Image, file: BufferedReader | BytesIO | None) -> bool:
    if image.format == "TIFF" and file is not None:
        return has_further_tiff_pages(file)
    if image.format not in ("GIF", "PNG", "WEBP", "AVIF", "TIFF"):
        return False
    try:
        return bool(getattr(image, "is_animated", False))
    except PILLOW_ERRORS:  # The file is damaged after the first picture.
        return False


def _photo_from_array(array: np.ndarray, options: _ReadOptions) -> Photo:
    """Make a photograph from an array: RGB as it is, other arrays as a file would be read."""
    name = "array"
    values = _floats_to_uint8(array, name) if array.dtype.kind == "f" else array
    is_grey = _is_grey(values)
    is_grey_16_bit = values.dtype == np.uint16 and is_grey and values.size > 0
    if values.dtype != np.uint8 and not is_grey_16_bit:
        raise InputError(
            f"the array has values of type {values.dtype}; expected uint8; "
            f"{_uint8_remedy(values.dtype)}",
            path=name,
        )
    channel_count = values.shape[2] if values.ndim == 3 else 1
    if values.ndim not in (2, 3) or channel_count not in _CHANNELS:
        raise _array_shape_error(values.shape, name)
    check_size(name, (values.shape[0], values.shape[1]), max_pixels=options.max_pixels)
    if channel_count != 3:
        picture = values.reshape(values.shape[:2]) if is_grey else values
        return _photo_from_pillow(Image.fromarray(picture), options, name)
    pixels = np.ascontiguousarray(values)
    notes = (NOT_STRETCHED if options.stretches_grey else None, _contrast_note(pixels, None))
    return Photo(pixels=pixels, notes=tuple(note for note in notes if note), name=name)


def _array_shape_error(shape: tuple[int, ...], name: str) -> InputError:
    """Return the error for an array that is no picture, such as one with its channels first."""
    has_channels_first = len(shape) == 3 and shape[0] in _CHANNELS
    if has_channels_first:
        expected = "RGB (height, width, 3); move the channels last"
    else:
        expected = (
            "RGB (height, width, 3), RGB with alpha (height, width, 4) or grey (height, width)"
        )
    return InputError(f"{name}: the array has the shape {shape}; expected {expected}")


def _is_grey(array: np.ndarray) -> bool:
    """Whether an array has the shape (height, width) or (height, width, 1)."""
    has_one_channel = array.ndim == 3 and array.shape[2] == 1
    return array.ndim == 2 or has_one_channel


def _floats_to_uint8(array: np.ndarray, name: str) -> np.ndarray:
    """Convert floats to uint8; raise ``InputError`` if any is outside of 0 to 1, or NaN."""
    # Comparisons with NaN are false, so NaN is refused too.
    is_in_range = array.size > 0 and array.min() >= 0 and array.max() <= 1
    if not is_in_range:
        depth_hint = ""
        if _is_grey(array):
            depth_hint = "; to pass depth, use rilievo.Prediction.from_depth(photo, depth)"
        raise InputError(
            f"{name}: the array has floats outside 0 to 1; divide it by the value of white, or "
            f"convert it to uint8, with 0 for black and 255 for white{depth_hint}"
        )
    return np.round(array * 255).astype(np.uint8)


def _uint8_remedy(dtype: np.dtype) -> str:
    if dtype == np.uint16:
        return "divide by 257 and convert to uint8"
    if dtype == np.bool_:
        return "multiply by 255 and convert to uint8"
    return "convert to uint8, with 0 for black and 255 for white"
