"""Checksums of cached features and frames, and whether a cache is as it was written.

They stand apart from the code that makes them: ``rilievo.verify`` needs no torch. Beside
``NAME.frames``, the pixels of the frames one after the other, ``NAME.sums`` has a record for each.
"""

import struct
import zlib
from collections.abc import Iterable, Iterator
from pathlib import Path

import numpy as np

FEATURES = ".features"
MAGIC = b"rilfeat\0"
HEADER = struct.Struct("<8sI4s32s32sQ")
"""Fields: magic, version, storage, identity, image, length of the features."""

HEADER_BYTES = 128
"""Size of the header in the file. The 4 bytes after the fields are a checksum (0 in older files);
the rest is reserved.
"""

_CHECKSUM = struct.Struct("<I")
_CHUNK = 1 << 20


def with_checksum(header: bytes, features: bytes) -> bytes:
    """Bytes of a complete file: header, CRC-32 of header and features, features."""
    checksum = _CHECKSUM.pack(zlib.crc32(features, zlib.crc32(header)))
    return (header + checksum).ljust(HEADER_BYTES, b"\0") + features


def features_fault(path: Path) -> str | None:
    """Describe the damage to a cached feature file; None if it is undamaged.

    Files without a checksum, written before 0.2, are checked by their length alone.
    """
    with path.open("rb") as file:
        head = file.read(HEADER_BYTES)
        if len(head) < HEADER_BYTES or not head.startswith(MAGIC):
            return "has no header, as after a power cut: remove it, and it is made again"
        *_, length = HEADER.unpack_from(head)
        (expected,) = _CHECKSUM.unpack_from(head, HEADER.size)
        checksum, size = zlib.crc32(head[: HEADER.size]), 0
        while chunk := file.read(_CHUNK):
            checksum, size = zlib.crc32(chunk, checksum), size + len(chunk)
    if size != length:
        return f"holds {size} bytes of features, not {length}: remove it, and it is made again"
    if expected and checksum != expected:
        return "differs from what was written (crc32): remove it, and it is made again"
    return None


FRAMES = ".frames"
FRAMES_FORMAT = "rilievo-frames/2"

THERE, BROKEN = 1, 2
"""States of a frame: decoded, or not decodable; 0 is not decoded yet."""

RECORD = np.dtype([("state", "u1"), ("crc32", "<u4")])
"""Record of a frame in ``NAME.sums``."""


def sums_path(frames: Path) -> Path:
    """Path of the checksums of a file of frames."""
    return frames.with_suffix(".sums")


def about_path(frames: Path) -> Path:
    """Path of the description of a complete file of frames."""
    return frames.with_suffix(".json")


def record(state: int, pixels: bytes) -> bytes:
    """Record of a frame, as it is written."""
    return np.array((state, zlib.crc32(pixels)), RECORD).tobytes()


def read_records(frames: Path) -> np.ndarray:
    """Records of the frames that were dealt with; empty where there are none."""
    path = sums_path(frames)
    stored = path.read_bytes() if path.is_file() else b""
    return np.frombuffer(stored, RECORD, count=len(stored) // RECORD.itemsize)


def damaged_frames(
    frames: Path, records: np.ndarray, indices: Iterable[int], bytes_each: int
) -> Iterator[int]:
    """Frames among these whose pixels are not those that were written."""
    with frames.open("rb") as file:
        for index in indices:
            file.seek(index * bytes_each)
            if zlib.crc32(file.read(bytes_each)) != records[index]["crc32"]:
                yield index


def frames_fault(frames: Path, count: int, bytes_each: int) -> str | None:
    """Name what is wrong with a complete file of frames; None if it is as it was written."""
    if frames.stat().st_size != count * bytes_each:
        return f"holds {frames.stat().st_size} bytes, not {count * bytes_each}: remove it"
    records = read_records(frames)
    there = np.flatnonzero(records["state"][:count] == THERE)
    bad = list(damaged_frames(frames, records, map(int, there), bytes_each))
    if not bad:
        return None
    return f"its frame {bad[0]} differs from what was written (crc32): remove it, and train anew"
