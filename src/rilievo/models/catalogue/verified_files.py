"""Records of hashes, by which cached files are checked without being hashed each time."""

import hashlib
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from rilievo.errors import ModelError, OutputError
from rilievo.io.files.atomic import make_folder, replacing
from rilievo.io.json_record import from_json, to_json
from rilievo.models.cache_folder import cache_directory
from rilievo.models.catalogue.table import RemoteFile
from rilievo.models.weights_hash import sha256


@dataclass(frozen=True, slots=True, kw_only=True)
class CheckedFile:
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
    kept = known_file(path)
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


def remember(path: Path, digest: str) -> None:
    """Record the hash of a file; without a writable cache folder it is hashed again next time."""
    with suppress(OutputError):
        place = record_of(path)
        make_folder(place.parent)
        with replacing(place) as part:
            record = CheckedFile(path=str(path), sha256=digest, stamp=_stamp(path))
            part.write_text(to_json(record) + "\n", encoding="utf-8")


def _stamp(path: Path) -> tuple[int, int]:
    facts = path.stat()
    return facts.st_size, facts.st_mtime_ns


def record_of(path: Path) -> Path:
    """Path of the record of a file."""
    name = hashlib.sha256(str(path.absolute()).encode("utf-8", "surrogateescape")).hexdigest()
    return cache_directory() / "verified" / f"{name[:32]}.json"


def known_file(path: Path) -> CheckedFile | None:
    """Read the record of a file; None without one."""
    try:
        return from_json(CheckedFile, record_of(path).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
