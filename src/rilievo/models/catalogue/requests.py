"""HTTP requests for published files: the hub's cache, token and commit, and error messages.

The environment is read at every call.
"""

import errno
import http.client
import os
import re
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from rilievo.models.cache_folder import user_cache
from rilievo.models.catalogue.table import Entry, RemoteFile
from rilievo.version import VERSION

_DEFAULT_ENDPOINT = "https://huggingface.co"
_TRUE = frozenset(("1", "on", "yes", "true"))

_TIMEOUT = 30.0  # seconds without a byte

_DISK_FULL = (errno.ENOSPC, errno.EDQUOT)


def endpoint() -> str:
    """URL of the hub or of a mirror (``HF_ENDPOINT``), without a trailing slash."""
    return (os.environ.get("HF_ENDPOINT") or _DEFAULT_ENDPOINT).rstrip("/")


def is_offline() -> bool:
    """Whether the environment forbids downloads (``HF_HUB_OFFLINE``)."""
    return any(_is_set(name) for name in ("HF_HUB_OFFLINE", "TRANSFORMERS_OFFLINE"))


def token() -> str | None:
    """The user's token for the hub: ``HF_TOKEN``, or else the file written by logging in."""
    if given := os.environ.get("HF_TOKEN", "").strip():
        return given
    if _is_set("HF_HUB_DISABLE_IMPLICIT_TOKEN"):
        return None
    path = Path(os.environ.get("HF_TOKEN_PATH") or _home() / "token")
    try:
        return path.read_text(encoding="utf-8").strip() or None
    except (OSError, UnicodeDecodeError):
        return None


def cache_folder() -> Path:
    """Folder of the cache: ``HF_HUB_CACHE``, or else ``hub`` in ``HF_HOME``."""
    given = os.environ.get("HF_HUB_CACHE") or os.environ.get("HUGGINGFACE_HUB_CACHE")
    return Path(given) if given else _home() / "hub"


def repository_folder(repository: str) -> Path:
    """Folder of one repository, ``org/name`` or a URL, in the cache."""
    name = repository.partition("://")[2] or repository
    return cache_folder() / f"models--{name.replace('/', '--').replace(':', '-')}"


def pinned_commit(entry: Entry) -> str:
    """Commit of a branch at its first download; before that, the revision itself."""
    path = repository_folder(entry.repository) / "refs" / entry.revision
    with suppress(OSError, UnicodeDecodeError):
        return path.read_text(encoding="utf-8").strip() or entry.revision
    return entry.revision


def cached_path(entry: Entry, file: RemoteFile, commit: str | None = None) -> Path:
    """Path of a file in the cache, below the snapshot of its commit."""
    folder = repository_folder(entry.repository) / "snapshots"
    return folder / (commit or pinned_commit(entry)) / file.path


def is_downloaded(entry: Entry) -> bool:
    """Whether the files of a model are in the cache; their content is not looked at."""
    return all(cached_path(entry, file).is_file() for file in entry.files)


def _home() -> Path:
    if given := os.environ.get("HF_HOME"):
        return Path(given)
    return user_cache("HF_HOME") / "huggingface"


def _is_set(name: str) -> bool:
    return os.environ.get(name, "").strip().lower() in _TRUE


@contextmanager
def opened(entry: Entry, file: RemoteFile, start: int) -> Iterator[Any]:
    """Open the response for the bytes from ``start`` on."""
    request = urllib.request.Request(_address(entry, file))
    request.add_header("User-Agent", f"rilievo/{VERSION}")
    if start:
        request.add_header("Range", f"bytes={start}-")
    if (secret := token()) is not None and entry.is_on_hub:
        # Not sent along when the hub redirects to a file host.
        request.add_unredirected_header("Authorization", f"Bearer {secret}")
    opener = urllib.request.build_opener(_KeepStatement)
    with opener.open(request, timeout=_TIMEOUT) as answer:
        yield answer


@dataclass(frozen=True, slots=True, kw_only=True)
class HubStatement:
    """Facts that the hub states for a file, before it redirects to a file host.

    Attributes:
        commit: Hash of the commit.
        size: Size of the file [bytes].
        sha256: SHA-256 of the file; the hub states it for large files.
    """

    commit: str | None = None
    size: int | None = None
    sha256: str | None = None


class _KeepStatement(urllib.request.HTTPRedirectHandler):
    """Redirect handler that keeps the headers of the hub's first response."""

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


def statement(answer: Any) -> HubStatement:
    """Read what the hub states in its first response."""
    headers = getattr(answer, "stated", {})
    commit, size = headers.get("X-Repo-Commit"), headers.get("X-Linked-Size")
    etag = (headers.get("X-Linked-Etag") or headers.get("ETag") or "").removeprefix("W/").strip('"')
    return HubStatement(
        commit=commit if commit and commit.isalnum() else None,
        size=int(size) if size and size.isdigit() else None,
        sha256=etag if re.fullmatch("[0-9a-f]{64}", etag) else None,
    )


def _address(entry: Entry, file: RemoteFile) -> str:
    if not entry.is_on_hub:
        return f"{entry.repository}/{file.path}"
    return f"{endpoint()}/{entry.repository}/resolve/{pinned_commit(entry)}/{file.path}"


def without_password(text: str) -> str:
    """Remove users and passwords from the addresses in a text; HF_ENDPOINT may contain them."""
    return re.sub(r"(https?://)[^/@\s]+@", r"\1", text)


def remedy(entry: Entry) -> str:
    """Say what helps where a model cannot be downloaded."""
    return f"rilievo models fetch {entry.name} where there is a network, or --quality fast"


def server(entry: Entry) -> str:
    """Address of the server that has a model's files, for messages."""
    return without_password(endpoint() if entry.is_on_hub else entry.repository)


def failure(error: BaseException, entry: Entry) -> str:
    """Describe an error and how to mend it, in one line."""
    host = server(entry)
    if isinstance(error, urllib.error.HTTPError):
        if error.code in (401, 403):
            return f"{host} refuses it (HTTP {error.code}): accept its terms there, set HF_TOKEN"
        if error.code == 404:
            hint = ": check HF_ENDPOINT" if entry.is_on_hub else ""
            return f"{host} does not have it (HTTP 404){hint}"
        return f"{host} answered with HTTP {error.code}: try again later"
    cause = error.reason if isinstance(error, urllib.error.URLError) else error
    if isinstance(cause, OSError) and cause.errno in _DISK_FULL:
        return f"the disk is full ({cache_folder()}, {cause}): make room, or set HF_HOME"
    if isinstance(cause, TimeoutError):
        return f"{host} did not answer in time: try again, the part received is kept"
    if isinstance(cause, http.client.HTTPException | ConnectionError) and not isinstance(
        cause, ConnectionRefusedError
    ):
        return f"{host} broke off the download: try again, the part received is kept"
    if isinstance(error, urllib.error.URLError):
        return f"{host} cannot be reached ({cause}), and the cache lacks it: {remedy(entry)}"
    return f"{getattr(cause, 'filename', None) or cache_folder()}: {cause}"
