"""Files of rilievo that a power cut has damaged, recognised by their first and last bytes."""

import re
import zipfile
from pathlib import Path

from rilievo.io.checks.faults import is_blank
from rilievo.io.json_record import NotThisRecord, parse_json

_SEARCHED = 1 << 16
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
        return path.suffix == ".frames" and all(map(is_marked, path.iterdir()))
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
            head = file.read(_SEARCHED)
            file.seek(max(0, path.stat().st_size - _SEARCHED))
            return head, file.read()
    except OSError:
        return b"", b""
