"""Size and SHA-256 of every file of a folder, in a JSON file that is written last.

Used for folders that form one result: a training run, an evaluation, the tables of a sweep, a
report. A table or page of a single file has such a JSON beside it, ``NAME.checksums.json``.
"""

import hashlib
import re
import zipfile
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from enum import Enum
from pathlib import Path

from rilievo.errors import InputError
from rilievo.io.atomic import replacing, unwritable
from rilievo.io.facts import FileSum
from rilievo.io.json_record import NotThisRecord, from_json, parse_json, to_json
from rilievo.io.limits import read_text, reason

CHECKSUMS = "checksums.json"
FORMAT = "rilievo-checksums/1"


@dataclass(frozen=True, slots=True, kw_only=True)
class _Checksums:
    format: str = FORMAT
    files: Mapping[str, FileSum]


def write_checksums(
    folder: Path, names: Iterable[str], *, known: Mapping[str, FileSum] | None = None
) -> None:
    """Write the size and SHA-256 of those files of a folder that exist.

    Args:
        folder: Folder that holds the files.
        names: Paths relative to the folder.
        known: Sums that were computed when the files were written, by path; these files are not
            read again.
    """
    _write(folder / CHECKSUMS, names, known or {})


def beside(path: Path) -> Path:
    """Path of the checksum of a single file."""
    return path.with_name(f"{path.name}.{CHECKSUMS}")


def write_beside(path: Path) -> None:
    """Write down size and sha256 of a single file."""
    _write(beside(path), (path.name,), {})


def read_checksums(folder: Path) -> Mapping[str, FileSum] | None:
    """Read size and SHA-256 by path in the folder; None where there is not a list of checksums."""
    return read_sums(folder / CHECKSUMS)


def read_sums(path: Path) -> Mapping[str, FileSum] | None:
    """Size and sha256 of each file that a JSON of checksums lists; None where it has no content."""
    if not path.exists() or is_torn(path):
        return None
    try:
        found = from_json(_Checksums, read_text(path))
    except NotThisRecord as error:
        raise InputError(f"{path}: is not a list of checksums: {error}") from error
    for name in found.files:
        if Path(name).is_absolute() or ".." in Path(name).parts or "\0" in name:
            raise InputError(f"{path}: '{name}' is not a file in its folder")
    return found.files


def _write(path: Path, names: Iterable[str], known: Mapping[str, FileSum]) -> None:
    try:
        sums = sums_of(path.parent, (name for name in names if name not in known)) | dict(known)
    except OSError as error:
        raise unwritable(path.parent, error) from error
    with replacing(path) as part:
        part.write_text(to_json(_Checksums(files=sums), indent=1) + "\n", encoding="utf-8")


_LOOKED_AT = 1 << 16
"""Number of bytes searched at each end of a file."""
_MARKS = (b"rilievo", "rilievo".encode("utf-32-le"), b"about.npy")
_FIRST = {
    ".depth.npy": b"\x93NUMPY",
    ".normals.npy": b"\x93NUMPY",
    ".depth.mp4": b"\0\0\0",
    ".normals.mp4": b"\0\0\0",
    ".depth.mkv": b"\x1aE\xdf\xa3",
    ".normals.mkv": b"\x1aE\xdf\xa3",
    ".depth16.mkv": b"\x1aE\xdf\xa3",
}
"""First bytes of files that carry no mark, by their suffix, which only rilievo gives."""
_FIRST_BYTES = re.compile(rb'\{\s*"format": "rilievo')


def is_torn(record: Path) -> bool:
    """Whether a JSON file was written by rilievo and damaged by a power cut.

    Such a file is empty, has zeros alone, or begins as ours do and is not valid JSON.
    """
    if is_blank(record):
        return True
    head, _ = _ends(record)
    if not _FIRST_BYTES.match(head):
        return False
    try:
        parse_json(record.read_bytes())
    except NotThisRecord:
        return True
    except OSError:
        return False
    return False


def is_marked(path: Path) -> bool:
    """Whether a file, whole or truncated, was written by rilievo, or is empty."""
    if path.is_dir():
        names = [each.name for each in path.iterdir()]
        return path.suffix == ".frames" and all(name[:6].isdecimal() for name in names)
    head, tail = _ends(path)
    if any(mark in end for end in (head, tail) for mark in _MARKS):
        return True
    if any(path.name.endswith(name) and head.startswith(_FIRST[name]) for name in _FIRST):
        return True
    is_cut_archive = path.suffix == ".npz" and head[:2] == b"PK" and not zipfile.is_zipfile(path)
    return is_cut_archive or is_blank(path)


def _ends(path: Path) -> tuple[bytes, bytes]:
    try:
        if not path.is_file():
            return b"", b""
        with path.open("rb") as file:
            head = file.read(_LOOKED_AT)
            file.seek(max(0, path.stat().st_size - _LOOKED_AT))
            return head, file.read()
    except OSError:
        return b"", b""


EMPTY, MISSING = "is empty (0 bytes)", "is missing"
BLANK = "begins or ends in zeros, as after a power cut"


def sum_of(path: Path) -> FileSum:
    """Compute size and SHA-256 of one file."""
    with path.open("rb") as file:
        digest = hashlib.file_digest(file, "sha256")
        return FileSum(bytes=file.tell(), sha256=digest.hexdigest())


def sums_of(folder: Path, names: Iterable[str]) -> dict[str, FileSum]:
    """Compute size and SHA-256 of files of a folder, by name; missing files are left out."""
    return {name: sum_of(folder / name) for name in names if (folder / name).is_file()}


class Look(Enum):
    """Depth of a comparison of files with their sums."""

    SIZES = "sizes"
    """Sizes alone."""
    ENDS = "ends"
    """Sizes, and whether the first or the last bytes are zeros, as after a power cut."""
    HASHES = "hashes"
    """Sizes and SHA-256."""


def first_fault(folder: Path, sums: Mapping[str, FileSum], look: Look) -> str | None:
    """Describe the first file that differs from what was written; None if there is none."""
    for name, expected in sums.items():
        fault = _LOOKS[look](folder / name, expected)
        if fault is not None:
            return f"{name} {fault}"
    return None


_END = 4096
"""Bytes read at each end of a file: a page, the least that a file system loses."""
_LAST = 16
"""Zeros at the end of a file that raise suspicion; a cut may begin anywhere in the last page."""


def _ends_fault(path: Path, expected: FileSum) -> str | None:
    """Fault of a file as far as its size and its two ends tell.

    A file may rightly begin or end in zeros, so its SHA-256 has the last word.
    """
    fault = _size_fault(path, expected)
    if fault is not None or not expected.bytes:
        return fault
    try:
        with path.open("rb") as file:
            head = file.read(_END)
            file.seek(max(0, expected.bytes - _END))
            tail = file.read()
    except OSError as error:
        return f"cannot be read ({reason(error)})"
    if any(head) and any(tail[-_LAST:]):
        return None
    return None if content_fault(path, expected) is None else BLANK


def content_fault(path: Path, expected: FileSum) -> str | None:
    """Describe how a file differs in size or SHA-256 from what was written; None if it does not."""
    fault = _size_fault(path, expected)
    if fault is not None:
        return fault
    try:
        found = sum_of(path)
    except OSError as error:
        return f"cannot be read ({reason(error)})"
    return None if found == expected else "differs from what was written (sha256)"


def is_blank(path: Path) -> bool:
    """Whether a file has 0 bytes or only zeros, as after a power cut."""
    try:
        if not path.is_file():
            return False
        with path.open("rb") as file:
            return not any(any(block) for block in iter(lambda: file.read(1 << 20), b""))
    except OSError:
        return False


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


_LOOKS = {Look.SIZES: _size_fault, Look.ENDS: _ends_fault, Look.HASHES: content_fault}


ONNX_KEY = "rilievo.sha256"
_DIGITS = 64
_METADATA_FIELD = 14  # metadata_props of onnx.ModelProto


def append_sum(path: Path) -> None:
    """Append the checksum to an ONNX file, replacing one that is there."""
    content = path.read_bytes()
    if _sum_at_end(content) is not None:
        content = content[: -len(_entry("0" * _DIGITS))]
    with path.open("wb") as file:
        file.write(content)
        file.write(_entry(hashlib.sha256(content).hexdigest()))


def has_sum(path: Path) -> bool:
    """Whether an ONNX file ends in a checksum."""
    length = len(_entry("0" * _DIGITS))
    try:
        with path.open("rb") as file:
            file.seek(max(0, path.stat().st_size - length))
            return _sum_at_end(file.read()) is not None
    except OSError:
        return False


def onnx_fault(path: Path) -> str | None:
    """Describe how a file differs from its checksum; None if it agrees."""
    try:
        content = path.read_bytes()
    except OSError as error:
        return f"cannot be read ({reason(error)})"
    found = _sum_at_end(content)
    before = content[: -len(_entry("0" * _DIGITS))]
    if found != hashlib.sha256(before).hexdigest():
        return "differs from what was written (sha256)"
    return None


def _entry(digest: str) -> bytes:
    pair = b"".join(
        bytes([tag, len(text)]) + text
        for tag, text in ((10, ONNX_KEY.encode()), (18, digest.encode()))
    )
    return bytes([_METADATA_FIELD << 3 | 2, len(pair)]) + pair


def _sum_at_end(content: bytes) -> str | None:
    digest = content[-_DIGITS:].decode("ascii", "replace")
    return digest if len(digest) == _DIGITS and content.endswith(_entry(digest)) else None
