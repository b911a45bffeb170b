"""Differences between a file and the size and SHA-256 recorded when it was written."""

from collections.abc import Mapping
from enum import Enum
from pathlib import Path

from rilievo.io.checks.sums import FileSum, sum_of
from rilievo.io.files.limits import reason

EMPTY, MISSING = "is empty (0 bytes)", "is missing"
BLANK = "begins or ends in zeros, as after a power cut"
_END = 4096
"""Bytes read at each end of a file: a page, the least that a file system loses."""
_LAST = 16
"""Zeros at the end of a file that raise suspicion; a cut may begin anywhere in the last page."""


class Thoroughness(Enum):
    """Thoroughness of a comparison of files with their sums."""

    SIZES = "sizes"
    """Sizes alone."""
    ENDS = "ends"
    """Sizes, and whether the first or the last bytes are zeros, as after a power cut."""
    HASHES = "hashes"
    """Sizes and SHA-256."""


def first_fault(
    folder: Path, sums: Mapping[str, FileSum], thoroughness: Thoroughness
) -> str | None:
    """Describe the first file that differs from what was written; None if there is none."""
    for name, expected in sums.items():
        fault = _FAULTS[thoroughness](folder / name, expected)
        if fault is not None:
            return f"{name} {fault}"
    return None


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


_FAULTS = {
    Thoroughness.SIZES: _size_fault,
    Thoroughness.ENDS: _ends_fault,
    Thoroughness.HASHES: content_fault,
}
