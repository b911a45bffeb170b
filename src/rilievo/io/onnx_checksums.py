"""The SHA-256 in the last bytes of an ONNX file of rilievo.

It is an entry of the model's metadata, so that other programs can still read the file.
"""

import hashlib
import os
from pathlib import Path

from rilievo.io.checksums import CHANGED
from rilievo.io.files.limits import reason

ONNX_KEY = "rilievo.sha256"
"""Key of the entry in the model's metadata."""

_METADATA_TAG = 14 << 3 | 2  # metadata_props of onnx.ModelProto, with a length
_KEY_TAG, _VALUE_TAG = 1 << 3 | 2, 2 << 3 | 2  # of onnx.StringStringEntryProto
_DIGITS = 64
_ENTRY_BYTES = 84


def append_onnx_checksum(path: Path) -> None:
    """Append the checksum of an ONNX file to its end, or replace an earlier one."""
    content = path.read_bytes()
    if _digest_at_end(content) is not None:
        content = content[:-_ENTRY_BYTES]
    path.write_bytes(content + _metadata_entry(hashlib.sha256(content).hexdigest()))


def has_onnx_checksum(path: Path) -> bool:
    """Whether an ONNX file ends in a checksum."""
    try:
        with path.open("rb") as file:
            file.seek(max(0, os.fstat(file.fileno()).st_size - _ENTRY_BYTES))
            return _digest_at_end(file.read()) is not None
    except OSError:
        return False


def onnx_fault(path: Path) -> str | None:
    """Describe how an ONNX file differs from the checksum at its end; None if it does not."""
    try:
        content = path.read_bytes()
    except OSError as error:
        return f"cannot be read ({reason(error)})"
    expected = hashlib.sha256(content[:-_ENTRY_BYTES]).hexdigest()
    return None if _digest_at_end(content) == expected else CHANGED


def _digest_at_end(content: bytes) -> str | None:
    """Hexadecimal digits of the checksum at the end of a file; None if there is no checksum."""
    digest = content[-_DIGITS:].decode("ascii", "replace")
    if len(digest) == _DIGITS and content.endswith(_metadata_entry(digest)):
        return digest
    return None


def _metadata_entry(digest: str) -> bytes:
    entry = _field(_KEY_TAG, ONNX_KEY.encode()) + _field(_VALUE_TAG, digest.encode())
    return _field(_METADATA_TAG, entry)


def _field(tag: int, content: bytes) -> bytes:
    return bytes([tag, len(content)]) + content
