"""``rilievo predict`` as work for other processes; each loads the model once, by its name."""

import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from rilievo.batch.staging import Stage, StagedResults
from rilievo.batch.work import Failure, Report
from rilievo.errors import OptionError
from rilievo.io.limits import printable
from rilievo.models.base import Model, PaidModel
from rilievo.predicting.inputs import Job, Medium
from rilievo.predicting.options import PredictOptions
from rilievo.predicting.results import Results
from rilievo.predicting.run import make_ready, predict_jobs, refined_by
from rilievo.predicting.stages import LOAD, Spent, Stages
from rilievo.predicting.summary import Tally


@dataclass(frozen=True, slots=True, kw_only=True)
class PredictWork:
    """Prediction of every photograph and clip.

    Attributes:
        options: Options of the user, with the threads of one process.
    """

    options: PredictOptions

    def open(self) -> "PredictHand":
        """Load the model, and refuse outputs that it cannot give.

        Raises:
            RilievoError: If there is no such model, or it cannot give a requested output.
        """
        # Pillow warns of corrupt metadata that does not affect the pixels.
        warnings.filterwarnings("ignore", category=UserWarning, module=r"PIL\.")
        stages = Stages()
        model = stages.timed(LOAD, _loaded)(self.options)
        stages.watch(model)
        hand = PredictHand(model, self.options, stages.spent)
        hand.check()
        return hand

    def name(self, item: Job) -> str:
        """Path of the photograph or clip, for messages."""
        return printable(item.source)


class PredictHand:
    """A loaded model that predicts tasks of photographs and clips."""

    def __init__(self, model: Model, options: PredictOptions, spent: Spent) -> None:
        """Take a loaded model; ``spent`` is what loading took, told with the first report."""
        self._model, self._options, self._spent = model, options, spent
        self._folders: set[Path] = set()

    def check(self) -> None:
        """Refuse, before any prediction, outputs that cannot be given for any photograph.

        Raises:
            RilievoError: If the model, or this installation, cannot give a requested output.
        """
        Results(model=self._model, options=self._options).check()

    def do(self, items: Sequence[Job], *, again: bool) -> Report:
        """Predict some inputs; on a retry, those that the killed process finished count as done."""
        options = self._options
        stage = Stage()
        tally = Told(said=stage.said)
        tally.stages.add(self._spent)
        self._spent = Spent()
        jobs = [stage.enter(job) for job in items]
        results = StagedResults(model=self._model, options=options, note=tally.note, stage=stage)
        try:
            predict_jobs(
                (job for job in jobs if job.medium is Medium.PHOTO),
                (job for job in jobs if job.medium is not Medium.PHOTO),
                results,
                tally,
                self._make_ready,
            )
        finally:
            stage.clear()
        counted = tally.summary()
        before = counted.finished_before
        if again and not self._options.resume:
            return replace(tally.report, done=counted.done + before, finished_before=0)
        return tally.report

    def _make_ready(self, folder: Path) -> None:
        # Once per process, not per task: make_ready looks at every file in the folder.
        if folder not in self._folders:
            make_ready(folder)
            self._folders.add(folder)


@dataclass(slots=True, kw_only=True)
class Told(Tally):
    """Collects the messages of one task for its report; shows only internal errors itself."""

    said: Callable[[str], str] = lambda message: message
    """Translation of a message, such as scratch paths into addresses."""
    output: Path = field(default_factory=Path)
    show: bool = False
    failures: list[Failure] = field(default_factory=list)
    remarks: list[str] = field(default_factory=list)

    def failed(self, message: str) -> None:
        """Record a failed input."""
        said = self.said(message)
        name, _, rest = said.partition(": ")
        # The message may name the address twice, once in place of its scratch path.
        reason = rest if rest.startswith(f"{name}: ") else said
        self.failures.append(Failure(name=name, reason=reason))

    def note(self, message: str) -> None:
        """Record a warning about an input that was done."""
        self.remarks.append(self.said(message))

    @property
    def report(self) -> Report:
        """Report of the task so far."""
        counted = self.summary()
        return Report(
            done=counted.done,
            finished_before=counted.finished_before,
            failures=tuple(self.failures),
            notes=tuple(self.remarks),
            spent=counted.spent,
        )


def _loaded(options: PredictOptions) -> Model:
    model = options.load(options.model)
    refuse_paid(model)
    return refined_by(options, model)


def refuse_paid(model: Model) -> None:
    """Refuse a model whose calls cost money, before it is refined.

    Raises:
        OptionError: If calls of the model cost money.
    """
    if isinstance(model, PaidModel):
        raise OptionError(
            f"model '{model.card.name}' is paid by the call, and calls of several processes are "
            "not counted together: leave out --workers, --shard and --ray"
        )
