"""Size and SHA-256 of files."""

import hashlib
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True, kw_only=True)
class FileSum:
    """Size and checksum of a file."""

    bytes: int
    sha256: str


def sum_of(path: Path) -> FileSum:
    """Compute size and SHA-256 of one file."""
    with path.open("rb") as file:
        digest = hashlib.file_digest(file, "sha256")
        return FileSum(bytes=file.tell(), sha256=digest.hexdigest())


def sums_of(folder: Path, names: Iterable[str]) -> dict[str, FileSum]:
    """Compute size and SHA-256 of files of a folder, by name; missing files are left out."""
    return {name: sum_of(folder / name) for name in names if (folder / name).is_file()}
