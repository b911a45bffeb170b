"""The sha256 that an ONNX file of ours has at its end, of all that stands before it.

A protocol buffer may be followed by more of its fields: the sum is one more entry of the file's
metadata, which every program that reads ONNX passes over.
"""

import hashlib
from pathlib import Path

from rilievo.io.limits import reason

KEY = "rilievo.sha256"
_DIGITS = 64
_METADATA_FIELD = 14  # metadata_props of onnx.ModelProto


def append_sum(path: Path) -> None:
    """Write the sum at the end of an ONNX file, in place of one that is there.

    Raises:
        OSError: If the system refuses.
    """
    content = path.read_bytes()
    if _sum_at_end(content) is not None:
        content = content[: -len(_entry("0" * _DIGITS))]
    with path.open("wb") as file:
        file.write(content)
        file.write(_entry(hashlib.sha256(content).hexdigest()))


def has_sum(path: Path) -> bool:
    """Whether an ONNX file ends in a sum."""
    length = len(_entry("0" * _DIGITS))
    try:
        with path.open("rb") as file:
            file.seek(max(0, path.stat().st_size - length))
            return _sum_at_end(file.read()) is not None
    except OSError:
        return False


def onnx_fault(path: Path) -> str | None:
    """How a file differs from the sum at its end; None if it does not."""
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
        bytes([tag, len(text)]) + text for tag, text in ((10, KEY.encode()), (18, digest.encode()))
    )
    return bytes([_METADATA_FIELD << 3 | 2, len(pair)]) + pair


def _sum_at_end(content: bytes) -> str | None:
    digest = content[-_DIGITS:].decode("ascii", "replace")
    return digest if len(digest) == _DIGITS and content.endswith(_entry(digest)) else None
