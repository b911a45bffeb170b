"""Predictions whose first process is killed as soon as it has done a photograph of a task."""

import os
from collections.abc import Sequence

from rilievo.predicting.inputs import Job
from rilievo.predicting.predict_across import PredictWork
from rilievo.predicting.work_processes import Report, TaskFunction
from support.killed_work import end_process


class KilledPredictWork(PredictWork):
    """The parent's work, but the first process that finishes a photograph of a task is killed."""

    def open(self) -> TaskFunction:
        do = PredictWork.open(self)
        mark = self.options.saving.output.with_name("killed")

        def killed(items: Sequence[Job], *, is_retry: bool) -> Report:
            if not mark.exists():
                mark.write_text(str(os.getpid()))
                do(items[:1], is_retry=is_retry)
                end_process()
            return do(items, is_retry=is_retry)

        return killed
