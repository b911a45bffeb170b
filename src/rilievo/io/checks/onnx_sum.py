"""Checksum at the end of an ONNX file."""

import hashlib
from pathlib import Path

from rilievo.io.files.limits import reason

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
