"""Size and SHA-256 of files, to check later that they are unchanged."""

import hashlib
from collections.abc import Iterable, Mapping
from pathlib import Path

from rilievo.io.facts import FileSum
from rilievo.io.limits import reason

EMPTY, MISSING = "is empty (0 bytes)", "is missing"


def sum_of(path: Path) -> FileSum:
    """Compute size and SHA-256 of one file.

    Raises:
        OSError: If it cannot be read.
    """
    with path.open("rb") as file:
        digest = hashlib.file_digest(file, "sha256")
        return FileSum(bytes=file.tell(), sha256=digest.hexdigest())


def sums_of(folder: Path, names: Iterable[str]) -> dict[str, FileSum]:
    """Compute size and SHA-256 of files of a folder, by name; missing files are left out.

    Raises:
        OSError: If a file cannot be read.
    """
    return {name: sum_of(folder / name) for name in names if (folder / name).is_file()}


def size_fault(folder: Path, sums: Mapping[str, FileSum]) -> str | None:
    """Describe the first file whose size differs from what was written; None if there is none."""
    for name, expected in sums.items():
        fault = _size_fault(folder / name, expected)
        if fault is not None:
            return f"{name} {fault}"
    return None


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
