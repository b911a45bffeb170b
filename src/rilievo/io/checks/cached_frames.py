"""Checksums of cached frames, and whether a file of frames is as it was written.

Beside ``NAME.frames``, the pixels of the frames one after the other, ``NAME.sums`` has a record for
each. They stand apart from the code that makes them: ``rilievo.verify`` needs no torch.
"""

import zlib
from collections.abc import Iterable, Iterator
from pathlib import Path

import numpy as np

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
