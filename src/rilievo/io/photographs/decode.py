"""Decode files to Pillow images; every failure is a one-line error."""

import threading
from collections.abc import Generator
from contextlib import contextmanager
from importlib import import_module
from io import BufferedReader, BytesIO
from pathlib import Path

from PIL import Image
from PIL.ImageFile import ImageFile

from rilievo.errors import InputError, MissingExtraError, RilievoError
from rilievo.errors.messages import format_beyond
from rilievo.io.files.archives import PILLOW_ERRORS
from rilievo.io.files.limits import MAX_BYTES, check_size, reason
from rilievo.io.files.tiff_directories import check_tiff_tags
from rilievo.io.photographs.jpeg_scans import check_jpeg_scans
from rilievo.io.photographs.signatures import (
    AVIF,
    HEAD_BYTES,
    JPEG,
    PNG,
    RAW,
    RAW_SUFFIXES,
    TIFF,
    ForeignFormat,
    PhotoFormat,
    identify_format,
)
from rilievo.io.photographs.sixteen_bits import check_colour_span

_NEW_SUBFILE_TYPE, _DNG_VERSION = 0x00FE, 0xC612  # tags of TIFF
_PILLOW_LIMIT = threading.Lock()


def decode_image(
    file: BufferedReader | BytesIO | Image.Image, name: str, *, size_bytes: int = 0, max_pixels: int
) -> Image.Image:
    """Decode the first image of a file, or an opened one, in its stored mode and orientation.

    The file stays open while the image is used. Raw photographs that begin like TIFF are recognised
    by the suffix of the name.

    Raises:
        InputError: If the format is unknown, if the image is too large or broken, or if its 16-bit
            colours span less than a 16th of the levels.
    """
    if isinstance(file, Image.Image):
        check_size(name, (file.height, file.width), max_pixels=max_pixels)
        with pillow_errors_as_input_errors(name):
            load_pixels(file)
        return file
    photo_format = _identify_photo(file, name, size_bytes)
    with pillow_errors_as_input_errors(name, f"{photo_format.name} file"):
        image = _open_image(file, name, photo_format, max_pixels)
        if photo_format is TIFF:
            _check_not_raw_preview(image, name)
        # This is known only before loading, when Pillow reduces 16 bits to the upper 8.
        raw_mode = " ".join(str(tile[3]) for tile in image.tile)
        is_colour_16_bit = image.mode == "RGB" and ";16" in raw_mode
        load_pixels(image)
        _store_colour_signal(image, file, photo_format)
        _scale_transparent_level(image, raw_mode, is_colour_16_bit=is_colour_16_bit)
    if is_colour_16_bit:
        check_colour_span(image, name)
    return image


def _scale_transparent_level(image: Image.Image, raw_mode: str, *, is_colour_16_bit: bool) -> None:
    """Scale the transparent level or colour of a PNG to 8 bits, as Pillow has scaled its pixels.

    Pillow leaves the level itself in the bit depth of the file.
    """
    level = image.info.get("transparency")
    if isinstance(level, tuple) and is_colour_16_bit:
        image.info["transparency"] = tuple(sample >> 8 for sample in level)
    elif isinstance(level, int) and image.mode == "L":
        image.info["transparency"] = level * _factor_to_8_bits(raw_mode)


def _factor_to_8_bits(raw_mode: str) -> int:
    """Return the factor from the grey levels of a file to 8 bits: 255 / (2^bits - 1)."""
    if "L;2" in raw_mode:
        return 85
    if "L;4" in raw_mode:
        return 17
    return 1


@contextmanager
def opened_undecoded(
    file: BufferedReader | BytesIO, name: str, *, max_pixels: int, checks_content: bool
) -> Generator[ImageFile, None, None]:
    """Open an image, of which the block reads only what its header states.

    ``checks_content`` says whether to refuse what ``decode_image`` refuses: images that are too
    small or too large, and progressive JPEGs with too many scans. Otherwise, only images of more
    than ``max_pixels`` are refused.

    Raises:
        InputError: If the format is unknown, or if the image is too large or broken.
    """
    photo_format = _identify_photo(file, name, size_bytes=0)
    open_image = _open_image if checks_content else _open_undecoded
    with pillow_errors_as_input_errors(name, f"{photo_format.name} file"):
        yield open_image(file, name, photo_format, max_pixels)


def _identify_photo(file: BufferedReader | BytesIO, name: str, size_bytes: int) -> PhotoFormat:
    """Identify the format of a photograph by its first bytes.

    Raises:
        InputError: If rilievo does not read such files, or if it is too large for its decoder.
    """
    file_format = identify_format(file.read(HEAD_BYTES))
    has_raw_suffix = Path(name).suffix.lower() in RAW_SUFFIXES
    if has_raw_suffix and (file_format is TIFF or file_format is None):
        file_format = RAW
    if isinstance(file_format, ForeignFormat):
        problem = f"this is {file_format.name}, not a supported image"
        raise InputError(problem, path=name, hint=file_format.advice)
    if file_format is None:
        raise InputError(
            "the file is not in a supported image format; supported formats are JPEG, PNG, WebP, "
            "TIFF, BMP, GIF, AVIF, PNM and HEIC",
            path=name,
        )
    if file_format.is_read_whole and size_bytes > MAX_BYTES:
        gigabytes = format_beyond(size_bytes / 2**30, MAX_BYTES / 2**30, decimals=1)
        raise InputError(
            f"the file has {gigabytes} GiB, but {file_format.name} files may have at most "
            f"{MAX_BYTES / 2**30:g} GiB; make the image smaller first",
            path=name,
        )
    return file_format


def _open_image(
    file: BufferedReader | BytesIO, name: str, photo_format: PhotoFormat, max_pixels: int
) -> ImageFile:
    """Open an image without decoding its pixels, and check its size and, for a JPEG, its scans."""
    image = _open_undecoded(file, name, photo_format, max_pixels)
    width, height = image.size
    check_size(name, (height, width), max_pixels=max_pixels)
    if photo_format is JPEG:
        position = file.tell()
        check_jpeg_scans(file, name)
        file.seek(position)
    return image


def _open_undecoded(
    file: BufferedReader | BytesIO, name: str, photo_format: PhotoFormat, max_pixels: int
) -> ImageFile:
    """Open an image without decoding its pixels; raise an error above ``max_pixels``."""
    try:
        module = import_module(photo_format.module)
        decoder: type[ImageFile] = getattr(module, photo_format.decoder)
    except ImportError as error:
        if photo_format.extra is None:
            raise
        # Raised as InputError, so that a batch continues with the other photographs.
        missing_extra = MissingExtraError(f"a {photo_format.name} photograph", photo_format.extra)
        raise InputError(f"{missing_extra}", path=name) from error
    if photo_format is TIFF:
        check_tiff_tags(file, name)
    file.seek(0)
    # Pillow refuses a header only above twice its limit, so it refuses above max_pixels.
    with _lift_pillow_limit(max_pixels // 2):
        return decoder(file)


def load_pixels(image: Image.Image) -> None:
    """Decode the pixels of an image whose size the caller has checked."""
    with _lift_pillow_limit(image.width * image.height):
        image.load()


@contextmanager
def pillow_errors_as_input_errors(
    name: str, file_type: str = "image"
) -> Generator[None, None, None]:
    """Convert errors of Pillow to ``InputError``, which the command line prints on one line."""
    try:
        yield
    except RilievoError:
        raise
    except MemoryError as error:
        raise InputError(
            "there is not enough memory to decode the image; make it smaller first", path=name
        ) from error
    except Image.DecompressionBombError as error:
        raise InputError(
            f"the image is too large ({reason(error)}); make it smaller first", path=name
        ) from error
    except PILLOW_ERRORS as error:
        message = reason(error)
        if message == "not identified by this driver":  # what Pillow says of a picture of 0 x 0
            message = "its pixels are of an unknown kind, or it has none"
        is_truncated = "trunc" in message.lower()
        fault = (
            "is truncated" if is_truncated else f"is damaged or of an unsupported kind ({message})"
        )
        raise InputError(
            f"this {file_type} {fault}; download it again, or export it again as JPEG or PNG",
            path=name,
        ) from error


@contextmanager
def _lift_pillow_limit(pixels: int) -> Generator[None, None, None]:
    """Let Pillow open an image of this many pixels, because ``check_size`` has its own limit.

    Pillow's limit is global to the process, so only one thread at a time changes it.
    """
    limit = Image.MAX_IMAGE_PIXELS
    if limit is None or pixels <= limit:
        yield
        return
    with _PILLOW_LIMIT:
        limit = Image.MAX_IMAGE_PIXELS
        Image.MAX_IMAGE_PIXELS = None if limit is None else max(limit, pixels)
        try:
            yield
        finally:
            Image.MAX_IMAGE_PIXELS = limit


def _store_colour_signal(
    image: Image.Image, file: BufferedReader | BytesIO, photo_format: PhotoFormat
) -> None:
    """Store the colour signal of a file in ``image.info["colour_signal"]``.

    The signal is the code points of its primaries and transfer function (CICP). Only PNG, AVIF and
    files with a profile state one.
    """
    has_profile = not image.info.keys().isdisjoint({"icc_profile", "nclx_profile"})
    if photo_format not in (PNG, AVIF) and not has_profile:
        return
    # Imported on demand, because most photographs state no signal.
    from rilievo.io.photographs.picture_signals import picture_signal

    position = file.tell()
    signal = picture_signal(image, file, photo_format)
    file.seek(position)
    if signal is not None:
        image.info["colour_signal"] = signal


def _check_not_raw_preview(image: ImageFile, name: str) -> None:
    """Raise ``InputError`` for a raw photograph in TIFF, whose first image is a small preview."""
    tags = image.tag_v2  # pyright: ignore[reportAttributeAccessIssue]
    subfile_type = tags.get(_NEW_SUBFILE_TYPE)
    is_reduced = isinstance(subfile_type, int) and bool(subfile_type & 1)
    if _DNG_VERSION in tags or is_reduced:
        raise InputError(f"this is {RAW.name}, not a supported image", path=name, hint=RAW.advice)
