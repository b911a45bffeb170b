"""Files that training writes, with checksums inside of them or beside them.

An ONNX file of rilievo has its SHA-256 in its last bytes, as an entry of the model's metadata, so
that other programs can still read the file.

Training also caches features of a backbone and frames of a video. The features of each image are
one file, with a header and a CRC-32. The frames of a video are one file of
pixels, with a record of ``FRAME_RECORD`` for each frame in a file beside it.

A fault is a sentence without its subject, for ``rilievo verify``.
"""

import hashlib
import os
import struct
import zlib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from enum import IntEnum
from pathlib import Path

import numpy as np

from rilievo.io.checksums import CHANGED
from rilievo.io.files.limits import reason

ONNX_KEY = "rilievo.sha256"
"""Key of the entry in the model's metadata."""

_ONNX_METADATA_TAG = 14 << 3 | 2  # metadata_props of onnx.ModelProto, with a length
_ONNX_KEY_TAG, _ONNX_VALUE_TAG = 1 << 3 | 2, 2 << 3 | 2  # of onnx.StringStringEntryProto
_ONNX_DIGITS = 64
_ONNX_ENTRY_BYTES = 84

FEATURES_SUFFIX = ".features"
_FEATURES_MAGIC = b"rilfeat\0"
_FEATURES_HEADER = struct.Struct("<8sI4s32s32sQ")
"""Magic, version, storage, identity, image, and the number of bytes of the features."""
FEATURES_HEADER_BYTES = 128
"""Bytes before the features: the header, its CRC-32, and zeros."""
_CHECKSUM = struct.Struct("<I")
_CHUNK_BYTES = 1 << 20

FRAMES_SUFFIX = ".frames"
"""Suffix of the pixels of cached frames; their records are in ``NAME.sums``."""
FRAMES_FORMAT = "rilievo-frames/2"
FRAME_RECORD = np.dtype([("state", "u1"), ("crc32", "<u4")])
"""Record of each frame: a ``FrameState``, and the CRC-32 of its pixels."""


class FrameState(IntEnum):
    """State of a cached frame."""

    NOT_DECODED = 0
    STORED = 1
    UNREADABLE = 2


@dataclass(frozen=True, slots=True, kw_only=True)
class FeaturesHeader:
    """What the header of a file of features states.

    Attributes:
        version: Version of the format.
        storage: How the numbers are stored, in four bytes.
        identity: SHA-256 of all that the features depend on besides the image.
        image: SHA-256 of the image.
    """

    version: int
    storage: bytes
    identity: bytes
    image: bytes


def features_file_bytes(features: bytes, stated: FeaturesHeader) -> bytes:
    """Bytes of a file of features: the header, the CRC-32 of header and features, the features."""
    header = _FEATURES_HEADER.pack(
        _FEATURES_MAGIC,
        stated.version,
        stated.storage,
        stated.identity,
        stated.image,
        len(features),
    )
    checksum = _CHECKSUM.pack(zlib.crc32(features, zlib.crc32(header)))
    return (header + checksum).ljust(FEATURES_HEADER_BYTES, b"\0") + features


def read_features_header(path: Path) -> FeaturesHeader | None:
    """Read the header of a file of features; None if it has none."""
    with path.open("rb") as file:
        head = file.read(FEATURES_HEADER_BYTES)
    if len(head) < FEATURES_HEADER_BYTES or not head.startswith(_FEATURES_MAGIC):
        return None
    _, version, storage, identity, image, _ = _FEATURES_HEADER.unpack_from(head)
    return FeaturesHeader(version=version, storage=storage, identity=identity, image=image)


def features_fault(path: Path) -> str | None:
    """Describe how a file of features is damaged; None if it is not."""
    if not path.is_file():
        return "is not a file: delete it, and rilievo creates it again"
    with path.open("rb") as file:
        head = file.read(FEATURES_HEADER_BYTES)
        if len(head) < FEATURES_HEADER_BYTES or not head.startswith(_FEATURES_MAGIC):
            return (
                "has no header, perhaps because of a power cut: delete it, and rilievo creates it "
                "again"
            )
        *_, stated_bytes = _FEATURES_HEADER.unpack_from(head)
        (stated_crc,) = _CHECKSUM.unpack_from(head, _FEATURES_HEADER.size)
        feature_bytes = 0
        crc = zlib.crc32(head[: _FEATURES_HEADER.size])
        while chunk := file.read(_CHUNK_BYTES):
            crc = zlib.crc32(chunk, crc)
            feature_bytes += len(chunk)
    if feature_bytes != stated_bytes:
        return (
            f"has {feature_bytes:,} bytes of features instead of {stated_bytes:,}: delete it, and "
            "rilievo creates it again"
        )
    if crc != stated_crc:
        return "differs from what was written (crc32): delete it, and rilievo creates it again"
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
    """Read state and CRC-32 of each frame; empty if there is no file of records."""
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
    """Describe a wrong size or the first damaged frame; None if all frames are as written."""
    size = frames.stat().st_size
    if size != count * frame_bytes:
        return f"has {size:,} bytes instead of {count * frame_bytes:,}: delete it, and train again"
    records = read_frame_records(frames)
    stored_indices = np.flatnonzero(records["state"][:count] == FrameState.STORED)
    damaged = damaged_frame_indices(frames, records, map(int, stored_indices), frame_bytes)
    first_damaged = next(damaged, None)
    if first_damaged is None:
        return None
    return (
        f"its frame {first_damaged} differs from what was written (crc32): delete it, and train "
        "again"
    )


def append_onnx_checksum(path: Path) -> None:
    """Append the checksum of an ONNX file to its end, or replace an earlier one."""
    content = path.read_bytes()
    if _onnx_digest_at_end(content) is not None:
        content = content[:-_ONNX_ENTRY_BYTES]
    path.write_bytes(content + _onnx_metadata_entry(hashlib.sha256(content).hexdigest()))


def has_onnx_checksum(path: Path) -> bool:
    """Whether an ONNX file ends in a checksum."""
    try:
        with path.open("rb") as file:
            file.seek(max(0, os.fstat(file.fileno()).st_size - _ONNX_ENTRY_BYTES))
            return _onnx_digest_at_end(file.read()) is not None
    except OSError:
        return False


def onnx_fault(path: Path) -> str | None:
    """Describe how an ONNX file differs from the checksum at its end; None if it does not."""
    try:
        content = path.read_bytes()
    except OSError as error:
        return f"cannot be read ({reason(error)})"
    expected = hashlib.sha256(content[:-_ONNX_ENTRY_BYTES]).hexdigest()
    return None if _onnx_digest_at_end(content) == expected else CHANGED


def _onnx_digest_at_end(content: bytes) -> str | None:
    """Hexadecimal digits of the checksum at the end of a file; None if there is no checksum."""
    digest = content[-_ONNX_DIGITS:].decode("ascii", "replace")
    if len(digest) == _ONNX_DIGITS and content.endswith(_onnx_metadata_entry(digest)):
        return digest
    return None


def _onnx_metadata_entry(digest: str) -> bytes:
    key = _protobuf_field(_ONNX_KEY_TAG, ONNX_KEY.encode())
    value = _protobuf_field(_ONNX_VALUE_TAG, digest.encode())
    return _protobuf_field(_ONNX_METADATA_TAG, key + value)


def _protobuf_field(tag: int, content: bytes) -> bytes:
    return bytes([tag, len(content)]) + content
