"""Caches of networks, and hashes."""

import hashlib
import os
from collections.abc import Sequence
from pathlib import Path

from rilievo.errors import ModelError


def cache_directory(variable: str = "RILIEVO_CACHE", program: str = "rilievo") -> Path:
    """Folder of compiled networks, or the cache of another program."""
    if folder := os.environ.get(variable):
        return Path(folder)
    base = os.environ.get("XDG_CACHE_HOME")
    try:
        return (Path(base) if base else Path.home() / ".cache") / program
    except RuntimeError:
        text = f"this user has no home folder for networks: set a folder in {variable}"
        raise ModelError(text) from None


def sha256(path: Path) -> str:
    """SHA-256 of a file's content."""
    try:
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as error:
        raise ModelError(f"cannot be read: {error.strerror}", path=path) from error


def combined_sha256(digests: Sequence[str]) -> str:
    """Hash of several hashes; one stays itself."""
    if len(digests) == 1:
        return digests[0]
    return hashlib.sha256("\n".join(digests).encode()).hexdigest()
