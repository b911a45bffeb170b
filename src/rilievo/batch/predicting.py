"""``rilievo predict`` as work for other processes: each loads the model once, by its name."""

import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from rilievo.batch.staging import Stage, StagedResults
from rilievo.batch.work import Failure, Report
from rilievo.errors import OptionError
from rilievo.io.limits import printable
from rilievo.models import load_model
from rilievo.models.base import Model
from rilievo.models.paid import PaidModel
from rilievo.predicting.inputs import Job, Medium
from rilievo.predicting.options import PredictOptions
from rilievo.predicting.results import Results
from rilievo.predicting.run import make_ready, predict_jobs, refined
from rilievo.predicting.summary import Tally


@dataclass(frozen=True, slots=True, kw_only=True)
class PredictWork:
    """What is done with every photograph and clip.

    Attributes:
        options: As the user gave them, with the threads that one process has.
    """

    options: PredictOptions

    def open(self) -> "PredictHand":
        """Load the model, and refuse what no photograph could be given.

        Raises:
            RilievoError: If there is no such model, or it cannot give what is asked for.
        """
        # Pillow warns of corrupt metadata that has no bearing on the pixels.
        warnings.filterwarnings("ignore", category=UserWarning, module=r"PIL\.")
        hand = PredictHand(_loaded(self.options), self.options)
        hand.check()
        return hand

    def name(self, item: Job) -> str:
        """The photograph or clip."""
        return printable(item.source)


class PredictHand:
    """A model at work on tasks of photographs and clips."""

    def __init__(self, model: Model, options: PredictOptions) -> None:
        self._model, self._options = model, options
        self._folders: set[Path] = set()

    def check(self) -> None:
        """Refuse, before any work, what no photograph could be given.

        Raises:
            RilievoError: If the model, or this installation, cannot give what is asked for.
        """
        Results(model=self._model, options=self._options).check()

    def do(self, items: Sequence[Job], *, again: bool) -> Report:
        """Predict some inputs; what a process that was killed had finished of them is done."""
        options = self._options
        stage = Stage()
        tally = Told(said=stage.said)
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
        # Once in each process, not for each task: it looks at every file in the folder.
        if folder not in self._folders:
            make_ready(folder)
            self._folders.add(folder)


@dataclass(slots=True, kw_only=True)
class Told(Tally):
    """Keeps what is told of one task, to be sent on; shows nothing itself but our defects."""

    said: Callable[[str], str] = lambda message: message
    """What a message is turned into."""
    output: Path = field(default_factory=Path)
    show: bool = False
    failures: list[Failure] = field(default_factory=list)
    remarks: list[str] = field(default_factory=list)

    def failed(self, message: str) -> None:
        """One more input failed."""
        said = self.said(message)
        name, _, rest = said.partition(": ")
        # An address behind the path that stood for it here: once is enough.
        reason = rest if rest.startswith(f"{name}: ") else said
        self.failures.append(Failure(name=name, reason=reason))

    def note(self, message: str) -> None:
        """Something was done but deserves a look."""
        self.remarks.append(self.said(message))

    @property
    def report(self) -> Report:
        """What was told."""
        counted = self.summary()
        return Report(
            done=counted.done,
            finished_before=counted.finished_before,
            failures=tuple(self.failures),
            notes=tuple(self.remarks),
        )


def _loaded(options: PredictOptions) -> Model:
    model = load_model(
        options.model,
        kind=options.kind,
        device=options.device,
        engine=options.engine,
        precision=options.precision,
        threads=options.threads,
        settings=options.model_settings,
    )
    refuse_paid(model)
    return refined(model, flip=options.flip, tile=options.tile, sharp=options.sharp == "on")


def refuse_paid(model: Model) -> None:
    """Refuse a model whose calls cost money, before it is refined.

    Raises:
        OptionError: If it is one.
    """
    if isinstance(model, PaidModel):
        raise OptionError(
            f"model '{model.card.name}' is paid by the call, and calls of several processes are "
            "not counted together: leave out --workers, --shard and --ray"
        )
