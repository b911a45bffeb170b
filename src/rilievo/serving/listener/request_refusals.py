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
_STATUSES: tuple[tuple[type[RilievoError], int], ...] = (
    (MissingExtraError, 501),
    (OptionError, 400),
    (CalibrationError, 422),
    (NoDepthError, 422),
    (InputError, 422),
    (UnknownCameraError, 422),
    (ModelError, 500),
)
"""Status of each kind of error; the first that fits counts."""
_logged: set[tuple[str, str]] = set()
"""Type and place of the errors that were logged."""


class Refusal(Exception):
    """Answer in place of a result.

    Attributes:
        status: HTTP status.
        line: One line for the client.
        headers: Further headers of the answer.
        facts: Parameter that is wrong (``option``), its value, what is expected, and a hint.
    """

    def __init__(
        self,
        status: int,
        line: str,
        headers: Mapping[str, str] | None = None,
        facts: Mapping[str, Any] | None = None,
    ) -> None:
        super().__init__(line)
        self.status, self.line, self.headers = status, one_line(line), dict(headers or {})
        self.facts = dict(facts or {})


class GivenUp(Exception):
    """Ends the work for a request whose result nobody waits for any more."""


def busy_refusal(line: str, seconds: float | int) -> Refusal:
    """Refusal for a client that may try again after a number of seconds."""
    retry_after = max(1, round(seconds))
    headers = {"Retry-After": str(retry_after)}
    return Refusal(429, f"{line}: try again in {retry_after} s", headers)


def stopping_refusal() -> Refusal:
    """Refusal for a request that comes while the server stops."""
    return Refusal(503, "the server is stopping: try again later", {"Retry-After": "10"})


def refusal_of(error: Exception, display_names: Mapping[str, str] | None = None) -> Refusal:
    """Refusal for an error, without paths of the server.

    Args:
        error: Error.
        display_names: Names that clients see in place of the paths of models.
    """
    if isinstance(error, Refusal):
        return error
    if isinstance(error, MemoryError):
        return Refusal(503, "too little memory for this photograph: make it smaller")
    # What cannot be written, and where, only concerns those who run the server.
    if isinstance(error, OutputError) or not isinstance(error, RilievoError):
        _log_once_per_line(error)
        if isinstance(error, OutputError):
            return Refusal(507, "the server cannot write the result: tell who runs it")
        return Refusal(500, "a defect of the server, which has written it down")
    if isinstance(error, ModelError) and isinstance(error.__cause__, _DOWNLOAD_ERRORS):
        _log_once_per_line(error)
        return Refusal(503, "the model cannot be downloaded now: take another, or try again later")
    status = next((status for kind, status in _STATUSES if isinstance(error, kind)), 500)
    line = error.worded(
        spell_parameter, _display_name_or_file_name(str(error.path), display_names or {})
    )
    # Errors of models name files below these paths. Longer paths are replaced first.
    names = {**(display_names or {}), os.path.expanduser("~"): "~"}
    paths = [path for path in sorted(names, key=len, reverse=True) if len(PurePath(path).parts) > 1]

    def without_paths(text: str) -> str:
        for path in paths:
            text = text.replace(path, names[path])
        return text

    return Refusal(status, without_paths(line), facts=_facts_for_json(error, without_paths))


def _facts_for_json(error: RilievoError, without_paths: Callable[[str], str]) -> dict[str, Any]:
    """Option, value, expectation and hint of an error, where it has them."""
    value = error.value
    # A client may write a whole number that is too large for a float.
    is_number = isinstance(value, (int, float)) and abs(value) <= sys.float_info.max
    texts = {
        "option": error.option,
        "expected": Text(error.expected).worded(spell_parameter),
        "hint": Text(error.hint).worded(spell_parameter),
        "value": "" if value is None or is_number else str(value),
    }
    facts: dict[str, Any] = {
        name: one_line(without_paths(text)) for name, text in texts.items() if text
    }
    return facts | ({"value": value} if is_number else {})


def _display_name_or_file_name(path: str, display_names: Mapping[str, str]) -> str:
    return display_names.get(path, PurePath(path).name)


def _log_once_per_line(error: Exception) -> None:
    """Log an error the first time that its line of code raises it, so that the log stays small."""
    key = (type(error).__name__, _innermost_file_and_line(error.__traceback__))
    if key in _logged or len(_logged) >= _MAX_LOGGED_ERRORS:
        return
    _logged.add(key)
    lines = "".join(traceback.format_exception(error))
    print(f"rilievo serve: {lines.strip()}", file=sys.stderr, flush=True)  # noqa: T201


def _innermost_file_and_line(frames: TracebackType | None) -> str:
    line = ""
    while frames is not None:
        line = f"{frames.tb_frame.f_code.co_filename}:{frames.tb_lineno}"
        frames = frames.tb_next
    return line


_MAX_DRAINED_BYTES = 64 * 2**20
_MAX_DRAINED_SECONDS = 5.0
"""Size and time [s] of the rest of a body that is read after a refusal."""
PROBLEM = "application/problem+json"


class Problem(BaseModel):
    """Body of a refusal, as RFC 9457 defines it."""

    model_config = ConfigDict(frozen=True, use_attribute_docstrings=True)

    type: str = "about:blank"
    """Kind of problem: the status says it all."""
    title: str
    """Name of the status."""
    status: int
    """Status of the answer."""
    detail: str
    """Line about this request: what was found, what was expected, what to do."""
    error: str
    """The same line."""
    option: str | None = None
    """Parameter at fault."""
    value: bool | int | float | str | None = None
    """Value that it was given."""
    expected: str | None = None
    """Values that it takes."""
    hint: str | None = None
    """Remedy."""


def problem_json(refusal: Refusal) -> bytes:
    """Body of a refusal as JSON (RFC 9457)."""
    problem = Problem(
        title=HTTPStatus(refusal.status).phrase,
        status=refusal.status,
        detail=refusal.line,
        error=refusal.line,
        **refusal.facts,
    )
    return problem.model_dump_json(exclude_none=True).encode()


class Body:
    """ASGI's ``receive`` that remembers whether the body has ended."""

    def __init__(self, receive: Receive) -> None:
        self._receive, self.is_over = receive, False

    async def __call__(self) -> Message:
        """Receive a message."""
        message = await self._receive()
        if message["type"] != "http.request" or not message.get("more_body", False):
            self.is_over = True
        return message


class RefusalResponse(Response):
    """Response with a refusal, after which the rest of the request is read for a while.

    If the connection were closed at once, it would be reset before the client can read.
    """

    media_type = PROBLEM

    def __init__(self, refusal: Refusal) -> None:
        super().__init__(problem_json(refusal), refusal.status, refusal.headers)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Send the refusal, and read the rest of the request."""
        if scope["type"] == "websocket":
            await super().__call__(scope, receive, send)
            return
        head = {"type": "http.response.start", "status": self.status_code}
        await send({**head, "headers": self.raw_headers})
        body = {"type": "http.response.body", "body": self.body}
        # A client that waits for leave to send its body sends nothing now.
        is_sending = not getattr(receive, "is_over", False) and "expect" not in Headers(scope=scope)
        if is_sending:
            await send({**body, "more_body": True})
            await _read_and_drop_body(receive)
            body = {"type": "http.response.body", "body": b""}
        await send(body)


async def _read_and_drop_body(receive: Receive) -> None:
    count = 0
    with suppress(TimeoutError):
        async with asyncio.timeout(_MAX_DRAINED_SECONDS):
            while count < _MAX_DRAINED_BYTES:
                message = await receive()
                if message["type"] != "http.request" or not message.get("more_body", False):
                    return
                count += len(message.get("body", b""))
