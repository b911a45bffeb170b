"""Hashes of downloaded files: recorded at the first download, and checked at every later load."""

import hashlib
import os
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from rilievo.errors import InputError, ModelError, OutputError
from rilievo.io.atomic import make_folder, replacing
from rilievo.io.json_record import NotThisRecord, from_json, to_json
from rilievo.io.limits import read_text
from rilievo.models.catalogue.table import RemoteFile
from rilievo.models.engines import cache_directory


def sha256(path: Path) -> str:
    """SHA-256 of a file's content."""
    try:
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as error:
        raise ModelError(f"{path}: cannot be read: {error.strerror}") from error


@dataclass(frozen=True, slots=True, kw_only=True)
class Locked:
    """Commit and files of one name of the hub at its first download.

    Attributes:
        commit: Full hash of the commit.
        files: SHA-256 of each file as it arrived, by its path in the repository.
    """

    commit: str
    files: Mapping[str, str]


def lock_path(name: str) -> Path:
    """Path of the record of what ``repository@revision`` was at its first download."""
    return cache_directory() / "hub" / f"{name.replace('/', '--')}.json"


def read_locked(name: str) -> Locked | None:
    """Commit and files of ``repository@revision`` at its first download; None if there was none."""
    path = lock_path(name)
    if not os.path.lexists(path):
        return None
    try:
        return from_json(Locked, read_text(path))
    except InputError as error:
        raise ModelError(str(error)) from error
    except NotThisRecord as error:
        raise ModelError(
            f"{path}: not rilievo's record of a download ({error}); remove it to start a new one"
        ) from error


def write_locked(name: str, locked: Locked) -> None:
    """Record what ``repository@revision`` is."""
    _write(lock_path(name), locked)


def _write(path: Path, record: object) -> None:
    make_folder(path.parent)
    with replacing(path) as part:
        part.write_text(to_json(record, indent=1) + "\n", encoding="utf-8")


@dataclass(frozen=True, slots=True, kw_only=True)
class _Checked:
    """Hash of a cached file; a file of another size or modification time is hashed again."""

    path: str
    sha256: str
    stamp: tuple[int, int]


def check(path: Path, file: RemoteFile, model: str) -> str:
    """Compare a cached file with the published one, or with its first download.

    Returns:
        SHA-256 of the file.
    """
    size = path.stat().st_size
    if file.size is not None and size != file.size:
        raise ModelError(
            f"model '{model}': {path} has {size:,} bytes, expected {file.size:,}; remove it to "
            "download it again"
        )
    kept = _read(path)
    is_known = kept is not None and kept.stamp == _stamp(path)
    digest = kept.sha256 if kept is not None and is_known else sha256(path)
    expected = file.sha256 or (digest if kept is None else kept.sha256)
    if not digest.startswith(expected):
        raise ModelError(
            f"model '{model}': {path} has sha256 {digest[:12]}..., expected {expected[:12]}...; "
            "remove it to download it again"
        )
    if not is_known:
        remember(path, digest)
    return digest


def remember(path: Path, sha256: str) -> None:
    """Record the hash of a file; without a writable cache folder it is hashed again next time."""
    with suppress(OutputError):
        _write(_place(path), _Checked(path=str(path), sha256=sha256, stamp=_stamp(path)))


def _stamp(path: Path) -> tuple[int, int]:
    facts = path.stat()
    return facts.st_size, facts.st_mtime_ns


def _place(path: Path) -> Path:
    name = hashlib.sha256(str(path.absolute()).encode("utf-8", "surrogateescape")).hexdigest()
    return cache_directory() / "verified" / f"{name[:32]}.json"


def _read(path: Path) -> _Checked | None:
    try:
        return from_json(_Checked, _place(path).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
