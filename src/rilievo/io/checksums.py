"""Size and SHA-256 of the files that rilievo writes, and signs of a damaged file.

A fault is a sentence without its subject, such as "is missing". The name of the file precedes it.

Files that replace those of an earlier run get their final names together with their checksums. New
files are written beside the files that they replace. When all are complete, they get hidden names,
``.NAME.pending``, and their checksums get theirs last. From then on, the next run can finish what a
killed run began. The earlier checksums stay until every new file has its final name, so that
``rilievo verify`` can compare each file at any moment.
"""

import hashlib
import os
import re
import zipfile
import zlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from enum import Enum
from pathlib import Path

import numpy as np

from rilievo.errors import InputError, OutputError, RilievoError
from rilievo.io.files.atomic import (
    random_part_path,
    remove,
    remove_part,
    rename,
    sync_file,
    sync_folder,
    unwritable,
    write_text,
)
from rilievo.io.files.commit import hold_locks
from rilievo.io.files.limits import read_text, reason
from rilievo.io.json_record import InvalidRecordError, from_json, parse_json, to_json

CHECKSUMS = "checksums.json"
"""Name of the checksums of a folder, which are written last. For those of a single file, the
name of that file precedes it."""

EMPTY, MISSING = "is empty (0 bytes)", "is missing"
BLANK = "begins or ends with zeros, perhaps because of a power cut"
CHANGED = "differs from what was written (sha256)"

_BLOCK_BYTES = 4096
"""Bytes at each end of a file that are checked for zeros; file systems lose whole blocks."""
_TAIL_BYTES = 16
"""Bytes at the end of a file, which are not all zero in any format of rilievo."""
_CHUNK_BYTES = 1 << 20
_SEARCHED_BYTES = 1 << 16
"""Bytes at each end of a file that are searched for rilievo's mark."""

_MARKS = (b"rilievo", "rilievo".encode("utf-32-le"), b"about.npy")
"""Bytes of which most files of rilievo contain some."""
_SIGNATURES = {
    (".depth.npy", ".normals.npy"): b"\x93NUMPY",
    (".depth.mp4", ".normals.mp4"): b"\0\0\0",
    (".depth.mkv", ".normals.mkv", ".depth16.mkv"): b"\x1aE\xdf\xa3",
}
"""First bytes of files of rilievo that contain no mark, by the ends of their names."""
_JSON_START = re.compile(rb'\{\s*"format": "rilievo')

_DEPTH_ARRAYS = ("depth", "valid", "kind", "unit", "network_depth", "measured", "confidence", "sky")
"""Arrays of an npz file that determine its depth."""


class CheckLevel(Enum):
    """How thoroughly files are compared with their checksums."""

    SIZES = "sizes"
    ENDS = "ends"
    """Sizes, and zeros at either end, as a power cut leaves them."""
    HASHES = "hashes"


@dataclass(frozen=True, slots=True, kw_only=True)
class FileSum:
    """Size and checksum of a file."""

    bytes: int
    sha256: str


def compute_file_sum(path: Path) -> FileSum:
    """Compute a file's size and SHA-256."""
    with path.open("rb") as file:
        digest = hashlib.file_digest(file, "sha256")
        return FileSum(bytes=file.tell(), sha256=digest.hexdigest())


def first_fault(folder: Path, sums: Mapping[str, FileSum], level: CheckLevel) -> str | None:
    """Describe the first file of a folder that differs from its sums; None if none does."""
    checks_by_level = {
        CheckLevel.SIZES: _size_fault,
        CheckLevel.ENDS: _ends_fault,
        CheckLevel.HASHES: content_fault,
    }
    find_fault = checks_by_level[level]
    for name, expected in sums.items():
        fault = find_fault(folder / name, expected)
        if fault is not None:
            return f"{name} {fault}"
    return None


def content_fault(path: Path, expected: FileSum) -> str | None:
    """Describe how a file differs from its recorded size or SHA-256; None if it does not."""
    fault = _size_fault(path, expected)
    if fault is not None:
        return fault
    try:
        return None if compute_file_sum(path) == expected else CHANGED
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
    return EMPTY if not size else f"has {size:,} bytes instead of {expected.bytes:,}"


def _ends_fault(path: Path, expected: FileSum) -> str | None:
    """Describe a wrong size, or zeros at either end that were not written; None if neither."""
    fault = _size_fault(path, expected)
    if fault is not None or not expected.bytes:
        return fault
    try:
        head, tail = _first_and_last_bytes(path, _BLOCK_BYTES)
    except OSError as error:
        return f"cannot be read ({reason(error)})"
    if any(head) and any(tail[-_TAIL_BYTES:]):
        return None
    # The file may have been written with these zeros, which only its SHA-256 tells.
    return None if content_fault(path, expected) is None else BLANK


def numbers_crc32(numbers: np.ndarray) -> int:
    """CRC-32 of an array's numbers, row by row and little-endian."""
    return zlib.crc32(np.ascontiguousarray(numbers, numbers.dtype.newbyteorder("<")).data)


def npz_crc32(archive: zipfile.ZipFile) -> int:
    """CRC-32 of the arrays of an npz file that determine its depth, by the archive's own CRC-32s.

    Other arrays may be added or changed without an effect on it.
    """
    crc_by_member = {member.filename: member.CRC for member in archive.infolist()}
    possible_members = [f"{name}.npy" for name in _DEPTH_ARRAYS]
    lines = [
        f"{member} {crc_by_member[member]:08x}\n"
        for member in possible_members
        if member in crc_by_member
    ]
    return zlib.crc32("".join(lines).encode())


@dataclass(frozen=True, slots=True, kw_only=True)
class _Checksums:
    """Content of a JSON of checksums."""

    format: str = "rilievo-checksums/1"
    files: Mapping[str, FileSum]


def write_checksums(
    path: Path, names: Iterable[str], *, sums: Mapping[str, FileSum] | None = None
) -> None:
    """Write a JSON with the sizes and SHA-256 of those named files that exist.

    Args:
        path: JSON to write.
        names: Files, relative to the folder of the JSON.
        sums: Sums that are known already, by name.
    """
    known_sums = sums or {}
    paths = {name: path.parent / name for name in names if name not in known_sums}
    try:
        computed_sums = {
            name: compute_file_sum(file) for name, file in paths.items() if file.is_file()
        }
    except OSError as error:
        raise unwritable(path.parent, error) from error
    text = to_json(_Checksums(files={**computed_sums, **known_sums}), indent=1)
    write_text(path, text + "\n")


def checksum_path(path: Path) -> Path:
    """Path of the JSON of checksums beside a single file."""
    return path.with_name(f"{path.name}.{CHECKSUMS}")


def read_sums(path: Path) -> Mapping[str, FileSum] | None:
    """Read sizes and SHA-256 of files by their paths; None if the JSON is missing or was cut off.

    Raises:
        InputError: If it is not a list of checksums, or names a file outside of its folder.
    """
    if not path.exists() or is_torn(path):
        return None
    try:
        sums = from_json(_Checksums, read_text(path)).files
    except InvalidRecordError as error:
        raise InputError(f"is not a list of checksums: {error}", path=path) from error
    for name in sums:
        if Path(name).is_absolute() or ".." in Path(name).parts or "\0" in name:
            raise InputError(
                f"it lists '{name}', which is not the name of a file in its folder", path=path
            )
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
    """Whether a JSON that rilievo wrote was cut off, or is all zeros, as a power cut leaves it."""
    if is_blank(record):
        return True
    try:
        if not record.is_file():
            return False
        head, _ = _first_and_last_bytes(record, _SEARCHED_BYTES)
        if _JSON_START.match(head):
            parse_json(record.read_bytes())
    except InvalidRecordError:
        return True
    except OSError:
        return False
    return False


def is_ours_or_blank(path: Path) -> bool:
    """Whether rilievo wrote a file, or it has no content; of a folder of frames, all its files."""
    if path.is_dir():
        return path.suffix == ".frames" and all(map(is_ours_or_blank, path.iterdir()))
    head, tail = b"", b""
    try:
        if path.is_file():
            head, tail = _first_and_last_bytes(path, _SEARCHED_BYTES)
    except OSError:
        return False
    has_mark = any(mark in head or mark in tail for mark in _MARKS)
    has_signature = any(
        path.name.endswith(name_ends) and head.startswith(signature)
        for name_ends, signature in _SIGNATURES.items()
    )
    if has_mark or has_signature:
        return True
    begins_like_npz = path.suffix == ".npz" and head.startswith(b"PK")
    if begins_like_npz and not zipfile.is_zipfile(path):
        return True  # An npz that was cut off lacks the list of its members, at the end.
    return is_blank(path)


def _first_and_last_bytes(path: Path, count: int) -> tuple[bytes, bytes]:
    with path.open("rb") as file:
        head = file.read(count)
        file.seek(max(0, path.stat().st_size - count))
        return head, file.read()


def pending_path(path: Path) -> Path:
    """Hidden path of a complete file that is about to replace another one."""
    return path.with_name(f".{path.name}.pending")


def read_pending_sums(checksums: Path) -> Mapping[str, FileSum] | None:
    """Read the checksums of files that are about to replace others; None if there are none."""
    try:
        return read_sums(pending_path(checksums))
    except InputError:
        return None


@contextmanager
def replacing_with_checksums(checksums: Path, names: Sequence[str]) -> Iterator[Mapping[str, Path]]:
    """Yield a path to write for each name; the new files replace the old ones when the block ends.

    ``checksums`` is the list of checksums of the files, and lies in their folder.

    A file whose path is not written, such as a report that cannot be made, is removed. After an
    error, the old files are still there with their checksums.

    Raises:
        OutputError: If a file cannot be written.
    """
    parts = {name: random_part_path(checksums.with_name(name)) for name in names}
    try:
        yield parts
        with hold_locks([checksums]):
            _rename_pending(checksums, names)  # Finish what a killed run may have left.
            _make_pending(checksums, parts)
            _rename_pending(checksums, names)
    except OutputError as error:
        failed_name = next((name for name, part in parts.items() if error.path == part), None)
        if failed_name is None:
            raise
        # The user knows the file by its final name, not by that of the part.
        raise OutputError(error.message, path=checksums.with_name(failed_name)) from error
    except RilievoError:
        raise
    except OSError as error:
        raise unwritable(checksums, error) from error
    finally:
        for part in parts.values():
            remove_part(part)


def finish_replacement(checksums: Path, names: Sequence[str]) -> None:
    """Finish what a killed run began: give new files and their checksums their final names."""
    if not os.path.lexists(pending_path(checksums)):
        return
    try:
        with hold_locks([checksums]):
            _rename_pending(checksums, names)
    except RilievoError:
        raise
    except OSError as error:
        raise unwritable(checksums, error) from error


def _make_pending(checksums: Path, parts: Mapping[str, Path]) -> None:
    """Sync parts, give them their hidden names, and write their checksums last."""
    existing_parts = {name: part for name, part in parts.items() if part.exists()}
    sums = {name: compute_file_sum(part) for name, part in existing_parts.items()}
    for name, part in existing_parts.items():
        sync_file(part)
        rename(part, pending_path(checksums.with_name(name)))
    sync_folder(checksums.parent)
    write_checksums(pending_path(checksums), (), sums=sums)


def _rename_pending(checksums: Path, names: Sequence[str]) -> None:
    """Give pending files their final names.

    Pending files without checksums are removed, because they are not complete. So are the old files
    that the pending checksums do not list.
    """
    pending_sums = read_pending_sums(checksums)
    pending_paths = {name: pending_path(checksums.with_name(name)) for name in names}
    if pending_sums is None:
        for path in (*pending_paths.values(), pending_path(checksums)):
            remove(path)
        return
    for name, path in pending_paths.items():
        final_path = checksums.with_name(name)
        if name not in pending_sums:
            remove(path)
            remove(final_path)
        elif os.path.lexists(path):
            rename(path, final_path)
    # The names must be on the disk before the new checksums replace the old ones.
    sync_folder(checksums.parent)
    rename(pending_path(checksums), checksums)
    sync_folder(checksums.parent)
