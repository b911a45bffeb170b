"""Read arrays of other programs, unscaled: depth, disparity, normals and masks.

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
from typing import Any

import numpy as np
from numpy.lib.npyio import NpzFile
from PIL import Image
from PIL.ImageFile import ImageFile
from PIL.PngImagePlugin import PngImageFile
from PIL.TiffImagePlugin import TiffImageFile

from rilievo.arrays.shapes import Float32, Shaped, UInt8, UInt16
from rilievo.errors import InputError, MissingExtraError, RilievoError, suggest
from rilievo.io.exr_channels import ExrChannels
from rilievo.io.files.archives import check_npy_header, check_zip_member
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
from rilievo.io.photographs.decode import PILLOW_ERRORS, load_pixels

NUMBER_SUFFIXES = (".png", ".npy", ".npz", ".exr", ".tif", ".tiff", ".pfm", ".pgm")
"""Suffixes that such files usually have; a search of a folder goes by them."""
_DECODER_ERRORS = (
    *PILLOW_ERRORS,
    MemoryError,
    zipfile.BadZipFile,
    tokenize.TokenError,
    Warning,
    lzma.LZMAError,
    Image.DecompressionBombError,
)
_FORMATS = "PNG, TIFF, npy, npz, EXR, PFM and PGM hold numbers"

_UNCONVERTED_MODES = frozenset({"1", "L", "I", "F", "I;16", "I;16B", "I;16L", "LA", "RGB", "RGBA"})
"""Modes of Pillow whose arrays hold the file's own values; others are palettes or converted."""

_NETPBM_HEADER = re.compile(rb"(P[56Ff])\s+(?:#[^\n]*\n\s*)*(\d+)\s+(\d+)\s+(-?[0-9.eE+-]+)\s")


def read_numbers(path: Path | str, *, name: str | None = None) -> Shaped[np.ndarray, "h w *c"]:
    """Read the array of a file, in its type, without axes of length one.

    Formats are PNG, TIFF (grey of 8, 16 or 32 bits, float32; 8-bit colour), npy, npz, OpenEXR with
    the extra ``exr``, PFM, binary PGM and PPM.

    Args:
        path: File.
        name: Array of an npz, or channel of an EXR; None if it has only one.

    Raises:
        InputError: If the file holds no array of numbers, or several and no name is given.
    """
    shown, size = printable(path), check_regular(path)
    if size > MAX_BYTES:
        raise InputError(
            f"has {size / 2**30:.1f} GiB, above the limit of {MAX_BYTES / 2**30:g} GiB",
            path=shown,
        )
    try:
        content = Path(path).read_bytes()
    except OSError as error:
        raise InputError(f"cannot be read ({reason(error)})", path=shown) from error

    for signature, read_array in _READERS.items():
        if content.startswith(signature):
            return _squeeze_and_check(read_array(content, Path(path), name), shown)
    if content[:2] in (b"P5", b"P6", b"Pf", b"PF") and content[2:3].isspace():
        with one_line_errors(shown, "PGM or PFM file"):
            return _squeeze_and_check(_netpbm_array(content), shown)
    raise InputError(f"its content is not an array of numbers; {_FORMATS}", path=shown)


def read_map(path: Path | str, *, name: str | None = None) -> Shaped[np.ndarray, "h w"]:
    """Read one value a pixel: depth, disparity, a mask.

    Raises:
        InputError: If the file holds no array of two axes.
    """
    numbers = read_numbers(path, name=name)
    if numbers.ndim != 2:
        raise InputError(
            f"has shape {numbers.shape}, expected one number a pixel, (height, width)", path=path
        )
    return numbers


@contextmanager
def one_line_errors(shown: str, format: str) -> Generator[None, None, None]:
    """Convert errors of decoders to an ``InputError`` about a file of a format."""
    try:
        yield
    except RilievoError:
        raise
    except _DECODER_ERRORS as error:
        raise InputError(
            f"this {format} is cut short, damaged or of a rare kind "
            f"({reason(error)}); fetch it again or write it anew",
            path=shown,
        ) from error


def _squeeze_and_check(numbers: np.ndarray, shown: str) -> np.ndarray:
    if numbers.dtype == bool:
        numbers = numbers.astype(np.uint8)
    if numbers.dtype.kind not in "uif":
        raise InputError(
            f"holds {numbers.dtype}, expected whole or floating-point numbers", path=shown
        )
    squeezed = numbers.squeeze() if numbers.ndim > 2 else numbers
    if squeezed.ndim not in (2, 3) or not squeezed.size:
        raise InputError(
            f"has shape {numbers.shape}, expected (height, width) or with channels", path=shown
        )
    return np.ascontiguousarray(squeezed, dtype=squeezed.dtype.newbyteorder("="))


def _png_array(content: bytes, path: Path, name: str | None) -> np.ndarray:
    shown = printable(path)
    with one_line_errors(shown, "PNG file"), PngImageFile(BytesIO(content)) as image:
        stored_mode = _stored_mode(image)
        if stored_mode in ("RGB;16B", "RGBA;16B"):
            return _colour_of_16_bits(content, image, stored_mode)
        _refuse_converted_pixels(image, stored_mode, shown)
        return _load_pixels(image)


def _tiff_array(content: bytes, path: Path, name: str | None) -> np.ndarray:
    shown, file = printable(path), BytesIO(content)
    with one_line_errors(shown, "TIFF file"):
        check_tiff_tags(file, shown)
        file.seek(0)
    with one_line_errors(shown, "TIFF file"), TiffImageFile(file) as image:
        _refuse_converted_pixels(image, _stored_mode(image), shown)
        return _load_pixels(image)


def _stored_mode(image: ImageFile) -> str:
    """Mode of the pixels in the file, from which Pillow's decoder may convert."""
    decoder_arguments = image.tile[0][3]
    if isinstance(decoder_arguments, str) or not decoder_arguments:
        return str(decoder_arguments)
    return str(decoder_arguments[0])


def _refuse_converted_pixels(image: ImageFile, stored_mode: str, shown: str) -> None:
    """Refuse pixels whose numbers Pillow converts, such as those of 2 or 4 bits."""
    is_colour = image.mode.startswith(("RGB", "LA"))
    is_converted = stored_mode in ("L;2", "L;4") or (is_colour and ";" in stored_mode)
    if image.mode not in _UNCONVERTED_MODES or is_converted:
        raise InputError(
            f"stores its pixels as '{stored_mode}', not as numbers of 8, 16 "
            "or 32 bits; write it anew, as 16-bit PNG or npy",
            path=shown,
        )


def _load_pixels(image: ImageFile) -> np.ndarray:
    width, height = image.size
    most_bytes_of_pixel = 8  # four channels of 16 bits
    check_unpacked(
        "the image", height, width, most_bytes_of_pixel, most_bytes=most_bytes_of_pixel * MAX_PIXELS
    )
    load_pixels(image)
    return np.array(image)


def _colour_of_16_bits(content: bytes, image: ImageFile, stored_mode: str) -> np.ndarray:
    """Colours of a PNG of 16 bits, of which Pillow delivers 8.

    They are the upper ones, or the lower ones if it is told that the bytes are reversed.
    """
    upper = _load_pixels(image).astype(np.uint16)
    with PngImageFile(BytesIO(content)) as reversed_image:
        reversed_mode = stored_mode.replace("16B", "16L")
        reversed_image.tile = [tile._replace(args=reversed_mode) for tile in reversed_image.tile]
        return (upper << 8) | _load_pixels(reversed_image)


@retry_miscounted
def _npy_array(content: bytes, path: Path, name: str | None) -> np.ndarray:
    with one_line_errors(printable(path), "npy file"):
        check_npy_header(BytesIO(content), len(content))
        return np.load(BytesIO(content), allow_pickle=False)


@retry_miscounted
def _npz_array(content: bytes, path: Path, name: str | None) -> np.ndarray:
    shown = printable(path)
    with (
        one_line_errors(shown, "npz file"),
        np.load(BytesIO(content), allow_pickle=False) as archive,
    ):
        chosen = _select_name(list(archive.files), name, "array", shown)
        return npz_member(archive, chosen)


@retry_miscounted
def open_npz(path: Path) -> NpzFile:
    """Open an npz file for ``npz_member``; the caller closes it.

    Raises:
        InputError: If it is no npz file.
    """
    check_regular(path)
    with one_line_errors(printable(path), "npz file"):
        archive = np.load(path, allow_pickle=False)
        if not isinstance(archive, NpzFile):
            raise ValueError("it holds one array alone")
        return archive


def npz_member(archive: Mapping[str, Any], name: str) -> np.ndarray:
    """Array of an npz file.

    Raises:
        ValueError: If the member is no array, which NumPy returns as bytes.
    """
    if isinstance(archive, NpzFile) and archive.zip is not None:
        for member in archive.zip.infolist():
            if member.filename in (name, f"{name}.npy"):
                check_zip_member(member, most_bytes=MAX_BYTES)
    array = archive[name]
    if not isinstance(array, np.ndarray):
        raise ValueError(f"'{name}' in it is not an array")
    return array


def _exr_array(content: bytes, path: Path, name: str | None) -> np.ndarray:
    shown = printable(path)
    try:
        with one_line_errors(shown, "EXR file"):
            channels = ExrChannels(path)
    except ImportError as error:
        raise MissingExtraError(f"{shown}, an OpenEXR file,", "formats") from error
    with one_line_errors(shown, "EXR file"):
        if name is None and channels.are_colours:
            return channels.read_colours()
        return channels.read_channel(_select_name(list(channels.names), name, "channel", shown))


def _select_name(names: list[str], name: str | None, kind: str, shown: str) -> str:
    """Name that was asked for, or the only one.

    Raises:
        InputError: If there is no such name, or several and none was asked for.
    """
    if name is None and len(names) == 1:
        return names[0]
    if name is None:
        raise InputError(
            f"holds several {kind}s, say which: {', '.join(names) or 'none'}",
            path=shown,
            hint="'array: NAME' in a layout, or 'array=NAME' in an encoding, says it",
        )
    if name not in names:
        raise InputError(f"has no {kind} '{name}'; {suggest(name, names)}", path=shown)
    return name


def _netpbm_array(
    content: bytes,
) -> UInt8[np.ndarray, "h w *c"] | UInt16[np.ndarray, "h w *c"] | Float32[np.ndarray, "h w *c"]:
    """Array of a binary PGM, PPM or PFM; rows of PFM are stored from the bottom to the top."""
    header = _NETPBM_HEADER.match(content)
    if header is None:
        raise ValueError("its header has no width, height and largest value")
    magic, width, height = header[1], int(header[2]), int(header[3])
    is_pfm = magic in (b"Pf", b"PF")
    number_type = _pfm_type(float(header[4])) if is_pfm else _pgm_type(float(header[4]))
    channels = (3,) if magic in (b"P6", b"PF") else ()
    shape = (height, width, *channels)

    count = math.prod(shape)
    expected_bytes, stored_bytes = count * number_type.itemsize, len(content) - header.end()
    if not count or stored_bytes < expected_bytes:
        raise ValueError(
            f"it promises {width} x {height} pixels, {expected_bytes} bytes, but has {stored_bytes}"
        )
    numbers = np.frombuffer(content, number_type, count, header.end()).reshape(shape)
    numbers = numbers.astype(number_type.newbyteorder("="))
    return numbers[::-1] if is_pfm else numbers


def _pfm_type(scale: float) -> np.dtype:
    if scale == 0:
        raise ValueError("its scale is 0, but its sign has to give the byte order")
    return np.dtype("<f4" if scale < 0 else ">f4")


def _pgm_type(largest_value: float) -> np.dtype:
    if not 0 < largest_value < 65536:
        raise ValueError(f"its largest value is {largest_value:g}, expected 1 to 65535")
    return np.dtype(">u2" if largest_value > 255 else "u1")


_READERS: Mapping[bytes, Callable[[bytes, Path, str | None], np.ndarray]] = {
    b"\x89PNG\r\n\x1a\n": _png_array,
    b"II*\0": _tiff_array,
    b"MM\0*": _tiff_array,
    b"\x93NUMPY": _npy_array,
    b"PK\x03\x04": _npz_array,
    b"PK\x05\x06": _npz_array,
    b"\x76\x2f\x31\x01": _exr_array,
}
"""Readers by the first bytes of a file."""
