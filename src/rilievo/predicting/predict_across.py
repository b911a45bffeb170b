"""``rilievo.predict_across``: predict in several processes or on several machines."""

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
from rilievo.models.base import Model
from rilievo.predicting.consent import check_not_paid
from rilievo.predicting.inputs import Job, Medium, SkippedInputs, find_jobs
from rilievo.predicting.options import BatchOptions, PredictOptions
from rilievo.predicting.photographs.results import ResultWriter
from rilievo.predicting.run import (
    RunModels,
    RunWriters,
    load_models,
    predict_jobs,
    prepare_output_folder,
    read_inputs,
)
from rilievo.predicting.run_times import RunTimes, Stopwatch
from rilievo.predicting.summary import RunSummary, Tally
from rilievo.predicting.work_processes import (
    Failure,
    Report,
    TaskFunction,
    distribute_work,
    threads_per_process,
)
from rilievo.system.signals import handle_if_ctrl_c


class TaskFiles:
    """Input and output files of one task, on the disk of this machine.

    Code that predicts a task only knows local paths. This class is for inputs and outputs that have
    local paths already, so its methods pass everything on unchanged. A subclass for remote
    addresses downloads inputs to a temporary folder, and uploads results from there.
    """

    def localize_job(self, job: Job) -> Job:
        """Return the job with local paths in place of remote addresses."""
        return job

    def make_result_writer(
        self, *, model: Model, options: PredictOptions, note: Callable[[str], None]
    ) -> ResultWriter:
        """Make the writer for the results of localized jobs; ``note`` is called with its notes."""
        return ResultWriter(model=model, options=options, note=note)

    def translate_message(self, message: str) -> str:
        """Replace temporary paths in a message by the addresses that the user passed."""
        return message

    def remove_temporary_files(self) -> None:
        """Remove the local copies of remote files; there are none here."""


@dataclass(frozen=True, slots=True)
class Storage:
    """Access to the files of a run on disk, which is sent to each process.

    A subclass accesses files at remote addresses.
    """

    def check_output(self, output: Path) -> None:
        """Check that results can be written to the output."""

    def list_jobs(
        self, inputs: Sequence[str | Path], output: Path, *, sequence: bool, skipped: SkippedInputs
    ) -> Iterator[Job]:
        """Yield all jobs in a fixed order."""
        paths = list(map(local_path, inputs))
        return find_jobs(paths, output, sequence=sequence, skipped=skipped)

    def open_task(self) -> TaskFiles:
        """Make the access to the files of a new task."""
        return TaskFiles()


def choose_storage(inputs: Iterable[str | Path], output: Path) -> Storage:
    """Choose the storage: on disk, or at remote addresses if any name is an address."""
    if all(address_or_none(name) is None for name in (*inputs, output)):
        return Storage()
    return load_service("addresses")()


@dataclass(frozen=True, slots=True, kw_only=True)
class PredictWork:
    """The work of a run, which each process opens once.

    ``has_videos`` includes folders of frames.
    """

    options: PredictOptions
    has_photos: bool = True
    has_videos: bool = False
    storage: Storage = field(default_factory=Storage)

    def open(self) -> TaskFunction:
        """Load the models, and return the function that predicts the jobs of a task.

        Raises:
            RilievoError: If an output cannot be made, or a model cannot be used.
        """
        # Pillow warns of corrupt metadata that does not affect the pixels.
        warnings.filterwarnings("ignore", category=UserWarning, module=r"PIL\.")
        options = self.options
        stopwatch = Stopwatch()
        models = load_models(
            options,
            has_photos=self.has_photos,
            has_videos=self.has_videos,
            check=check_not_paid,
            stopwatch=stopwatch,
        )
        writers_to_check = RunWriters.from_models(
            models, lambda model: ResultWriter(model=model, options=options)
        )
        for writer in writers_to_check.all():
            writer.check()
        loaded = _LoadedWork(
            work=self,
            models=models,
            # Cached, so that each folder is prepared once in a process: it looks at every file.
            prepare_folder=cache(prepare_output_folder),
            unreported_loading_times=stopwatch.times,
        )
        return loaded.predict_task

    def name(self, item: Job) -> str:
        """Name of a job in messages."""
        return printable(item.source)


@dataclass(slots=True, kw_only=True)
class _LoadedWork:
    """The work of a run in a process that has loaded the models.

    Attributes:
        prepare_folder: Function that prepares an output folder.
        unreported_loading_times: How long loading took. The first task of the process reports it
            with its own times, and then it is None.
    """

    work: PredictWork
    models: RunModels
    prepare_folder: Callable[[Path], None]
    unreported_loading_times: RunTimes | None

    def predict_task(self, items: Sequence[Job], *, is_retry: bool) -> Report:
        """Predict the jobs of a task, and report what was done.

        ``is_retry`` says that a process was killed while it worked on these jobs.
        """
        task_files = self.work.storage.open_task()
        tally = TaskTally(translate_message=task_files.translate_message)
        if self.unreported_loading_times is not None:
            tally.stopwatch.add(self.unreported_loading_times)
            self.unreported_loading_times = None
        self._predict_jobs(items, task_files, tally)

        report = tally.report
        if is_retry and not self.work.options.saving.resume:
            # The jobs that seem to be finished by an earlier run were finished by the process that
            # was killed in this run.
            return replace(report, done=report.done + report.finished_before, finished_before=0)
        return report

    def _predict_jobs(self, jobs: Sequence[Job], task_files: TaskFiles, tally: "TaskTally") -> None:
        """Predict jobs, count them in the tally, and remove the temporary files of the task."""
        options = self.work.options
        writers = RunWriters.from_models(
            self.models,
            lambda model: task_files.make_result_writer(
                model=model, options=options, note=tally.note
            ),
        )
        try:
            predict_jobs(
                [task_files.localize_job(job) for job in jobs],
                writers,
                tally,
                batch_size=options.speed.batch_size,
                prepare_folder=self.prepare_folder,
            )
        finally:
            task_files.remove_temporary_files()


@dataclass(slots=True, kw_only=True)
class TaskTally(Tally):
    """Counter of a task's inputs, which collects messages instead of writing them."""

    translate_message: Callable[[str], str] = lambda message: message
    output: Path = field(default_factory=Path)
    show: bool = False
    failures: list[Failure] = field(default_factory=list)
    collected_notes: list[str] = field(default_factory=list)

    def failed(self, message: str, *, shared_reason: str = "") -> None:
        """Collect the message on a failed input."""
        line = self.translate_message(message)
        name = line.partition(": ")[0]
        self.failures.append(Failure(name=name, reason=line, shared_reason=shared_reason))

    def note(self, message: str) -> None:
        """Collect a note."""
        self.collected_notes.append(self.translate_message(message))

    @property
    def report(self) -> Report:
        """Report on what the task has done so far."""
        summary = self.summary()
        return Report(
            done=summary.done,
            finished_before=summary.finished_before,
            incomplete=summary.incomplete,
            failures=tuple(self.failures),
            notes=tuple(self.collected_notes),
            times=summary.spent,
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
    options = options or PredictOptions()
    batch = batch or BatchOptions()
    inputs = [inputs] if isinstance(inputs, str | Path) else inputs
    _require_independent_photos(options)
    output = Path(local_path(options.saving.output))
    options = replace(options, saving=replace(options.saving, output=output))
    storage = choose_storage(inputs, output)
    storage.check_output(output)
    threads = threads_per_process(batch, options.speed.threads)
    run = read_inputs(inputs, options, storage.list_jobs)
    # The jobs of the shard are gone through twice, to count them here and to do them below. The
    # list is not kept, because there may be too many jobs for the memory.
    job_count_by_medium = Counter(job.medium for job in _jobs_of_shard(run.jobs, output, batch))
    job_count = job_count_by_medium.total()
    photo_count = job_count_by_medium[Medium.PHOTO]
    work = PredictWork(
        options=replace(options, speed=replace(options.speed, threads=threads)),
        has_photos=photo_count > 0 or job_count == 0,
        has_videos=job_count > photo_count,
        storage=storage,
    )
    with Tally(
        output=output,
        total=job_count + len(run.failures),
        show=show,
        overwrites=options.saving.overwrite,
    ) as tally:
        if address_or_none(output) is None:
            prepare_output_folder(output)
        run.report(tally)
        reports = distribute_work(
            work,
            _jobs_of_shard(run.jobs, output, batch),
            count=job_count,
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
                "unfinished tasks are not counted; results that they have already written are "
                "kept, and the same command skips these inputs"
            )
        tally.sort_notes(run.jobs)
    return tally.summary()


def _require_independent_photos(options: PredictOptions) -> None:
    """Raise ``OptionError`` if an option compares photographs with each other."""
    if options.sizes.same_camera:
        raise OptionError(
            option="same_camera",
            problem=Text(
                "needs all photographs in one process: leave out ",
                OptionName("workers"),
                ", ",
                OptionName("shard"),
                " and ",
                OptionName("ray"),
                ", and pass local files",
            ),
        )


def _jobs_of_shard(jobs: Iterable[Job], output: Path, batch: BatchOptions) -> Iterator[Job]:
    """Select the jobs of the shard that this call does."""
    shard = batch.selected_shard
    return (job for job in jobs if shard.contains(job.target.relative_to(output).as_posix()))


def _add_to_tally(tally: Tally, report: Report) -> None:
    """Add the counts and messages of a task's report to the tally."""
    tally.stopwatch.add(report.times)
    for _ in range(report.done):
        tally.done()
    for _ in range(report.finished_before):
        tally.finished_before()
    tally.incomplete += report.incomplete
    for failure in report.failures:
        tally.failed(failure.reason, shared_reason=failure.shared_reason)
    for note in report.notes:
        tally.note(note)
