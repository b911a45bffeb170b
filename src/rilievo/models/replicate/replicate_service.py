"""Client of replicate.com's HTTP API.

``replicate``'s own client repeats paid requests and bounds no reply, so httpx is used directly. The
token is sent to the API's own host alone, over https, and never shown; reads are repeated, paid
requests only if the service states that they were not accepted. Reference:
https://replicate.com/docs/reference/http.
"""

import os
import random
import re
import threading
from collections.abc import Mapping
from contextlib import closing, suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from rilievo.errors import MissingPackageError, ModelError
from rilievo.io.files.limits import is_whole
from rilievo.io.json_record import NotThisRecord, parse_json
from rilievo.version import VERSION

if TYPE_CHECKING:
    import httpx

TOKEN, BASE = "REPLICATE_API_TOKEN", "REPLICATE_BASE_URL"
LARGEST = 100 * 10**6
"""Most bytes of a photograph that is sent, and of a reply."""
_LOCAL = ("localhost", "127.0.0.1", "::1")
# Statuses by which the service states that a request was not carried out. 504 is not among them:
# behind a gateway's time-out a prediction may be running, and be charged.
_NOT_TAKEN = (429, 500, 502, 503)
_WORDS = {
    401: f"{TOKEN} is not accepted: is it whole, and not revoked?",
    402: "the account has no credit left: see https://replicate.com/account/billing",
    403: "the account may not use this model",
    404: "there is no such model or version",
}


class FinalError(ModelError):
    """An error that all photographs would meet: wrong token, account or model."""


class RefusedError(ModelError):
    """An error of a request that the service did not carry out, so it is not charged."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Patience:
    """Number of attempts, and waits [s]: the first and longest pause, a request, between polls."""

    attempts: int = 6
    first: float = 0.5
    longest: float = 60.0
    request: float = 60.0
    poll: float = 1.0


class Service:
    """Client with a token."""

    def __init__(self, token: str, base: str, patience: Patience) -> None:
        try:
            import httpx
        except ModuleNotFoundError as error:
            raise MissingPackageError("a model at replicate.com", "httpx") from error
        if not re.fullmatch(r"[\x21-\x7e]+", token):
            raise ModelError(
                f"{TOKEN} is empty or has spaces or other characters that no token has: set "
                f"{TOKEN} to your token of https://replicate.com/account/api-tokens"
            )
        self._base = httpx.URL(base.rstrip("/"))
        if not self._is_safe(self._base):
            raise ModelError(f"{BASE} is an address that begins with https://")
        self._token, self.patience, self._stopped = token, patience, threading.Event()
        self._http = httpx.Client(
            headers={"User-Agent": f"rilievo/{VERSION}"},
            timeout=patience.request,
            limits=httpx.Limits(max_keepalive_connections=0),
        )

    def stop(self) -> None:
        """Interrupt all waits, from another thread."""
        self._stopped.set()

    def wait(self, seconds: float) -> None:
        """Wait, unless interrupted."""
        if self._stopped.wait(seconds):
            raise FinalError("stopped while waiting for replicate.com")

    def ask(
        self, method: str, path: str, *, costs: bool = False, **content: Any
    ) -> Mapping[str, Any]:
        """Send a request with the token, with retries, and parse the reply as a JSON object.

        A request that costs is not repeated when its fate is unknown.
        """
        body = self._send(self._request(method, path, **content), costs=costs)
        with suppress(NotThisRecord):
            found = parse_json(body or b"{}")
            if isinstance(found, dict):
                return found
        raise ModelError(
            f"replicate.com answered {method} {path} with something else, expected JSON: is "
            "something between here and the service?"
        )

    def insist(self, method: str, path: str) -> None:
        """Send a request once, also after a stop; failures are ignored."""
        import httpx

        with suppress(httpx.HTTPError):
            self._http.send(self._request(method, path), stream=True).close()

    def download(self, address: str) -> bytes:
        """Download a result, without sending the token."""
        import httpx

        with suppress(httpx.InvalidURL, ValueError):
            request = self._http.build_request("GET", address)
            if self._is_safe(request.url):
                return self._send(request, costs=False)
        raise ModelError("the result is not at an https:// address")

    def shown(self, text: object) -> str:
        """First line of a text, without the token; names of servers have it in lower case."""
        clean = re.sub(re.escape(self._token), "***", str(text), flags=re.IGNORECASE)
        return (clean.strip().splitlines() or ["nothing"])[0][:300]

    def _is_safe(self, url: "httpx.URL") -> bool:
        """Whether a URL is https, or that of a server on this machine, as in tests."""
        is_local = self._base.host in _LOCAL and url.host in _LOCAL
        return url.scheme == "https" or (is_local and url.scheme == "http")

    def _request(self, method: str, path: str, **content: Any) -> "httpx.Request":
        headers = {"Authorization": f"Bearer {self._token}", "Accept": "application/json"}
        return self._http.build_request(method, f"{self._base}{path}", headers=headers, **content)

    def _send(self, request: "httpx.Request", *, costs: bool) -> bytes:
        import httpx

        for attempt in range(1, self.patience.attempts + 1):
            self.wait(0)
            last, asked = attempt == self.patience.attempts, ""
            try:
                with closing(self._http.send(request, stream=True)) as found:
                    body = _whole(found)
            except httpx.HTTPError as error:
                doubtful = costs and not isinstance(error, httpx.ConnectError)
                if doubtful or last:
                    charged = "; the call may have been accepted and charged" if doubtful else ""
                    why = f"cannot be reached ({type(error).__name__}){charged}"
                    # Only the host is shown, because addresses of results are secret.
                    kind = ModelError if doubtful else RefusedError
                    raise kind(f"{request.url.host} {why}") from None
            else:
                status = found.status_code
                if found.is_success:
                    return body
                if last or not (status in _NOT_TAKEN or (status >= 500 and not costs)):
                    raise self._refusal(found, body)
                asked = found.headers.get("Retry-After", "")
            self.wait(self._pause(attempt, asked))
        raise AssertionError("the last attempt returns or raises")

    def _pause(self, attempt: int, asked: str) -> float:
        """Delay before the next attempt [s]: what the service asks for, if it says so."""
        if not is_whole(asked):
            pause = self.patience.first * 2 ** (attempt - 1) * random.uniform(0.5, 1.5)
            return min(self.patience.longest, pause)
        if int(asked) > self.patience.longest:
            raise RefusedError(
                f"replicate.com is busy and asks to wait {asked} seconds: come again"
            )
        return int(asked)

    def _refusal(self, found: "httpx.Response", body: bytes) -> ModelError:
        status, host = found.status_code, found.request.url.host
        if 300 <= status < 400:
            return ModelError(f"{host} redirects elsewhere (HTTP {status}): refused")
        if status in _WORDS and "Authorization" in found.request.headers:
            return FinalError(f"replicate.com: {_WORDS[status]} (HTTP {status})")
        said = ""
        with suppress(ValueError, KeyError, TypeError):  # an HTML error page
            said = f": {self.shown(parse_json(body)['detail'])}"
        kind = RefusedError if status < 500 or status in _NOT_TAKEN else ModelError
        return kind(f"{host} answered with HTTP {status}{said}")


def open_service(patience: Patience | None = None) -> Service:
    """Create a client with the token from the environment."""
    base = os.environ.get(BASE) or "https://api.replicate.com"
    return Service(os.environ.get(TOKEN, "").strip(), base, patience or Patience())


def _whole(found: "httpx.Response") -> bytes:
    """Body of a response; httpx raises where it is shorter than its header states."""
    body = bytearray()
    for part in found.iter_bytes():
        body += part
        if len(body) > LARGEST:
            raise ModelError(f"{found.url.host} replied with more than {LARGEST / 1e6:.0f} MB")
    return bytes(body)
