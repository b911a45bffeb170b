"""Read the arrays in files of other programs as they are stored: depth, disparity, normals, masks.

The format is recognised by the content of a file. Nothing is unpickled.
"""

import lzma
import math
import re
import tokenize
import zipfile
from collections.abc import Callable, Generator, Mapping
from contextlib import contextmanager
from io import BytesIO
from pathlib import Path

import numpy as np
from numpy.lib.npyio import NpzFile
from PIL import Image
from PIL.ImageFile import ImageFile
from PIL.JpegImagePlugin import JpegImageFile
from PIL.PngImagePlugin import PngImageFile
from PIL.TiffImagePlugin import TiffImageFile

from rilievo.arrays.shapes import Float32, Shaped, UInt8, UInt16
from rilievo.errors import InputError, MissingExtraError, RilievoError, suggest
from rilievo.errors.messages import format_beyond
from rilievo.io.exr_channels import ExrChannels
from rilievo.io.files.archives import PILLOW_ERRORS, check_npy_header, npz_member
from rilievo.io.files.limits import (
    MAX_BYTES,
    MAX_PIXELS,
    check_regular,
    check_unpacked,
    reason,
    retry_miscounted,
)
from rilievo.io.files.names import printable
from rilievo.io.files.tiff_directories import check_tiff_tags
from rilievo.io.photographs.decode import load_pixels

NUMBER_SUFFIXES = (".png", ".npy", ".npz", ".exr", ".tif", ".tiff", ".pfm", ".pgm")
"""Suffixes that such files usually have, by which they are found in folders."""
_DECODER_ERRORS = (
    *PILLOW_ERRORS,
    MemoryError,
    zipfile.BadZipFile,
    tokenize.TokenError,
    Warning,
    lzma.LZMAError,
    Image.DecompressionBombError,
)
"""Exceptions for broken files, and ``Warning`` if Python is told to raise warnings as errors."""
_FORMATS = "supported formats are PNG, TIFF, npy, npz, EXR, PFM and PGM, and JPEG with depth inside"

_UNCONVERTED_MODES = frozenset({"1", "L", "I", "F", "I;16", "I;16B", "I;16L", "LA", "RGB", "RGBA"})
"""Modes in which Pillow returns the stored values; in others it converts them, as with palettes."""

JPEG_SIGNATURE = b"\xff\xd8\xff"
EXR_SIGNATURE = b"\x76\x2f\x31\x01"
TIFF_SIGNATURES = (b"II*\0", b"MM\0*")  # little-endian and big-endian
"""First bytes of JPEG, OpenEXR and TIFF files."""

_NETPBM_HEADER = re.compile(
    rb"(?P<magic>P[56Ff])\s+(?:#[^\n]*\n\s*)*"
    rb"(?P<width>\d+)\s+(?P<height>\d+)\s+(?P<last>-?[0-9.eE+-]+)\s"
)
"""Header of PGM and PPM, whose last field is the largest value, or of PFM, where it is a scale."""


def read_numbers(path: Path | str, *, name: str | None = None) -> Shaped[np.ndarray, "h w *c"]:
    """Read the array in a file, in its stored type, without axes of length one.

    Formats are PNG, TIFF (grey of 8, 16 or 32 bits, float32; 8-bit colour), npy, npz, OpenEXR with
    the extra ``exr``, PFM, binary PGM and PPM, and JPEG photographs with depth inside. ``name`` is
    the array of an npz or the channel of an EXR file; None if it has only one.

    Raises:
        InputError: If the file holds no array of numbers, or several and no name is given.
    """
    shown_path = printable(path)
    size = check_regular(path)
    if size > MAX_BYTES:
        raise InputError(
            f"the file has {format_beyond(size / 2**30, MAX_BYTES / 2**30, decimals=1)} GiB, which "
            f"is above the limit of {MAX_BYTES / 2**30:g} GiB; save a smaller array",
            path=shown_path,
        )
    try:
        content = Path(path).read_bytes()
    except OSError as error:
        raise InputError(f"the file cannot be read ({reason(error)})", path=shown_path) from error

    for signature, read_array in _READERS.items():
        if content.startswith(signature):
            return _squeeze_and_check(read_array(content, Path(path), name), shown_path)
    if content[:2] in (b"P5", b"P6", b"Pf", b"PF") and content[2:3].isspace():
        with decoder_errors_as_input_errors(shown_path, "PGM or PFM file"):
            return _squeeze_and_check(_read_netpbm(content), shown_path)
    raise InputError(f"the file does not contain an array of numbers; {_FORMATS}", path=shown_path)


def read_map(path: Path | str, *, name: str | None = None) -> Shaped[np.ndarray, "h w"]:
    """Read an array with one value for each pixel; raise ``InputError`` if it has other axes."""
    numbers = read_numbers(path, name=name)
    if numbers.ndim != 2:
        raise InputError(
            f"the array has the shape {numbers.shape}; expected one value per pixel, (height, "
            "width)",
            path=path,
        )
    return numbers


@contextmanager
def decoder_errors_as_input_errors(shown_path: str, file_type: str) -> Generator[None, None, None]:
    """Raise ``InputError`` in place of any exception that a decoder raises in the block.

    Decoders raise exceptions of many types for a broken file. The ``InputError`` is one line, which
    calls the file by ``file_type``, such as "npz file", and says what to do. An error of rilievo
    that the block raises stays as it is.
    """
    try:
        yield
    except RilievoError:
        raise
    except _DECODER_ERRORS as error:
        raise InputError(
            f"this {file_type} is truncated, damaged or of an unsupported kind ({reason(error)}); "
            "copy it again, or save it again",
            path=shown_path,
        ) from error


def _squeeze_and_check(numbers: np.ndarray, shown_path: str) -> np.ndarray:
    """Remove axes of length one, and check that what remains is a picture of numbers."""
    if numbers.dtype == bool:
        numbers = numbers.astype(np.uint8)
    if numbers.dtype.kind not in "uif":
        raise InputError(
            f"the array has values of type {numbers.dtype}; expected integers or floating-point "
            "numbers",
            path=shown_path,
        )
    squeezed = numbers.squeeze() if numbers.ndim > 2 else numbers
    if squeezed.ndim not in (2, 3) or not squeezed.size:
        raise InputError(
            f"the array has the shape {numbers.shape}; expected (height, width) or (height, "
            "width, channels)",
            path=shown_path,
        )
    return np.ascontiguousarray(squeezed, dtype=squeezed.dtype.newbyteorder("="))


def _read_png(content: bytes, path: Path, name: str | None) -> np.ndarray:
    """Read the pixels of a PNG; for colours of 16 bits, Pillow needs help."""
    shown_path = printable(path)
    with (
        decoder_errors_as_input_errors(shown_path, "PNG file"),
        PngImageFile(BytesIO(content)) as image,
    ):
        stored_mode = _stored_mode(image)
        if stored_mode in ("RGB;16B", "RGBA;16B"):
            return _read_16_bit_colour(content, image, stored_mode)
        _require_stored_numbers(image, stored_mode, shown_path)
        return _load_pixels(image)


def _read_jpeg(content: bytes, path: Path, name: str | None) -> np.ndarray:
    """Read the depth that a JPEG photograph holds, at the photograph's size; 0 where it has none.

    Its map may be smaller than the photograph. It covers all of it nevertheless.
    """
    from rilievo.io.photographs.exif import read_exif_metadata
    from rilievo.io.photographs.own_depth import read_depth_photo
    from rilievo.io.photographs.pixels import upright_size
    from rilievo.io.resizing import resize_measured

    shown_path = printable(path)
    file = BytesIO(content)
    with decoder_errors_as_input_errors(shown_path, "JPEG file"), JpegImageFile(file) as image:
        own_depth = read_depth_photo(image, file)
        shape = upright_size(image, read_exif_metadata(image).orientation)
    if own_depth is None:
        raise InputError(f"the JPEG file does not contain a depth map; {_FORMATS}", path=shown_path)
    if own_depth.metres is None:
        raise InputError(
            f"its depth ({own_depth.source}) cannot be used: {own_depth.unused}", path=shown_path
        )
    return resize_measured(own_depth.metres, shape).values.astype(np.float32)


def _read_tiff(content: bytes, path: Path, name: str | None) -> np.ndarray:
    shown_path, file = printable(path), BytesIO(content)
    with decoder_errors_as_input_errors(shown_path, "TIFF file"):
        check_tiff_tags(file, shown_path)
        file.seek(0)
    with decoder_errors_as_input_errors(shown_path, "TIFF file"), TiffImageFile(file) as image:
        _require_stored_numbers(image, _stored_mode(image), shown_path)
        return _load_pixels(image)


def _stored_mode(image: ImageFile) -> str:
    """Pillow's mode for the pixels as they are stored, which its decoder may convert."""
    decoder_arguments = image.tile[0][3]
    if isinstance(decoder_arguments, str) or not decoder_arguments:
        return str(decoder_arguments)
    return str(decoder_arguments[0])


def _require_stored_numbers(image: ImageFile, stored_mode: str, shown_path: str) -> None:
    """Raise ``InputError`` if Pillow converts the stored numbers, for example from 2 or 4 bits."""
    is_colour = image.mode.startswith(("RGB", "LA"))
    is_converted = stored_mode in ("L;2", "L;4") or (is_colour and ";" in stored_mode)
    if image.mode not in _UNCONVERTED_MODES or is_converted:
        raise InputError(
            f"the file stores its pixels as '{stored_mode}' instead of numbers of 8, 16 or 32 "
            "bits; save it again as 16-bit PNG or npy",
            path=shown_path,
        )


def _load_pixels(image: ImageFile) -> np.ndarray:
    width, height = image.size
    max_pixel_bytes = 8  # four channels of 16 bits
    check_unpacked(
        "the image", height, width, max_pixel_bytes, most_bytes=max_pixel_bytes * MAX_PIXELS
    )
    load_pixels(image)
    return np.array(image)


def _read_16_bit_colour(content: bytes, image: ImageFile, stored_mode: str) -> np.ndarray:
    """Read the colours of a 16-bit PNG, although Pillow returns only the upper byte of each.

    PNG stores the upper byte first (Pillow's mode "16B"). A second reading with the mode for the
    reverse order ("16L") takes the lower byte for the upper one, and so returns the lower one.
    """
    upper_bytes = _load_pixels(image).astype(np.uint16)
    with PngImageFile(BytesIO(content)) as reversed_image:
        reversed_mode = stored_mode.replace("16B", "16L")
        reversed_image.tile = [tile._replace(args=reversed_mode) for tile in reversed_image.tile]
        lower_bytes = _load_pixels(reversed_image)
    return (upper_bytes << 8) | lower_bytes


@retry_miscounted
def _read_npy(content: bytes, path: Path, name: str | None) -> np.ndarray:
    with decoder_errors_as_input_errors(printable(path), "npy file"):
        check_npy_header(BytesIO(content), len(content))
        return np.load(BytesIO(content), allow_pickle=False)


@retry_miscounted
def _read_npz(content: bytes, path: Path, name: str | None) -> np.ndarray:
    shown_path = printable(path)
    with (
        decoder_errors_as_input_errors(shown_path, "npz file"),
        np.load(BytesIO(content), allow_pickle=False) as archive,
    ):
        array_name = _select_name(list(archive.files), name, "array", shown_path)
        return npz_member(archive, array_name)


@retry_miscounted
def open_npz(path: Path) -> NpzFile:
    """Open an npz file of a user, which the caller closes.

    ``archives.opened_npz`` is for callers that word the errors of broken files themselves.

    Raises:
        InputError: If it is of another type.
    """
    check_regular(path)
    with decoder_errors_as_input_errors(printable(path), "npz file"):
        archive = np.load(path, allow_pickle=False)
        if not isinstance(archive, NpzFile):
            raise ValueError("it is a single array in the npy format")
        return archive


def _read_exr(content: bytes, path: Path, name: str | None) -> np.ndarray:
    """Read a channel of an EXR file, or its colours if it has no other channels."""
    shown_path = printable(path)
    try:
        with decoder_errors_as_input_errors(shown_path, "EXR file"):
            channels = ExrChannels(path)
    except ImportError as error:
        raise MissingExtraError(f"{shown_path}, an OpenEXR file,", "formats") from error
    with decoder_errors_as_input_errors(shown_path, "EXR file"):
        if name is None and channels.are_colours:
            return channels.read_colours()
        return channels.read_channel(
            _select_name(list(channels.names), name, "channel", shown_path)
        )


def _select_name(names: list[str], name: str | None, kind: str, shown_path: str) -> str:
    """Return the requested name, or the only one if none is requested.

    ``kind`` is what the file's format calls what has these names, such as "channel".

    Raises:
        InputError: If the requested name does not exist, or if none is requested and the file has
            several.
    """
    if name is not None:
        if name not in names:
            raise InputError(
                f"the file has no {kind} '{name}'; {suggest(name, names)}", path=shown_path
            )
        return name
    if not names:
        raise InputError(f"the file has no {kind}", path=shown_path)
    if len(names) > 1:
        raise InputError(
            f"the file has several {kind}s: {', '.join(names)}",
            path=shown_path,
            hint="choose one with 'array: NAME' in rilievo.yaml, or 'array=NAME' in the encoding",
        )
    return names[0]


def _read_netpbm(
    content: bytes,
) -> UInt8[np.ndarray, "h w *c"] | UInt16[np.ndarray, "h w *c"] | Float32[np.ndarray, "h w *c"]:
    """Read a binary PGM, PPM or PFM; a PFM stores its rows from the bottom to the top."""
    magic = content[:2]
    is_pfm = magic in (b"Pf", b"PF")
    header = _NETPBM_HEADER.match(content)
    if header is None:
        last_field_name = "scale" if is_pfm else "largest value"
        raise ValueError(f"its header lacks a valid width, height or {last_field_name}")
    width, height = int(header["width"]), int(header["height"])
    last_field = float(header["last"])
    number_type = _pfm_type(last_field) if is_pfm else _pgm_type(last_field)
    is_colour = magic in (b"P6", b"PF")
    shape = (height, width, 3) if is_colour else (height, width)

    count = math.prod(shape)
    expected_bytes = count * number_type.itemsize
    stored_bytes = len(content) - header.end()
    if not count or stored_bytes < expected_bytes:
        raise ValueError(
            f"its header gives {width} x {height} pixels ({expected_bytes} bytes), but only "
            f"{stored_bytes} bytes follow"
        )
    stored = np.frombuffer(content, number_type, count, header.end()).reshape(shape)
    numbers = stored.astype(number_type.newbyteorder("="))
    return numbers[::-1] if is_pfm else numbers


def _pfm_type(scale: float) -> np.dtype:
    if scale == 0:
        raise ValueError("its scale is 0, but the sign of the scale must give the byte order")
    return np.dtype("<f4" if scale < 0 else ">f4")


def _pgm_type(max_value: float) -> np.dtype:
    if not 0 < max_value < 65536:
        raise ValueError(f"its largest value is {max_value:g}; expected 1 to 65535")
    return np.dtype(">u2" if max_value > 255 else "u1")


_READERS: Mapping[bytes, Callable[[bytes, Path, str | None], np.ndarray]] = {
    b"\x89PNG\r\n\x1a\n": _read_png,
    **dict.fromkeys(TIFF_SIGNATURES, _read_tiff),
    b"\x93NUMPY": _read_npy,
    b"PK\x03\x04": _read_npz,
    b"PK\x05\x06": _read_npz,
    EXR_SIGNATURE: _read_exr,
    JPEG_SIGNATURE: _read_jpeg,
}
"""Readers by the first bytes of a file."""
