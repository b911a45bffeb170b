"""Read photographs from paths, URLs, bytes, arrays and Pillow images into a ``Photo``."""

from io import BufferedReader, BytesIO
from pathlib import Path
from typing import Any, Protocol, runtime_checkable

import numpy as np
from PIL import Image

from rilievo.errors import InputError, InputTypeError
from rilievo.io.files.limits import MAX_PIXELS, check_regular, check_size, printable, reason
from rilievo.io.photographs.decode import PILLOW_ERRORS, decode, load, one_line_errors
from rilievo.io.photographs.exif import camera_from_exif, exif_facts
from rilievo.io.photographs.gpano import camera_from_gpano
from rilievo.io.photographs.pixels import over_white, upright_pixels
from rilievo.types import OwnDepth, Photo


@runtime_checkable
class Readable(Protocol):
    """An open file, or another object that returns bytes when read."""

    def read(self) -> Any:
        """Read the rest of the content."""


@runtime_checkable
class Tensor(Protocol):
    """A tensor of torch, recognised without importing torch."""

    def detach(self) -> Any:
        """The same values without their gradient."""

    def cpu(self) -> Any:
        """The same values in main memory."""


PhotoSource = (
    Path | str | bytes | bytearray | memoryview | np.ndarray | Image.Image | Readable | Tensor
)


def read_photo(
    source: PhotoSource,
    *,
    max_pixels: int = MAX_PIXELS,
    own_depth: bool = True,
) -> Photo:
    """Read one photograph, upright and in sRGB, with the camera from its EXIF block.

    Formats are recognised by content: JPEG, PNG, WebP, TIFF, BMP, GIF, AVIF, PNM, and HEIC with the
    extra ``formats``. Of several images in a file the first is read. The handling of alpha, 16
    bits, floats and colour profiles is described at
    ``rilievo.io.photographs.pixels.upright_pixels``.

    Args:
        source: A path; a URL that begins with http:// or https://; the bytes of a file, or a file
            opened in binary mode; a Pillow image; an array, RGB (h, w, 3), RGBA (h, w, 4) or grey
            (h, w), of uint8 or of floats in 0 to 1; or a tensor of torch with such values, channels
            first or last. Arrays from OpenCV are BGR, which cannot be detected: convert them with
            ``image[..., ::-1]``.
        max_pixels: Largest number of pixels; larger images are refused by their header, before they
            are decoded.
        own_depth: Whether to read the depth map that the file holds, if any. If False, no further
            pictures of the file are decoded.

    Returns:
        The photograph. Its ``camera`` is None where the file does not name one. RGB arrays are not
        copied.

    Raises:
        MissingFileError: If the path does not exist.
        InputTypeError: If ``source`` is of another type.
        InputError: If it is not a photograph in a known format, is broken, or is smaller than 32
            pixels on a side. The message is one line and begins with the path.
    """
    if isinstance(source, np.ndarray):
        return _from_array(source, max_pixels)
    if isinstance(source, Image.Image):
        return _from_pillow(source, max_pixels, own_depth)
    if isinstance(source, bytes | bytearray | memoryview):
        return _from_bytes(bytes(source), "bytes", max_pixels, own_depth)
    if isinstance(source, str) and source.lower().startswith(("http://", "https://")):
        from rilievo.io.files.web import fetch

        return _from_bytes(fetch(source), printable(source), max_pixels, own_depth)
    if isinstance(source, Path | str):
        return _from_path(source, max_pixels, own_depth)
    if isinstance(source, Tensor):
        return _from_array(_array_of(source), max_pixels)
    if isinstance(source, Readable):
        return _from_open(source, max_pixels, own_depth)
    raise InputTypeError(
        f"{type(source).__name__}: is not an image; expected a path, an address, "
        "bytes, an open file, a numpy array, a tensor or a Pillow image"
    )


def _from_bytes(content: bytes, name: str, max_pixels: int, own_depth: bool) -> Photo:
    if not content:
        raise InputError(f"{name}: is empty (0 bytes); a whole file is expected")
    return _from_file(BytesIO(content), name, len(content), max_pixels, own_depth)


def _from_open(file: Readable, max_pixels: int, own_depth: bool) -> Photo:
    name = getattr(file, "name", None)
    name = printable(name) if isinstance(name, str) else "open file"
    try:
        content = file.read()
    except UnicodeDecodeError as error:
        raise InputTypeError(f"{name}: is open as text; open it in binary mode, 'rb'") from error
    except (OSError, ValueError) as error:
        raise InputError(f"{name}: cannot be read ({reason(error)})") from error
    if not isinstance(content, bytes):
        raise InputTypeError(
            f"{name}: gives {type(content).__name__}; open it in binary mode, 'rb'"
        )
    return _from_bytes(content, name, max_pixels, own_depth)


def _array_of(tensor: Tensor) -> np.ndarray:
    """Values of a tensor of one image, channels last."""
    values = tensor.detach().cpu()
    if values.is_floating_point():
        values = values.float()  # numpy has no bfloat16
    array = np.asarray(values)
    if array.ndim == 4 and len(array) == 1:
        array = array[0]
    if array.ndim == 3 and array.shape[0] in (1, 3, 4) and array.shape[2] not in (1, 3, 4):
        array = np.moveaxis(array, 0, 2)
    return array


def _from_path(path: Path | str, max_pixels: int, own_depth: bool) -> Photo:
    name = printable(path)
    size_bytes = check_regular(path)
    try:
        with open(path, "rb") as file:
            return _from_file(file, name, size_bytes, max_pixels, own_depth)
    except OSError as error:
        raise InputError(f"{name}: cannot be read ({reason(error)})") from error


def _from_file(
    file: BufferedReader | BytesIO,
    name: str,
    size_bytes: int,
    max_pixels: int,
    own_depth: bool,
) -> Photo:
    image = decode(file, name, size_bytes=size_bytes, max_pixels=max_pixels)
    return _from_loaded(image, name, own_depth, file)


def _from_pillow(image: Image.Image, max_pixels: int, own_depth: bool) -> Photo:
    name = printable(str(getattr(image, "filename", "") or "image"))
    check_size(name, (image.height, image.width), max_pixels=max_pixels)
    with one_line_errors(name):
        load(image)
    return _from_loaded(image, name, own_depth)


def _from_loaded(
    image: Image.Image,
    name: str,
    own_depth: bool,
    file: BufferedReader | BytesIO | None = None,
) -> Photo:
    """Convert a loaded image."""
    facts = exif_facts(image)
    pixels = upright_pixels(image, orientation=facts.orientation, name=name)
    height, width, _ = pixels.shape
    return Photo(
        pixels=pixels,
        camera=camera_from_gpano(image, (height, width))
        or camera_from_exif(facts, (height, width)),
        own_depth=_own_depth(image, file, facts.orientation) if own_depth else None,
        is_animated=_is_animated(image),
        name=name,
    )


def _is_animated(image: Image.Image) -> bool:
    """Whether more pictures follow; of formats that tell so without decoding them."""
    if image.format not in ("GIF", "PNG", "WEBP", "AVIF"):
        return False
    try:
        return bool(getattr(image, "is_animated", False))
    except PILLOW_ERRORS:  # what follows the first picture is damaged
        return False


def _own_depth(
    image: Image.Image, file: BufferedReader | BytesIO | None, orientation: int
) -> OwnDepth | None:
    if not {"xmp", "depth_images", "mp"} & image.info.keys():
        return None  # as most photographs, so that the module is not imported for them
    from rilievo.io.photographs.own_depth import own_depth_of

    return own_depth_of(image, file, orientation)


def _from_array(array: np.ndarray, max_pixels: int) -> Photo:
    name = "array"
    if array.dtype.kind == "f":
        array = _from_floats(array, name)
    if array.dtype != np.uint8:
        raise InputError(
            f"{name}: has numbers of type {array.dtype}, expected uint8; {_to_uint8(array.dtype)}"
        )
    channels = array.shape[2] if array.ndim == 3 else 1
    if array.ndim not in (2, 3) or (array.ndim == 3 and channels not in (1, 3, 4)):
        first = array.ndim == 3 and array.shape[0] in (1, 3, 4)
        raise InputError(
            f"{name}: has shape {array.shape}, expected (height, width, 3) RGB"
            + ("; move the channels last" if first else ", with alpha, or grey (height, width)")
        )
    check_size(name, (array.shape[0], array.shape[1]), max_pixels=max_pixels)
    if channels == 4:
        return Photo(pixels=over_white(array), name=name)
    if channels == 1:
        array = np.repeat(array.reshape(*array.shape[:2], 1), 3, axis=2)
    return Photo(pixels=np.ascontiguousarray(array), name=name)


def _from_floats(array: np.ndarray, name: str) -> np.ndarray:
    if not array.size or not (array.min() >= 0 and array.max() <= 1):  # NaN neither
        raise InputError(
            f"{name}: has floats outside 0 to 1; divide by the number that stands for white, or "
            "convert to uint8, with 0 black and 255 white"
        )
    return np.round(array * 255).astype(np.uint8)


def _to_uint8(dtype: np.dtype) -> str:
    if dtype == np.uint16:
        return "divide by 257 and convert to uint8"
    if dtype == np.bool_:
        return "multiply by 255 and convert to uint8"
    return "convert to uint8, with 0 black and 255 white"
