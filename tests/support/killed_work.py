"""Work that ends the process at work on it, as a want of memory does."""

import os
import signal
import time
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from rilievo.errors import OptionError, OutputError
from rilievo.predicting.work_processes import Report, TaskFunction


def end_process() -> None:
    os.kill(os.getpid(), signal.SIGKILL)


@dataclass(frozen=True, slots=True, kw_only=True)
class Deadly:
    """Writes a file for every item; some items end the process, always or the first time."""

    folder: Path
    always: tuple[str, ...] = ()
    once: tuple[str, ...] = ()
    refusal: str = ""
    refusal_at: str = ""
    dies_at_start: bool = False

    def open(self) -> TaskFunction:
        if self.dies_at_start:
            end_process()
        if self.refusal:
            raise OptionError(self.refusal)
        return self.do

    def name(self, item: str) -> str:
        return f"item {item}"

    def do(self, items: Sequence[str], *, is_retry: bool) -> Report:
        for item in items:
            if item == self.refusal_at:
                raise OutputError("the disk is full")
            mark = self.folder / f"{item}.begun"
            if item in self.always or (item in self.once and not mark.exists()):
                mark.touch()
                end_process()
            (self.folder / f"{item}.{'again' if is_retry else 'done'}").touch()
        return Report(done=len(items))


@dataclass(frozen=True, slots=True, kw_only=True)
class Loading:
    """Work that loads for a minute, in code that loses an interruption or makes an error of it."""

    folder: Path
    error: Exception | None = None

    def open(self) -> TaskFunction:
        (self.folder / "begun").touch()
        try:
            with suppress(KeyboardInterrupt):
                time.sleep(60)
            if self.error is not None:
                raise self.error
            time.sleep(60)
        finally:
            (self.folder / "ended").touch()
        raise OptionError("nothing ended it")

    def name(self, item: str) -> str:
        return item
