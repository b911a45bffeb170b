"""Decode files and bytes to Pillow images; every failure is a one-line error.

Decoders are chosen by content (``rilievo.io.photographs.signatures``) and called directly.
``Image.open`` would import all decoders, and warns of images above its own limit, which is lower
than ours.

Data of cameras with 8, 10 or 12 bits are often saved so, and Pillow does not pass on how PNG and
TIFF declare it. Scaling them unasked would be a guess.
"""

import struct
import threading
import zlib
from collections.abc import Generator
from contextlib import contextmanager
from importlib import import_module
from io import BufferedReader, BytesIO
from pathlib import Path

import numpy as np
from PIL import Image
from PIL.ImageFile import ImageFile

from rilievo.errors import InputError, MissingExtraError, RilievoError
from rilievo.io.files.limits import MAX_BYTES, check_size, reason
from rilievo.io.photographs.file_formats import ForeignFormat, PhotoFormat
from rilievo.io.photographs.jpeg_scans import check_scans
from rilievo.io.photographs.signatures import HEAD_BYTES, JPEG, RAW, RAW_SUFFIXES, TIFF, identify
from rilievo.io.photographs.tiff_directories import check_directories

PILLOW_ERRORS = (
    OSError,
    SyntaxError,
    ValueError,
    TypeError,
    LookupError,
    EOFError,
    ArithmeticError,
    AttributeError,
    RuntimeError,
    struct.error,
    zlib.error,
    UserWarning,
)
"""Errors that Pillow raises on broken images. It documents ``OSError``; hostile headers make its
parsers raise the others. ``UserWarning`` is for users who turn Pillow's warnings about metadata
into errors.
"""
_NEW_SUBFILE_TYPE, _DNG_VERSION = 0x00FE, 0xC612
_PILLOW_LIMIT = threading.Lock()
_FULL, _LEAST = 65535, 4096
_ROWS_PIXELS = 2_000_000


def decode(
    file: BufferedReader | BytesIO,
    name: str,
    *,
    size_bytes: int,
    max_pixels: int,
) -> Image.Image:
    """Decode the first image of a file, in its stored mode and orientation.

    Args:
        file: File open for reading, at its beginning; it must stay open while the image is used.
        name: Name for messages; for some formats its suffix decides.
        size_bytes: Size of the file.
        max_pixels: Largest number of pixels that the header may announce.

    Raises:
        InputError: If the file is not a photograph in a known format, is too large, is broken, or
            has 16-bit colours of which only the low bits are used.
    """
    kind = _kind_of(file, name, size_bytes)
    with one_line_errors(name, f"{kind.name} file"):
        image = _opened(file, name, kind, max_pixels)
        if kind is TIFF:
            _refuse_raw_preview(image, name)
        # Known only before it is loaded: afterwards Pillow keeps the upper 8 bits.
        is_deep = image.mode == "RGB" and any(";16" in str(tile[3]) for tile in image.tile)
        load(image)
    if is_deep:
        refuse_low_bits(image, name, is_upper_byte=True)
    return image


def header_size(file: BufferedReader | BytesIO, name: str, *, max_pixels: int) -> tuple[int, int]:
    """Read the size (height, width) that the header of a photograph announces.

    Raises:
        InputError: If it is not a photograph in a known format, is too large, or is broken.
    """
    kind = _kind_of(file, name, 0)
    with one_line_errors(name, f"{kind.name} file"):
        width, height = _opened(file, name, kind, max_pixels).size
    return height, width


def _kind_of(file: BufferedReader | BytesIO, name: str, size_bytes: int) -> PhotoFormat:
    kind = _photo_format(file.read(HEAD_BYTES), name)
    if kind.whole and size_bytes > MAX_BYTES:
        raise InputError(
            f"{name}: has {size_bytes / 2**30:.1f} GiB, but a {kind.name} file of more than "
            f"{MAX_BYTES / 2**30:g} GiB is not read; make the image smaller first"
        )
    return kind


def _opened(
    file: BufferedReader | BytesIO, name: str, kind: PhotoFormat, max_pixels: int
) -> ImageFile:
    decoder = _decoder(kind, name)
    if kind is TIFF:
        check_directories(file, name)
    file.seek(0)
    # Pillow refuses a header above twice its limit, not above the limit itself.
    with _pillow_takes(max_pixels // 2):
        image = decoder(file)
    width, height = image.size
    check_size(name, (height, width), max_pixels=max_pixels)
    if kind is JPEG:
        place = file.tell()
        check_scans(file, name)
        file.seek(place)
    return image


def load(image: Image.Image) -> None:
    """Decode the pixels of an image whose size has been checked."""
    with _pillow_takes(image.width * image.height):
        image.load()


@contextmanager
def one_line_errors(name: str, what: str = "image") -> Generator[None, None, None]:
    """Turn the errors that Pillow raises on a broken image into an ``InputError``."""
    try:
        yield
    except RilievoError:
        raise
    except MemoryError as error:
        raise InputError(f"{name}: there is not enough memory to decode it") from error
    except Image.DecompressionBombError as error:
        raise InputError(
            f"{name}: is too large ({reason(error)}); make it smaller first"
        ) from error
    except PILLOW_ERRORS as error:
        why = reason(error)
        # Pillow's words add nothing where the file ends too early.
        is_cut = "trunc" in why.lower()
        fault = "is cut short" if is_cut else f"is damaged or of a rare kind ({why})"
        raise InputError(
            f"{name}: this {what} {fault}; fetch it again or export it anew as JPEG or PNG"
        ) from error


@contextmanager
def _pillow_takes(pixels: int) -> Generator[None, None, None]:
    """Let Pillow decode an image of this many pixels without its own error or warning.

    Pillow has one limit for the whole process, so threads that need to raise it take turns;
    ordinary images are below it and do not wait. The limit is never lowered or removed, so other
    threads are always protected.
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


def _photo_format(head: bytes, name: str) -> PhotoFormat:
    found = identify(head)
    if Path(name).suffix.lower() in RAW_SUFFIXES and (found is TIFF or found is None):
        found = RAW
    if isinstance(found, PhotoFormat):
        return found
    if isinstance(found, ForeignFormat):
        raise InputError(f"{name}: is {found.name}, not a photograph that we read; {found.advice}")
    raise InputError(
        f"{name}: its content is not a photograph in a known format; "
        "JPEG, PNG, WebP, TIFF, BMP, GIF, AVIF, PNM and HEIC are read"
    )


def _decoder(kind: PhotoFormat, name: str) -> type[ImageFile]:
    try:
        module = import_module(kind.module)
    except ImportError as error:
        if kind.extra is None:
            raise
        # An InputError, because it concerns one photograph and work on the others continues.
        needed = MissingExtraError(f"a {kind.name} photograph", kind.extra)
        raise InputError(f"{name}: {needed}") from error
    return getattr(module, kind.decoder)


def _refuse_raw_preview(image: ImageFile, name: str) -> None:
    """Refuse raw files that look like TIFF: their first image is a thumbnail."""
    tags = image.tag_v2  # pyright: ignore[reportAttributeAccessIssue]
    kind = tags.get(_NEW_SUBFILE_TYPE)
    if _DNG_VERSION in tags or (isinstance(kind, int) and kind & 1):
        raise InputError(
            f"{name}: is {RAW.name}, not a photograph that rilievo reads; {RAW.advice}"
        )


def refuse_low_bits(image: Image.Image, name: str, *, is_upper_byte: bool = False) -> None:
    """Refuse a loaded image of 16-bit values that all stay below 4096; all black is accepted.

    Args:
        image: Grey image of 16 bits, or colour of which Pillow kept the upper bytes.
        name: Name of the image in messages.
        is_upper_byte: Whether it is the upper bytes of colours.
    """
    width, height = image.size
    rows = max(1, _ROWS_PIXELS // width)
    strips = (
        image.crop((0, top, width, min(top + rows, height))) for top in range(0, height, rows)
    )
    highest = max(int(np.asarray(strip).max()) for strip in strips)
    if is_upper_byte:
        highest = 256 * highest + 255
    if 0 < highest < _LEAST:
        bits = next(bits for bits in (8, 10, 12) if highest < 1 << bits)
        raise InputError(
            f"{name}: its values reach only {highest} of {_FULL}: looks like {bits}-bit "
            "data; scale it to the full range of 16 bits first"
        )
