"""Refusals of requests: a status, one line, and no path or traceback of the server."""

import asyncio
import os
import sys
import traceback
from collections.abc import Callable, Mapping
from contextlib import suppress
from http import HTTPStatus
from http.client import HTTPException
from pathlib import PurePath
from types import TracebackType
from typing import Any
from urllib.error import URLError

from pydantic import BaseModel, ConfigDict
from starlette.datastructures import Headers
from starlette.responses import Response
from starlette.types import Message, Receive, Scope, Send

from rilievo.errors import (
    CalibrationError,
    InputError,
    MissingExtraError,
    ModelError,
    NoDepthError,
    OptionError,
    OutputError,
    RilievoError,
    UnknownCameraError,
)
from rilievo.errors.messages import Text, one_line, spell_parameter

_MAX_LOGGED_ERRORS = 100
_DOWNLOAD_ERRORS = (URLError, TimeoutError, ConnectionError, HTTPException)
_STATUS_OF_ERRORS: tuple[tuple[type[RilievoError], int], ...] = (
    (MissingExtraError, 501),
    (OptionError, 400),
    (CalibrationError, 422),
    (NoDepthError, 422),
    (InputError, 422),
    (UnknownCameraError, 422),
    (ModelError, 500),
)
"""HTTP status of each kind of error. The first class that an error is an instance of counts."""
_logged: set[tuple[str, str]] = set()
"""Type and place of the errors that were logged."""


class Refusal(Exception):
    """HTTP error: the answer to a request that gets no result.

    Attributes:
        status: HTTP status.
        line: One line for the client.
        headers: Further headers of the answer.
        details: Parameter that is wrong (``option``), its ``value``, what is ``expected``, and a
            ``hint``; those that are not known are left out.
    """

    def __init__(
        self,
        status: int,
        line: str,
        headers: Mapping[str, str] | None = None,
        details: Mapping[str, Any] | None = None,
    ) -> None:
        super().__init__(line)
        self.status = status
        self.line = one_line(line)
        self.headers = dict(headers or {})
        self.details = dict(details or {})


class JobCancelled(Exception):
    """Raised to end the work for a request, because nobody waits for its result any more."""


def busy_refusal(line: str, seconds: float | int) -> Refusal:
    """Refusal for a client that may try again after a number of seconds."""
    retry_after = max(1, round(seconds))
    headers = {"Retry-After": str(retry_after)}
    return Refusal(429, f"{line}: try again in {retry_after} s", headers)


def server_stopping_refusal() -> Refusal:
    """Refusal for a request that comes while the server stops."""
    return Refusal(503, "the server is stopping: try again later", {"Retry-After": "10"})


def refusal_from_error(error: Exception, display_names: Mapping[str, str] | None = None) -> Refusal:
    """Turn an error into a refusal that reveals no path of the server.

    Errors that only concern those who run the server are logged, and clients get a general line.
    ``display_names`` are the names by which clients know files of the server, by path.
    """
    if isinstance(error, Refusal):
        return error
    if isinstance(error, MemoryError):
        return Refusal(503, "not enough memory for this photograph: reduce its size")
    if isinstance(error, OutputError):
        _log_once_per_line(error)
        return Refusal(507, "the server cannot write the result: contact its administrator")
    if not isinstance(error, RilievoError):
        _log_once_per_line(error)
        return Refusal(500, "internal server error: the details are in the server's log")
    if isinstance(error, ModelError) and isinstance(error.__cause__, _DOWNLOAD_ERRORS):
        _log_once_per_line(error)
        return Refusal(
            503, "the model cannot be downloaded now: use another model, or try again later"
        )
    return _refusal_for_client_error(error, display_names or {})


def _refusal_for_client_error(error: RilievoError, display_names: Mapping[str, str]) -> Refusal:
    """Refusal with the message of an error that a client can fix, without paths of the server."""
    status = next((status for kind, status in _STATUS_OF_ERRORS if isinstance(error, kind)), 500)
    error_path = str(error.path)
    line = error.worded(spell_parameter, display_names.get(error_path, PurePath(error_path).name))
    replacements = {**display_names, os.path.expanduser("~"): "~"}
    private_paths = [path for path in replacements if len(PurePath(path).parts) > 1]
    # Errors of models name files below these paths. Longer paths are replaced first, because a
    # shorter one may be their beginning.
    private_paths.sort(key=len, reverse=True)

    def hide_paths(text: str) -> str:
        """Replace paths of the server by the names under which clients know the files."""
        for path in private_paths:
            text = text.replace(path, replacements[path])
        return text

    return Refusal(status, hide_paths(line), details=_error_details(error, hide_paths))


def _error_details(error: RilievoError, hide_paths: Callable[[str], str]) -> dict[str, Any]:
    """Option, value, expectation and hint of an error for JSON; those not set are left out."""
    value = error.value
    # Numbers and booleans stay as they are. A client may also have written an integer that is too
    # large for the floats of a JSON reader, which becomes text.
    is_number = isinstance(value, (int, float)) and abs(value) <= sys.float_info.max
    texts = {
        "option": error.option,
        "expected": Text(error.expected).worded(spell_parameter),
        "hint": Text(error.hint).worded(spell_parameter),
        "value": "" if value is None or is_number else str(value),
    }
    details: dict[str, Any] = {
        name: one_line(hide_paths(text)) for name, text in texts.items() if text
    }
    if is_number:
        details["value"] = value
    return details


def _log_once_per_line(error: Exception) -> None:
    """Log an error the first time that a line of code raises it, so that the log stays small."""
    key = (type(error).__name__, _innermost_file_and_line(error.__traceback__))
    if key in _logged or len(_logged) >= _MAX_LOGGED_ERRORS:
        return
    _logged.add(key)
    formatted = "".join(traceback.format_exception(error))
    print(f"rilievo serve: {formatted.strip()}", file=sys.stderr, flush=True)  # noqa: T201


def _innermost_file_and_line(frames: TracebackType | None) -> str:
    file_and_line = ""
    while frames is not None:
        file_and_line = f"{frames.tb_frame.f_code.co_filename}:{frames.tb_lineno}"
        frames = frames.tb_next
    return file_and_line


_MAX_DRAINED_BYTES = 64 * 2**20
_MAX_DRAINED_SECONDS = 5.0
"""Size and time [s] of the rest of a body that is read after a refusal."""
PROBLEM_JSON = "application/problem+json"
"""Media type of refusals (RFC 9457)."""


class Problem(BaseModel):
    """Body of a refusal, as RFC 9457 defines it."""

    model_config = ConfigDict(frozen=True, use_attribute_docstrings=True)

    type: str = "about:blank"
    """Always about:blank, because the status identifies the problem."""
    title: str
    """Name of the status."""
    status: int
    """Status of the answer."""
    detail: str
    """What is wrong with this request, what was expected, and what to do."""
    error: str
    """The same as ``detail``."""
    option: str | None = None
    """Parameter that caused the problem."""
    value: bool | int | float | str | None = None
    """Value that was given."""
    expected: str | None = None
    """Values that the parameter accepts."""
    hint: str | None = None
    """How to fix the request."""


def problem_json(refusal: Refusal) -> bytes:
    """Body of a refusal as JSON (RFC 9457)."""
    problem = Problem(
        title=HTTPStatus(refusal.status).phrase,
        status=refusal.status,
        detail=refusal.line,
        error=refusal.line,
        **refusal.details,
    )
    return problem.model_dump_json(exclude_none=True).encode()


class TrackedReceive:
    """ASGI ``receive`` that records in ``has_body_ended`` whether the request's body has ended."""

    def __init__(self, receive: Receive) -> None:
        self._receive = receive
        self.has_body_ended = False

    async def __call__(self) -> Message:
        """Receive a message."""
        message = await self._receive()
        # Any other message, such as http.disconnect, also means that no more of the body comes.
        if message["type"] != "http.request" or not message.get("more_body", False):
            self.has_body_ended = True
        return message


class RefusalResponse(Response):
    """Error response that reads the rest of the request's body before it ends.

    If the connection were closed before, it would be reset, and the client could not read the
    response. Size and time of what is read are limited.
    """

    media_type = PROBLEM_JSON

    def __init__(self, refusal: Refusal) -> None:
        super().__init__(problem_json(refusal), refusal.status, refusal.headers)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Send the refusal, and read the rest of the request."""
        if scope["type"] == "websocket":  # the handshake is refused, and has no body
            await super().__call__(scope, receive, send)
            return
        start = {"type": "http.response.start", "status": self.status_code}
        await send({**start, "headers": self.raw_headers})
        has_body_ended = isinstance(receive, TrackedReceive) and receive.has_body_ended
        # With "Expect: 100-continue", a client waits for permission before it sends its body.
        waits_for_permission = "expect" in Headers(scope=scope)
        if has_body_ended or waits_for_permission:
            await send({"type": "http.response.body", "body": self.body})
            return
        await send({"type": "http.response.body", "body": self.body, "more_body": True})
        await _read_and_drop_body(receive)
        await send({"type": "http.response.body", "body": b""})


async def _read_and_drop_body(receive: Receive) -> None:
    """Read the rest of a body, within limits of time and size."""
    num_bytes = 0
    with suppress(TimeoutError):
        async with asyncio.timeout(_MAX_DRAINED_SECONDS):
            while num_bytes < _MAX_DRAINED_BYTES:
                message = await receive()
                if message["type"] != "http.request" or not message.get("more_body", False):
                    return
                num_bytes += len(message.get("body", b""))
