"""What a server answered, or why it did not; in words that show no secret."""

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
    """The user gave up waiting."""


class DoubtfulError(ModelError):
    """Something that costs money was sent, and whether it was taken is not known."""


class FinalError(ModelError):
    """No other photograph would fare better: the token, the account or the model is wrong."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """What a server said."""

    content_type: str
    body: bytes


def read_answer(
    opener: urllib.request.OpenerDirector,
    request: urllib.request.Request,
    most: int,
    seconds: float,
) -> Answer:
    """Send a request and read its answer whole.

    Args:
        opener: What sends it.
        request: What is sent.
        most: Bytes that the answer may have.
        seconds: For the connection, and for every part of the answer.

    Raises:
        ModelError: If the answer is larger.
        OSError: If there is none; ``HTTPError`` if it is an error.
        HTTPException: If it breaks off.
    """
    with opener.open(request, timeout=seconds) as response:
        # A body shorter than its header says raises IncompleteRead.
        body = response.read(most + 1)
        expected = response.headers.get("Content-Length")
        if len(body) > most:
            raise ModelError(f"{host(request)} answered with more than {most / 1e6:.0f} MB")
        if expected is not None and expected.isdigit() and len(body) != int(expected):
            raise http.client.IncompleteRead(body, int(expected) - len(body))
        return Answer(content_type=response.headers.get_content_type(), body=body)


def is_unsent(error: Exception) -> bool:
    """Whether there was no connection at all, so that nothing was sent."""
    reason = error.reason if isinstance(error, urllib.error.URLError) else error
    return isinstance(reason, ConnectionRefusedError | socket.gaierror)


def lost(error: Exception, request: urllib.request.Request, *, costs: bool) -> ModelError:
    """Why there is no answer; with ``costs``, that it may have to be paid for all the same."""
    reason = error.reason if isinstance(error, urllib.error.URLError) else error
    if isinstance(reason, TimeoutError):
        why = "did not answer in time"
    elif isinstance(reason, http.client.IncompleteRead):
        why = "broke off in the middle of its answer"
    else:
        why = f"cannot be reached ({type(reason).__name__})"
    if costs:
        why += "; the call may have been taken and paid: see your predictions there"
        return DoubtfulError(f"{host(request)} {why}")
    return ModelError(f"{host(request)} {why}")


def host(request: urllib.request.Request) -> str:
    """The server of a request; addresses of results are secret, so no more of them is shown."""
    return printable(urlsplit(request.full_url).hostname or "the server")


def detail(error: urllib.error.HTTPError) -> str:
    """What the API says of an error, as it says it; nothing of an error page."""
    try:
        said = parse_json(error.read(10**5))["detail"]
    except (OSError, http.client.HTTPException, ValueError, KeyError, TypeError):
        return ""
    return " ".join(str(said).split())


def seconds_asked(asked: str) -> float | None:
    """What ``Retry-After`` asks for [s], given as seconds or as a date; None if it is neither."""
    text = asked.strip()
    if text.isdigit():
        return float(text)
    try:
        until = parsedate_to_datetime(text)
    except ValueError:
        return None
    now = datetime.now(UTC) if until.tzinfo is not None else datetime.now(UTC).replace(tzinfo=None)
    return max(0.0, (until - now).total_seconds())
