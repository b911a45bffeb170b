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
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

from filelock import FileLock
from tqdm import tqdm

from rilievo.errors import ModelError
from rilievo.io.files.durable import sync_folder
from rilievo.models.catalogue.requests import (
    HubStatement,
    cache_folder,
    cached_path,
    endpoint,
    failure,
    is_offline,
    opened,
    remedy,
    repository_folder,
    server,
    statement,
    without_password,
)
from rilievo.models.catalogue.table import Entry, RemoteFile
from rilievo.models.catalogue.verified_files import check, known_file, record_of, remember

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
    path = cached_path(entry, file)
    if not path.is_file():
        return None
    check(path, file, entry.name)
    return path


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
    try:
        received = _receive(entry, file, part)
        _check_received(entry, file, received)
        link = cached_path(entry, file, received.stated.commit)
        _check_again(entry, link, received.sha256)
    except ModelError:
        part.unlink(missing_ok=True)
        raise
    blob = blobs / received.sha256
    os.replace(part, blob)
    sync_folder(blobs)
    commit = received.stated.commit
    if commit is not None and commit != entry.revision:
        reference = folder / "refs" / entry.revision
        reference.parent.mkdir(parents=True, exist_ok=True)
        reference.write_text(commit, encoding="utf-8")
    _place(blob, link, alone=len(entry.files) == 1)
    remember(link, received.sha256)
    return link


def _check_stated(entry: Entry, file: RemoteFile, stated: HubStatement, size: int | None) -> None:
    """Refuse a file before it is received, where the hub itself states another one.

    Args:
        entry: The model.
        file: The file, as the table knows it.
        stated: Facts that the hub states.
        size: Size that the sender announces [bytes].
    """
    other = file.size not in (None, stated.size or file.size)
    if other or not file.is_same(stated.sha256 or file.sha256 or ""):
        raise ModelError(
            f"model '{entry.name}': {server(entry)} has another {file.path} now, of "
            f"{_described(stated.size, stated.sha256)}, expected "
            f"{_described(file.size, file.sha256)}; nothing was fetched: check the mirror, or "
            "update rilievo"
        )
    expected = file.size or stated.size
    if None not in (expected, size) and expected != size:
        raise ModelError(
            f"model '{entry.name}': {file.path} has {expected:,} bytes, and {server(entry)} "
            f"announces {size:,}; nothing was kept: try again, or check the mirror"
        )


def _check_received(entry: Entry, file: RemoteFile, received: "_Received") -> None:
    """Compare what came with what is known of the file, and with what the hub stated for it."""
    stated = received.stated
    size, digest = file.size or stated.size, file.sha256 or stated.sha256
    if size in (None, received.size) and received.sha256.startswith(digest or ""):
        return
    raise ModelError(
        f"model '{entry.name}': {file.path} came with "
        f"{_described(received.size, received.sha256)}, expected {_described(size, digest)}; "
        "nothing was kept: try again, or check the mirror"
    )


def _check_again(entry: Entry, link: Path, digest: str) -> None:
    """Compare a file that is downloaded again with its first download."""
    kept = known_file(link)
    if kept is not None and kept.sha256 != digest:
        raise ModelError(
            f"model '{entry.name}': {link.name} came with sha256 {digest[:12]}..., its first "
            f"download had {kept.sha256[:12]}...; nothing was kept: check the mirror, or remove "
            f"{record_of(link)} to take it as new"
        )


def _described(size: int | None, sha256: str | None) -> str:
    length = "any size" if size is None else f"{size:,} bytes"
    return f"{length} and {'any sha256' if sha256 is None else f'sha256 {sha256[:12]}...'}"


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
    stated: HubStatement


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
            stated = statement(answer) if entry.is_on_hub else HubStatement()
            _check_stated(entry, file, stated, _announced(answer, start))
            digest = _hash_of(part, start)
            size = start + _copy(answer, out, digest, start, file, entry.name)
        out.flush()
        os.fsync(out.fileno())
    return _Received(size=size, sha256=digest.hexdigest(), stated=stated)


def _announced(answer: Any, start: int) -> int | None:
    """Size of the whole file that the sender announces; None if it announces none."""
    rest = answer.headers.get("Content-Length")
    return start + int(rest) if rest and rest.isdigit() else None


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
    total = file.size or _announced(answer, start)
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
