"""Predictions whose first process is killed as soon as it has done a photograph of a task."""

import os
from collections.abc import Sequence
from pathlib import Path

from killed_work import end_process
from rilievo.batch.run import PredictHand, PredictWork
from rilievo.batch.work import Report
from rilievo.predicting.inputs import Job


class KilledPredictWork(PredictWork):
    """The parent's work, but the first process that finishes a photograph of a task is killed."""

    def open(self) -> "KilledPredictHand":  # pyright: ignore[reportIncompatibleMethodOverride]
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
