"""HTTP requests for published files: addresses, token and commit of the hub, error messages."""

import errno
import http.client
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any
from urllib.parse import urlsplit

from rilievo.models.catalogue import hub_cache
from rilievo.models.catalogue.entry import Entry, RemoteFile
from rilievo.version import VERSION

_TIMEOUT = 30.0  # seconds without a byte
_DISK_FULL = (errno.ENOSPC, errno.EDQUOT)


@contextmanager
def opened(entry: Entry, file: RemoteFile, start: int) -> Iterator[Any]:
    """Open the response for the bytes from ``start`` on."""
    request = urllib.request.Request(_address(entry, file))
    request.add_header("User-Agent", f"rilievo/{VERSION}")
    if start:
        request.add_header("Range", f"bytes={start}-")
    if (token := hub_cache.token()) is not None and entry.is_on_hub:
        # Not sent along when the hub redirects to a file host.
        request.add_unredirected_header("Authorization", f"Bearer {token}")
    opener = urllib.request.build_opener(_KeepCommit)
    with opener.open(request, timeout=_TIMEOUT) as answer:
        yield answer


class _KeepCommit(urllib.request.HTTPRedirectHandler):
    """Redirect handler that keeps the commit, which only the hub's first response names."""

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


def known_commit(answer: Any) -> str | None:
    """Hash of the commit in a response of the hub; None if it names none."""
    commit = getattr(answer, "commit", None)
    return commit if commit and commit.isalnum() else None


def _address(entry: Entry, file: RemoteFile) -> str:
    if not entry.is_on_hub:
        return f"{entry.repository}/{file.path}"
    return f"{hub_cache.endpoint()}/{entry.repository}/resolve/{entry.revision}/{file.path}"


def without_password(address: str) -> str:
    """Remove user and password from an address, for display."""
    scheme, sign, rest = address.partition("://")
    host, slash, path = rest.partition("/")
    return f"{scheme}{sign}{host.rpartition('@')[2]}{slash}{path}"


def failure(error: BaseException, entry: Entry) -> str:
    """Describe an error and how to mend it, in one line."""
    server = hub_cache.endpoint() if entry.is_on_hub else entry.repository
    host = without_password(server)
    if isinstance(error, urllib.error.HTTPError):
        if error.code in (401, 403):
            return f"{host} refuses it (HTTP {error.code}): accept its terms there, set HF_TOKEN"
        if error.code == 404:
            hint = ": check HF_ENDPOINT" if entry.is_on_hub else ""
            return f"{host} does not have it (HTTP 404){hint}"
        return f"{host} answered with HTTP {error.code}: try again later"
    cause = error.reason if isinstance(error, urllib.error.URLError) else error
    if isinstance(cause, OSError) and cause.errno in _DISK_FULL:
        return f"the disk is full ({hub_cache.cache_folder()}, {cause}): make room, or set HF_HOME"
    if isinstance(cause, TimeoutError):
        return f"{host} did not answer in time: try again, the part received is kept"
    if isinstance(cause, http.client.HTTPException | ConnectionError) and not isinstance(
        cause, ConnectionRefusedError
    ):
        return f"{host} broke off the download: try again, the part received is kept"
    if isinstance(error, urllib.error.URLError):
        return f"{host} cannot be reached ({cause}), and the cache does not have the model"
    return f"{getattr(cause, 'filename', None) or hub_cache.cache_folder()}: {cause}"
