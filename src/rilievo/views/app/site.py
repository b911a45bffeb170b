"""State of the app: options, models, answers, and the folder of uploads."""

import logging
from collections.abc import Callable, Sequence
from concurrent.futures import Executor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rilievo.errors import InputError, RilievoError
from rilievo.io.limits import printable, reason
from rilievo.views.app.answers import AnswerStore
from rilievo.views.app.choices import Choice
from rilievo.views.app.options import AppOptions

_LOG = logging.getLogger("rilievo.app")


@dataclass(frozen=True, slots=True, kw_only=True)
class Site:
    """State of the app.

    Attributes:
        options: Options with the limits.
        listed: Models in the list.
        store: Store of answers.
        uploads: The only folder whose files visitors may fetch by path.
        pool: Pool for work that takes memory. It has few threads, because each keeps some memory;
            Gradio would use forty.
        make_room: Function that brings disk use below its limit.
    """

    options: AppOptions
    listed: Sequence[Choice]
    store: AnswerStore
    uploads: Path
    pool: Executor
    make_room: Callable[[], None]

    def told(self, act: Callable[[], Any], otherwise: Callable[[str], Any]) -> Any:
        """Run a handler and return its result, or the result of ``otherwise`` for its error.

        Args:
            act: Handler, run in a thread of the pool.
            otherwise: Function that is given a one-line error for the visitor.
        """
        try:
            return self.pool.submit(act).result()
        except Exception as error:
            return otherwise(line_of(error))

    def shown(self, model: str) -> str:
        """Name of a model, for display."""
        return next((each.shown for each in self.listed if each.name == model), model)

    def uploaded(self, given: Any) -> Path:
        """Path of an upload, checked to be one.

        Args:
            given: Gradio's record of it, with ``path``, or None.

        Raises:
            InputError: If there is none, or it is not an upload.
        """
        if given is None:
            raise InputError("no file was given: choose a file, drop one, or take a photograph")
        path = Path(given["path"] if isinstance(given, dict) else given.path)
        resolved = path.resolve()
        if path.is_symlink() or not resolved.is_relative_to(self.uploads.resolve()):
            raise InputError("this is not an uploaded file")
        if not resolved.is_file():
            raise InputError("this upload was deleted: give it again")
        if resolved.stat().st_size > self.options.max_bytes:
            raise InputError(f"the file is above the limit of {self.options.max_megabytes:g} MB")
        return resolved

    def named(self, given: Any) -> str:
        """Original file name of an upload."""
        name = given.get("orig_name") if isinstance(given, dict) else given.orig_name
        return printable(name or "photo")[:200]


def line_of(error: Exception) -> str:
    """One line about an error, for the page; tracebacks of bugs go to the server's log."""
    if isinstance(error, RilievoError):
        return printable(str(error))
    if isinstance(error, MemoryError):
        return "too little memory for this: make it smaller first"
    _LOG.error("a defect of rilievo", exc_info=error)
    return f"a defect of rilievo, please report it ({type(error).__name__}: {reason(error)[:80]})"
