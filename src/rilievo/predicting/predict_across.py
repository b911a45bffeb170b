"""``rilievo predict`` in several processes or machines, on disk or object stores."""

import warnings
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from functools import cache
from pathlib import Path

from rilievo.errors import OptionError
from rilievo.errors.messages import OptionName, Text
from rilievo.extensions.subpackages import load_service
from rilievo.io.files.names import address_or_none, local_path, printable
from rilievo.models.base import Model, PaidModel
from rilievo.predicting.inputs import Job, LeftOut, Medium, find_jobs
from rilievo.predicting.options import BatchOptions, PredictOptions
from rilievo.predicting.photographs.results import ResultWriter
from rilievo.predicting.run import load_models, make_ready, predict_jobs, read_inputs
from rilievo.predicting.summary import RunSummary, Stages, Tally
from rilievo.predicting.work_processes import (
    Do,
    Failure,
    Report,
    distribute_work,
    threads_per_process,
)
from rilievo.system.signals import handle_if_ctrl_c


class TaskFiles:
    """Files of one task, perhaps staged."""

    def enter(self, job: Job) -> Job:
        """Map a job to the paths where it is done."""
        return job

    def results(
        self, *, model: Model, options: PredictOptions, note: Callable[[str], None]
    ) -> ResultWriter:
        """ResultWriter of such jobs."""
        return ResultWriter(model=model, options=options, note=note)

    def translated(self, message: str) -> str:
        """Message with the user's names of files; here it has them already."""
        return message

    def clear(self) -> None:
        """Remove files of the task."""


@dataclass(frozen=True, slots=True)
class Storage:
    """Picklable access to a run's files."""

    def check_output(self, output: Path) -> None:
        """Refuse an output that cannot be written to."""

    def list_jobs(
        self, inputs: Sequence[str | Path], output: Path, *, sequence: bool, left_out: LeftOut
    ) -> Iterator[Job]:
        """List all jobs in a fixed order."""
        paths = list(map(local_path, inputs))
        return find_jobs(paths, output, sequence=sequence, left_out=left_out)

    def open_task(self) -> TaskFiles:
        """Files of a new task."""
        return TaskFiles()


def storage_of(inputs: Iterable[str | Path], output: Path) -> Storage:
    """Access to files on disk, or at addresses."""
    if all(address_or_none(name) is None for name in (*inputs, output)):
        return Storage()
    return load_service("addresses")()


@dataclass(frozen=True, slots=True, kw_only=True)
class PredictWork:
    """Prediction of photographs and clips."""

    options: PredictOptions
    video: tuple[bool, ...] = (False,)
    places: Storage = field(default_factory=Storage)

    def open(self) -> Do:
        """Load models, and refuse outputs."""
        # Pillow warns of corrupt metadata that does not affect the pixels.
        warnings.filterwarnings("ignore", category=UserWarning, module=r"PIL\.")
        options, loading = self.options, Stages()
        models = load_models(options, self.video, refuse_paid, loading)
        for model in models.values():
            ResultWriter(model=model, options=options).check()
        # The first report tells what loading took.
        unreported = [loading.spent]
        ready = cache(make_ready)  # once a process: it looks at every file in the folder

        def do(items: Sequence[Job], *, again: bool) -> Report:
            files = self.places.open_task()
            tally = TaskTally(translated=files.translated)
            while unreported:
                tally.stages.add(unreported.pop())
            results = {
                video: files.results(model=model, options=options, note=tally.note)
                for video, model in models.items()
            }
            try:
                predict_jobs([files.enter(job) for job in items], results, tally, ready)
            finally:
                files.clear()
            report = tally.report
            if again and not options.saving.resume:
                return replace(report, done=report.done + report.finished_before, finished_before=0)
            return report

        return do

    def name(self, item: Job) -> str:
        """Path of the input."""
        return printable(item.source)


@dataclass(slots=True, kw_only=True)
class TaskTally(Tally):
    """Collector of a task's messages."""

    translated: Callable[[str], str] = lambda message: message
    """Translation of messages."""
    output: Path = field(default_factory=Path)
    show: bool = False
    failures: list[Failure] = field(default_factory=list)
    remarks: list[str] = field(default_factory=list)

    def failed(self, message: str) -> None:
        """Record a failed input."""
        line = self.translated(message)
        self.failures.append(Failure(name=line.partition(": ")[0], reason=line))

    def note(self, message: str) -> None:
        """Record a note."""
        self.remarks.append(self.translated(message))

    @property
    def report(self) -> Report:
        """Report so far."""
        counted = self.summary()
        return Report(
            done=counted.done,
            finished_before=counted.finished_before,
            failures=tuple(self.failures),
            notes=tuple(self.remarks),
            spent=counted.spent,
        )


def refuse_paid(model: Model) -> None:
    """Refuse a model whose calls cost money."""
    if isinstance(model, PaidModel):
        raise OptionError(
            problem=Text(
                f"model '{model.card.name}' is paid by the call, and calls of "
                "several processes are not counted together: leave out ",
                OptionName("workers"),
                ", ",
                OptionName("shard"),
                " and ",
                OptionName("ray"),
            )
        )


def predict_across(
    inputs: Sequence[str | Path],
    options: PredictOptions | None = None,
    batch: BatchOptions | None = None,
    *,
    show: bool = True,
) -> RunSummary:
    """Predict as ``predict_files``, in several processes.

    Failed inputs are skipped. Call it under ``if __name__ == "__main__"``.

    Args:
        inputs: Files, folders (recursive) or patterns, on disk or at s3, gs or https.
        options: Options of the prediction.
        batch: Part of the inputs, processes, and machines.
        show: Whether to show progress.

    Raises:
        RilievoError: If no input can be predicted at all.
    """
    options, batch = options or PredictOptions(), batch or BatchOptions()
    inputs = [inputs] if isinstance(inputs, str | Path) else inputs
    if options.sizes.same_camera:
        raise OptionError(
            option="same_camera",
            problem=Text(
                "compares photographs in one process: leave out ",
                OptionName("workers"),
                ", ",
                OptionName("shard"),
                " and ",
                OptionName("ray"),
                ", and addresses",
            ),
        )
    output = Path(local_path(options.saving.output))
    options = replace(options, saving=replace(options.saving, output=output))
    places = storage_of(inputs, output)
    places.check_output(output)
    threads = threads_per_process(batch, options.speed.threads)
    run = read_inputs(inputs, options, places.list_jobs)
    media = Counter(
        job.medium is not Medium.PHOTO for job in _jobs_of_share(run.jobs, output, batch)
    )
    count, video = media.total(), tuple(sorted(media)) or (False,)
    in_each = replace(options, speed=replace(options.speed, threads=threads))
    work = PredictWork(options=in_each, video=video, places=places)
    total = count + len(run.failures)
    with Tally(output=output, total=total, show=show) as tally:
        if address_or_none(output) is None:
            make_ready(output)
        run.tell(tally)
        reports = distribute_work(
            work,
            _jobs_of_share(run.jobs, output, batch),
            count=count,
            batch=batch,
            threads=threads,
            device=options.speed.device,
        )
        try:
            for report in reports:
                _add_to_tally(tally, report)
        except KeyboardInterrupt as stop:
            tally.interrupted = handle_if_ctrl_c(stop)
            tally.note(
                "tasks that were under way are not counted; what they finished is there, and "
                "the same command passes over it"
            )
    return tally.summary()


def _jobs_of_share(jobs: Iterable[Job], output: Path, batch: BatchOptions) -> Iterator[Job]:
    share = batch.share
    return (job for job in jobs if share.takes(job.target.relative_to(output).as_posix()))


def _add_to_tally(tally: Tally, report: Report) -> None:
    tally.stages.add(report.spent)
    for _ in range(report.done):
        tally.done()
    for _ in range(report.finished_before):
        tally.finished_before()
    for failure in report.failures:
        tally.failed(failure.reason)
    for note in report.notes:
        tally.note(note)
