"""Downloads of published files, resumed after a break, checked by size or SHA-256.

Files are downloaded over HTTPS with the standard library, so proxies (``HTTPS_PROXY``) work as
usual, and are kept in the cache that huggingface_hub shares between programs. Two processes that
need the same file share one download.
"""

import errno
import hashlib
import http.client
import os
import shutil
import sys
import urllib.error
import urllib.request
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

from filelock import FileLock
from tqdm import tqdm

from rilievo.errors import ModelError, OutputError
from rilievo.io.files.atomic import make_folder, replacing
from rilievo.io.files.durable import sync_folder
from rilievo.io.json_record import from_json, to_json
from rilievo.models.cache_folder import cache_directory
from rilievo.models.catalogue.requests import (
    cache_folder,
    endpoint,
    failure,
    is_offline,
    known_commit,
    opened,
    remedy,
    repository_folder,
    without_password,
)
from rilievo.models.catalogue.table import Entry, RemoteFile
from rilievo.models.weights_hash import sha256

_CHUNK = 1 << 20


def find_files(entry: Entry) -> list[Path] | None:
    """Find the files of a model in the cache, the graph first; None if one is missing."""
    found = [_in_cache(entry, file) for file in entry.files]
    return None if None in found else [path for path in found if path is not None]


def fetch_files(entry: Entry) -> list[Path]:
    """Files of a model, the graph first; missing ones are downloaded.

    The licence is printed to standard error before the first download.
    """
    found = find_files(entry)
    if found is not None:
        return found
    if is_offline():
        raise ModelError(
            f"model '{entry.name}' is not in the cache ({cache_folder()}), and downloads "
            f"are switched off: {remedy(entry)}"
        )
    _print_licence(entry)
    return [_fetched(entry, file) for file in entry.files]


def _in_cache(entry: Entry, file: RemoteFile) -> Path | None:
    path = _link(entry, file)
    if not path.is_file():
        return None
    check(path, file, entry.name)
    return path


def _link(entry: Entry, file: RemoteFile) -> Path:
    """Path of a file below the snapshot of its commit."""
    folder = repository_folder(entry.repository) / "snapshots"
    return folder / _commit(entry) / file.path


def _commit(entry: Entry) -> str:
    """Commit of a branch at its first download; before that, the revision itself."""
    path = repository_folder(entry.repository) / "refs" / entry.revision
    with suppress(OSError, UnicodeDecodeError):
        return path.read_text(encoding="utf-8").strip() or entry.revision
    return entry.revision


def _print_licence(entry: Entry) -> None:
    size = "" if entry.card.megabytes is None else f", {entry.card.megabytes:,.0f} MB"
    where = f"{endpoint()}/{entry.repository}" if entry.is_on_hub else entry.repository
    if entry.commercial is False:
        text = f"NON-COMMERCIAL LICENCE: the weights of {entry.name} are {entry.licence}"
    else:
        text = f"downloading {entry.name}{size}; licence of the weights: {entry.licence}"
    sys.stderr.write(f"rilievo: {text} ({without_password(where)})\n")


def _fetched(entry: Entry, file: RemoteFile) -> Path:
    """Download one file under a lock, so that a second process waits and then finds it."""
    folder = repository_folder(entry.repository)
    lock = folder.parent / ".locks" / folder.name / f"{_slug(file)}.lock"
    try:
        lock.parent.mkdir(parents=True, exist_ok=True)
        with FileLock(lock):
            return _in_cache(entry, file) or _download(entry, file, folder)
    except ModelError:
        raise
    except (OSError, http.client.HTTPException) as error:
        if isinstance(error, urllib.error.HTTPError):
            error.close()
        raise ModelError(f"model '{entry.name}': {failure(error, entry)}") from error


def _slug(file: RemoteFile) -> str:
    return file.sha256 or file.path.replace("/", "--")


def _download(entry: Entry, file: RemoteFile, folder: Path) -> Path:
    blobs = folder / "blobs"
    blobs.mkdir(parents=True, exist_ok=True)
    part = blobs / f"{_slug(file)}.incomplete"
    if file.size is not None:
        _check_room(blobs, file.size - (part.stat().st_size if part.exists() else 0))
    received = _receive(entry, file, part)
    if file.size not in (None, received.size) or not file.is_same(received.sha256):
        part.unlink()
        raise ModelError(
            f"model '{entry.name}': {file.path} came with {received.size:,} bytes and sha256 "
            f"{received.sha256[:12]}..., expected {_expected(file)}; nothing was kept: try again, "
            "or check the mirror"
        )
    blob = blobs / received.sha256
    os.replace(part, blob)
    sync_folder(blobs)
    if received.commit is not None and received.commit != entry.revision:
        reference = folder / "refs" / entry.revision
        reference.parent.mkdir(parents=True, exist_ok=True)
        reference.write_text(received.commit, encoding="utf-8")
    link = _link(entry, file)
    _place(blob, link, alone=len(entry.files) == 1)
    remember(link, received.sha256)
    return link


def _expected(file: RemoteFile) -> str:
    size = "any size" if file.size is None else f"{file.size:,} bytes"
    return f"{size} and {'any hash' if file.sha256 is None else file.sha256[:12] + '...'}"


def _check_room(folder: Path, size: int) -> None:
    free = shutil.disk_usage(folder).free
    if free < size:
        raise OSError(errno.ENOSPC, f"{size / 1e6:,.0f} MB needed, {free / 1e6:,.0f} MB free")


def _place(blob: Path, link: Path, *, alone: bool) -> None:
    """Link a blob into the snapshot: by a relative link, or as the file itself without links.

    Engines look for a graph's weights beside the graph, and refuse links that leave its folder, so
    files that belong together are hard links.
    """
    link.parent.mkdir(parents=True, exist_ok=True)
    link.unlink(missing_ok=True)
    try:
        if alone:
            link.symlink_to(os.path.relpath(blob, link.parent))
        else:
            link.hardlink_to(blob)
    except OSError:
        os.replace(blob, link)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Received:
    size: int
    sha256: str
    commit: str | None


def _receive(entry: Entry, file: RemoteFile, part: Path) -> _Received:
    """Append the rest of a file to what an earlier attempt left, and hash the whole."""
    with part.open("ab") as out:
        start = out.tell()
        if file.size is not None and start > file.size:
            out.truncate(0)
            start = 0
        with opened(entry, file, start) as answer:
            if answer.status != http.client.PARTIAL_CONTENT and start:
                out.truncate(0)
                start = 0
            digest = _hash_of(part, start)
            size = start + _copy(answer, out, digest, start, file, entry.name)
        out.flush()
        os.fsync(out.fileno())
    return _Received(size=size, sha256=digest.hexdigest(), commit=known_commit(answer))


def _hash_of(part: Path, size: int) -> "hashlib._Hash":
    digest = hashlib.sha256()
    if size:
        with part.open("rb") as file:
            while chunk := file.read(_CHUNK):
                digest.update(chunk)
    return digest


def _copy(
    answer: Any, out: BinaryIO, digest: "hashlib._Hash", start: int, file: RemoteFile, name: str
) -> int:
    rest = answer.headers.get("Content-Length")
    total = file.size or (start + int(rest) if rest and rest.isdigit() else None)
    size = 0
    with tqdm(
        total=total,
        initial=start,
        unit="B",
        unit_scale=True,
        desc=name,
        disable=None,
        leave=False,
    ) as bar:
        while chunk := answer.read(_CHUNK):
            size += len(chunk)
            if total is not None and start + size > total:
                raise ModelError(
                    f"model '{name}': {file.path} is longer than {total:,} bytes on the server; "
                    "nothing was kept: check the mirror"
                )
            out.write(chunk)
            digest.update(chunk)
            bar.update(len(chunk))
    if total is not None and start + size < total:
        raise http.client.IncompleteRead(b"", total - start - size)
    return size


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
    kept = _known(path)
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
        place = _record(path)
        make_folder(place.parent)
        with replacing(place) as part:
            record = _Checked(path=str(path), sha256=digest, stamp=_stamp(path))
            part.write_text(to_json(record) + "\n", encoding="utf-8")


def _stamp(path: Path) -> tuple[int, int]:
    facts = path.stat()
    return facts.st_size, facts.st_mtime_ns


def _record(path: Path) -> Path:
    name = hashlib.sha256(str(path.absolute()).encode("utf-8", "surrogateescape")).hexdigest()
    return cache_directory() / "verified" / f"{name[:32]}.json"


def _known(path: Path) -> _Checked | None:
    try:
        return from_json(_Checked, _record(path).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
