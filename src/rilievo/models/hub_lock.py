"""Record of what was downloaded from the hub, written once and checked at every later load.

One small JSON file in our cache folder has, for each ``repository@revision``, its commit and the
SHA-256 of every file. Hashes are computed from the files that arrived, not taken from the hub.
"""

import hashlib
import json
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rilievo.errors import InputError, ModelError, OutputError
from rilievo.io.atomic import make_folder, replacing
from rilievo.io.json_record import NotThisRecord, parse_json
from rilievo.io.limits import read_text
from rilievo.models.engines import cache_directory

NAME = "hub.json"


@dataclass(frozen=True, slots=True, kw_only=True)
class Locked:
    """Commit and files of one name of the hub at its first download.

    Attributes:
        commit: Full hash of the commit.
        files: SHA-256 of each downloaded file, by its path in the repository.
    """

    commit: str
    files: Mapping[str, str]


def lock_path() -> Path:
    """Path of the record."""
    return cache_directory() / NAME


def read_locked(name: str) -> Locked | None:
    """Commit and files of ``repository@revision`` at its first download; None if there was none."""
    entry = _read().get(name)
    if entry is None:
        return None
    try:
        files = {str(file): str(digest) for file, digest in entry["files"].items()}
        return Locked(commit=str(entry["commit"]), files=files)
    except (KeyError, TypeError, AttributeError) as error:
        raise _broken() from error


def write_locked(name: str, locked: Locked) -> None:
    """Record what ``repository@revision`` is, keeping what other processes record meanwhile."""
    path = lock_path()
    make_folder(path.parent)
    with _alone(path), replacing(path) as part:
        entries = {**_read(), name: {"commit": locked.commit, "files": dict(locked.files)}}
        text = json.dumps(entries, indent=1, sort_keys=True) + "\n"
        part.write_text(text, encoding="utf-8")


@contextmanager
def _alone(path: Path) -> Iterator[None]:
    """Lock out other processes between our read and our write of the record."""
    from filelock import FileLock  # huggingface_hub needs it, so it is there

    lock = FileLock(f"{path}.lock")
    try:
        lock.acquire()
    except OSError as error:
        raise OutputError(
            f"{path}: cannot be written ({error.strerror}): set RILIEVO_CACHE to another folder"
        ) from error
    try:
        yield
    finally:
        lock.release()


def sha256(path: Path) -> str:
    """SHA-256 of a file's content."""
    try:
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as error:
        raise ModelError(f"{path}: cannot be read: {error.strerror}") from error


def _read() -> Mapping[str, Any]:
    if not os.path.lexists(lock_path()):
        return {}
    try:
        entries = parse_json(read_text(lock_path()))
    except InputError as error:
        raise ModelError(str(error)) from error
    except NotThisRecord as error:
        raise _broken() from error
    if not isinstance(entries, dict):
        raise _broken()
    return entries


def _broken() -> ModelError:
    return ModelError(
        f"{lock_path()}: not rilievo's record of downloads; remove it to start a new one"
    )
