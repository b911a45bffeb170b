"""Read arrays of other programs, unscaled: depth, disparity, normals and masks.

Nothing is unpickled. Chunks of OpenEXR hold all channels, so their size is bounded.
"""

import lzma
import math
import os
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

# A channel of the largest photograph, or 15 at 4K.
MOST_BYTES = 2**29
_TYPES = (np.dtype("<u4"), np.dtype("<f2"), np.dtype("<f4"))


class ExrChannels:
    """Channels of an OpenEXR file's first part, as large as its display window.

    The data window says where the stored pixels lie in the picture, which the display window is. A
    render of a region stores a part of the picture, and a render with overscan more than all of it.
    """

    def __init__(self, path: Path) -> None:
        """Read the header.

        Raises:
            ImportError: If OpenEXR is not installed.
            ValueError: If it states more than ``MOST_BYTES``, or if none of its pixels lie in the
                picture.
        """
        import OpenEXR

        # OpenEXR reads files, not bytes, and takes their names in Unicode or as bytes.
        name = os.fsencode(path)
        # InputFile ends the process where a name in the header is not UTF-8, and File refuses it.
        OpenEXR.File(name, separate_channels=True, header_only=True)
        self._file = OpenEXR.InputFile(name)
        self._header = self._file.header()
        window = self._header["dataWindow"]
        self._shape = (window.max.y - window.min.y + 1, window.max.x - window.min.x + 1)
        stored = self._header["channels"]
        self._types = {name: _TYPES[channel.type.v] for name, channel in stored.items()}
        self.names = (*self._types,)
        check_unpacked("a channel", *self._shape, most_bytes=MAX_PIXELS)
        every = sum(kind.itemsize for kind in self._types.values())
        check_unpacked(
            f"its image of {len(self.names)} channels", *self._shape, every, most_bytes=MOST_BYTES
        )
        display = self._header["displayWindow"]
        self._picture_shape = (display.max.y - display.min.y + 1, display.max.x - display.min.x + 1)
        self._offset = (window.min.y - display.min.y, window.min.x - display.min.x)
        check_unpacked("a channel of its picture", *self._picture_shape, most_bytes=MAX_PIXELS)
        if min(self._overlap_shape) < 1:
            raise ValueError("its data window lies outside of its display window")

    @property
    def are_colours(self) -> bool:
        """Whether channels are R, G, B (and A) of one type."""
        return {*self.names} in ({*"RGB"}, {*"RGBA"}) and len({*self._types.values()}) == 1

    def read_colours(self) -> np.ndarray:
        """Read R, G, B (and A) as the last axis."""
        order = "RGBA"[: len(self.names)]
        return np.stack([self.read_channel(name) for name in order], axis=-1)

    @property
    def attributes(self) -> Mapping[str, Any]:
        """Attributes of the header: texts are bytes, numbers are numbers."""
        return self._header

    def attribute_text(self, name: str) -> str:
        """Text of an attribute.

        Raises:
            KeyError: If there is none.
            ValueError: If it is not UTF-8.
        """
        content = self._header[name]
        if not isinstance(content, bytes):
            raise ValueError("its header is damaged")
        return content.decode()

    def read_channel(self, name: str) -> np.ndarray:
        """Read a channel in its type.

        Pixels of the picture that are not stored are NaN, or 0 where the numbers are whole.
        """
        content = self._file.channel(name)
        stored = np.frombuffer(content, self._types[name]).reshape(self._shape)
        if self._offset == (0, 0) and self._picture_shape == self._shape:
            return stored
        top, left = self._offset
        rows, columns = self._overlap_shape
        first_row, first_column = max(top, 0), max(left, 0)
        empty = np.nan if stored.dtype.kind == "f" else 0
        picture = np.full(self._picture_shape, empty, stored.dtype)
        picture[first_row : first_row + rows, first_column : first_column + columns] = stored[
            first_row - top : first_row - top + rows,
            first_column - left : first_column - left + columns,
        ]
        return picture

    @property
    def _overlap_shape(self) -> tuple[int, int]:
        """Rows and columns that are stored and lie in the picture; below 1 if there are none."""
        sides = zip(self._offset, self._shape, self._picture_shape, strict=True)
        rows, columns = (min(start + length, side) - max(start, 0) for start, length, side in sides)
        return rows, columns


NUMBER_SUFFIXES = (".png", ".npy", ".npz", ".exr", ".tif", ".tiff", ".pfm", ".pgm")
"""Usual suffixes; content decides."""
_BROKEN = (*PILLOW_ERRORS, MemoryError, zipfile.BadZipFile, tokenize.TokenError, Warning)
_BROKEN += (lzma.LZMAError,)
_EXPECTED = "PNG, TIFF, npy, npz, EXR, PFM and PGM hold numbers"

# Modes whose arrays hold the file's own values; others are palettes or converted.
_PLAIN_MODES = frozenset({"1", "L", "I", "F", "I;16", "I;16B", "I;16L", "LA", "RGB", "RGBA"})

_HEADER = re.compile(rb"(P[56Ff])\s+(?:#[^\n]*\n\s*)*(\d+)\s+(\d+)\s+(-?[0-9.eE+-]+)\s")


def read_numbers(path: Path | str, *, name: str | None = None) -> Shaped[np.ndarray, "h w *c"]:
    """Read the array of a file, in its type, without axes of length one.

    Formats are PNG, TIFF (grey of 8, 16 or 32 bits, float32; 8-bit colour), npy, npz, OpenEXR with
    the extra ``exr``, PFM, binary PGM and PPM. ``name`` is an array of npz or channel of EXR.
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
    for signature, read in _READERS.items():
        if content.startswith(signature):
            return _squeeze_and_check(read(content, Path(path), name), shown)
    if content[:2] in (b"P5", b"P6", b"Pf", b"PF") and content[2:3].isspace():
        with one_line_errors(shown, "PGM or PFM file"):
            return _squeeze_and_check(_netpbm_array(content), shown)
    raise InputError(f"its content is not an array of numbers; {_EXPECTED}", path=shown)


def read_map(path: Path | str, *, name: str | None = None) -> Shaped[np.ndarray, "h w"]:
    """Read one value a pixel: depth, disparity, a mask."""
    numbers = read_numbers(path, name=name)
    if numbers.ndim != 2:
        raise InputError(
            (f"has shape {numbers.shape}, expected one number a pixel, (height, width)"), path=path
        )
    return numbers


@contextmanager
def one_line_errors(shown: str, what: str) -> Generator[None, None, None]:
    """Convert errors of decoders to ``InputError``."""
    try:
        yield
    except RilievoError:
        raise
    except (*_BROKEN, Image.DecompressionBombError) as error:
        raise InputError(
            (
                f"this {what} is cut short, damaged or of a rare kind "
                f"({reason(error)}); fetch it again or write it anew"
            ),
            path=shown,
        ) from error


def _squeeze_and_check(numbers: np.ndarray, shown: str) -> np.ndarray:
    if numbers.dtype == bool:
        numbers = numbers.astype(np.uint8)
    if numbers.dtype.kind not in "uif":
        raise InputError(
            f"holds {numbers.dtype}, expected whole or floating-point numbers", path=shown
        )
    shape = numbers.shape
    if numbers.ndim > 2:
        numbers = numbers.squeeze()
    if numbers.ndim not in (2, 3) or not numbers.size:
        raise InputError(
            f"has shape {shape}, expected (height, width) or with channels", path=shown
        )
    return np.ascontiguousarray(numbers, dtype=numbers.dtype.newbyteorder("="))


def _png_array(content: bytes, path: Path, name: str | None) -> np.ndarray:
    shown = printable(path)
    with one_line_errors(shown, "PNG file"), PngImageFile(BytesIO(content)) as image:
        stored = _stored_mode(image)
        if stored in ("RGB;16B", "RGBA;16B"):
            return _colour_of_16_bits(content, image, stored)
        _refuse_converted_pixels(image, stored, shown)
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
    arguments = image.tile[0][3]
    return str(arguments if isinstance(arguments, str) or not arguments else arguments[0])


def _refuse_converted_pixels(image: ImageFile, stored: str, shown: str) -> None:
    # Pillow would convert others.
    converted = stored in ("L;2", "L;4") or (image.mode.startswith(("RGB", "LA")) and ";" in stored)
    if image.mode not in _PLAIN_MODES or converted:
        raise InputError(
            (
                f"stores its pixels as '{stored}', not as numbers of 8, 16 "
                "or 32 bits; write it anew, as 16-bit PNG or npy"
            ),
            path=shown,
        )


def _load_pixels(image: ImageFile) -> np.ndarray:
    width, height = image.size
    # Of four channels of 16 bits, or one of 32.
    check_unpacked("the image", height, width, 8, most_bytes=8 * MAX_PIXELS)
    load_pixels(image)
    return np.array(image)


def _colour_of_16_bits(content: bytes, image: ImageFile, stored: str) -> np.ndarray:
    # Pillow delivers the upper 8 bits; reversed byte order has the lower.
    upper = _load_pixels(image).astype(np.uint16)
    with PngImageFile(BytesIO(content)) as again:
        other = stored.replace("16B", "16L")
        again.tile = [tile._replace(args=other) for tile in again.tile]
        return (upper << 8) | _load_pixels(again)


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
    """Open an npz file for ``npz_member``; the caller closes it."""
    check_regular(path)
    with one_line_errors(printable(path), "npz file"):
        archive = np.load(path, allow_pickle=False)
        if not isinstance(archive, NpzFile):
            raise ValueError("it holds one array alone")
        return archive


def npz_member(archive: Mapping[str, Any], name: str) -> np.ndarray:
    """Array of an npz file, whose other members numpy returns as bytes."""
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


def _select_name(names: list[str], name: str | None, what: str, shown: str) -> str:
    """Name, or the only one; refuses a doubtful choice."""
    if name is None and len(names) == 1:
        return names[0]
    if name is None:
        raise InputError(
            f"holds several {what}s, say which: {', '.join(names) or 'none'}",
            path=shown,
            hint="'array: NAME' in a layout, or 'array=NAME' in an encoding, says it",
        )
    if name not in names:
        raise InputError(f"has no {what} '{name}'; {suggest(name, names)}", path=shown)
    return name


def _netpbm_array(
    content: bytes,
) -> UInt8[np.ndarray, "h w *c"] | UInt16[np.ndarray, "h w *c"] | Float32[np.ndarray, "h w *c"]:
    header = _HEADER.match(content)
    if header is None:
        raise ValueError("its header has no width, height and largest value")
    width, height, last = int(header[2]), int(header[3]), float(header[4])
    channels = (3,) if header[1] in (b"P6", b"PF") else ()
    if content[:2] in (b"Pf", b"PF"):
        if last == 0:
            raise ValueError("its scale is 0, but its sign has to give the byte order")
        stored = np.dtype("<f4" if last < 0 else ">f4")
    elif 0 < last < 65536:
        stored = np.dtype(">u2" if last > 255 else "u1")
    else:
        raise ValueError(f"its largest value is {last:g}, expected 1 to 65535")
    count, there = math.prod((height, width, *channels)), len(content) - header.end()
    if not count or there < count * stored.itemsize:
        raise ValueError(
            f"it promises {width} x {height} pixels, {count * stored.itemsize} bytes, but has "
            f"{there}"
        )
    values = np.frombuffer(content, stored, count, header.end()).astype(stored.newbyteorder("="))
    values = values.reshape(height, width, *channels)
    return values[::-1] if stored.kind == "f" else values


_READERS: Mapping[bytes, Callable[[bytes, Path, str | None], np.ndarray]] = {
    b"\x89PNG\r\n\x1a\n": _png_array,
    b"II*\0": _tiff_array,
    b"MM\0*": _tiff_array,
    b"\x93NUMPY": _npy_array,
    b"PK\x03\x04": _npz_array,
    b"PK\x05\x06": _npz_array,
    b"\x76\x2f\x31\x01": _exr_array,
}
