"""What the page is made for: options, models, answers, and the folder of uploads."""

import logging
from collections.abc import Callable, Sequence
from concurrent.futures import Executor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rilievo.errors import InputError, RilievoError
from rilievo.io.limits import printable, reason
from rilievo.views.app.choices import Choice
from rilievo.views.app.desk import Desk
from rilievo.views.app.options import AppOptions

_LOG = logging.getLogger("rilievo.app")


@dataclass(frozen=True, slots=True, kw_only=True)
class Site:
    """What the page is made for.

    Attributes:
        options: Limits.
        listed: Models.
        desk: Answers.
        uploads: The one folder whose files visitors may fetch by path.
        pool: Whose few threads do what takes memory: every thread keeps some for itself, and
            Gradio would take forty of them in turns.
        make_room: Brings what is kept within its limit on disk.
    """

    options: AppOptions
    listed: Sequence[Choice]
    desk: Desk
    uploads: Path
    pool: Executor
    make_room: Callable[[], None]

    def told(self, act: Callable[[], Any], otherwise: Callable[[str], Any]) -> Any:
        """The result of an act, or what ``otherwise`` makes of why there is none.

        Args:
            act: Done in a thread of the pool.
            otherwise: Takes one line for the visitor.
        """
        try:
            return self.pool.submit(act).result()
        except Exception as error:
            return otherwise(line_of(error))

    def shown(self, model: str) -> str:
        """A model's name for people."""
        return next((each.shown for each in self.listed if each.name == model), model)

    def uploaded(self, given: Any) -> Path:
        """The file of an upload, which is ours and nothing else.

        Args:
            given: What Gradio says of it: a record with ``path``, or None.

        Raises:
            InputError: If nothing was given, or something that was not uploaded.
        """
        if given is None:
            raise InputError("nothing was given: choose a file, drop one, or take a photograph")
        path = Path(given["path"] if isinstance(given, dict) else given.path)
        resolved = path.resolve()
        if path.is_symlink() or not resolved.is_relative_to(self.uploads.resolve()):
            raise InputError("this is no uploaded file")
        if not resolved.is_file():
            raise InputError("this upload is not kept any more: give it again")
        if resolved.stat().st_size > self.options.max_bytes:
            raise InputError(f"the file is above the limit of {self.options.max_megabytes:g} MB")
        return resolved

    def named(self, given: Any) -> str:
        """What the visitor called an upload."""
        name = given.get("orig_name") if isinstance(given, dict) else given.orig_name
        return printable(name or "photo")[:200]


def line_of(error: Exception) -> str:
    """What went wrong, for the page; a defect of ours is written down for the server's keeper."""
    if isinstance(error, RilievoError):
        return printable(str(error))
    if isinstance(error, MemoryError):
        return "too little memory for this: make it smaller first"
    _LOG.error("a defect of rilievo", exc_info=error)
    return f"a defect of rilievo, please report it ({type(error).__name__}: {reason(error)[:80]})"
