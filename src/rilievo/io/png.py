"""Fast writer of PNG (W3C 2025) for smooth maps: one filter and the fastest deflate."""

import struct
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np

from rilievo.arrays.shapes import UInt8, UInt16

_BAND_PIXELS = 1 << 16
"""Pixels of a band of rows, whose arrays then stay in the processor's cache."""
_COLOUR_TYPES = {1: 0, 3: 2, 4: 6}
"""PNG's codes for grey, RGB and RGBA, by the number of channels."""
_PALETTE_COLOUR_TYPE = 3
_UP_FILTER = 2
"""PNG's code for the filter that subtracts the row above."""


def row_bands(shape: tuple[int, ...]) -> Iterator[slice]:
    """Yield slices of rows that together cover an image, each with about 65,000 pixels."""
    height, width = shape[:2]
    band_height = max(1, _BAND_PIXELS // width)
    for top in range(0, height, band_height):
        yield slice(top, min(top + band_height, height))


def write_png(
    path: Path,
    pixels: UInt8[np.ndarray, "h w *c"] | UInt16[np.ndarray, "h w"],
    text: Mapping[str, str],
    *,
    palette: UInt8[np.ndarray, "256 3"] | None = None,
) -> None:
    """Write an 8-bit grey, RGB, RGBA or palette picture, or a 16-bit grey one.

    Args:
        path: File to write.
        pixels: Picture.
        text: Texts in UTF-8, by keywords in Latin-1 of 1 to 79 characters.
        palette: Colours that 8-bit numbers stand for; None if they are grey.

    Raises:
        OSError: If the file cannot be written.
    """
    height, width = pixels.shape[:2]
    channels = pixels.shape[2] if pixels.ndim == 3 else 1
    bits = pixels.dtype.itemsize * 8
    colour_type = _COLOUR_TYPES[channels] if palette is None else _PALETTE_COLOUR_TYPE
    header = struct.pack(">IIBBBBB", width, height, bits, colour_type, 0, 0, 0)
    with path.open("wb") as file:
        file.write(b"\x89PNG\r\n\x1a\n")
        _write_chunk(file, b"IHDR", header)
        for keyword, value in text.items():
            # The zeros end the keyword, and mean no compression, language or translated keyword.
            _write_chunk(file, b"iTXt", keyword.encode("latin-1") + b"\0\0\0\0\0" + value.encode())
        if palette is not None:
            _write_chunk(file, b"PLTE", palette.tobytes())
        _write_pixel_chunks(file, pixels)
        _write_chunk(file, b"IEND", b"")


def _write_pixel_chunks(file: BinaryIO, pixels: np.ndarray) -> None:
    """Write the pixels band by band: each row minus the row above, compressed."""
    deflate = _compressor(pixels.dtype)
    row_above = np.zeros(pixels[0].nbytes, np.uint8)
    for rows in row_bands(pixels.shape):
        band = _big_endian_bytes(pixels[rows])
        filtered = np.empty((len(band), band.shape[1] + 1), np.uint8)
        filtered[:, 0] = _UP_FILTER  # Each row begins with the code of its filter.
        np.subtract(band[0], row_above, out=filtered[0, 1:])
        np.subtract(band[1:], band[:-1], out=filtered[1:, 1:])
        row_above = band[-1]
        compressed = deflate.compress(filtered.data)
        if compressed:
            _write_chunk(file, b"IDAT", compressed)
    _write_chunk(file, b"IDAT", deflate.flush())


def _compressor(number_type: np.dtype) -> Any:
    """Make a compressor, with the interface of zlib's, that is fast for numbers of a type."""
    # Imported on demand, because ``row_bands`` needs neither.
    import zlib

    from isal import isal_zlib

    # Run-length encoding, without a search for matches, suits 8-bit pictures better. In 16-bit
    # pictures, the lower bytes are noise and interrupt the runs.
    if number_type == np.uint8:
        return zlib.compressobj(1, zlib.DEFLATED, 15, 9, zlib.Z_RLE)
    return isal_zlib.compressobj(1)


def _big_endian_bytes(rows: np.ndarray) -> UInt8[np.ndarray, "h n"]:
    """Bytes of pixels as PNG stores them, the most significant byte first."""
    contiguous = np.ascontiguousarray(rows)
    big_endian = contiguous.astype(contiguous.dtype.newbyteorder(">"), copy=False)
    return big_endian.view(np.uint8).reshape(len(rows), -1)


def _write_chunk(file: BinaryIO, kind: bytes, content: bytes) -> None:
    import zlib

    file.write(struct.pack(">I", len(content)) + kind)
    file.write(content)
    file.write(struct.pack(">I", zlib.crc32(content, zlib.crc32(kind))))
