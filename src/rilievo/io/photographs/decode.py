"""Recognise and decode files to Pillow images; every failure is a one-line error.

``Image.open`` would import all decoders, with a lower limit. JPEG's scans are bounded as by
``djpeg -maxscans``.
"""

import re
import struct
import threading
import zlib
from collections.abc import Generator, Mapping
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
from rilievo.io.files.archives import check_tiff_tags
from rilievo.io.files.limits import MAX_BYTES, check_size, reason

PHOTO_SUFFIXES = frozenset({".jpg", ".jpeg", ".jpe", ".jfif", ".png", ".webp"}) | frozenset(
    {".tif", ".tiff", ".bmp", ".gif", ".heic", ".heif", ".avif", ".ppm", ".pgm"}
)
"""Photographs in a folder walk; named files may have any suffix."""

RAW_SUFFIXES = (
    frozenset({".3fr", ".arw", ".cr2", ".cr3", ".dcr", ".dng", ".erf", ".iiq", ".kdc", ".mef"})
    | frozenset({".mos", ".mrw", ".nef", ".nrw", ".orf", ".pef", ".raf", ".raw", ".rw2", ".rwl"})
    | frozenset({".sr2", ".srf", ".srw", ".x3f"})
)
"""Raw files, often TIFF whose first image is a thumbnail."""

VIDEO_SUFFIXES = frozenset(
    (
        *(".3g2", ".3gp", ".asf", ".avi", ".flv", ".m2ts", ".m4v", ".mkv", ".mov", ".mp4"),
        *(".mpeg", ".mpg", ".mts", ".mxf", ".nut", ".ogv", ".ts", ".vob", ".webm", ".wmv", ".y4m"),
    )
)

HEAD_BYTES = 512


@dataclass(frozen=True, slots=True, kw_only=True)
class PhotoFormat:
    """Format, whose decoder is imported at first use.

    Attributes:
        decoder: Subclass of ``PIL.ImageFile.ImageFile``.
        whole: Whether it reads the file into memory.
    """

    name: str
    module: str
    decoder: str
    extra: str | None = None
    whole: bool = True


@dataclass(frozen=True, slots=True, kw_only=True)
class ForeignFormat:
    """Format that is recognised but not read."""

    name: str
    advice: str | Text = "export it as JPEG or PNG first"


JPEG = PhotoFormat(name="JPEG", module="PIL.JpegImagePlugin", decoder="JpegImageFile")
PNG = PhotoFormat(name="PNG", module="PIL.PngImagePlugin", decoder="PngImageFile")
WEBP = PhotoFormat(name="WebP", module="PIL.WebPImagePlugin", decoder="WebPImageFile")
TIFF = PhotoFormat(name="TIFF", module="PIL.TiffImagePlugin", decoder="TiffImageFile", whole=False)
BMP = PhotoFormat(name="BMP", module="PIL.BmpImagePlugin", decoder="BmpImageFile")
GIF = PhotoFormat(name="GIF", module="PIL.GifImagePlugin", decoder="GifImageFile")
PNM = PhotoFormat(name="PNM", module="PIL.PpmImagePlugin", decoder="PpmImageFile")
AVIF = PhotoFormat(name="AVIF", module="PIL.AvifImagePlugin", decoder="AvifImageFile")
HEIC = PhotoFormat(name="HEIC", module="pillow_heif", decoder="HeifImageFile", extra="formats")
PHOTO_FORMATS = (JPEG, PNG, WEBP, TIFF, BMP, GIF, PNM, AVIF, HEIC)
RAW = ForeignFormat(
    name="a raw photograph", advice="develop it to JPEG, PNG or TIFF first, as cameras also do"
)
_VIDEO = ForeignFormat(
    name="a video", advice="take a frame of it, or pass the video to rilievo predict"
)
_TEXT = ForeignFormat(name="text", advice="choose a photograph, such as a JPEG or PNG file")
_NPZ = ForeignFormat(
    name="an npz file",
    advice=Text("rilievo.read_prediction reads those of ", OptionName("save", "npz")),
)

# No other decoders are tried: Pillow has some that run programs (EPS) or are little tested.
_SIGNATURES: Mapping[bytes, PhotoFormat] = {
    b"\xff\xd8\xff": JPEG,
    b"\x89PNG\r\n\x1a\n": PNG,
    b"II*\0": TIFF,
    b"MM\0*": TIFF,
    b"II+\0": TIFF,
    b"MM\0+": TIFF,
    b"BM": BMP,
    b"GIF87a": GIF,
    b"GIF89a": GIF,
    b"P4": PNM,
    b"P5": PNM,
    b"P6": PNM,
}

# Checked first, because the raw files of several makers begin like TIFF files.
_FOREIGN: Mapping[bytes, ForeignFormat] = {
    b"II*\0\x10\0\0\0CR": RAW,
    b"IIRO": RAW,
    b"IIRS": RAW,
    b"IIU\0": RAW,
    b"MMOR": RAW,
    b"FUJIFILMCCD-RAW": RAW,
    b"FOVb": RAW,
    b"\0MRM": RAW,
    b"%PDF": ForeignFormat(name="a PDF document", advice="export its page as JPEG or PNG first"),
    b"%!PS": ForeignFormat(name="a PostScript document"),
    b"8BPS": ForeignFormat(name="a Photoshop document"),
    b"gimp xcf": ForeignFormat(name="a GIMP document"),
    b"\xff\x0a": ForeignFormat(name="a JPEG XL image"),
    b"\0\0\0\x0cJXL \r\n\x87\n": ForeignFormat(name="a JPEG XL image"),
    b"\0\0\0\x0cjP  \r\n\x87\n": ForeignFormat(name="a JPEG 2000 image"),
    b"\xff\x4f\xff\x51": ForeignFormat(name="a JPEG 2000 image"),
    b"II\xbc\x01": ForeignFormat(name="a JPEG XR image"),
    b"\x76\x2f\x31\x01": ForeignFormat(name="an OpenEXR image"),
    b"#?R": ForeignFormat(name="a Radiance HDR image"),
    b"\0\0\x01\0": ForeignFormat(name="an icon"),
    b"\x1a\x45\xdf\xa3": _VIDEO,
    b"\0\0\x01\xba": _VIDEO,
    b"\0\0\x01\xb3": _VIDEO,
    b"FLV\x01": _VIDEO,
    b"\x30\x26\xb2\x75": _VIDEO,
    b"OggS": _VIDEO,
    b"PK\x03\x04": ForeignFormat(name="a zip archive", advice="unpack it first"),
    b"\x1f\x8b": ForeignFormat(name="a gzip archive", advice="unpack it first"),
    b"\x93NUMPY": ForeignFormat(
        name="a numpy array",
        advice="a photograph's array is for rilievo.predict, depth for 'rilievo surface PHOTO "
        "--depth FILE' (Prediction.from_depth)",
    ),
    b"version https://git-lfs": ForeignFormat(name="a Git LFS pointer", advice="run git lfs pull"),
}
_BRANDS: Mapping[bytes, PhotoFormat | ForeignFormat] = {
    b"avif": AVIF,
    b"avis": AVIF,
    b"heic": HEIC,
    b"heix": HEIC,
    b"heim": HEIC,
    b"heis": HEIC,
    b"hevc": HEIC,
    b"hevx": HEIC,
    b"crx ": RAW,
}
_RIFF: Mapping[bytes, PhotoFormat | ForeignFormat] = {b"WEBP": WEBP, b"AVI ": _VIDEO}
_MARKUP: Mapping[bytes, ForeignFormat] = {
    b"<svg": ForeignFormat(name="an SVG drawing"),
    b"<!doctype html": ForeignFormat(name="a web page", advice="download the photograph itself"),
    b"<html": ForeignFormat(name="a web page", advice="download the photograph itself"),
}


def identify(head: bytes) -> PhotoFormat | ForeignFormat | None:
    """Format of a file by its first ``HEAD_BYTES``; None if unknown."""
    # The first name of a zip archive begins at byte 30.
    if head.startswith(b"PK\x03\x04") and b".npy" in head[30:]:
        return _NPZ
    for table in (_FOREIGN, _SIGNATURES):
        for signature, kind in table.items():
            if head.startswith(signature):
                return kind
    if head[:4] == b"RIFF":
        return _RIFF.get(head[8:12])
    if head[4:8] == b"ftyp":
        return _identify_brand(head)
    text = head.lstrip(b"\xef\xbb\xbf \t\r\n").lower()
    for signature, kind in _MARKUP.items():
        if text.startswith(signature) or (text.startswith(b"<?xml") and signature in text):
            return kind
    return _TEXT if head and all(31 < byte < 127 or byte in b"\t\r\n" for byte in head) else None


def is_video(path: Path) -> bool:
    """Whether a file is a video by its first bytes, or else its suffix."""
    try:
        if not path.is_file():
            return False
        with path.open("rb") as file:
            kind = identify(file.read(HEAD_BYTES))
    except OSError:
        kind = None
    if kind is not None and kind.name == "a video":
        return True
    return not isinstance(kind, PhotoFormat) and path.suffix.lower() in VIDEO_SUFFIXES


def _identify_brand(head: bytes) -> PhotoFormat | ForeignFormat:
    end = int.from_bytes(head[:4], "big")
    brands = [head[8:12], *(head[at : at + 4] for at in range(16, min(end, len(head)), 4))]
    for brand in brands:
        if brand in _BRANDS:
            return _BRANDS[brand]
    return HEIC if {b"mif1", b"msf1"} & set(brands) else _VIDEO


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


def header_size(file: BufferedReader | BytesIO, name: str, *, max_pixels: int) -> tuple[int, int]:
    """Read the size (height, width) of the header.

    Raises:
        InputError: If it is in no known format, too large, or broken.
    """
    kind = _photo_format(file, name, 0)
    with one_line_errors(name, f"{kind.name} file"):
        width, height = _open_image(file, name, kind, max_pixels).size
    return height, width


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


def _open_image(
    file: BufferedReader | BytesIO, name: str, kind: PhotoFormat, max_pixels: int
) -> ImageFile:
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
        image = decoder(file)
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
