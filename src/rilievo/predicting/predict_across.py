"""``rilievo predict`` by several processes or machines, with files on disk or at addresses."""

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
from rilievo.predicting.run import RunWriters, load_models, make_ready, predict_jobs, read_inputs
from rilievo.predicting.run_times import Stopwatch
from rilievo.predicting.summary import RunSummary, Tally
from rilievo.predicting.work_processes import (
    Do,
    Failure,
    Report,
    distribute_work,
    threads_per_process,
)
from rilievo.system.signals import handle_if_ctrl_c


class TaskFiles:
    """Files of the jobs in one task, which are used where they lie on disk.

    A subclass copies files at addresses to a scratch folder and back.
    """

    def enter(self, job: Job) -> Job:
        """Map a job to the paths at which it is done."""
        return job

    def results(
        self, *, model: Model, options: PredictOptions, note: Callable[[str], None]
    ) -> ResultWriter:
        """Make the writer for the results of the jobs."""
        return ResultWriter(model=model, options=options, note=note)

    def translated(self, message: str) -> str:
        """Replace paths of the scratch folder in a message by the user's names."""
        return message

    def clear(self) -> None:
        """Remove the scratch folder."""


@dataclass(frozen=True, slots=True)
class Storage:
    """Access to the files of a run on disk; it is sent to each process.

    A subclass has access to files at addresses.
    """

    def check_output(self, output: Path) -> None:
        """Check that results can be written to the output."""

    def list_jobs(
        self, inputs: Sequence[str | Path], output: Path, *, sequence: bool, left_out: LeftOut
    ) -> Iterator[Job]:
        """Yield all jobs in a fixed order."""
        paths = list(map(local_path, inputs))
        return find_jobs(paths, output, sequence=sequence, left_out=left_out)

    def open_task(self) -> TaskFiles:
        """Files of a new task."""
        return TaskFiles()


def storage_of(inputs: Iterable[str | Path], output: Path) -> Storage:
    """Choose the access to files: on disk, or at addresses if one of them is an address."""
    if all(address_or_none(name) is None for name in (*inputs, output)):
        return Storage()
    return load_service("addresses")()


@dataclass(frozen=True, slots=True, kw_only=True)
class PredictWork:
    """The work of a run, which each process opens once.

    Attributes:
        options: Options of the run.
        has_photos: Whether there are photographs.
        has_videos: Whether there are videos or folders of frames.
        storage: Access to the files.
    """

    options: PredictOptions
    has_photos: bool = True
    has_videos: bool = False
    storage: Storage = field(default_factory=Storage)

    def open(self) -> Do:
        """Load the models, and return the function that predicts the jobs of a task.

        Raises:
            RilievoError: If an output cannot be made, or a model cannot be used.
        """
        # Pillow warns of corrupt metadata that does not affect the pixels.
        warnings.filterwarnings("ignore", category=UserWarning, module=r"PIL\.")
        options, stopwatch = self.options, Stopwatch()
        models = load_models(
            options,
            has_photos=self.has_photos,
            has_videos=self.has_videos,
            check=refuse_paid,
            stopwatch=stopwatch,
        )
        checked = RunWriters.of_models(
            models, lambda model: ResultWriter(model=model, options=options)
        )
        for writer in checked.all():
            writer.check()
        unreported_times = [stopwatch.times]  # of loading, which the first report contains
        # Once a process and folder, because it looks at every file in the folder.
        prepare_folder = cache(make_ready)

        def predict_task(items: Sequence[Job], *, again: bool) -> Report:
            """Predict the jobs of a task, and report what was done.

            ``again`` says that a process was killed while it worked on these jobs.
            """
            files = self.storage.open_task()
            tally = TaskTally(translated=files.translated)
            while unreported_times:
                tally.stopwatch.add(unreported_times.pop())
            writers = RunWriters.of_models(
                models,
                lambda model: files.results(model=model, options=options, note=tally.note),
            )
            try:
                jobs = [files.enter(job) for job in items]
                predict_jobs(jobs, writers, tally, prepare_folder)
            finally:
                files.clear()
            report = tally.report
            if again and not options.saving.resume:
                # Jobs count as finished before, though the process that was killed finished them in
                # this very run.
                return replace(report, done=report.done + report.finished_before, finished_before=0)
            return report

        return predict_task

    def name(self, item: Job) -> str:
        """Name of a job in messages."""
        return printable(item.source)


@dataclass(slots=True, kw_only=True)
class TaskTally(Tally):
    """Counts the inputs of a task and collects its messages, to be sent to the run.

    Attributes:
        translated: Function that puts the user's names of files into a message.
    """

    translated: Callable[[str], str] = lambda message: message
    output: Path = field(default_factory=Path)
    show: bool = False
    failures: list[Failure] = field(default_factory=list)
    collected_notes: list[str] = field(default_factory=list)

    def failed(self, message: str) -> None:
        """Collect the message on a failed input."""
        line = self.translated(message)
        self.failures.append(Failure(name=line.partition(": ")[0], reason=line))

    def note(self, message: str) -> None:
        """Collect a note."""
        self.collected_notes.append(self.translated(message))

    @property
    def report(self) -> Report:
        """What the task has done so far."""
        summary = self.summary()
        return Report(
            done=summary.done,
            finished_before=summary.finished_before,
            failures=tuple(self.failures),
            notes=tuple(self.collected_notes),
            times=summary.spent,
        )


def refuse_paid(model: Model) -> None:
    """Raise ``OptionError`` for a model that is paid by the call."""
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
    """Predict files as ``predict_files`` does, in several processes.

    Inputs that fail are reported and skipped. Call it under ``if __name__ == "__main__"``, because
    each process imports the script that calls it.

    Args:
        inputs: Files, folders with their subfolders, or patterns, on disk or at s3, gs or https.
        options: Options of the prediction.
        batch: Part of the inputs to do, and processes or machines.
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
    storage = storage_of(inputs, output)
    storage.check_output(output)
    threads = threads_per_process(batch, options.speed.threads)
    run = read_inputs(inputs, options, storage.list_jobs)
    media = Counter(job.medium for job in _jobs_of_shard(run.jobs, output, batch))
    count, photo_count = media.total(), media[Medium.PHOTO]
    work = PredictWork(
        options=replace(options, speed=replace(options.speed, threads=threads)),
        has_photos=photo_count > 0 or count == 0,
        has_videos=count > photo_count,
        storage=storage,
    )
    with Tally(output=output, total=count + len(run.failures), show=show) as tally:
        if address_or_none(output) is None:
            make_ready(output)
        run.report(tally)
        reports = distribute_work(
            work,
            _jobs_of_shard(run.jobs, output, batch),
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


def _jobs_of_shard(jobs: Iterable[Job], output: Path, batch: BatchOptions) -> Iterator[Job]:
    """Jobs of the part of the inputs that this call does."""
    shard = batch.selected_shard
    return (job for job in jobs if shard.contains(job.target.relative_to(output).as_posix()))


def _add_to_tally(tally: Tally, report: Report) -> None:
    """Count what a task reports."""
    tally.stopwatch.add(report.times)
    for _ in range(report.done):
        tally.done()
    for _ in range(report.finished_before):
        tally.finished_before()
    for failure in report.failures:
        tally.failed(failure.reason)
    for note in report.notes:
        tally.note(note)
