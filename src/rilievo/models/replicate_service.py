"""Client of replicate.com's HTTP API: requests, retries, and validation of replies.

It uses only the standard library, so that one place decides which requests carry the token (those
to the API's own host, over https, never to a URL from a reply), which are repeated (reads always;
paid requests only if the service states that they were not accepted), and what a message may show.
Reference: https://replicate.com/docs/reference/http.
"""

import http.client
import os
import random
import re
import secrets
import threading
import urllib.error
import urllib.request
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

from rilievo.errors import ModelError
from rilievo.io.json_record import NotThisRecord, parse_json
from rilievo.io.limits import printable
from rilievo.models.http_answers import (
    Answer,
    FinalError,
    StoppedError,
    detail,
    host,
    is_unsent,
    lost,
    read_answer,
    seconds_asked,
)
from rilievo.version import VERSION

TOKEN = "REPLICATE_API_TOKEN"
BASE = "REPLICATE_BASE_URL"
"""Variable with another URL of the API, as in replicate's own client."""
LARGEST_UPLOAD = 100 * 10**6
LARGEST_RESULT = 100 * 10**6
_LARGEST_ANSWER = 10**7

_BUSY = 429
# Statuses by which the service states that a request was not carried out, or failed on the way in.
# 504 is not among them: behind a gateway's time-out a prediction may be running, and be charged.
_NOT_TAKEN = (_BUSY, 500, 502, 503)
_WORDS = {
    401: f"{TOKEN} is not accepted: is it whole, and not revoked?",
    402: "the account has no credit left: see https://replicate.com/account/billing",
    403: "the account may not use this model",
    404: "there is no such model or version",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Patience:
    """Retries and time-outs [s].

    Attributes:
        attempts: Most attempts of one request.
        first: Wait before the second attempt; each further wait is twice as long, plus or minus
            half.
        longest: Longest single wait, also where the service asks for one.
        request: Time-out of one reply.
        poll: Interval between polls of a running prediction; the first are shorter.
        farewell: Time-out of a reply that nothing depends on.
    """

    attempts: int = 6
    first: float = 0.5
    longest: float = 60.0
    request: float = 60.0
    poll: float = 1.0
    farewell: float = 10.0


class _NoRedirects(urllib.request.HTTPRedirectHandler):
    """Handler that refuses redirects, so that the token is not sent to another server."""

    def redirect_request(self, *_: Any, **__: Any) -> None:
        return None


class Service:
    """Client with a token."""

    def __init__(self, token: str, base: str, patience: Patience) -> None:
        """Create a client for the owner of ``token``.

        Raises:
            ModelError: If the token is not valid, or would be sent unencrypted.
        """
        if not re.fullmatch(r"[\x21-\x7e]+", token):
            raise ModelError(f"{TOKEN} has spaces or other characters that no token has")
        address = urlsplit(base)
        self._is_local = address.hostname in ("localhost", "127.0.0.1", "::1")
        if address.scheme != "https" and not (address.scheme == "http" and self._is_local):
            raise ModelError(f"{BASE} is an address that begins with https://")
        self._token, self._base, self.patience = token, base.rstrip("/"), patience
        self._stopped = threading.Event()
        self._opener = urllib.request.build_opener(_NoRedirects)

    def stop(self) -> None:
        """Interrupt all waits, from another thread."""
        self._stopped.set()

    def wait(self, seconds: float) -> None:
        """Wait, unless interrupted.

        Raises:
            StoppedError: If interrupted.
        """
        if self._stopped.wait(seconds):
            raise StoppedError("stopped while waiting for replicate.com")

    def ask(
        self,
        method: str,
        path: str,
        *,
        data: bytes | None = None,
        content_type: str = "application/json",
        costs: bool = False,
    ) -> Mapping[str, Any]:
        """Send a request, with retries, and parse the reply as a JSON object.

        Args:
            method: HTTP method.
            path: Path below the API's URL.
            data: Body of the request.
            content_type: Media type of the body.
            costs: Whether the request may be charged, so that it is not repeated when its fate is
                unknown.

        Raises:
            ModelError: If there is no reply, or one that the API does not document.
        """
        headers = {"Authorization": f"Bearer {self._token}", "Accept": "application/json"}
        if data is not None:
            headers["Content-Type"] = content_type
        request = urllib.request.Request(
            f"{self._base}{path}", data=data, headers=headers, method=method
        )
        answer = self._send(request, self._opener, most=_LARGEST_ANSWER, costs=costs)
        if not answer.body:
            return {}
        try:
            found = parse_json(answer.body)
        except NotThisRecord as error:
            raise ModelError(
                f"replicate.com answered {method} {path} with {self.said(answer.content_type)}, "
                "expected JSON: is something between here and the service?"
            ) from error
        if not isinstance(found, dict):
            raise ModelError(f"replicate.com answered {method} {path} without a JSON object")
        return found

    def insist(self, method: str, path: str) -> None:
        """Send a request once, also after a stop; failures are ignored."""
        request = urllib.request.Request(
            f"{self._base}{path}",
            headers={"Authorization": f"Bearer {self._token}"},
            method=method,
        )
        with suppress(ModelError, OSError, http.client.HTTPException):
            try:
                read_answer(self._opener, request, _LARGEST_ANSWER, self.patience.farewell)
            except urllib.error.HTTPError as error:
                error.close()

    def upload(self, name: str, content: bytes, content_type: str) -> Mapping[str, Any]:
        """Upload a file for predictions."""
        mark = secrets.token_hex(16)
        head = (
            f'--{mark}\r\nContent-Disposition: form-data; name="content"; filename="{name}"\r\n'
            f"Content-Type: {content_type}\r\n\r\n"
        )
        body = head.encode() + content + f"\r\n--{mark}--\r\n".encode()
        kind = f"multipart/form-data; boundary={mark}"
        return self.ask("POST", "/v1/files", data=body, content_type=kind)

    def download(self, address: str) -> Answer:
        """Download a result, without sending the token.

        Raises:
            ModelError: If the URL is not valid for a result, or the download is not complete.
        """
        parts = urlsplit(address)
        is_local = parts.hostname in ("localhost", "127.0.0.1", "::1")
        if parts.scheme != "https" and not (parts.scheme == "http" and is_local and self._is_local):
            raise ModelError("the result is not at an https:// address")
        request = urllib.request.Request(address)
        opener = urllib.request.build_opener()
        return self._send(request, opener, most=LARGEST_RESULT, costs=False)

    def _send(
        self,
        request: urllib.request.Request,
        opener: urllib.request.OpenerDirector,
        *,
        most: int,
        costs: bool,
    ) -> Answer:
        request.add_header("User-Agent", f"rilievo/{VERSION}")
        attempt = 1
        while True:
            if self._stopped.is_set():
                raise StoppedError("stopped while waiting for replicate.com")
            last = attempt == self.patience.attempts
            try:
                return read_answer(opener, request, most, self.patience.request)
            except urllib.error.HTTPError as error:
                with error:
                    again = error.code in _NOT_TAKEN or (error.code >= 500 and not costs)
                    if not again or last:
                        raise self._refusal(error, request) from None
                    pause = self._pause(attempt, error.headers.get("Retry-After"))
            except (OSError, http.client.HTTPException) as error:
                doubtful = costs and not is_unsent(error)
                if doubtful or last:
                    raise lost(error, request, costs=doubtful) from None
                pause = self._pause(attempt, None)
            self.wait(pause)
            attempt += 1

    def _pause(self, attempt: int, asked: str | None) -> float:
        """Delay before the next attempt [s]."""
        seconds = None if asked is None else seconds_asked(asked)
        if seconds is None:
            jitter = random.uniform(0.5, 1.5)
            return min(self.patience.longest, self.patience.first * 2 ** (attempt - 1) * jitter)
        if seconds > self.patience.longest:
            raise ModelError(
                f"replicate.com is busy and asks to wait {seconds:.0f} seconds: try again then "
                "(the same command goes on)"
            )
        return seconds

    def _refusal(
        self, error: urllib.error.HTTPError, request: urllib.request.Request
    ) -> ModelError:
        """Error for an HTTP error status, in one line and without the token."""
        if 300 <= error.code < 400:
            return ModelError(f"{host(request)} redirects elsewhere (HTTP {error.code}): refused")
        words = _WORDS.get(error.code) if request.has_header("Authorization") else None
        if words is not None:
            return FinalError(f"replicate.com: {words} (HTTP {error.code})")
        words = detail(error)
        said = f": {self.said(words)}" if words else ""
        return ModelError(f"{host(request)} answered with HTTP {error.code}{said}")

    def without_token(self, text: str) -> str:
        """Remove the token from a text; names of servers contain it in lower case."""
        return re.sub(re.escape(self._token), "***", text, flags=re.IGNORECASE)

    def said(self, text: object) -> str:
        """Text of the service for a message: one line, short, without the token.

        It is shortened only after the token has been removed, because half a token is a secret too.
        """
        lines = self.without_token(str(text)).strip().splitlines() or ["nothing"]
        return printable(lines[0])[:200]


def open_service(patience: Patience | None = None) -> Service:
    """Create a client with the token from the environment.

    Raises:
        ModelError: If there is none.
    """
    token = os.environ.get(TOKEN, "").strip()
    if not token:
        raise ModelError(f"set {TOKEN} to your token of https://replicate.com/account/api-tokens")
    base = os.environ.get(BASE) or "https://api.replicate.com"
    return Service(token, base, patience or Patience())
