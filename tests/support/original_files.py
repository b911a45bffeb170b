"""Files of datasets, written byte for byte as their formats say, by nothing that loaders use."""

import struct
import zlib
from collections.abc import Iterable
from pathlib import Path

import numpy as np


def write_png(path: Path, pixels: np.ndarray) -> Path:
    """A PNG of grey or RGB, 8 or 16 bits, without filters."""
    height, width = pixels.shape[:2]
    rows = pixels.astype(pixels.dtype.newbyteorder(">")).reshape(height, -1)
    lines = b"".join(b"\0" + row.tobytes() for row in rows)
    colour = 0 if pixels.ndim == 2 else 2
    header = struct.pack(">IIBBBBB", width, height, pixels.itemsize * 8, colour, 0, 0, 0)
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("wb") as file:
        file.write(b"\x89PNG\r\n\x1a\n")
        for kind, body in ((b"IHDR", header), (b"IDAT", zlib.compress(lines)), (b"IEND", b"")):
            file.write(struct.pack(">I", len(body)) + kind + body)
            file.write(struct.pack(">I", zlib.crc32(kind + body)))
    return path


def write_pfm(path: Path, values: Iterable[Iterable[float]]) -> Path:
    """A grey PFM of little-endian floats, its last row first."""
    rows = [list(row) for row in values]
    path.parent.mkdir(parents=True, exist_ok=True)
    body = b"".join(struct.pack(f"<{len(row)}f", *row) for row in reversed(rows))
    path.write_bytes(f"Pf\n{len(rows[0])} {len(rows)}\n-1\n".encode() + body)
    return path


def write_npy(path: Path, values: np.ndarray) -> Path:
    """An npy file of version 1.0, in C order."""
    path.parent.mkdir(parents=True, exist_ok=True)
    fact = f"{{'descr': '{values.dtype.str}', 'fortran_order': False, 'shape': {values.shape}, }}"
    fact += " " * (-(len(fact) + 11) % 64) + "\n"
    head = b"\x93NUMPY\1\0" + struct.pack("<H", len(fact)) + fact.encode()
    path.write_bytes(head + values.tobytes())
    return path


def noise(size: tuple[int, int], seed: int = 0) -> np.ndarray:
    """A photograph of nothing."""
    return np.random.default_rng(seed).integers(0, 256, (*size, 3), np.uint8)


def cut_short(path: Path, share: float = 0.6) -> None:
    """Keep the first part of a file."""
    whole = path.read_bytes()
    path.write_bytes(whole[: int(len(whole) * share)])
