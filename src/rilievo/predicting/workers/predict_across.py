"""``rilievo predict`` in several processes, on one machine or on many."""

import warnings
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from rilievo.errors import OptionError
from rilievo.io.files.addresses import address_of, local_path
from rilievo.io.files.limits import printable
from rilievo.models.base import Model, PaidModel
from rilievo.predicting.answers.keeping import deciding, not_kept
from rilievo.predicting.batch_options import BatchOptions
from rilievo.predicting.effects import check_known, without_effect
from rilievo.predicting.inputs import Job, LeftOut, Medium
from rilievo.predicting.job_list import JobList
from rilievo.predicting.options import PredictOptions
from rilievo.predicting.photographs.results import Results
from rilievo.predicting.run import make_ready, predict_jobs, refined_by
from rilievo.predicting.run_models import RunModels
from rilievo.predicting.stages import Spent, Stages
from rilievo.predicting.summary import Summary, Tally
from rilievo.predicting.workers.places import Disk, Places, places_of
from rilievo.predicting.workers.spreading import spread_out, threads_each
from rilievo.predicting.workers.work_protocol import Failure, Report


@dataclass(frozen=True, slots=True, kw_only=True)
class PredictWork:
    """Prediction of every photograph and clip; the options have the threads of one process."""

    options: PredictOptions
    video: tuple[bool, ...] = (False,)
    """Whether there are videos, photographs, or both: what models are loaded for."""
    places: Places = field(default_factory=Disk)

    def open(self) -> "PredictTask":
        """Load the models, and refuse outputs that they cannot give."""
        # Pillow warns of corrupt metadata that does not affect the pixels.
        warnings.filterwarnings("ignore", category=UserWarning, module=r"PIL\.")
        stages = Stages()
        models = RunModels(self.options, _loaded, stages)
        for video in self.video:
            Results(model=models.of(video=video), options=self.options).check()
        return PredictTask(models, self.options, stages.spent, self.places)

    def name(self, item: Job) -> str:
        """Path of the photograph or clip, for messages."""
        return printable(item.source)


class PredictTask:
    """Loaded models that predict tasks of photographs and clips."""

    def __init__(
        self, models: RunModels, options: PredictOptions, spent: Spent, places: Places
    ) -> None:
        """Take loaded models; ``spent`` is what loading took, told with the first report."""
        self._models, self._options, self._spent = models, options, spent
        self._places = places
        self._folders: set[Path] = set()

    def __call__(self, items: Sequence[Job], *, again: bool) -> Report:
        """Predict some inputs; on a retry, those that the killed process finished count as done."""
        options = self._options
        files = self._places.open_task()
        tally = TaskTally(translated=files.translated)
        tally.stages.add(self._spent)
        self._spent = Spent()
        jobs = [files.enter(job) for job in items]

        def results_of(*, video: bool) -> Results:
            model = self._models.of(video=video)
            return files.results(model=model, options=options, note=tally.note)

        try:
            predict_jobs(
                (job for job in jobs if job.medium is Medium.PHOTO),
                (job for job in jobs if job.medium is not Medium.PHOTO),
                results_of,
                tally,
                self._make_ready,
            )
        finally:
            files.clear()
        counted = tally.summary()
        before = counted.finished_before
        if again and not self._options.saving.resume:
            return replace(tally.report, done=counted.done + before, finished_before=0)
        return tally.report

    def _make_ready(self, folder: Path) -> None:
        # Once per process, not per task: make_ready looks at every file in the folder.
        if folder not in self._folders:
            make_ready(folder)
            self._folders.add(folder)


@dataclass(slots=True, kw_only=True)
class TaskTally(Tally):
    """Collects the messages of one task for its report; shows only internal errors itself."""

    translated: Callable[[str], str] = lambda message: message
    """Translation of a message, such as scratch paths into addresses."""
    output: Path = field(default_factory=Path)
    show: bool = False
    failures: list[Failure] = field(default_factory=list)
    remarks: list[str] = field(default_factory=list)

    def failed(self, message: str) -> None:
        """Record a failed input."""
        line = self.translated(message)
        name, _, rest = line.partition(": ")
        # The message may name the address twice, once in place of its scratch path.
        reason = rest if rest.startswith(f"{name}: ") else line
        self.failures.append(Failure(name=name, reason=reason))

    def note(self, message: str) -> None:
        """Record a warning about an input that was done."""
        self.remarks.append(self.translated(message))

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


def _loaded(options: PredictOptions, name: str) -> Model:
    model = options.load(name)
    refuse_paid(model)
    return refined_by(options, model)


def refuse_paid(model: Model) -> None:
    """Refuse a model whose calls cost money, before it is refined."""
    if isinstance(model, PaidModel):
        raise OptionError(
            f"model '{model.card.name}' is paid by the call, and calls of several processes are "
            "not counted together: leave out --workers, --shard and --ray"
        )


def predict_across(
    inputs: Sequence[str | Path],
    options: PredictOptions | None = None,
    batch: BatchOptions | None = None,
    *,
    show: bool = True,
) -> Summary:
    """Predict as ``predict_files`` does, in several processes; files are the same to the byte.

    An input that fails, or that kills its process twice, is reported and skipped. Scripts must
    call this under ``if __name__ == "__main__"``, since it starts processes.

    Args:
        inputs: Files, folders (recursive) or patterns, on disk or at addresses of s3, gs or https.
        options: Options of the prediction, as for ``predict_files``.
        batch: The part of the inputs to predict, the number of processes, and the machines.
        show: Whether to show progress on standard error.

    Raises:
        RilievoError: If no input can be predicted at all.
    """
    options, batch = options or PredictOptions(), batch or BatchOptions()
    inputs = [inputs] if isinstance(inputs, str | Path) else inputs
    if not inputs:
        raise OptionError("name at least one photograph, folder or video")
    if options.sizes.same_camera:
        raise OptionError(
            "--same-camera compares photographs in one process: leave out --workers, --shard and "
            "--ray, and addresses"
        )
    output = Path(local_path(options.saving.output))
    options = replace(options, saving=replace(options.saving, output=output))
    places = places_of(inputs, output)
    places.check_output(output)
    threads = threads_each(batch, options.speed.threads)
    left_out = LeftOut()
    sequence = options.video.sequence
    jobs = JobList(places.list_jobs(inputs, output, sequence=sequence, left_out=left_out))
    media = _count(jobs, inputs, options, batch)
    count, video = media.total(), tuple(sorted(media)) or (False,)
    in_each = replace(options, speed=replace(options.speed, threads=threads))
    if isinstance(places, Disk):
        in_each = deciding(in_each, jobs.counts[Medium.PHOTO])
    work = PredictWork(options=in_each, video=video, places=places)
    with Tally(output=output, total=count, show=show) as tally:
        if address_of(output) is None:
            make_ready(output)
        for message in left_out.unreadable:
            tally.failed(message)
        for message in (
            *left_out.notes(),
            *without_effect(options, jobs.counts),
            *not_kept(jobs.counts[Medium.PHOTO], options.saving.keep_answers),
        ):
            tally.note(message)
        reports = spread_out(
            work,
            _share(jobs, options, batch),
            count=count,
            batch=batch,
            threads=threads,
            device=options.speed.device,
        )
        try:
            for report in reports:
                _tell(tally, report)
        except KeyboardInterrupt:
            tally.interrupted = True
            tally.note(
                "tasks that were under way are not counted; what they finished is there, and "
                "the same command passes over it"
            )
    return tally.summary()


def _count(
    jobs: JobList, inputs: Sequence[str | Path], options: PredictOptions, batch: BatchOptions
) -> Counter[bool]:
    """Count photographs (False) and videos (True) of this part.

    A run without inputs is refused, and so are options that do not fit it.
    """
    media: Counter[bool] = Counter()
    for job in jobs:
        if batch.share.takes(_name(job, options)):
            media[job.medium is not Medium.PHOTO] += 1
    if not len(jobs):
        raise OptionError(f"no photograph or video in {', '.join(map(printable, inputs))}")
    check_known(options.sizes, len(jobs))
    return media


def _share(jobs: JobList, options: PredictOptions, batch: BatchOptions) -> Iterator[Job]:
    share = batch.share
    for job in jobs:
        if share.takes(_name(job, options)):
            yield job


def _name(job: Job, options: PredictOptions) -> str:
    """Path of the results within the output folder, which is unique to each input."""
    return job.target.relative_to(options.saving.output).as_posix()


def _tell(tally: Tally, report: Report) -> None:
    tally.stages.add(report.spent)
    for _ in range(report.done):
        tally.done()
    for _ in range(report.finished_before):
        tally.finished_before()
    for failure in report.failures:
        tally.failed(failure.reason)
    for note in report.notes:
        tally.note(note)
