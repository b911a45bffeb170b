"""Records of cached files whose hash has been checked, so that a start does not hash them again.

A record holds a file's size, modification time and SHA-256; a file that differs in one of them is
hashed again.
"""

import hashlib
import json
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

from rilievo.errors import ModelError, OutputError
from rilievo.io.atomic import make_folder, replacing
from rilievo.models.catalogue.entry import RemoteFile
from rilievo.models.engines import cache_directory


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
    if kept is not None and kept["stamp"] == _stamp(path):
        digest = str(kept["sha256"])
    else:
        digest = _sha256(path, model)
    expected = file.sha256 or (str(kept["sha256"]) if kept is not None else digest)
    if not digest.startswith(expected):
        raise ModelError(
            f"model '{model}': {path} has sha256 {digest[:12]}..., expected {expected[:12]}...; "
            "remove it to download it again"
        )
    if kept is None or kept["stamp"] != _stamp(path):
        remember(path, digest)
    return digest


def remember(path: Path, sha256: str) -> None:
    """Record the hash of a file; without a writable cache folder it is hashed again next time."""
    record = {"path": str(path), "sha256": sha256, "stamp": _stamp(path)}
    place = _place(path)
    with suppress(OutputError):
        make_folder(place.parent)
        with replacing(place) as part:
            part.write_text(json.dumps(record) + "\n", encoding="utf-8")


def _stamp(path: Path) -> list[int]:
    facts = path.stat()
    return [facts.st_size, facts.st_mtime_ns]


def _place(path: Path) -> Path:
    name = hashlib.sha256(str(path.absolute()).encode("utf-8", "surrogateescape")).hexdigest()
    return cache_directory() / "verified" / f"{name[:32]}.json"


def _read(path: Path) -> Mapping[str, Any] | None:
    try:
        record = json.loads(_place(path).read_text(encoding="utf-8"))
        whole = isinstance(record["sha256"], str) and isinstance(record["stamp"], list)
        return record if whole else None
    except (OSError, ValueError, KeyError, TypeError):
        return None


def _sha256(path: Path, model: str) -> str:
    try:
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as error:
        raise ModelError(f"model '{model}': {path}: cannot be read: {error.strerror}") from error
