"""Folders where networks are kept, and hashes of their files."""

import hashlib
import os
from collections.abc import Sequence
from pathlib import Path

from rilievo.errors import ModelError


def cache_directory(variable: str = "RILIEVO_CACHE", program: str = "rilievo") -> Path:
    """Folder where rilievo or another program caches files.

    Args:
        variable: Environment variable that may state the folder.
        program: Name of the folder in the user's cache, if the variable is not set.
    """
    folder = os.environ.get(variable)
    if folder:
        return Path(folder)
    user_cache = os.environ.get("XDG_CACHE_HOME")
    if user_cache:
        return Path(user_cache) / program
    try:
        return Path.home() / ".cache" / program
    except RuntimeError:
        raise ModelError(
            "this user has no home folder, in which rilievo keeps networks by default: set "
            f"{variable} to a folder"
        ) from None


def sha256(path: Path) -> str:
    """SHA-256 of a file's content; ``ModelError`` if it cannot be read."""
    try:
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as error:
        raise ModelError(f"cannot be read: {error.strerror}", path=path) from error


def combined_sha256(digests: Sequence[str]) -> str:
    """One hash for a network in several files; for a single file, that file's hash."""
    if len(digests) == 1:
        return digests[0]
    return hashlib.sha256("\n".join(digests).encode()).hexdigest()
