"""Checksums in the files that training caches: features of a backbone, and frames of a video.

Features are a file each, with a header of ``FEATURES_HEADER`` and its CRC-32. Frames of a video
are one file of pixels, with a record of ``FRAME_RECORD`` for each frame in a file beside it. A
fault is a sentence without its subject, for ``rilievo verify``.
"""

import struct
import zlib
from collections.abc import Iterable, Iterator
from enum import IntEnum
from pathlib import Path

import numpy as np

FEATURES_SUFFIX = ".features"
FEATURES_MAGIC = b"rilfeat\0"
FEATURES_HEADER = struct.Struct("<8sI4s32s32sQ")
"""Magic, version, storage, identity, image, and the number of bytes of the features."""
FEATURES_HEADER_BYTES = 128
"""Bytes before the features: the header, its CRC-32, and zeros."""
_CHECKSUM = struct.Struct("<I")
_CHUNK_BYTES = 1 << 20

FRAMES_SUFFIX = ".frames"
"""Of the pixels of cached frames; their records are in ``NAME.sums``."""
FRAMES_FORMAT = "rilievo-frames/2"
FRAME_RECORD = np.dtype([("state", "u1"), ("crc32", "<u4")])
"""What is stored about each frame: a ``FrameState``, and the CRC-32 of its pixels."""


class FrameState(IntEnum):
    """State of a cached frame."""

    NOT_DECODED = 0
    STORED = 1
    UNREADABLE = 2


def features_file_bytes(header: bytes, features: bytes) -> bytes:
    """Bytes of a file of features: header, CRC-32 of both, features."""
    checksum = _CHECKSUM.pack(zlib.crc32(features, zlib.crc32(header)))
    return (header + checksum).ljust(FEATURES_HEADER_BYTES, b"\0") + features


def features_fault(path: Path) -> str | None:
    """How a file of features is damaged; None if it is not."""
    if not path.is_file():
        return "is no file: remove it, and it is made again"
    with path.open("rb") as file:
        head = file.read(FEATURES_HEADER_BYTES)
        if len(head) < FEATURES_HEADER_BYTES or not head.startswith(FEATURES_MAGIC):
            return "has no header, as after a power cut: remove it, and it is made again"
        *_, stated_size = FEATURES_HEADER.unpack_from(head)
        (expected,) = _CHECKSUM.unpack_from(head, FEATURES_HEADER.size)
        checksum, size = zlib.crc32(head[: FEATURES_HEADER.size]), 0
        while chunk := file.read(_CHUNK_BYTES):
            checksum = zlib.crc32(chunk, checksum)
            size += len(chunk)
    if size != stated_size:
        return f"holds {size} bytes of features, not {stated_size}: remove it, and it is made again"
    if checksum != expected:
        return "differs from what was written (crc32): remove it, and it is made again"
    return None


def frame_checksums_path(frames: Path) -> Path:
    """Path of the frames' records."""
    return frames.with_suffix(".sums")


def frames_description_path(frames: Path) -> Path:
    """Path of the description of complete frames."""
    return frames.with_suffix(".json")


def frame_record_bytes(state: FrameState, pixels: bytes) -> bytes:
    """Bytes of the record of one frame."""
    return np.array((state, zlib.crc32(pixels)), FRAME_RECORD).tobytes()


def read_frame_records(frames: Path) -> np.ndarray:
    """Read state and CRC-32 of each frame; empty without a file."""
    path = frame_checksums_path(frames)
    content = path.read_bytes() if path.is_file() else b""
    return np.frombuffer(content, FRAME_RECORD, count=len(content) // FRAME_RECORD.itemsize)


def damaged_frame_indices(
    frames: Path, records: np.ndarray, indices: Iterable[int], frame_bytes: int
) -> Iterator[int]:
    """Yield those of ``indices`` whose pixels differ from their record."""
    with frames.open("rb") as file:
        for index in indices:
            file.seek(index * frame_bytes)
            if zlib.crc32(file.read(frame_bytes)) != records[index]["crc32"]:
                yield index


def frames_fault(frames: Path, count: int, frame_bytes: int) -> str | None:
    """Wrong size or first damaged frame of complete frames; None if they are whole."""
    size = frames.stat().st_size
    if size != count * frame_bytes:
        return f"holds {size} bytes, not {count * frame_bytes}: remove it"
    records = read_frame_records(frames)
    stored = np.flatnonzero(records["state"][:count] == FrameState.STORED)
    damaged = next(damaged_frame_indices(frames, records, map(int, stored), frame_bytes), None)
    if damaged is None:
        return None
    return f"its frame {damaged} differs from what was written (crc32): remove it, and train anew"
