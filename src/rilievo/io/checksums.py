"""Checks of files: sizes, checksums and traces of power cuts; ``rilievo.verify`` needs no torch."""

import hashlib
import re
import struct
import zipfile
import zlib
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from enum import Enum
from pathlib import Path

import numpy as np

from rilievo.errors import InputError
from rilievo.io.files.atomic import FileSum, replacing, sum_of, unwritable
from rilievo.io.files.limits import read_text, reason
from rilievo.io.json_record import NotThisRecord, from_json, parse_json, to_json

EMPTY, MISSING = "is empty (0 bytes)", "is missing"
BLANK = "begins or ends in zeros, as after a power cut"
CHANGED = "differs from what was written (sha256)"
# Bytes at each end, as many as a file system loses.
_END = 4096
_LAST = 16
_CHUNK = 1 << 20

CHECKSUMS = "checksums.json"
"""Sums of a folder, written last; of one file, ``NAME.checksums.json``."""

_SEARCHED = 1 << 16

_MARKS = (b"rilievo", "rilievo".encode("utf-32-le"), b"about.npy")

# First bytes of files without a mark.
_FIRST = {
    (".depth.npy", ".normals.npy"): b"\x93NUMPY",
    (".depth.mp4", ".normals.mp4"): b"\0\0\0",
    (".depth.mkv", ".normals.mkv", ".depth16.mkv"): b"\x1aE\xdf\xa3",
}

_FIRST_BYTES = re.compile(rb'\{\s*"format": "rilievo')

ONNX_KEY = "rilievo.sha256"

_DIGITS = 64

_METADATA_FIELD = 14  # metadata_props of onnx.ModelProto
_ENTRY_BYTES = 84

_DEPTH_ARRAYS = ("depth", "valid", "kind", "unit", "network_depth", "measured", "confidence", "sky")

FEATURES = ".features"

MAGIC = b"rilfeat\0"

HEADER = struct.Struct("<8sI4s32s32sQ")
"""Magic, version, storage, identity, image, length."""

HEADER_BYTES = 128

_CHECKSUM = struct.Struct("<I")

FRAMES = ".frames"
"""Cached frames; ``NAME.sums`` has records."""

FRAMES_FORMAT = "rilievo-frames/2"

# 0 is not decoded yet.
THERE, BROKEN = 1, 2

RECORD = np.dtype([("state", "u1"), ("crc32", "<u4")])


class CheckLevel(Enum):
    """Level of a comparison of files."""

    SIZES = "sizes"
    ENDS = "ends"
    """Sizes and zeros at either end, as after a power cut."""
    HASHES = "hashes"


def first_fault(folder: Path, sums: Mapping[str, FileSum], thoroughness: CheckLevel) -> str | None:
    """First file that differs from its sums, in words."""
    for name, expected in sums.items():
        fault = _FAULTS[thoroughness](folder / name, expected)
        if fault is not None:
            return f"{name} {fault}"
    return None


def _size_fault(path: Path, expected: FileSum) -> str | None:
    try:
        size = path.stat().st_size
    except OSError:
        return MISSING
    if not path.is_file():
        return "is not a regular file"
    if size == expected.bytes:
        return None
    return EMPTY if not size else f"has {size:,} bytes, {expected.bytes:,} were written"


def _ends_fault(path: Path, expected: FileSum) -> str | None:
    """Fault by size and zeros at either end."""
    fault = _size_fault(path, expected)
    if fault is not None or not expected.bytes:
        return fault
    try:
        head, tail = _first_and_last_bytes(path, _END)
    except OSError as error:
        return f"cannot be read ({reason(error)})"
    if any(head) and any(tail[-_LAST:]):
        return None
    return None if content_fault(path, expected) is None else BLANK


def content_fault(path: Path, expected: FileSum) -> str | None:
    """File's difference in size or SHA-256, in words."""
    fault = _size_fault(path, expected)
    if fault is not None:
        return fault
    try:
        return None if sum_of(path) == expected else CHANGED
    except OSError as error:
        return f"cannot be read ({reason(error)})"


def crc32_of_numbers(numbers: np.ndarray) -> int:
    """CRC-32 of an array's numbers in rows, the least significant byte first."""
    return zlib.crc32(np.ascontiguousarray(numbers, numbers.dtype.newbyteorder("<")).data)


def crc32_of_npz(archive: zipfile.ZipFile) -> int:
    """CRC-32 of those arrays of an npz file that say what its depth is, by the archive's own sums.

    Further arrays may be added, and K, the photograph and the normals are compared as they are.
    """
    sums = {member.filename: member.CRC for member in archive.infolist()}
    files = [f"{name}.npy" for name in _DEPTH_ARRAYS]
    text = "".join(f"{file} {sums[file]:08x}\n" for file in files if file in sums)
    return zlib.crc32(text.encode())


@dataclass(frozen=True, slots=True, kw_only=True)
class _Checksums:
    format: str = "rilievo-checksums/1"
    files: Mapping[str, FileSum]


def write_checksums(
    path: Path, names: Iterable[str], *, sums: Mapping[str, FileSum] | None = None
) -> None:
    """Write a JSON of size and SHA-256 of those named files that exist.

    Names are relative to its folder; ``sums`` need not be computed again.
    """
    checksums = sums or {}
    paths = {name: path.parent / name for name in names if name not in checksums}
    try:
        computed = {name: sum_of(file) for name, file in paths.items() if file.is_file()}
    except OSError as error:
        raise unwritable(path.parent, error) from error
    with replacing(path) as part:
        text = to_json(_Checksums(files={**computed, **checksums}), indent=1)
        part.write_text(text + "\n", encoding="utf-8")


def checksum_path(path: Path) -> Path:
    """Path of the JSON beside a single file."""
    return path.with_name(f"{path.name}.{CHECKSUMS}")


def read_sums(path: Path) -> Mapping[str, FileSum] | None:
    """Read size and SHA-256 by path; None without content."""
    if not path.exists() or is_torn(path):
        return None
    try:
        sums = from_json(_Checksums, read_text(path)).files
    except NotThisRecord as error:
        raise InputError(f"is not a list of checksums: {error}", path=path) from error
    for name in sums:
        if Path(name).is_absolute() or ".." in Path(name).parts or "\0" in name:
            raise InputError(f"'{name}' is not a file in its folder", path=path)
    return sums


def is_blank(path: Path) -> bool:
    """Whether a file has 0 bytes or only zeros."""
    try:
        if not path.is_file():
            return False
        with path.open("rb") as file:
            return not any(any(block) for block in iter(lambda: file.read(_CHUNK), b""))
    except OSError:
        return False


def is_torn(record: Path) -> bool:
    """Whether a JSON of ours is cut or zeros."""
    if is_blank(record):
        return True
    try:
        if record.is_file() and _FIRST_BYTES.match(_first_and_last_bytes(record, _SEARCHED)[0]):
            parse_json(record.read_bytes())
    except NotThisRecord:
        return True
    except OSError:
        pass
    return False


def is_ours_or_blank(path: Path) -> bool:
    """Whether a file, or folder of frames, has our mark or no content."""
    if path.is_dir():
        return path.suffix == ".frames" and all(map(is_ours_or_blank, path.iterdir()))
    try:
        head, tail = _first_and_last_bytes(path, _SEARCHED) if path.is_file() else (b"", b"")
    except OSError:
        return False
    if any(mark in end for end in (head, tail) for mark in _MARKS):
        return True
    if any(path.name.endswith(names) and head.startswith(_FIRST[names]) for names in _FIRST):
        return True
    is_cut_archive = path.suffix == ".npz" and head[:2] == b"PK" and not _is_zip(path)
    return is_cut_archive or is_blank(path)


def _first_and_last_bytes(path: Path, count: int) -> tuple[bytes, bytes]:
    with path.open("rb") as file:
        head = file.read(count)
        file.seek(max(0, path.stat().st_size - count))
        return head, file.read()


def _onnx_metadata_entry(digest: str) -> bytes:
    pair = b"".join(
        bytes([tag, len(text)]) + text
        for tag, text in ((10, ONNX_KEY.encode()), (18, digest.encode()))
    )
    return bytes([_METADATA_FIELD << 3 | 2, len(pair)]) + pair


def append_onnx_checksum(path: Path) -> None:
    """Append or replace an ONNX file's checksum."""
    content = path.read_bytes()
    if _onnx_digest_at_end(content) is not None:
        content = content[:-_ENTRY_BYTES]
    path.write_bytes(content + _onnx_metadata_entry(hashlib.sha256(content).hexdigest()))


def has_onnx_checksum(path: Path) -> bool:
    """Whether an ONNX file ends in a checksum."""
    try:
        return _onnx_digest_at_end(_first_and_last_bytes(path, _ENTRY_BYTES)[1]) is not None
    except OSError:
        return False


def onnx_fault(path: Path) -> str | None:
    """ONNX file's difference from the checksum at its end, in words."""
    try:
        content = path.read_bytes()
    except OSError as error:
        return f"cannot be read ({reason(error)})"
    expected = hashlib.sha256(content[:-_ENTRY_BYTES]).hexdigest()
    return None if _onnx_digest_at_end(content) == expected else CHANGED


def _onnx_digest_at_end(content: bytes) -> str | None:
    digest = content[-_DIGITS:].decode("ascii", "replace")
    return (
        digest
        if len(digest) == _DIGITS and content.endswith(_onnx_metadata_entry(digest))
        else None
    )


def features_file_bytes(header: bytes, features: bytes) -> bytes:
    """Bytes of a file of features: header, CRC-32 of both, features."""
    checksum = _CHECKSUM.pack(zlib.crc32(features, zlib.crc32(header)))
    return (header + checksum).ljust(HEADER_BYTES, b"\0") + features


def features_fault(path: Path) -> str | None:
    """Damage of a cached feature file, in words."""
    if not path.is_file():
        return "is no file: remove it, and it is made again"
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
    if checksum != expected:
        return "differs from what was written (crc32): remove it, and it is made again"
    return None


def frame_checksums_path(frames: Path) -> Path:
    """Path of the frames' records."""
    return frames.with_suffix(".sums")


def frames_description_path(frames: Path) -> Path:
    """Path of the description of complete frames."""
    return frames.with_suffix(".json")


def frame_record_bytes(state: int, pixels: bytes) -> bytes:
    """State of a frame, and CRC-32 of its pixels."""
    return np.array((state, zlib.crc32(pixels)), RECORD).tobytes()


def read_frame_records(frames: Path) -> np.ndarray:
    """Read state and CRC-32 of each frame; empty without a file."""
    path = frame_checksums_path(frames)
    stored = path.read_bytes() if path.is_file() else b""
    return np.frombuffer(stored, RECORD, count=len(stored) // RECORD.itemsize)


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
    """Wrong size or first damaged frame, in words."""
    if frames.stat().st_size != count * frame_bytes:
        return f"holds {frames.stat().st_size} bytes, not {count * frame_bytes}: remove it"
    records = read_frame_records(frames)
    there = np.flatnonzero(records["state"][:count] == THERE)
    bad = next(damaged_frame_indices(frames, records, map(int, there), frame_bytes), None)
    if bad is None:
        return None
    return f"its frame {bad} differs from what was written (crc32): remove it, and train anew"


_FAULTS = {
    CheckLevel.SIZES: _size_fault,
    CheckLevel.ENDS: _ends_fault,
    CheckLevel.HASHES: content_fault,
}


def _is_zip(path: Path) -> bool:
    return zipfile.is_zipfile(path)
