"""SHA-256 of the files of a network, as recorded in results."""

import hashlib
from collections.abc import Sequence
from pathlib import Path

from rilievo.errors import ModelError


def sha256(path: Path) -> str:
    """SHA-256 of a file's content."""
    try:
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as error:
        raise ModelError(f"{path}: cannot be read: {error.strerror}") from error


def combined(digests: Sequence[str]) -> str:
    """Hash of a model with several files: the hash of their hashes, in the order of its entry."""
    if len(digests) == 1:
        return digests[0]
    return hashlib.sha256("\n".join(digests).encode()).hexdigest()
