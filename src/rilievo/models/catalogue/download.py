"""Download of published files: once, resumed where it broke off, checked by size and sha256.

A file is fetched over HTTPS with the standard library, so proxies (``HTTPS_PROXY``) work as
everywhere, and kept in the cache that huggingface_hub shares between programs. Two processes that
want the same file share one download.
"""

import errno
import hashlib
import http.client
import os
import shutil
import sys
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO
from urllib.parse import urlsplit

from filelock import FileLock
from tqdm import tqdm

from rilievo.errors import ModelError
from rilievo.models.catalogue import hub_cache, verified
from rilievo.models.catalogue.table import Entry, RemoteFile
from rilievo.version import VERSION

_CHUNK = 1 << 20
_TIMEOUT = 30.0  # seconds without a byte
_DISK_FULL = (errno.ENOSPC, errno.EDQUOT)


def find_files(entry: Entry) -> list[Path] | None:
    """The files of a model in the cache, the graph first; None where one is missing.

    Raises:
        ModelError: If a file is there and is not the published one.
    """
    found = [_in_cache(entry, file) for file in entry.files]
    return None if None in found else [path for path in found if path is not None]


def fetch_files(entry: Entry, *, offline: bool = False) -> list[Path]:
    """The files of a model, the graph first; those that the cache lacks are downloaded.

    The licence is printed on standard error before the first download.

    Args:
        entry: The model.
        offline: Refuse to download, as ``HF_HUB_OFFLINE=1`` does.

    Raises:
        ModelError: If a file cannot be fetched, or is not the published one.
    """
    found = find_files(entry)
    if found is not None:
        return found
    if offline or hub_cache.is_offline():
        raise ModelError(
            f"model '{entry.name}' is not in the cache ({hub_cache.cache_folder()}), and downloads "
            f"are switched off; fetch it where they are allowed: rilievo models fetch {entry.name}"
        )
    _print_licence(entry)
    return [_fetched(entry, file) for file in entry.files]


def _in_cache(entry: Entry, file: RemoteFile) -> Path | None:
    path = _link(entry, file)
    if not path.is_file():
        return None
    verified.check(path, file, entry.name)
    return path


def _link(entry: Entry, file: RemoteFile) -> Path:
    """The path of a file below the snapshot of its commit."""
    folder = hub_cache.repository_folder(entry.repository) / "snapshots"
    return folder / _commit(entry) / file.path


def _commit(entry: Entry) -> str:
    """The commit that a branch was at its first download; the revision itself before that."""
    path = hub_cache.repository_folder(entry.repository) / "refs" / entry.revision
    with suppress(OSError, UnicodeDecodeError):
        return path.read_text(encoding="utf-8").strip() or entry.revision
    return entry.revision


def _print_licence(entry: Entry) -> None:
    size = "" if entry.megabytes is None else f", {entry.megabytes:,.0f} MB"
    where = f"{hub_cache.endpoint()}/{entry.repository}"
    if entry.commercial is False:
        text = f"NON-COMMERCIAL LICENCE: the weights of {entry.name} are {entry.licence}"
    else:
        text = f"downloading {entry.name}{size}; licence of the weights: {entry.licence}"
    sys.stderr.write(f"rilievo: {text} ({_without_password(where)})\n")


def _fetched(entry: Entry, file: RemoteFile) -> Path:
    """Download one file under a lock, so that a second process waits and then finds it."""
    folder = hub_cache.repository_folder(entry.repository)
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
        raise ModelError(f"model '{entry.name}': {_reason(error)}") from error


def _slug(file: RemoteFile) -> str:
    return file.sha256 or file.path.replace("/", "--")


def _download(entry: Entry, file: RemoteFile, folder: Path) -> Path:
    blobs = folder / "blobs"
    blobs.mkdir(parents=True, exist_ok=True)
    part = blobs / f"{_slug(file)}.incomplete"
    if file.size is not None:
        _check_room(blobs, file.size - (part.stat().st_size if part.exists() else 0))
    received = _receive(entry, file, part)
    if file.size not in (None, received.size) or file.sha256 not in (None, received.sha256):
        part.unlink()
        raise ModelError(
            f"model '{entry.name}': {file.path} came with {received.size:,} bytes and sha256 "
            f"{received.sha256[:12]}..., expected {_expected(file)}; nothing was kept: try again, "
            "or check the mirror"
        )
    blob = blobs / received.sha256
    os.replace(part, blob)
    _sync_folder(blobs)
    if received.commit is not None and received.commit != entry.revision:
        reference = folder / "refs" / entry.revision
        reference.parent.mkdir(parents=True, exist_ok=True)
        reference.write_text(received.commit, encoding="utf-8")
    link = _link(entry, file)
    _place(blob, link)
    verified.remember(link, received.sha256)
    return link


def _expected(file: RemoteFile) -> str:
    size = "any size" if file.size is None else f"{file.size:,} bytes"
    return f"{size} and {'any hash' if file.sha256 is None else file.sha256[:12] + '...'}"


def _check_room(folder: Path, size: int) -> None:
    free = shutil.disk_usage(folder).free
    if free < size:
        raise OSError(errno.ENOSPC, f"{size / 1e6:,.0f} MB needed, {free / 1e6:,.0f} MB free")


def _place(blob: Path, link: Path) -> None:
    """Give a blob its name in the snapshot: a relative link, or the file itself without links."""
    link.parent.mkdir(parents=True, exist_ok=True)
    link.unlink(missing_ok=True)
    try:
        link.symlink_to(os.path.relpath(blob, link.parent))
    except OSError:
        os.replace(blob, link)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Received:
    size: int
    sha256: str
    commit: str | None


def _receive(entry: Entry, file: RemoteFile, part: Path) -> _Received:
    """Write the rest of a file behind what an earlier try left, and hash the whole."""
    with part.open("ab") as out:
        start = out.tell()
        if file.size is not None and start > file.size:
            out.truncate(0)
            start = 0
        with _opened(entry, file, start) as answer:
            if answer.status != http.client.PARTIAL_CONTENT and start:
                out.truncate(0)
                start = 0
            digest = _hash_of(part, start)
            size = start + _copy(answer, out, digest, start, file, entry.name)
        out.flush()
        os.fsync(out.fileno())
    return _Received(size=size, sha256=digest.hexdigest(), commit=_known_commit(answer))


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


@contextmanager
def _opened(entry: Entry, file: RemoteFile, start: int) -> Iterator[Any]:
    """The server's answer for the bytes from ``start`` on."""
    request = urllib.request.Request(_address(entry, file))
    request.add_header("User-Agent", f"rilievo/{VERSION}")
    if start:
        request.add_header("Range", f"bytes={start}-")
    if (token := hub_cache.token()) is not None and _is_hub(entry):
        # Not sent along when the hub redirects to a host of files.
        request.add_unredirected_header("Authorization", f"Bearer {token}")
    opener = urllib.request.build_opener(_KeepCommit)
    with opener.open(request, timeout=_TIMEOUT) as answer:
        yield answer


class _KeepCommit(urllib.request.HTTPRedirectHandler):
    """Redirects that hand on the commit, which only the hub's first answer names."""

    def redirect_request(
        self, req: Any, fp: Any, code: int, msg: str, headers: Any, newurl: str
    ) -> Any:
        if urlsplit(newurl).scheme not in ("http", "https"):
            raise urllib.error.URLError(f"redirected to {newurl!r}")
        new = super().redirect_request(req, fp, code, msg, headers, newurl)
        if new is not None:
            new.commit = headers.get("X-Repo-Commit") or getattr(req, "commit", None)  # pyright: ignore
        return new

    def http_response(self, request: Any, response: Any) -> Any:
        response.commit = response.headers.get("X-Repo-Commit") or getattr(request, "commit", None)
        return response

    https_response = http_response


def _known_commit(answer: Any) -> str | None:
    commit = getattr(answer, "commit", None)
    return commit if commit and commit.isalnum() else None


def _is_hub(entry: Entry) -> bool:
    return not entry.repository.startswith("https://")


def _address(entry: Entry, file: RemoteFile) -> str:
    if not _is_hub(entry):
        return f"{entry.repository}/{file.path}"
    return f"{hub_cache.endpoint()}/{entry.repository}/resolve/{entry.revision}/{file.path}"


def _without_password(address: str) -> str:
    scheme, sign, rest = address.partition("://")
    host, slash, path = rest.partition("/")
    return f"{scheme}{sign}{host.rpartition('@')[2]}{slash}{path}"


def _sync_folder(folder: Path) -> None:
    if os.name == "posix":
        descriptor = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)


def _reason(error: BaseException) -> str:
    """What went wrong, and what mends it, in one line."""
    host = _without_password(hub_cache.endpoint())
    if isinstance(error, urllib.error.HTTPError):
        if error.code in (401, 403):
            return f"{host} refuses it (HTTP {error.code}): accept its terms there, set HF_TOKEN"
        if error.code == 404:
            return f"{host} does not have it (HTTP 404): check HF_ENDPOINT"
        return f"{host} answered with HTTP {error.code}: try again later"
    cause = error.reason if isinstance(error, urllib.error.URLError) else error
    if isinstance(cause, OSError) and cause.errno in _DISK_FULL:
        return f"the disk is full ({hub_cache.cache_folder()}, {cause}): make room, or set HF_HOME"
    if isinstance(cause, TimeoutError):
        return f"{host} did not answer in time: try again, what came is kept"
    if isinstance(cause, http.client.HTTPException | ConnectionError) and not isinstance(
        cause, ConnectionRefusedError
    ):
        return f"{host} broke off the download: try again, what came is kept"
    if isinstance(error, urllib.error.URLError):
        return f"{host} cannot be reached ({cause}), and the cache does not have the model"
    return f"{getattr(cause, 'filename', None) or hub_cache.cache_folder()}: {cause}"
