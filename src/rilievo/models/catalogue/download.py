"""Download published files into the cache of huggingface_hub, and check their hashes.

An interrupted download resumes. If two processes need a file, one downloads it for both.
"""

import errno
import hashlib
import http.client
import os
import re
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

from rilievo.errors import InputError, ModelError, OutputError
from rilievo.errors.messages import OptionName, Text
from rilievo.io.files.atomic import make_folder, sync_folder, write_text
from rilievo.io.files.limits import read_text
from rilievo.io.json_record import from_json, to_json
from rilievo.models.catalogue.table import CatalogueEntry, RemoteFile
from rilievo.models.network_files import cache_directory, sha256
from rilievo.system.terminal import wrap_for_terminal
from rilievo.version import VERSION

_DEFAULT_ENDPOINT = "https://huggingface.co"
_TRUE_WORDS = frozenset(("1", "on", "yes", "true"))
_TIMEOUT = 30.0  # [s] without a byte
_DISK_FULL = (errno.ENOSPC, errno.EDQUOT)
_CHUNK = 1 << 20  # [bytes] between two steps of the progress bar
_MIRROR_HINT = "check the mirror if HF_ENDPOINT names one"


def hub_endpoint() -> str:
    """URL of the hub or of its mirror (``HF_ENDPOINT``), without a slash at its end."""
    return (os.environ.get("HF_ENDPOINT") or _DEFAULT_ENDPOINT).rstrip("/")


def is_offline() -> bool:
    """Whether downloads are forbidden (``HF_HUB_OFFLINE``, ``TRANSFORMERS_OFFLINE``)."""
    return any(_is_variable_true(name) for name in ("HF_HUB_OFFLINE", "TRANSFORMERS_OFFLINE"))


def hub_token() -> str | None:
    """Token of the hub from ``HF_TOKEN`` or from the login; None if there is none."""
    token = os.environ.get("HF_TOKEN", "").strip()
    if token:
        return token
    if _is_variable_true("HF_HUB_DISABLE_IMPLICIT_TOKEN"):
        return None
    path = Path(os.environ.get("HF_TOKEN_PATH") or _hugging_face_home() / "token")
    try:
        return read_text(path).strip() or None
    except InputError:
        return None


def cache_folder() -> Path:
    """Cache of huggingface_hub: ``HF_HUB_CACHE``, or ``hub`` in ``HF_HOME``."""
    folder = os.environ.get("HF_HUB_CACHE") or os.environ.get("HUGGINGFACE_HUB_CACHE")
    return Path(folder) if folder else _hugging_face_home() / "hub"


def repository_folder(repository: str) -> Path:
    """Folder in the cache of a repository of the hub, or of a URL."""
    name = repository.partition("://")[2] or repository
    return cache_folder() / f"models--{name.replace('/', '--').replace(':', '-')}"


def pinned_commit(entry: CatalogueEntry) -> str:
    """Commit of a model's first download, which is used ever after; before it, the revision."""
    path = repository_folder(entry.repository) / "refs" / entry.revision
    with suppress(OSError, UnicodeDecodeError):
        return path.read_text(encoding="utf-8").strip() or entry.revision
    return entry.revision


def cached_path(entry: CatalogueEntry, file: RemoteFile, commit: str | None = None) -> Path:
    """Path where a file is or would be in the cache, by default at the pinned commit."""
    snapshots = repository_folder(entry.repository) / "snapshots"
    return snapshots / (commit or pinned_commit(entry)) / file.path


def is_downloaded(entry: CatalogueEntry) -> bool:
    """Whether all files of a model are in the cache."""
    return all(cached_path(entry, file).is_file() for file in entry.files)


def _hugging_face_home() -> Path:
    return cache_directory("HF_HOME", "huggingface")


def _is_variable_true(name: str) -> bool:
    return os.environ.get(name, "").strip().lower() in _TRUE_WORDS


@contextmanager
def open_remote_file(entry: CatalogueEntry, file: RemoteFile, offset: int) -> Iterator[Any]:
    """Open a remote file from the byte ``offset`` on; from its start if the server cannot do so."""
    request = urllib.request.Request(_download_url(entry, file))
    request.add_header("User-Agent", f"rilievo/{VERSION}")
    if offset:
        request.add_header("Range", f"bytes={offset}-")
    token = hub_token()
    if token is not None and entry.is_on_hub:
        # The token is not sent along when the hub redirects to a file host.
        request.add_unredirected_header("Authorization", f"Bearer {token}")
    opener = urllib.request.build_opener(_FirstHeadersHandler)
    with opener.open(request, timeout=_TIMEOUT) as response:
        yield response


@dataclass(frozen=True, slots=True, kw_only=True)
class HubFileInfo:
    """Commit, size [bytes] and hash of a file by the hub's headers; None if not stated."""

    commit: str | None = None
    size: int | None = None
    sha256: str | None = None


class _FirstHeadersHandler(urllib.request.HTTPRedirectHandler):
    """Handler that keeps the headers before a redirect, as ``response.first_headers``.

    The hub states commit, size and hash there; the file host to which it redirects does not.
    """

    def redirect_request(
        self, req: Any, fp: Any, code: int, msg: str, headers: Any, newurl: str
    ) -> Any:
        if urlsplit(newurl).scheme not in ("http", "https"):
            raise urllib.error.URLError(f"redirected to {newurl!r}")
        new = super().redirect_request(req, fp, code, msg, headers, newurl)
        if new is not None:
            new.first_headers = getattr(req, "first_headers", None) or headers  # pyright: ignore
        return new

    def http_response(self, request: Any, response: Any) -> Any:
        response.first_headers = getattr(request, "first_headers", None) or response.headers
        return response

    https_response = http_response


def parse_hub_headers(response: Any) -> HubFileInfo:
    """Parse the headers that the hub sent before it redirected."""
    headers = getattr(response, "first_headers", {})
    commit = headers.get("X-Repo-Commit")
    size = headers.get("X-Linked-Size")
    # The ETag of a large file is its SHA-256. "W/" marks a weak one.
    etag = headers.get("X-Linked-Etag") or headers.get("ETag") or ""
    etag = etag.removeprefix("W/").strip('"')
    return HubFileInfo(
        commit=commit if commit and commit.isalnum() else None,
        size=int(size) if size and size.isdigit() else None,
        sha256=etag if re.fullmatch("[0-9a-f]{64}", etag) else None,
    )


def _download_url(entry: CatalogueEntry, file: RemoteFile) -> str:
    if not entry.is_on_hub:
        return f"{entry.repository}/{file.path}"
    return f"{hub_endpoint()}/{entry.repository}/resolve/{pinned_commit(entry)}/{file.path}"


def without_password(text: str) -> str:
    """Remove users and passwords from the addresses in a text."""
    return re.sub(r"(https?://)[^/@\s]+@", r"\1", text)


def _fetch_hint(entry: CatalogueEntry) -> Text:
    """What a user can do if a download is not possible."""
    return Text(
        f"run 'rilievo models fetch {entry.name}' while you are online, or use ",
        OptionName("quality", "fast"),
        ", which needs no download",
    )


def _server_address(entry: CatalogueEntry) -> str:
    """Address of a model's server, for messages."""
    return without_password(hub_endpoint() if entry.is_on_hub else entry.repository)


def _describe_failure(error: BaseException, entry: CatalogueEntry) -> str | Text:
    """Describe why a download failed, and what to do."""
    host = _server_address(entry)
    if isinstance(error, urllib.error.HTTPError):
        return _describe_http_error(error.code, host, entry)
    cause = error.reason if isinstance(error, urllib.error.URLError) else error
    if isinstance(cause, OSError) and cause.errno in _DISK_FULL:
        return Text(
            f"the disk is full ({cache_folder()}: {cause.strerror}): free some space, or set "
            "HF_HOME to another folder"
        )
    if isinstance(cause, TimeoutError):
        return f"{host} did not answer in time: try again to resume the download"
    is_interrupted = isinstance(cause, http.client.HTTPException | ConnectionError)
    if is_interrupted and not isinstance(cause, ConnectionRefusedError):
        return f"{host} interrupted the download: try again to resume the download"
    if isinstance(error, urllib.error.URLError):
        return Text(
            f"{host} cannot be reached ({cause}), and the model is not in the cache: ",
            _fetch_hint(entry),
        )
    return Text(f"{getattr(cause, 'filename', None) or cache_folder()}: {cause}")


def _describe_http_error(status: int, host: str, entry: CatalogueEntry) -> str:
    """Describe a reply of the server that is not the file, and what to do."""
    if status in (401, 403):
        # The token is only sent to the hub.
        hint = "try again later"
        if entry.is_on_hub:
            hint = f"accept the terms of {entry.repository} there, and set HF_TOKEN"
        return f"{host} refuses the download (HTTP {status}): {hint}"
    if status == 404:
        hint = _MIRROR_HINT if entry.is_on_hub else "update rilievo, in case the file has moved"
        return f"{host} does not have the file (HTTP 404): {hint}"
    if 300 <= status < 400:
        hint = _MIRROR_HINT if entry.is_on_hub else "try again later"
        return f"{host} redirects endlessly or without an address: {hint}"
    return f"{host} answered with HTTP {status}: try again later"


@dataclass(frozen=True, slots=True, kw_only=True)
class HashRecord:
    """Stored hash of a cached file, which is trusted while the file keeps its size and time.

    Attributes:
        stamp: Size [bytes] and time of the last change [ns].
    """

    path: str
    sha256: str
    stamp: tuple[int, int]


def verified_sha256(path: Path, file: RemoteFile, model: str) -> str:
    """Return the SHA-256 of a file, after comparing it with the published one.

    If none is published, it is compared with that of the first download, which is recorded. An
    unchanged file is not read again: its hash is taken from the ``HashRecord``.

    Raises:
        ModelError: If the size or the hash of the file is not the expected one.
    """
    size = path.stat().st_size
    if file.size is not None and size != file.size:
        raise ModelError(
            f"model '{model}': {path} has {size:,} bytes, expected {file.size:,}; remove the file "
            "to download it again"
        )
    record = read_hash_record(path)
    if record is not None and record.stamp == _size_and_mtime_ns(path):
        is_record_current = True
        digest = record.sha256
    else:
        is_record_current = False
        digest = sha256(path)
    first_digest = None if record is None else record.sha256
    expected = file.sha256 or first_digest
    # A published hash may be shortened to its first digits. The first download of a file without a
    # published hash has nothing to compare with.
    if expected and not digest.startswith(expected):
        raise ModelError(
            f"model '{model}': {path} has sha256 {digest[:12]}..., expected {expected[:12]}...; "
            "remove the file to download it again"
        )
    if not is_record_current:
        record_sha256(path, digest)
    return digest


def record_sha256(path: Path, digest: str) -> None:
    """Record a file's hash, unless the cache cannot be written."""
    with suppress(OutputError):
        record = HashRecord(path=str(path), sha256=digest, stamp=_size_and_mtime_ns(path))
        target = hash_record_path(path)
        make_folder(target.parent)
        write_text(target, to_json(record) + "\n")


def _size_and_mtime_ns(path: Path) -> tuple[int, int]:
    status = path.stat()
    return status.st_size, status.st_mtime_ns


def hash_record_path(path: Path) -> Path:
    """Path of the file that records the hash of a downloaded file."""
    name = hashlib.sha256(str(path.absolute()).encode("utf-8", "surrogateescape")).hexdigest()
    return cache_directory() / "verified" / f"{name[:32]}.json"


def read_hash_record(path: Path) -> HashRecord | None:
    """Read the record of a file's hash; None if it is missing or damaged."""
    try:
        return from_json(HashRecord, read_text(hash_record_path(path)))
    except (InputError, ValueError):
        return None


def find_files(entry: CatalogueEntry) -> list[Path] | None:
    """Find the files of a model in the cache, the ONNX file first; None if one is missing."""
    found_paths = [_find_and_check(entry, file) for file in entry.files]
    paths = [path for path in found_paths if path is not None]
    return paths if len(paths) == len(entry.files) else None


def require_files(entry: CatalogueEntry) -> list[Path]:
    """Find the files of a model, which the user must have downloaded before.

    Raises:
        ModelError: If a file is missing from the cache.
    """
    paths = find_files(entry)
    if paths is None:
        raise ModelError(
            f"model '{entry.name}' is not downloaded: run 'rilievo models fetch {entry.name}'"
        )
    return paths


def fetch_files(entry: CatalogueEntry) -> list[Path]:
    """Find the files of a model, and download those that are missing."""
    paths = find_files(entry)
    if paths is not None:
        return paths
    if is_offline():
        raise ModelError(
            f"model '{entry.name}' is not in the cache ({cache_folder()}), and downloads are "
            "switched off (by --offline, or by the variable HF_HUB_OFFLINE or "
            "TRANSFORMERS_OFFLINE):",
            problem=_fetch_hint(entry),
        )
    _print_licence(entry)
    return [_fetch_file(entry, file) for file in entry.files]


def _find_and_check(entry: CatalogueEntry, file: RemoteFile) -> Path | None:
    """Find a file in the cache and check its hash; None if it is missing."""
    path = cached_path(entry, file)
    if not path.is_file():
        return None
    verified_sha256(path, file, entry.name)
    return path


def _print_licence(entry: CatalogueEntry) -> None:
    size = "" if entry.card.megabytes is None else f", {entry.card.megabytes:,.0f} MB"
    where = f"{hub_endpoint()}/{entry.repository}" if entry.is_on_hub else entry.repository
    if entry.commercial is False:
        text = f"NON-COMMERCIAL LICENCE: the weights of {entry.name} are {entry.licence}"
    else:
        text = f"downloading {entry.name}{size}; licence of the weights: {entry.licence}"
    sys.stderr.write(
        wrap_for_terminal(f"rilievo: {text} ({without_password(where)})", sys.stderr) + "\n"
    )


def _fetch_file(entry: CatalogueEntry, file: RemoteFile) -> Path:
    """Download a file unless it is in the cache; other processes wait for it meanwhile."""
    folder = repository_folder(entry.repository)
    lock = folder.parent / ".locks" / folder.name / f"{_temporary_name(file)}.lock"
    try:
        lock.parent.mkdir(parents=True, exist_ok=True)
        with FileLock(lock):
            return _find_and_check(entry, file) or _download_file(entry, file, folder)
    except ModelError:
        raise
    except (OSError, http.client.HTTPException) as error:
        if isinstance(error, urllib.error.HTTPError):
            error.close()
        raise ModelError(
            problem=Text(f"model '{entry.name}': ", _describe_failure(error, entry))
        ) from error


def _temporary_name(file: RemoteFile) -> str:
    return file.sha256 or file.path.replace("/", "--")


def _download_file(entry: CatalogueEntry, file: RemoteFile, folder: Path) -> Path:
    """Download a file into the folder of its repository in the cache, and check it.

    As in huggingface_hub, the content lies under ``blobs`` by its hash, ``snapshots/COMMIT`` has a
    link to it, and ``refs`` has the commit of a branch.
    """
    blobs = folder / "blobs"
    blobs.mkdir(parents=True, exist_ok=True)
    incomplete = blobs / f"{_temporary_name(file)}.incomplete"
    if file.size is not None:
        bytes_present = incomplete.stat().st_size if incomplete.exists() else 0
        _check_free_bytes(blobs, file.size - bytes_present)
    try:
        download = _resume_download(entry, file, incomplete)
        _check_size_and_sha256(entry, file, download)
        link = cached_path(entry, file, download.announced.commit)
        _check_first_sha256(entry, link, download.sha256)
    except ModelError:
        incomplete.unlink(missing_ok=True)
        raise

    blob = blobs / download.sha256
    os.replace(incomplete, blob)
    sync_folder(blobs)
    _pin_commit(entry, folder, download.announced.commit)
    _link_blob(blob, link, is_only_file=len(entry.files) == 1)
    record_sha256(link, download.sha256)
    return link


def _pin_commit(entry: CatalogueEntry, folder: Path, commit: str | None) -> None:
    """Record the commit of a branch, which ``pinned_commit`` reads; None if it is unknown."""
    if commit is None or commit == entry.revision:
        return
    reference = folder / "refs" / entry.revision
    reference.parent.mkdir(parents=True, exist_ok=True)
    reference.write_text(commit, encoding="utf-8")


def _check_announced_file(
    entry: CatalogueEntry, file: RemoteFile, announced: HubFileInfo, response_size: int | None
) -> None:
    """Check what the server announces of a file, before the file is downloaded.

    What the catalogue or the server does not state is not compared.

    ``response_size`` is the size by the response [bytes], or None if it is not stated.
    """
    has_other_size = bool(announced.size) and file.size not in (None, announced.size)
    has_other_hash = bool(announced.sha256) and not file.has_hash(announced.sha256 or "")
    if has_other_size or has_other_hash:
        raise ModelError(
            f"model '{entry.name}': {_server_address(entry)} now has a different "
            f"{file.path}, with "
            f"{_describe_size_and_hash(announced.size, announced.sha256)}, expected "
            f"{_describe_size_and_hash(file.size, file.sha256)}; nothing was downloaded: "
            f"update rilievo, or {_MIRROR_HINT}"
        )
    expected_size = file.size or announced.size
    if None not in (expected_size, response_size) and expected_size != response_size:
        raise ModelError(
            f"model '{entry.name}': {file.path} should have {expected_size:,} bytes, but "
            f"{_server_address(entry)} announces {response_size:,}; nothing was kept: try "
            f"again, or {_MIRROR_HINT}"
        )


def _check_size_and_sha256(entry: CatalogueEntry, file: RemoteFile, download: "_Download") -> None:
    """Check a downloaded file against the catalogue, or else against the hub's announcement."""
    expected_size = file.size or download.announced.size
    expected_sha256 = file.sha256 or download.announced.sha256
    has_expected_size = expected_size is None or download.size == expected_size
    # A hash in the catalogue may be shortened to its first digits.
    has_expected_hash = expected_sha256 is None or download.sha256.startswith(expected_sha256)
    if has_expected_size and has_expected_hash:
        return
    raise ModelError(
        f"model '{entry.name}': {file.path} was received with "
        f"{_describe_size_and_hash(download.size, download.sha256)}, expected "
        f"{_describe_size_and_hash(expected_size, expected_sha256)}; nothing was kept: try "
        f"again, or {_MIRROR_HINT}"
    )


def _check_first_sha256(entry: CatalogueEntry, link: Path, digest: str) -> None:
    """Check that a file is the same as at its first download, if there was one."""
    record = read_hash_record(link)
    if record is not None and record.sha256 != digest:
        raise ModelError(
            f"model '{entry.name}': {link.name} was received with sha256 {digest[:12]}..., "
            f"but its first download had {record.sha256[:12]}...; nothing was kept: "
            f"{_MIRROR_HINT}, or remove {hash_record_path(link)} to accept the new file"
        )


def _describe_size_and_hash(size: int | None, sha256: str | None) -> str:
    known_facts = []
    if size is not None:
        known_facts.append(f"{size:,} bytes")
    if sha256 is not None:
        known_facts.append(f"sha256 {sha256[:12]}...")
    return " and ".join(known_facts) or "an unknown size and sha256"


def _check_free_bytes(folder: Path, needed: int) -> None:
    free = shutil.disk_usage(folder).free
    if free < needed:
        raise OSError(errno.ENOSPC, f"{needed / 1e6:,.0f} MB needed, {free / 1e6:,.0f} MB free")


def _link_blob(blob: Path, link: Path, *, is_only_file: bool) -> None:
    """Link to a file of the cache from the snapshot of its commit; move it if links fail."""
    # Engines look for weights beside the target of a symbolic link, so models with several files
    # get hard links.
    link.parent.mkdir(parents=True, exist_ok=True)
    link.unlink(missing_ok=True)
    try:
        if is_only_file:
            link.symlink_to(os.path.relpath(blob, link.parent))
        else:
            link.hardlink_to(blob)
    except OSError:
        os.replace(blob, link)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Download:
    """Size [bytes] and hash of what was downloaded, and what the hub announced before."""

    size: int
    sha256: str
    announced: HubFileInfo


def _resume_download(entry: CatalogueEntry, file: RemoteFile, incomplete: Path) -> _Download:
    """Download a file into ``incomplete``, after the bytes that an earlier attempt left there.

    If there are too many bytes, or the server sends the whole file, the download begins anew.
    """
    with incomplete.open("ab") as out:
        present_size = out.tell()
        has_too_many_bytes = file.size is not None and present_size > file.size
        if has_too_many_bytes:
            out.truncate(0)
            present_size = 0
        with open_remote_file(entry, file, present_size) as response:
            sends_whole_file = response.status != http.client.PARTIAL_CONTENT
            if sends_whole_file and present_size:
                out.truncate(0)
                present_size = 0
            announced = parse_hub_headers(response) if entry.is_on_hub else HubFileInfo()
            _check_announced_file(entry, file, announced, _total_size(response, present_size))
            # The hash of the bytes that are there already is continued with those that follow.
            with incomplete.open("rb") as present_bytes:
                running_hash = hashlib.file_digest(present_bytes, "sha256")
            size = _append_response(response, out, running_hash, present_size, file, entry.name)
        out.flush()
        os.fsync(out.fileno())
    return _Download(size=size, sha256=running_hash.hexdigest(), announced=announced)


def _total_size(response: Any, offset: int) -> int | None:
    """Size of the whole file by a response that begins at ``offset`` [bytes]; None if unknown."""
    length = response.headers.get("Content-Length")
    return offset + int(length) if length and length.isdigit() else None


def _append_response(
    response: Any,
    out: BinaryIO,
    running_hash: "hashlib._Hash",
    size: int,
    file: RemoteFile,
    model: str,
) -> int:
    """Append a response to a file of ``size`` bytes and to its hash; return the new size."""
    # Imported on demand: the table of models needs no progress bar.
    from tqdm import tqdm

    total = file.size or _total_size(response, size)
    progress = tqdm(
        total=total,
        initial=size,
        unit="B",
        unit_scale=True,
        desc=model,
        disable=None,  # shown on a terminal only
        leave=False,
    )
    with progress:
        while chunk := response.read(_CHUNK):
            size += len(chunk)
            if total is not None and size > total:
                raise ModelError(
                    f"model '{model}': the server sent more of {file.path} than the expected "
                    f"{total:,} bytes; nothing was kept: try again, or {_MIRROR_HINT}"
                )
            out.write(chunk)
            running_hash.update(chunk)
            progress.update(len(chunk))
    if total is not None and size < total:
        raise http.client.IncompleteRead(b"", total - size)
    return size
