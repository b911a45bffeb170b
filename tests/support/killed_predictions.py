"""Predictions whose first process is killed as soon as it has done a photograph of a task."""

import os
from collections.abc import Sequence

from rilievo.predicting.inputs import Job
from rilievo.predicting.predict_across import PredictWork
from rilievo.predicting.work_processes import Do, Report
from support.killed_work import end_process


class KilledPredictWork(PredictWork):
    """The parent's work, but the first process that finishes a photograph of a task is killed."""

    def open(self) -> Do:
        do = PredictWork.open(self)
        mark = self.options.saving.output.with_name("killed")

        def killed(items: Sequence[Job], *, again: bool) -> Report:
            if not mark.exists():
                mark.write_text(str(os.getpid()))
                do(items[:1], again=again)
                end_process()
            return do(items, again=again)

        return killed
