"""Client of replicate.com's HTTP API: requests, retries, and validation of replies.

``replicate``'s own client repeats paid requests and bounds no reply, so httpx is used directly. One
place decides which requests carry the token (those to the API's own host, over https, never to a
URL from a reply), which are repeated (reads always; paid requests only if the service states that
they were not accepted), and what a message may show. Reference:
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
from rilievo.io.json_record import NotThisRecord, parse_json
from rilievo.version import VERSION

if TYPE_CHECKING:
    import httpx

TOKEN = "REPLICATE_API_TOKEN"
BASE = "REPLICATE_BASE_URL"
"""Variable with another URL of the API, as in replicate's own client."""
LARGEST_UPLOAD = 100 * 10**6
_LARGEST_RESULT = 100 * 10**6
_LARGEST_ANSWER = 10**7
_LOCAL = ("localhost", "127.0.0.1", "::1")

# Statuses by which the service states that a request was not carried out, or failed on the way in.
# 504 is not among them: behind a gateway's time-out a prediction may be running, and be charged.
_NOT_TAKEN = (429, 500, 502, 503)
_WORDS = {
    401: f"{TOKEN} is not accepted: is it whole, and not revoked?",
    402: "the account has no credit left: see https://replicate.com/account/billing",
    403: "the account may not use this model",
    404: "there is no such model or version",
}


class StoppedError(ModelError):
    """The user interrupted the wait."""


class DoubtfulError(ModelError):
    """A paid request was sent, and it is unknown whether it was accepted."""


class FinalError(ModelError):
    """An error that all photographs would meet: wrong token, account or model."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Patience:
    """Retries and time-outs [s].

    Each wait between ``attempts`` is twice as long as the one before, plus or minus half;
    ``farewell`` is the time-out of a reply that nothing depends on.
    """

    attempts: int = 6
    first: float = 0.5
    longest: float = 60.0
    request: float = 60.0
    poll: float = 1.0
    farewell: float = 10.0


class Service:
    """Client with a token."""

    def __init__(self, token: str, base: str, patience: Patience) -> None:
        try:
            import httpx
        except ModuleNotFoundError as error:
            raise MissingPackageError("a model at replicate.com", "httpx") from error
        if not re.fullmatch(r"[\x21-\x7e]+", token):
            raise ModelError(f"{TOKEN} has spaces or other characters that no token has")
        self._base = httpx.URL(base.rstrip("/"))
        if not _is_safe(self._base, local=True):
            raise ModelError(f"{BASE} is an address that begins with https://")
        self._token, self.patience = token, patience
        self._stopped = threading.Event()
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
            raise StoppedError("stopped while waiting for replicate.com")

    def ask(
        self, method: str, path: str, *, costs: bool = False, **content: Any
    ) -> Mapping[str, Any]:
        """Send a request with the token, with retries, and parse the reply as a JSON object.

        Args:
            method: HTTP method.
            path: Path below the API's URL.
            costs: Whether the request may be charged, so that it is not repeated when its fate is
                unknown.
            content: Body of the request, as httpx takes it (``json`` or ``files``).
        """
        request = self._request(method, path, **content)
        body = self._send(request, _LARGEST_ANSWER, costs=costs)
        try:
            found = parse_json(body or b"{}")
        except NotThisRecord as error:
            raise ModelError(
                f"replicate.com answered {method} {path} with something else, expected JSON: is "
                "something between here and the service?"
            ) from error
        if not isinstance(found, dict):
            raise ModelError(f"replicate.com answered {method} {path} without a JSON object")
        return found

    def insist(self, method: str, path: str) -> None:
        """Send a request once, also after a stop; failures are ignored."""
        import httpx

        request = self._request(method, path, timeout=self.patience.farewell)
        with suppress(httpx.HTTPError):
            self._http.send(request, stream=True).close()

    def download(self, address: str) -> bytes:
        """Download a result, without sending the token."""
        import httpx

        try:
            request = self._http.build_request("GET", address)
        except (httpx.InvalidURL, ValueError) as error:
            raise ModelError("the result is not at an https:// address") from error
        if not _is_safe(request.url, local=self._base.host in _LOCAL):
            raise ModelError("the result is not at an https:// address")
        return self._send(request, _LARGEST_RESULT, costs=False)

    def _request(self, method: str, path: str, **content: Any) -> "httpx.Request":
        headers = {"Authorization": f"Bearer {self._token}", "Accept": "application/json"}
        return self._http.build_request(method, f"{self._base}{path}", headers=headers, **content)

    def _send(self, request: "httpx.Request", most: int, *, costs: bool) -> bytes:
        import httpx

        for attempt in range(1, self.patience.attempts + 1):
            self.wait(0)
            last, asked = attempt == self.patience.attempts, ""
            try:
                with closing(self._http.send(request, stream=True)) as found:
                    body = _whole(found, most)
            except httpx.HTTPError as error:
                unsent = isinstance(error, httpx.ConnectError | httpx.ConnectTimeout)
                doubtful = costs and not unsent
                if doubtful or last:
                    raise _lost(error, request, doubtful=doubtful) from None
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
        if not asked.isdecimal():
            jitter = random.uniform(0.5, 1.5)
            return min(self.patience.longest, self.patience.first * 2 ** (attempt - 1) * jitter)
        if int(asked) > self.patience.longest:
            raise ModelError(
                f"replicate.com is busy and asks to wait {asked} seconds: try again then "
                "(the same command goes on)"
            )
        return int(asked)

    def _refusal(self, found: "httpx.Response", body: bytes) -> ModelError:
        """Error for an HTTP error status, in one line and without the token."""
        status, host = found.status_code, found.request.url.host
        if 300 <= status < 400:
            return ModelError(f"{host} redirects elsewhere (HTTP {status}): refused")
        if status in _WORDS and "Authorization" in found.request.headers:
            return FinalError(f"replicate.com: {_WORDS[status]} (HTTP {status})")
        try:
            words = " ".join(str(parse_json(body)["detail"]).split())
        except (ValueError, KeyError, TypeError):
            words = ""  # an HTML error page
        said = f": {self.said(words)}" if words else ""
        return ModelError(f"{host} answered with HTTP {status}{said}")

    def without_token(self, text: str) -> str:
        """Remove the token from a text; names of servers contain it in lower case."""
        return re.sub(re.escape(self._token), "***", text, flags=re.IGNORECASE)

    def said(self, text: object) -> str:
        """Text of the service for a message: one line, short, without the token.

        It is shortened only after the token has been removed, because half a token is a secret too.
        """
        lines = self.without_token(str(text)).strip().splitlines() or ["nothing"]
        return lines[0][:200]


def open_service(patience: Patience | None = None) -> Service:
    """Create a client with the token from the environment."""
    token = os.environ.get(TOKEN, "").strip()
    if not token:
        raise ModelError(f"set {TOKEN} to your token of https://replicate.com/account/api-tokens")
    base = os.environ.get(BASE) or "https://api.replicate.com"
    return Service(token, base, patience or Patience())


def _is_safe(url: "httpx.URL", *, local: bool) -> bool:
    """Whether a URL is https, or, where ``local``, http of this machine (a server of tests)."""
    return url.scheme == "https" or (local and url.scheme == "http" and url.host in _LOCAL)


def _whole(found: "httpx.Response", most: int) -> bytes:
    """Body of a response; httpx raises where it is shorter than its header states."""
    body = bytearray()
    for part in found.iter_bytes():
        body += part
        if len(body) > most:
            raise ModelError(f"{found.url.host} replied with more than {most / 1e6:.0f} MB")
    return bytes(body)


def _lost(error: "httpx.HTTPError", request: "httpx.Request", *, doubtful: bool) -> ModelError:
    """Error for a missing response; only the host is shown, because results' URLs are secret."""
    import httpx

    if isinstance(error, httpx.TimeoutException):
        why = "did not answer in time"
    elif isinstance(error, httpx.RemoteProtocolError | httpx.ReadError):
        why = "broke off the connection during its reply"
    else:
        why = f"cannot be reached ({type(error).__name__})"
    if not doubtful:
        return ModelError(f"{request.url.host} {why}")
    why += "; the call may have been accepted and charged: see your predictions there"
    return DoubtfulError(f"{request.url.host} {why}")
