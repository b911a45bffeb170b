"""HTTP responses and failures of a service, in messages that contain no secrets."""

import http.client
import socket
import urllib.error
import urllib.request
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from urllib.parse import urlsplit

from rilievo.errors import ModelError
from rilievo.io.json_record import parse_json
from rilievo.io.limits import printable


class StoppedError(ModelError):
    """The user interrupted the wait."""


class DoubtfulError(ModelError):
    """A paid request was sent, and it is unknown whether it was accepted."""


class FinalError(ModelError):
    """An error that all photographs would meet: wrong token, account or model."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """Type and body of a response."""

    content_type: str
    body: bytes


def read_answer(
    opener: urllib.request.OpenerDirector,
    request: urllib.request.Request,
    most: int,
    seconds: float,
) -> Answer:
    """Send a request and read the whole response.

    Args:
        opener: Opener that sends it.
        request: Request to send.
        most: Most bytes that the body may have.
        seconds: Timeout for the connection, and for every part of the response.

    Raises:
        ModelError: If the response is larger.
        OSError: If there is no response; ``HTTPError`` for an error status.
        HTTPException: If it is cut off.
    """
    with opener.open(request, timeout=seconds) as response:
        # A body shorter than its header states raises IncompleteRead.
        body = response.read(most + 1)
        expected = response.headers.get("Content-Length")
        if len(body) > most:
            raise ModelError(f"{host(request)} replied with more than {most / 1e6:.0f} MB")
        if expected is not None and expected.isdigit() and len(body) != int(expected):
            raise http.client.IncompleteRead(body, int(expected) - len(body))
        return Answer(content_type=response.headers.get_content_type(), body=body)


def is_unsent(error: Exception) -> bool:
    """Whether no connection was made, so that nothing was sent."""
    reason = error.reason if isinstance(error, urllib.error.URLError) else error
    return isinstance(reason, ConnectionRefusedError | socket.gaierror)


def lost(error: Exception, request: urllib.request.Request, *, costs: bool) -> ModelError:
    """Error for a missing response; with ``costs`` it warns that it may still be charged."""
    reason = error.reason if isinstance(error, urllib.error.URLError) else error
    if isinstance(reason, TimeoutError):
        why = "did not answer in time"
    elif isinstance(reason, http.client.IncompleteRead):
        why = "broke off the connection during its reply"
    else:
        why = f"cannot be reached ({type(reason).__name__})"
    if costs:
        why += "; the call may have been accepted and charged: see your predictions there"
        return DoubtfulError(f"{host(request)} {why}")
    return ModelError(f"{host(request)} {why}")


def host(request: urllib.request.Request) -> str:
    """Host name of a request; addresses of results are secret, so the rest is not shown."""
    return printable(urlsplit(request.full_url).hostname or "the server")


def detail(error: urllib.error.HTTPError) -> str:
    """Error text of the API; empty for an HTML error page."""
    try:
        said = parse_json(error.read(10**5))["detail"]
    except (OSError, http.client.HTTPException, ValueError, KeyError, TypeError):
        return ""
    return " ".join(str(said).split())


def seconds_asked(asked: str) -> float | None:
    """Delay that ``Retry-After`` asks for [s], in seconds or as a date; None if it is neither."""
    text = asked.strip()
    if text.isdigit():
        return float(text)
    try:
        until = parsedate_to_datetime(text)
    except ValueError:
        return None
    now = datetime.now(UTC) if until.tzinfo is not None else datetime.now(UTC).replace(tzinfo=None)
    return max(0.0, (until - now).total_seconds())
