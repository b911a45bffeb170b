"""Decode files to Pillow images; every failure is a one-line error."""

import re
import struct
import threading
import zlib
from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import dataclass
from importlib import import_module
from io import BufferedReader, BytesIO
from pathlib import Path

import numpy as np
from PIL import Image
from PIL.ImageFile import ImageFile

from rilievo.errors import InputError, MissingExtraError, RilievoError
from rilievo.errors.messages import OptionName, Text
from rilievo.io.files.limits import MAX_BYTES, MAX_PIXELS, check_regular, check_size, reason
from rilievo.io.files.names import printable
from rilievo.io.files.tiff_directories import check_tiff_tags
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
    identify,
)

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
"""Errors of broken images, and ``UserWarning`` if warnings are errors."""
_NEW_SUBFILE_TYPE, _DNG_VERSION = 0x00FE, 0xC612
_PILLOW_LIMIT = threading.Lock()
_FULL, _LEAST = 65535, 4096
_ROWS_PIXELS = 2_000_000
MOST_SCANS = 100
_SCAN = b"\xff\xda"
_CHUNK = 2**22

# Markers but those without a length (TEM, RST0 to RST7); FF00 is a byte of pixels, FFFF padding.
_MARKER = re.compile(rb"\xff[\x02-\xcf\xd8-\xfe]")
_START, _END, _HEADER_OF_SCAN = 0xD8, 0xD9, 0xDA
_FIRST_KNOWN = 0xC0
_MOST_SEGMENTS = 10_000


def decode(
    file: BufferedReader | BytesIO | Image.Image,
    name: str,
    *,
    size_bytes: int = 0,
    max_pixels: int,
) -> Image.Image:
    """Decode the first image of a file, or an opened one, in its stored mode and orientation.

    The file stays open while the image is used; the name's suffix decides some formats.

    Raises:
        InputError: If it is in no known format, too large, broken, or 16-bit colours span less than
            a 16th.
    """
    if isinstance(file, Image.Image):
        check_size(name, (file.height, file.width), max_pixels=max_pixels)
        with one_line_errors(name):
            load_pixels(file)
        return file
    kind = _photo_format(file, name, size_bytes)
    with one_line_errors(name, f"{kind.name} file"):
        image = _open_image(file, name, kind, max_pixels)
        if kind is TIFF:
            _refuse_raw_preview(image, name)
        # Known only before it is loaded: afterwards Pillow keeps the upper 8 bits.
        stored = " ".join(str(tile[3]) for tile in image.tile)
        is_deep = image.mode == "RGB" and ";16" in stored
        load_pixels(image)
        _note_signal(image, file, kind)
        # Pillow leaves the transparent level or colour of a PNG in its stored bits. A level that no
        # pixel has after that stays away.
        level = image.info.get("transparency")
        if isinstance(level, tuple) and is_deep:
            image.info["transparency"] = tuple(sample >> 8 for sample in level)
        elif isinstance(level, int) and image.mode == "L":
            factor = 85 if "L;2" in stored else 17 if "L;4" in stored else 1
            image.info["transparency"] = level * factor
    if is_deep:
        low, high = _percentiles_1_and_99(image, is_upper_byte=True)
        if high - low < _LEAST:
            raise _narrow_span_error(name, low, high, "scale it")
    return image


# EXIF's tag, and its values for pictures that stand on a side.
_ORIENTATION = 0x0112
_TURNED = (5, 6, 7, 8)
_LAST_ORIENTATION = 8


def header_size(file: BufferedReader | BytesIO, name: str, *, max_pixels: int) -> tuple[int, int]:
    """Read the size (height, width) of the header.

    Raises:
        InputError: If it is in no known format, too large, or broken.
    """
    kind = _photo_format(file, name, 0)
    with one_line_errors(name, f"{kind.name} file"):
        width, height = _open_image(file, name, kind, max_pixels).size
    return height, width


def read_upright_size(path: Path) -> tuple[int, int]:
    """Read the size (height, width) of an upright photograph, turned as its EXIF says.

    Raises:
        InputError: If it is in no known format, too large, or broken.
    """
    return read_orientation(path).upright_size


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredOrientation:
    """EXIF's orientation of a photograph, 1 to 8, and its size (height, width) once upright."""

    orientation: int
    upright_size: tuple[int, int]


def read_orientation(path: Path) -> StoredOrientation:
    """Read how a photograph is stored, from its header.

    Raises:
        InputError: If it is in no known format, too large, or broken.
    """
    shown = printable(path)
    check_regular(path)
    try:
        with path.open("rb") as file:
            kind = _photo_format(file, shown, 0)
            with one_line_errors(shown, f"{kind.name} file"):
                image = _open_unchecked(file, shown, kind, MAX_PIXELS)
                stated = image.getexif().get(_ORIENTATION)
                width, height = image.size
    except OSError as error:
        raise InputError(f"cannot be read ({reason(error)})", path=shown) from error
    orientation = stated if isinstance(stated, int) and 1 <= stated <= _LAST_ORIENTATION else 1
    size = (width, height) if orientation in _TURNED else (height, width)
    return StoredOrientation(orientation=orientation, upright_size=size)


def _photo_format(file: BufferedReader | BytesIO, name: str, size_bytes: int) -> PhotoFormat:
    kind = identify(file.read(HEAD_BYTES))
    if Path(name).suffix.lower() in RAW_SUFFIXES and (kind is TIFF or kind is None):
        kind = RAW
    if isinstance(kind, ForeignFormat):
        problem = f"is {kind.name}, not a photograph that we read"
        raise InputError(problem, path=name, hint=kind.advice)
    if kind is None:
        raise InputError(
            (
                "its content is not a photograph in a known format; JPEG, "
                "PNG, WebP, TIFF, BMP, GIF, AVIF, PNM and HEIC are read"
            ),
            path=name,
        )
    if kind.whole and size_bytes > MAX_BYTES:
        raise InputError(
            (
                f"has {size_bytes / 2**30:.1f} GiB, but a {kind.name} file of "
                f"more than {MAX_BYTES / 2**30:g} GiB is not read; make the "
                "image smaller first"
            ),
            path=name,
        )
    return kind


def _open_unchecked(
    file: BufferedReader | BytesIO, name: str, kind: PhotoFormat, max_pixels: int
) -> ImageFile:
    """Open a file of any size, without its pixels."""
    try:
        decoder: type[ImageFile] = getattr(import_module(kind.module), kind.decoder)
    except ImportError as error:
        if kind.extra is None:
            raise
        # An InputError, because it concerns one photograph and work on the others continues.
        needed = MissingExtraError(f"a {kind.name} photograph", kind.extra)
        raise InputError(f"{needed}", path=name) from error
    if kind is TIFF:
        check_tiff_tags(file, name)
    file.seek(0)
    # Pillow refuses a header above twice its limit, not above the limit itself.
    with _lift_pillow_limit(max_pixels // 2):
        return decoder(file)


def _open_image(
    file: BufferedReader | BytesIO, name: str, kind: PhotoFormat, max_pixels: int
) -> ImageFile:
    image = _open_unchecked(file, name, kind, max_pixels)
    width, height = image.size
    check_size(name, (height, width), max_pixels=max_pixels)
    if kind is JPEG:
        place = file.tell()
        check_jpeg_scans(file, name)
        file.seek(place)
    return image


def load_pixels(image: Image.Image) -> None:
    """Decode an image's pixels after its size was checked."""
    with _lift_pillow_limit(image.width * image.height):
        image.load()


@contextmanager
def one_line_errors(name: str, what: str = "image") -> Generator[None, None, None]:
    """Convert errors of Pillow to ``InputError``."""
    try:
        yield
    except RilievoError:
        raise
    except MemoryError as error:
        raise InputError("there is not enough memory to decode it", path=name) from error
    except Image.DecompressionBombError as error:
        raise InputError(
            f"is too large ({reason(error)}); make it smaller first", path=name
        ) from error
    except PILLOW_ERRORS as error:
        why = reason(error)
        # Pillow's words add nothing where the file ends too early.
        is_cut = "trunc" in why.lower()
        fault = "is cut short" if is_cut else f"is damaged or of a rare kind ({why})"
        raise InputError(
            (f"this {what} {fault}; fetch it again or export it anew as JPEG or PNG"), path=name
        ) from error


@contextmanager
def _lift_pillow_limit(pixels: int) -> Generator[None, None, None]:
    # Pillow's limit is process-wide, so one image at a time.
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


def _note_signal(image: Image.Image, file: BufferedReader | BytesIO, kind: PhotoFormat) -> None:
    """Put the signal that the file states into the image's ``info``, as "colour_signal"."""
    if kind not in (PNG, AVIF) and not {"icc_profile", "nclx_profile"} & image.info.keys():
        return
    # Imported on demand, as most photographs state no signal.
    from rilievo.io.photographs.picture_signals import picture_signal

    place = file.tell()
    signal = picture_signal(image, file, kind)
    file.seek(place)
    if signal is not None:
        image.info["colour_signal"] = signal


def _refuse_raw_preview(image: ImageFile, name: str) -> None:
    tags = image.tag_v2  # pyright: ignore[reportAttributeAccessIssue]
    kind = tags.get(_NEW_SUBFILE_TYPE)
    if _DNG_VERSION in tags or (isinstance(kind, int) and kind & 1):
        raise InputError(
            f"is {RAW.name}, not a photograph that rilievo reads", path=name, hint=RAW.advice
        )


def _percentiles_1_and_99(image: Image.Image, *, is_upper_byte: bool) -> tuple[int, int]:
    # The whole range if black.
    width, height = image.size
    rows, count = max(1, _ROWS_PIXELS // width), np.zeros(_FULL + 1, np.int64)
    for top in range(0, height, rows):
        strip = np.asarray(image.crop((0, top, width, min(top + rows, height))))
        count += np.bincount(strip.reshape(-1), minlength=len(count))
    if not count[1:].any():
        return 0, _FULL
    below = np.cumsum(count) / count.sum()
    low, high = (int(np.searchsorted(below, share)) for share in (0.01, 0.99))
    return (256 * low, 256 * high + 255) if is_upper_byte else (low, high)


def grey_span(image: Image.Image, name: str, *, stretch: bool = False) -> tuple[int, int]:
    """1st and 99th percentile of 16-bit grey; narrow spans are refused.

    Raises:
        InputError: If they span less than a 16th of the levels, without ``stretch``.
    """
    if image.mode == "I":
        least, most = np.ravel(image.getextrema())
        if least < 0 or most > _FULL:
            return 0, _FULL  # such values are refused where they are converted
    low, high = _percentiles_1_and_99(image, is_upper_byte=False)
    if high - low < _LEAST and not stretch:
        raise _narrow_span_error(
            name, low, high, Text("read it with ", OptionName("stretch", "True"), ", or scale it")
        )
    return low, high


def _narrow_span_error(name: str, low: int, high: int, cure: str | Text) -> InputError:
    return InputError(
        f"its 16-bit values span only {high - low} of {_FULL} levels ({low} to {high}, 1st to 99th "
        f"percentile), expected {_LEAST} or more",
        path=name,
        hint=Text(cure, " to the full range of 16 bits first"),
    )


def check_jpeg_scans(file: BufferedReader | BytesIO, name: str) -> None:
    """Refuse a JPEG file of more than ``MOST_SCANS``; the file's position changes.

    Raises:
        InputError: If it has more.
    """
    # Nearly all files have fewer even of the two bytes, so that these alone are looked for.
    file.seek(0)
    count, last = 0, b""
    while chunk := file.read(_CHUNK):
        count += chunk.count(_SCAN) + (last + chunk[:1]).count(_SCAN)
        last = chunk[-1:]
    if count <= MOST_SCANS:
        return
    file.seek(0)
    count = _scan_count(file.read())
    if count > MOST_SCANS:
        raise InputError(
            (
                f"this JPEG file has {count} scans, expected at most "
                f"{MOST_SCANS}; export it anew as JPEG or PNG"
            ),
            path=name,
        )


def _scan_count(content: bytes) -> int:
    """Number of scans of a JPEG's first picture."""
    count = at = 0
    for _ in range(_MOST_SEGMENTS):
        hit = _MARKER.search(content, at)
        if hit is None:
            return count
        marker, at = content[hit.end() - 1], hit.end()
        if marker == _END:
            return count
        if marker < _FIRST_KNOWN:
            break
        count += marker == _HEADER_OF_SCAN
        if marker != _START:
            at += int.from_bytes(content[at : at + 2], "big")
    return content.count(_SCAN)
