"""Work that ends the process at work on it, as a want of memory does."""

import os
import signal
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from rilievo.batch.predicting import PredictHand, PredictWork
from rilievo.batch.work import Report
from rilievo.errors import OptionError
from rilievo.pipeline.inputs import Job


def end_process() -> None:
    os.kill(os.getpid(), signal.SIGKILL)


@dataclass(frozen=True, slots=True, kw_only=True)
class Deadly:
    """Writes a file for every item; some items end the process, always or the first time."""

    folder: Path
    always: tuple[str, ...] = ()
    once: tuple[str, ...] = ()
    refusal: str = ""
    dies_at_start: bool = False

    def open(self) -> "DeadlyHand":
        if self.dies_at_start:
            end_process()
        if self.refusal:
            raise OptionError(self.refusal)
        return DeadlyHand(self)

    def name(self, item: str) -> str:
        return f"item {item}"


class DeadlyHand:
    def __init__(self, work: Deadly) -> None:
        self._work = work

    def do(self, items: Sequence[str], *, again: bool) -> Report:
        for item in items:
            mark = self._work.folder / f"{item}.begun"
            if item in self._work.always or (item in self._work.once and not mark.exists()):
                mark.touch()
                end_process()
            (self._work.folder / f"{item}.{'again' if again else 'done'}").touch()
        return Report(done=len(items))


class KilledPredictWork(PredictWork):
    """As its parent, but the first process to have done a photograph of a task is killed."""

    def open(self) -> "KilledPredictHand":
        hand = PredictWork.open(self)
        return KilledPredictHand(hand, self.options.output.with_name("killed"))


class KilledPredictHand:
    def __init__(self, hand: PredictHand, mark: Path) -> None:
        self._hand, self._mark = hand, mark

    def do(self, items: Sequence[Job], *, again: bool) -> Report:
        if not self._mark.exists():
            self._mark.write_text(str(os.getpid()))
            self._hand.do(items[:1], again=again)
            end_process()
        return self._hand.do(items, again=again)
