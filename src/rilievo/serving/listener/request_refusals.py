"""Refusals of requests: a status, one line, and no path or traceback of the server."""

import math
import os
import sys
import traceback
from collections.abc import Mapping
from http.client import HTTPException
from pathlib import PurePath
from types import TracebackType
from typing import Any
from urllib.error import URLError

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
from rilievo.messages import filled, one_line, parameter

_MOST_TRACES = 100
_DOWNLOADING = (URLError, TimeoutError, ConnectionError, HTTPException)
"""Causes of a model that cannot be downloaded."""
_STATUSES: tuple[tuple[type[RilievoError], int], ...] = (
    (MissingExtraError, 501),
    (OptionError, 400),
    (CalibrationError, 422),
    (NoDepthError, 422),
    (InputError, 422),
    (UnknownCameraError, 422),
    (ModelError, 500),
)
_traced: set[tuple[str, str]] = set()


class Refusal(Exception):
    """An answer in place of a result.

    Attributes:
        status: Status of the answer.
        line: Line for the client.
        headers: Headers of the answer.
        facts: Parameter at fault (``option``), its value, what is expected, a hint.
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
    """Nobody waits for the result any more: the client left, or its time is over."""


def busy(line: str, seconds: float | int) -> Refusal:
    """The refusal of a request that may come again later."""
    again = max(1, round(seconds))
    return Refusal(429, f"{line}: try again in {again} s", {"Retry-After": str(again)})


def stopping() -> Refusal:
    """The refusal of a request that the server does not come to any more."""
    return Refusal(503, "the server is stopping: try again later", {"Retry-After": "10"})


def refusal_of(error: Exception, shown: Mapping[str, str] | None = None) -> Refusal:
    """The refusal that tells a client of an error, whatever it is.

    Args:
        error: The error.
        shown: Clients' names of models by the server's paths; other files are told by their name.
    """
    if isinstance(error, Refusal):
        return error
    if isinstance(error, MemoryError):
        return Refusal(503, "too little memory for this photograph: make it smaller")
    # What cannot be written, and where, is for the operator.
    if isinstance(error, OutputError) or not isinstance(error, RilievoError):
        trace(error)
        if isinstance(error, OutputError):
            return Refusal(507, "the server cannot write the result: tell who runs it")
        return Refusal(500, "a defect of the server, which has written it down")
    if isinstance(error, ModelError) and isinstance(error.__cause__, _DOWNLOADING):
        trace(error)
        return Refusal(503, "the model cannot be downloaded now: take another, or try again later")
    status = next((status for kind, status in _STATUSES if isinstance(error, kind)), 500)
    line = error.worded(parameter, _shown(str(error.path), shown or {}))
    # Messages of models' readers begin with their files, which lie below those paths.
    names = {**(shown or {}), os.path.expanduser("~"): "~"}
    for path in sorted(names, key=len, reverse=True):
        line = line.replace(path, names[path]) if len(PurePath(path).parts) > 1 else line
    return Refusal(status, line, facts=_facts(error))


def _facts(error: RilievoError) -> dict[str, Any]:
    """Facts of an error as members of the answer, those that it has."""
    value = error.value
    is_number = isinstance(value, (int, float)) and math.isfinite(value)
    texts = {
        "option": error.option,
        "expected": filled(error.expected, parameter),
        "hint": filled(error.hint, parameter),
        "value": "" if value is None or is_number else str(value),
    }
    facts: dict[str, Any] = {name: one_line(text) for name, text in texts.items() if text}
    return facts | ({"value": value} if is_number else {})


def _shown(path: str, shown: Mapping[str, str]) -> str:
    return shown.get(path, PurePath(path).name)


def trace(error: Exception) -> None:
    """Write an error down for the operator; one that was written before is not written again.

    Clients cannot make the log grow: every place in the code is told of once.
    """
    key = (type(error).__name__, _place(error.__traceback__))
    if key in _traced or len(_traced) >= _MOST_TRACES:
        return
    _traced.add(key)
    lines = "".join(traceback.format_exception(error))
    print(f"rilievo serve: {lines.strip()}", file=sys.stderr, flush=True)  # noqa: T201


def _place(frames: TracebackType | None) -> str:
    """The innermost file and line."""
    place = ""
    while frames is not None:
        place = f"{frames.tb_frame.f_code.co_filename}:{frames.tb_lineno}"
        frames = frames.tb_next
    return place
