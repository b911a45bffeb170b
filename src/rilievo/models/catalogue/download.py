"""Downloads of published files into the cache of huggingface_hub, and checks of their hashes.

An interrupted download resumes, and of two processes that need a file, one downloads it for both.
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
from rilievo.io.files.atomic import make_folder, replacing, sync_folder
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


def endpoint() -> str:
    """URL of the hub or of its mirror (``HF_ENDPOINT``), without a slash at its end."""
    return (os.environ.get("HF_ENDPOINT") or _DEFAULT_ENDPOINT).rstrip("/")


def is_offline() -> bool:
    """Whether downloads are forbidden (``HF_HUB_OFFLINE``, ``TRANSFORMERS_OFFLINE``)."""
    return any(_is_variable_true(name) for name in ("HF_HUB_OFFLINE", "TRANSFORMERS_OFFLINE"))


def token() -> str | None:
    """Token of the hub: that of ``HF_TOKEN``, or that of the login; None if there is none."""
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
    """Commit of a model's first download, to which later ones keep; before it, its revision."""
    path = repository_folder(entry.repository) / "refs" / entry.revision
    with suppress(OSError, UnicodeDecodeError):
        return path.read_text(encoding="utf-8").strip() or entry.revision
    return entry.revision


def cached_path(entry: CatalogueEntry, file: RemoteFile, commit: str | None = None) -> Path:
    """Path of a file in the cache, whether it exists or not; by default of the pinned commit."""
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
    """Open a remote file from the byte ``offset`` on, if the server can do that."""
    request = urllib.request.Request(_download_url(entry, file))
    request.add_header("User-Agent", f"rilievo/{VERSION}")
    if offset:
        request.add_header("Range", f"bytes={offset}-")
    secret = token()
    if secret is not None and entry.is_on_hub:
        # It is not sent along when the hub redirects to a file host.
        request.add_unredirected_header("Authorization", f"Bearer {secret}")
    opener = urllib.request.build_opener(_FirstHeadersHandler)
    with opener.open(request, timeout=_TIMEOUT) as response:
        yield response


@dataclass(frozen=True, slots=True, kw_only=True)
class HubStatement:
    """What the hub states of a file in its headers; None for what it does not state."""

    commit: str | None = None
    size: int | None = None
    sha256: str | None = None


class _FirstHeadersHandler(urllib.request.HTTPRedirectHandler):
    """Handler that keeps the headers before a redirect, in ``stated``.

    The hub states commit, size and hash there; the file host to which it redirects does not.
    """

    def redirect_request(
        self, req: Any, fp: Any, code: int, msg: str, headers: Any, newurl: str
    ) -> Any:
        if urlsplit(newurl).scheme not in ("http", "https"):
            raise urllib.error.URLError(f"redirected to {newurl!r}")
        new = super().redirect_request(req, fp, code, msg, headers, newurl)
        if new is not None:
            new.stated = getattr(req, "stated", None) or headers  # pyright: ignore
        return new

    def http_response(self, request: Any, response: Any) -> Any:
        response.stated = getattr(request, "stated", None) or response.headers
        return response

    https_response = http_response


def read_statement(response: Any) -> HubStatement:
    """Read what the hub stated before it redirected."""
    headers = getattr(response, "stated", {})
    commit, size = headers.get("X-Repo-Commit"), headers.get("X-Linked-Size")
    etag = headers.get("X-Linked-Etag") or headers.get("ETag") or ""
    etag = etag.removeprefix("W/").strip('"')
    return HubStatement(
        commit=commit if commit and commit.isalnum() else None,
        size=int(size) if size and size.isdigit() else None,
        sha256=etag if re.fullmatch("[0-9a-f]{64}", etag) else None,
    )


def _download_url(entry: CatalogueEntry, file: RemoteFile) -> str:
    if not entry.is_on_hub:
        return f"{entry.repository}/{file.path}"
    return f"{endpoint()}/{entry.repository}/resolve/{pinned_commit(entry)}/{file.path}"


def without_password(text: str) -> str:
    """Remove users and passwords from the addresses in a text."""
    return re.sub(r"(https?://)[^/@\s]+@", r"\1", text)


def _remedy(entry: CatalogueEntry) -> Text:
    """What a user can do about a download that is not possible."""
    return Text(
        f"rilievo models fetch {entry.name} where there is a network, or ",
        OptionName("quality", "fast"),
    )


def _server(entry: CatalogueEntry) -> str:
    """Address of a model's server, for messages."""
    return without_password(endpoint() if entry.is_on_hub else entry.repository)


def _describe_failure(error: BaseException, entry: CatalogueEntry) -> str | Text:
    """Describe why a download failed, and what to do."""
    host = _server(entry)
    if isinstance(error, urllib.error.HTTPError):
        if error.code in (401, 403):
            return f"{host} refuses it (HTTP {error.code}): accept its terms there, set HF_TOKEN"
        if error.code == 404:
            hint = ": check HF_ENDPOINT" if entry.is_on_hub else ""
            return f"{host} does not have it (HTTP 404){hint}"
        if 300 <= error.code < 400:
            return f"{host} redirects without an end, or to no address: check the mirror"
        return f"{host} answered with HTTP {error.code}: try again later"
    cause = error.reason if isinstance(error, urllib.error.URLError) else error
    if isinstance(cause, OSError) and cause.errno in _DISK_FULL:
        return Text(f"the disk is full ({cache_folder()}, {cause}): make room, or set HF_HOME")
    if isinstance(cause, TimeoutError):
        return f"{host} did not answer in time: try again, the part received is kept"
    is_interrupted = isinstance(cause, http.client.HTTPException | ConnectionError)
    if is_interrupted and not isinstance(cause, ConnectionRefusedError):
        return f"{host} broke off the download: try again, the part received is kept"
    if isinstance(error, urllib.error.URLError):
        return Text(f"{host} cannot be reached ({cause}), and the cache lacks it: ", _remedy(entry))
    return Text(f"{getattr(cause, 'filename', None) or cache_folder()}: {cause}")


@dataclass(frozen=True, slots=True, kw_only=True)
class CheckedFile:
    """Hash of a cached file, which holds while the file keeps its size and time.

    Attributes:
        stamp: Size [bytes] and time of the last change [ns].
    """

    path: str
    sha256: str
    stamp: tuple[int, int]


def check_sha256(path: Path, file: RemoteFile, model: str) -> str:
    """Return the SHA-256 of a file after comparing it with the published one.

    Where none is published, it is compared with that of the first download.

    Raises:
        ModelError: If size or hash differ.
    """
    size = path.stat().st_size
    if file.size is not None and size != file.size:
        raise ModelError(
            f"model '{model}': {path} has {size:,} bytes, expected {file.size:,}; remove it to "
            "download it again"
        )
    record = read_record(path)
    is_unchanged = record is not None and record.stamp == _size_and_mtime_ns(path)
    digest = record.sha256 if record is not None and is_unchanged else sha256(path)
    first_digest = digest if record is None else record.sha256
    expected = file.sha256 or first_digest
    if not digest.startswith(expected):
        raise ModelError(
            f"model '{model}': {path} has sha256 {digest[:12]}..., expected {expected[:12]}...; "
            "remove it to download it again"
        )
    if not is_unchanged:
        record_sha256(path, digest)
    return digest


def record_sha256(path: Path, digest: str) -> None:
    """Record a file's hash, unless the cache cannot be written."""
    with suppress(OutputError):
        record = CheckedFile(path=str(path), sha256=digest, stamp=_size_and_mtime_ns(path))
        target = record_path(path)
        make_folder(target.parent)
        with replacing(target) as part:
            part.write_text(to_json(record) + "\n", encoding="utf-8")


def _size_and_mtime_ns(path: Path) -> tuple[int, int]:
    status = path.stat()
    return status.st_size, status.st_mtime_ns


def record_path(path: Path) -> Path:
    """Path of the file that records the hash of a downloaded file."""
    name = hashlib.sha256(str(path.absolute()).encode("utf-8", "surrogateescape")).hexdigest()
    return cache_directory() / "verified" / f"{name[:32]}.json"


def read_record(path: Path) -> CheckedFile | None:
    """Read the record of a file's hash; None if it is missing or damaged."""
    try:
        return from_json(CheckedFile, read_text(record_path(path)))
    except (InputError, ValueError):
        return None


def find_files(entry: CatalogueEntry) -> list[Path] | None:
    """Find the files of a model in the cache, the ONNX file first; None if one is missing.

    Raises:
        ModelError: If a file is damaged.
    """
    paths = [_find_and_check(entry, file) for file in entry.files]
    return None if None in paths else [path for path in paths if path is not None]


def fetch_files(entry: CatalogueEntry) -> list[Path]:
    """Find the files of a model, and download those that are missing.

    Raises:
        ModelError: If a download fails or is forbidden, or a file is damaged.
    """
    paths = find_files(entry)
    if paths is not None:
        return paths
    if is_offline():
        raise ModelError(
            f"model '{entry.name}' is not in the cache ({cache_folder()}), and downloads are "
            "switched off:",
            problem=_remedy(entry),
        )
    _print_licence(entry)
    return [_fetch_file(entry, file) for file in entry.files]


def _find_and_check(entry: CatalogueEntry, file: RemoteFile) -> Path | None:
    path = cached_path(entry, file)
    if not path.is_file():
        return None
    check_sha256(path, file, entry.name)
    return path


def _print_licence(entry: CatalogueEntry) -> None:
    size = "" if entry.card.megabytes is None else f", {entry.card.megabytes:,.0f} MB"
    where = f"{endpoint()}/{entry.repository}" if entry.is_on_hub else entry.repository
    if entry.commercial is False:
        text = f"NON-COMMERCIAL LICENCE: the weights of {entry.name} are {entry.licence}"
    else:
        text = f"downloading {entry.name}{size}; licence of the weights: {entry.licence}"
    sys.stderr.write(
        wrap_for_terminal(f"rilievo: {text} ({without_password(where)})", sys.stderr) + "\n"
    )


def _fetch_file(entry: CatalogueEntry, file: RemoteFile) -> Path:
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
    """Download a file into the folder of its repository in the cache, and check it."""
    blobs = folder / "blobs"
    blobs.mkdir(parents=True, exist_ok=True)
    part = blobs / f"{_temporary_name(file)}.incomplete"
    if file.size is not None:
        _check_free_bytes(blobs, file.size - (part.stat().st_size if part.exists() else 0))
    try:
        received = _resume_download(entry, file, part)
        _check_size_and_sha256(entry, file, received)
        link = cached_path(entry, file, received.stated.commit)
        _check_first_sha256(entry, link, received.sha256)
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
    _link_blob(blob, link, is_only_file=len(entry.files) == 1)
    record_sha256(link, received.sha256)
    return link


def _check_statement(
    entry: CatalogueEntry, file: RemoteFile, stated: HubStatement, size: int | None
) -> None:
    """Check what the server states of a file before it is downloaded.

    Args:
        entry: Model of the file.
        file: File as the catalogue knows it.
        stated: What the hub states.
        size: Size by the response [bytes]; None if it is not stated.

    Raises:
        ModelError: If it is another file than the catalogue's.
    """
    has_other_size = file.size not in (None, stated.size or file.size)
    if has_other_size or not file.has_hash(stated.sha256 or file.sha256 or ""):
        raise ModelError(
            f"model '{entry.name}': {_server(entry)} has another {file.path} now, of "
            f"{_size_and_hash(stated.size, stated.sha256)}, expected "
            f"{_size_and_hash(file.size, file.sha256)}; nothing was fetched: check the mirror, or "
            "update rilievo"
        )
    expected = file.size or stated.size
    if None not in (expected, size) and expected != size:
        raise ModelError(
            f"model '{entry.name}': {file.path} has {expected:,} bytes, and {_server(entry)} "
            f"announces {size:,}; nothing was kept: try again, or check the mirror"
        )


def _check_size_and_sha256(entry: CatalogueEntry, file: RemoteFile, received: "_Download") -> None:
    stated = received.stated
    size, digest = file.size or stated.size, file.sha256 or stated.sha256
    if size in (None, received.size) and received.sha256.startswith(digest or ""):
        return
    raise ModelError(
        f"model '{entry.name}': {file.path} came with "
        f"{_size_and_hash(received.size, received.sha256)}, expected "
        f"{_size_and_hash(size, digest)}; nothing was kept: try again, or check the mirror"
    )


def _check_first_sha256(entry: CatalogueEntry, link: Path, digest: str) -> None:
    record = read_record(link)
    if record is not None and record.sha256 != digest:
        raise ModelError(
            f"model '{entry.name}': {link.name} came with sha256 {digest[:12]}..., its first "
            f"download had {record.sha256[:12]}...; nothing was kept: check the mirror, or remove "
            f"{record_path(link)} to take it as new"
        )


def _size_and_hash(size: int | None, sha256: str | None) -> str:
    length = "any size" if size is None else f"{size:,} bytes"
    return f"{length} and {'any sha256' if sha256 is None else f'sha256 {sha256[:12]}...'}"


def _check_free_bytes(folder: Path, size: int) -> None:
    free = shutil.disk_usage(folder).free
    if free < size:
        raise OSError(errno.ENOSPC, f"{size / 1e6:,.0f} MB needed, {free / 1e6:,.0f} MB free")


def _link_blob(blob: Path, link: Path, *, is_only_file: bool) -> None:
    """Link a file of the cache from the snapshot of its commit, or move it there."""
    # Engines look for weights beside the ONNX file that a symbolic link points to, so the files of
    # models with several files have hard links.
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
    size: int
    sha256: str
    stated: HubStatement


def _resume_download(entry: CatalogueEntry, file: RemoteFile, part: Path) -> _Download:
    """Download a file into ``part``, after what an earlier attempt left there."""
    with part.open("ab") as out:
        offset = out.tell()
        if file.size is not None and offset > file.size:
            out.truncate(0)
            offset = 0
        with open_remote_file(entry, file, offset) as response:
            sends_whole_file = response.status != http.client.PARTIAL_CONTENT
            if sends_whole_file and offset:
                out.truncate(0)
                offset = 0
            stated = read_statement(response) if entry.is_on_hub else HubStatement()
            _check_statement(entry, file, stated, _total_size(response, offset))
            with part.open("rb") as received:
                digest = hashlib.file_digest(received, "sha256")
            size = _append_response(response, out, digest, offset, file, entry.name)
        out.flush()
        os.fsync(out.fileno())
    return _Download(size=size, sha256=digest.hexdigest(), stated=stated)


def _total_size(response: Any, offset: int) -> int | None:
    """Size of the whole file, by a response that begins at ``offset``; None if not stated."""
    length = response.headers.get("Content-Length")
    return offset + int(length) if length and length.isdigit() else None


def _append_response(
    response: Any, out: BinaryIO, digest: "hashlib._Hash", size: int, file: RemoteFile, name: str
) -> int:
    """Append a response to a file of ``size`` bytes and to its digest; return the new size."""
    # Imported on demand: the table of models needs no progress bar.
    from tqdm import tqdm

    total = file.size or _total_size(response, size)
    progress = tqdm(
        total=total,
        initial=size,
        unit="B",
        unit_scale=True,
        desc=name,
        disable=None,
        leave=False,
    )
    with progress:
        while chunk := response.read(_CHUNK):
            size += len(chunk)
            if total is not None and size > total:
                raise ModelError(
                    f"model '{name}': {file.path} is longer than {total:,} bytes on the server; "
                    "nothing was kept: check the mirror"
                )
            out.write(chunk)
            digest.update(chunk)
            progress.update(len(chunk))
    if total is not None and size < total:
        raise http.client.IncompleteRead(b"", total - size)
    return size
