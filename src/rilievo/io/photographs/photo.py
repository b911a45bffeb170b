"""Read photographs from paths, URLs, bytes, arrays and Pillow images."""

import math
from dataclasses import dataclass, replace
from io import BufferedReader, BytesIO
from pathlib import Path
from typing import Literal

import numpy as np
from PIL import Image

from rilievo.errors import InputError, InputTypeError, OptionError
from rilievo.errors.messages import Note, OptionName, Text
from rilievo.io.files.limits import MAX_PIXELS, check_regular, check_size, reason
from rilievo.io.files.names import printable
from rilievo.io.files.tiff_directories import has_further_tiff_pages
from rilievo.io.photographs.decode import PILLOW_ERRORS, decode
from rilievo.io.photographs.exif import exif_facts
from rilievo.io.photographs.exif_crops import exif_camera
from rilievo.io.photographs.pixels import NOT_STRETCHED, upright_picture
from rilievo.io.photographs.sources import PhotoSource, Readable, Tensor
from rilievo.io.photographs.xmp import camera_from_gpano, read_xmp_packets
from rilievo.records.sample import Photo

_LOOKED_AT = 2**13

# A smaller span of 256 has a note.
_LEAST_LEVELS = 16


@dataclass(frozen=True, slots=True)
class _ReadOptions:
    max_pixels: int
    own_depth: bool
    masks: bool
    stretch: bool


def read_photo(
    source: PhotoSource,
    *,
    max_pixels: int = MAX_PIXELS,
    own_depth: bool = True,
    alpha: Literal["mask", "keep"] = "mask",
    stretch: bool = False,
) -> Photo:
    """Read one photograph, upright and in sRGB, with the camera of its file.

    Content tells the format: JPEG, PNG, WebP, TIFF, BMP, GIF, AVIF, PNM, and HEIC with the extra
    ``formats``. Of several images the first is read.

    Examples:
        >>> rilievo.read_photo("photo.jpg").shape
        (48, 64)

    Args:
        source: A path, http(s) URL, bytes or open file; a Pillow image; an array or tensor, RGB,
            RGBA or grey, of uint8, floats in 0 to 1, or grey uint16. OpenCV's arrays are BGR: pass
            ``image[..., ::-1]``.
        max_pixels: Most pixels; larger images are refused by their header.
        own_depth: Read the depth map in the file, if any.
        alpha: mask: pixels with alpha below half are ``transparent`` and black, others over white.
            keep: all are over white.
        stretch: Make the 1st and 99th percentile of 16-bit grey black and white; otherwise a span
            below a 16th is refused.

    Raises:
        MissingFileError: If the path does not exist.
        InputTypeError: If ``source`` is of another type.
        InputError: If it is in no known format, broken, or below 32 pixels a side.
    """
    if alpha not in ("mask", "keep"):
        raise OptionError(f"alpha is 'mask' or 'keep', got {alpha!r}")
    how = _ReadOptions(max_pixels, own_depth, alpha == "mask", stretch)
    if isinstance(source, np.ndarray):
        return _photo_from_array(source, how)
    if isinstance(source, Image.Image):
        return _photo_from_pillow(source, how)
    if isinstance(source, bytes | bytearray | memoryview):
        return _photo_from_bytes(bytes(source), "bytes", how)
    if isinstance(source, str) and source.lower().startswith(("http://", "https://")):
        from rilievo.io.files.web import fetch

        return _photo_from_bytes(fetch(source), printable(source), how)
    if isinstance(source, Path | str):
        name, size_bytes = printable(source), check_regular(source)
        try:
            with open(source, "rb") as file:
                return _photo_from_file(file, name, size_bytes, how)
        except OSError as error:
            raise InputError(f"cannot be read ({reason(error)})", path=name) from error
    if isinstance(source, Tensor):
        return _photo_from_array(_array_of_tensor(source), how)
    if isinstance(source, Readable):
        return _photo_from_open_file(source, how)
    raise InputTypeError(
        (
            "is not an image; expected a path, an address, bytes, an "
            "open file, a numpy array, a tensor or a Pillow image"
        ),
        path=type(source).__name__,
    )


def _photo_from_bytes(content: bytes, name: str, how: _ReadOptions) -> Photo:
    if not content:
        raise InputError("is empty (0 bytes); a whole file is expected", path=name)
    return _photo_from_file(BytesIO(content), name, len(content), how)


def _photo_from_open_file(file: Readable, how: _ReadOptions) -> Photo:
    name = getattr(file, "name", None)
    name = printable(name) if isinstance(name, str) else "open file"
    try:
        content = file.read()
    except UnicodeDecodeError as error:
        raise InputTypeError("is open as text; open it in binary mode, 'rb'", path=name) from error
    except (OSError, ValueError) as error:
        raise InputError(f"cannot be read ({reason(error)})", path=name) from error
    if not isinstance(content, bytes):
        raise InputTypeError(
            f"gives {type(content).__name__}; open it in binary mode, 'rb'", path=name
        )
    return _photo_from_bytes(content, name, how)


def _array_of_tensor(tensor: Tensor) -> np.ndarray:
    # Channels come last.
    values = tensor.detach().cpu()
    if values.is_floating_point():
        values = values.float()  # numpy has no bfloat16
    array = np.asarray(values)
    if array.ndim == 4 and len(array) == 1:
        array = array[0]
    if array.ndim == 3 and array.shape[0] in (1, 3, 4) and array.shape[2] not in (1, 3, 4):
        array = np.moveaxis(array, 0, 2)
    return array


def _photo_from_file(
    file: BufferedReader | BytesIO, name: str, size_bytes: int, how: _ReadOptions
) -> Photo:
    image = decode(file, name, size_bytes=size_bytes, max_pixels=how.max_pixels)
    return _photo_from_image(image, name, how, file)


def _photo_from_pillow(image: Image.Image, how: _ReadOptions, name: str = "") -> Photo:
    name = name or printable(str(getattr(image, "filename", "") or "image"))
    return _photo_from_image(decode(image, name, max_pixels=how.max_pixels), name, how)


def _photo_from_image(
    image: Image.Image, name: str, how: _ReadOptions, file: BufferedReader | BytesIO | None = None
) -> Photo:
    facts, pages_note = exif_facts(image), _pages_note(image, file)
    picture = upright_picture(
        image,
        orientation=facts.orientation,
        name=name,
        masks=how.masks,
        stretch=how.stretch,
    )
    size, camera, own_depth = picture.pixels.shape[:2], None, None
    xmp = b""
    of_depth = {"depth_images", "mp", "heif"} if how.own_depth else set()
    if {"xmp", *of_depth} & image.info.keys():
        packets = read_xmp_packets(image)
        xmp = packets.main
        camera = camera_from_gpano(packets.main, size)
        if how.own_depth:
            # Imported on demand, as few photographs have depth of their own.
            from rilievo.io.photographs.own_depth import read_own_depth

            own_depth = read_own_depth(image, packets, file, facts.orientation)
    camera, camera_note = camera or facts.heif, None
    if camera is None:
        by_exif = exif_camera(image, facts, size, xmp)
        camera, camera_note = by_exif.camera, by_exif.note
    return _blacken_transparent_and_note(
        Photo(
            pixels=picture.pixels,
            camera=camera,
            own_depth=own_depth,
            transparent=picture.transparent,
            notes=tuple(filter(None, (pages_note, camera_note, *picture.notes))),
            name=name,
            orientation=facts.orientation,
        )
    )


def _blacken_transparent_and_note(photo: Photo) -> Photo:
    # Black changes depth least where pixels are transparent.
    notes, pixels, transparent = [*photo.notes], photo.pixels, photo.transparent
    step = max(1, math.isqrt(math.prod(photo.shape) // _LOOKED_AT))
    some = pixels[::step, ::step]
    if transparent is not None:
        pixels[transparent] = 0
        notes.append(
            Note(
                f"its transparent pixels ({100 * transparent.mean():.3g} %) have no depth",
                hint=Text(OptionName("alpha", "keep"), " reads them over white"),
            )
        )
        some = some[~transparent[::step, ::step]]
    below = np.cumsum(np.bincount(some.reshape(-1), minlength=256)) / max(some.size, 1)
    low, high = (int(np.searchsorted(below, share)) for share in (0.01, 0.99))
    if some.size and high - low < _LEAST_LEVELS:
        notes.append(
            f"has little contrast ({low} to {high} of 255, 1st to 99th percentile), which makes "
            "its depth doubtful"
        )
    return replace(photo, notes=tuple(notes)) if notes else photo


def _pages_note(image: Image.Image, file: BufferedReader | BytesIO | None) -> str | None:
    if image.format == "TIFF" and file is not None:
        several = has_further_tiff_pages(file)
    elif image.format in ("GIF", "PNG", "WEBP", "AVIF", "TIFF"):
        try:
            several = bool(getattr(image, "is_animated", False))
        except PILLOW_ERRORS:  # what follows the first picture is damaged
            several = False
    else:
        return None
    if not several:
        return None
    if image.format == "TIFF":
        return "has several pages, and only its first was read: save each as a file for all"
    return "is animated, and only its first picture was read: save it as a video for all"


def _photo_from_array(array: np.ndarray, how: _ReadOptions) -> Photo:
    name = "array"
    if array.dtype.kind == "f":
        array = _uint8_from_floats(array, name)
    is_grey = array.ndim - (array.shape[2:] == (1,)) == 2
    if array.dtype != np.uint8 and not (array.dtype == np.uint16 and is_grey and array.size):
        raise InputError(
            f"has numbers of type {array.dtype}, expected uint8; {_uint8_remedy(array.dtype)}",
            path=name,
        )
    channels = array.shape[2] if array.ndim == 3 else 1
    if array.ndim not in (2, 3) or channels not in (1, 3, 4):
        first = array.ndim == 3 and array.shape[0] in (1, 3, 4)
        raise InputError(
            f"{name}: has shape {array.shape}, expected (height, width, 3) RGB"
            + ("; move the channels last" if first else ", with alpha, or grey (height, width)")
        )
    check_size(name, (array.shape[0], array.shape[1]), max_pixels=how.max_pixels)
    if channels != 3:
        plane = array.reshape(array.shape[:2]) if is_grey else array
        return _photo_from_pillow(Image.fromarray(plane), how, name)
    notes = (NOT_STRETCHED,) if how.stretch else ()
    return _blacken_transparent_and_note(
        Photo(pixels=np.ascontiguousarray(array), notes=notes, name=name)
    )


def _uint8_from_floats(array: np.ndarray, name: str) -> np.ndarray:
    is_map = array.ndim - (array.shape[2:] == (1,)) == 2
    if not array.size or not (array.min() >= 0 and array.max() <= 1):  # NaN neither
        raise InputError(
            f"{name}: has floats outside 0 to 1; divide by the number that stands for white, or "
            "convert to uint8, with 0 black and 255 white"
            + ("; depth is for rilievo.Prediction.from_depth(photo, depth)" if is_map else "")
        )
    return np.round(array * 255).astype(np.uint8)


def _uint8_remedy(dtype: np.dtype) -> str:
    if dtype == np.uint16:
        return "divide by 257 and convert to uint8"
    if dtype == np.bool_:
        return "multiply by 255 and convert to uint8"
    return "convert to uint8, with 0 black and 255 white"
