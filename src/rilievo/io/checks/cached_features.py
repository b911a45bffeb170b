"""Checksums of cached features, and whether such a file is as it was written.

They stand apart from the code that makes them: ``rilievo.verify`` needs no torch.
"""

import struct
import zlib
from pathlib import Path

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
