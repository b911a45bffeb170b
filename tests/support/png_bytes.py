"""PNG files byte by byte, for look-alikes of downloads: shares nothing with what reads them."""

import struct
import zlib
from pathlib import Path

import numpy as np


def write_grey16(path: Path, numbers: np.ndarray) -> None:
    """A 16-bit grey PNG: every row unfiltered, the high byte of a number first."""
    rows = [b"\0" + b"".join(struct.pack(">H", int(number)) for number in row) for row in numbers]
    _write(path, numbers.shape, 16, 0, b"".join(rows))


def write_rgb8(path: Path, pixels: np.ndarray) -> None:
    """An 8-bit RGB PNG."""
    rows = [b"\0" + bytes(int(number) for number in row.ravel()) for row in pixels]
    _write(path, pixels.shape[:2], 8, 2, b"".join(rows))


def write_rgba16(path: Path, pixels: np.ndarray) -> None:
    """A PNG of red, green, blue and alpha of 16 bits each."""
    rows = [b"\0" + row.astype(">u2").tobytes() for row in pixels]
    _write(path, pixels.shape[:2], 16, 6, b"".join(rows))


def _write(path: Path, shape: tuple[int, ...], bits: int, colour: int, rows: bytes) -> None:
    header = struct.pack(">IIBBBBB", shape[1], shape[0], bits, colour, 0, 0, 0)
    parts = ((b"IHDR", header), (b"IDAT", zlib.compress(rows, 1)), (b"IEND", b""))
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(
        b"\x89PNG\r\n\x1a\n"
        + b"".join(
            struct.pack(">I", len(body)) + name + body + struct.pack(">I", zlib.crc32(name + body))
            for name, body in parts
        )
    )
