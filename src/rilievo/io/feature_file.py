"""Header of a file of kept features, and whether such a file is whole.

It stands apart from the code that packs features, which needs torch: ``rilievo.verify`` does not.
"""

import struct
import zlib
from pathlib import Path

ENDING = ".features"
MAGIC = b"rilfeat\0"
HEADER = struct.Struct("<8sI4s32s32sQ")
"""Magic, version, storage, identity, image, length of the features."""

HEADER_BYTES = 128
"""Of these, 4 after the header are a checksum (0 in older files), and the rest is for later."""

_CHECKSUM = struct.Struct("<I")
_CHUNK = 1 << 20


def with_checksum(header: bytes, features: bytes) -> bytes:
    """A whole file: header, crc32 of header and features, features."""
    checksum = _CHECKSUM.pack(zlib.crc32(features, zlib.crc32(header)))
    return (header + checksum).ljust(HEADER_BYTES, b"\0") + features


def features_fault(path: Path) -> str | None:
    """What is wrong with a file of kept features; None if it is as it was written.

    Of a file without a checksum, written before 0.2, the length alone is compared.
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
