"""Size and SHA-256 of the files that rilievo writes, and what a damaged file looks like.

A fault is a sentence without its subject, such as "is missing", that stands behind the file's name.
"""

import re
import zipfile
import zlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from enum import Enum
from pathlib import Path

import numpy as np

from rilievo.errors import InputError
from rilievo.io.files.atomic import FileSum, replacing, sum_of, unwritable
from rilievo.io.files.limits import read_text, reason
from rilievo.io.json_record import NotThisRecord, from_json, parse_json, to_json

CHECKSUMS = "checksums.json"
"""Name of the checksums of a folder, which are written last; of one file, its name is before it."""

EMPTY, MISSING = "is empty (0 bytes)", "is missing"
BLANK = "begins or ends in zeros, as after a power cut"
CHANGED = "differs from what was written (sha256)"

_BLOCK_BYTES = 4096
"""Bytes at each end of a file that are looked at: a file system loses whole blocks."""
_TAIL_BYTES = 16
"""Bytes at the end of a file that are not all zero in any of our formats."""
_CHUNK_BYTES = 1 << 20
_SEARCHED_BYTES = 1 << 16
"""Bytes at each end of a file in which rilievo's mark is looked for."""

_MARKS = (b"rilievo", "rilievo".encode("utf-32-le"), b"about.npy")
"""What most files of rilievo contain."""
_SIGNATURES = {
    (".depth.npy", ".normals.npy"): b"\x93NUMPY",
    (".depth.mp4", ".normals.mp4"): b"\0\0\0",
    (".depth.mkv", ".normals.mkv", ".depth16.mkv"): b"\x1aE\xdf\xa3",
}
"""First bytes of files of rilievo that contain no mark, by the ends of their names."""
_JSON_START = re.compile(rb'\{\s*"format": "rilievo')

_DEPTH_ARRAYS = ("depth", "valid", "kind", "unit", "network_depth", "measured", "confidence", "sky")
"""Arrays of an npz file that say what its depth is."""


class CheckLevel(Enum):
    """How thoroughly files are compared with their checksums."""

    SIZES = "sizes"
    ENDS = "ends"
    """Sizes and zeros at either end, as after a power cut."""
    HASHES = "hashes"


def first_fault(folder: Path, sums: Mapping[str, FileSum], level: CheckLevel) -> str | None:
    """Name and fault of the first file of a folder that differs from its sums; None without one."""
    faults_of_levels = {
        CheckLevel.SIZES: _size_fault,
        CheckLevel.ENDS: _ends_fault,
        CheckLevel.HASHES: content_fault,
    }
    fault_of = faults_of_levels[level]
    for name, expected in sums.items():
        fault = fault_of(folder / name, expected)
        if fault is not None:
            return f"{name} {fault}"
    return None


def content_fault(path: Path, expected: FileSum) -> str | None:
    """How a file differs from its size or its SHA-256; None if it does not."""
    fault = _size_fault(path, expected)
    if fault is not None:
        return fault
    try:
        return None if sum_of(path) == expected else CHANGED
    except OSError as error:
        return f"cannot be read ({reason(error)})"


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
    """Fault by size, and by zeros at either end if the file was not written with them."""
    fault = _size_fault(path, expected)
    if fault is not None or not expected.bytes:
        return fault
    try:
        head, tail = _first_and_last_bytes(path, _BLOCK_BYTES)
    except OSError as error:
        return f"cannot be read ({reason(error)})"
    if any(head) and any(tail[-_TAIL_BYTES:]):
        return None
    return None if content_fault(path, expected) is None else BLANK


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
    """Content of a JSON of checksums."""

    format: str = "rilievo-checksums/1"
    files: Mapping[str, FileSum]


def write_checksums(
    path: Path, names: Iterable[str], *, sums: Mapping[str, FileSum] | None = None
) -> None:
    """Write a JSON of size and SHA-256 of those named files that exist.

    Args:
        path: The JSON.
        names: Files, relative to its folder.
        sums: Sums of files that are known already.
    """
    known = sums or {}
    paths = {name: path.parent / name for name in names if name not in known}
    try:
        computed = {name: sum_of(file) for name, file in paths.items() if file.is_file()}
    except OSError as error:
        raise unwritable(path.parent, error) from error
    with replacing(path) as part:
        text = to_json(_Checksums(files={**computed, **known}), indent=1)
        part.write_text(text + "\n", encoding="utf-8")


def checksum_path(path: Path) -> Path:
    """Path of the JSON of checksums beside a single file."""
    return path.with_name(f"{path.name}.{CHECKSUMS}")


def read_sums(path: Path) -> Mapping[str, FileSum] | None:
    """Read size and SHA-256 of files by their paths; None if the JSON is missing or was cut off.

    Raises:
        InputError: If it is no list of checksums, or names a file outside of its folder.
    """
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
            while chunk := file.read(_CHUNK_BYTES):
                if any(chunk):
                    return False
    except OSError:
        return False
    return True


def is_torn(record: Path) -> bool:
    """Whether a JSON that rilievo wrote was cut off, or is all zeros, as after a power cut."""
    if is_blank(record):
        return True
    try:
        if not record.is_file():
            return False
        head, _ = _first_and_last_bytes(record, _SEARCHED_BYTES)
        if _JSON_START.match(head):
            parse_json(record.read_bytes())
    except NotThisRecord:
        return True
    except OSError:
        return False
    return False


def is_ours_or_blank(path: Path) -> bool:
    """Whether a file, or each file of a folder of frames, is rilievo's or has no content."""
    if path.is_dir():
        return path.suffix == ".frames" and all(map(is_ours_or_blank, path.iterdir()))
    try:
        head, tail = _first_and_last_bytes(path, _SEARCHED_BYTES) if path.is_file() else (b"", b"")
    except OSError:
        return False
    if any(mark in head or mark in tail for mark in _MARKS):
        return True
    for name_ends, signature in _SIGNATURES.items():
        if path.name.endswith(name_ends) and head.startswith(signature):
            return True
    is_zip_start = path.suffix == ".npz" and head.startswith(b"PK")
    if is_zip_start and not zipfile.is_zipfile(path):
        return True  # an npz that was cut off, whose list of members is at its end
    return is_blank(path)


def _first_and_last_bytes(path: Path, count: int) -> tuple[bytes, bytes]:
    with path.open("rb") as file:
        head = file.read(count)
        file.seek(max(0, path.stat().st_size - count))
        return head, file.read()
