"""``rilievo.predict_files``: photographs, folders and videos, to files."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import cache
from itertools import chain
from pathlib import Path
from typing import Protocol, runtime_checkable

from rilievo.errors import OptionError
from rilievo.io.files.atomic import make_folder, sweep_parts
from rilievo.io.files.limits import printable
from rilievo.models.base import Model
from rilievo.models.processing.refined import refined
from rilievo.predicting.answers.keeping import deciding, not_kept
from rilievo.predicting.consent import agree_to_pay
from rilievo.predicting.effects import check_known, without_effect
from rilievo.predicting.inputs import Job, LeftOut, Medium, find_jobs
from rilievo.predicting.job_list import JobList
from rilievo.predicting.options import PredictOptions
from rilievo.predicting.photographs.photos import predict_photos
from rilievo.predicting.photographs.results import Results
from rilievo.predicting.remaking.again import predict_again
from rilievo.predicting.run_models import RunModels
from rilievo.predicting.stages import FINISH, READ, Stages
from rilievo.predicting.summary import Summary, Tally, fail


@runtime_checkable
class ResultsOf(Protocol):
    """Function that gives the results of a run's photographs, or of its videos."""

    def __call__(self, *, video: bool) -> Results:
        """Results with the model of photographs, or of videos."""
        ...


def predict_files(
    inputs: Sequence[str | Path], options: PredictOptions | None = None, *, show: bool = True
) -> Summary:
    """Predict photographs, folders and videos, and write the results.

    An input that fails is reported and skipped. Writes are atomic.

    Args:
        inputs: Files, folders (recursive) or patterns.
        options: Options of the run; the defaults if None.
        show: Whether to show progress on standard error.

    Raises:
        RilievoError: If nothing can be done at all: an input that does not exist, no such model,
            a folder that cannot be written.
    """
    options = options or PredictOptions()
    inputs = [inputs] if isinstance(inputs, str | Path) else inputs
    if not inputs:
        raise OptionError("name at least one photograph, folder or video")
    for each in inputs:
        if not isinstance(each, str | Path):
            raise OptionError(
                f"inputs are paths of files and folders, not {type(each).__name__}; "
                "rilievo.predict takes arrays and images"
            )
    left_out = LeftOut()
    output, sequence = options.saving.output, options.video.sequence
    jobs = JobList(find_jobs(inputs, output, sequence=sequence, left_out=left_out))
    total = len(jobs)
    if not total:
        summary = predict_again(inputs, options, left_out.unreadable, show=show)
        if summary is not None:
            return summary
        why = "; ".join(left_out.unreadable[:1])
        raise OptionError(why or f"no photograph or video in {', '.join(map(printable, inputs))}")
    check_known(options.sizes, total)
    decided = deciding(options, jobs.counts[Medium.PHOTO])
    stages = Stages()

    def ready(options: PredictOptions, name: str) -> Model:
        model = options.load(name)
        agree_to_pay(model, jobs, options)
        return refined_by(options, model)

    models = RunModels(options, ready, stages)
    for video in jobs.media:
        models.of(video=video)
    with Tally(output=output, total=total, show=show, stages=stages) as tally:

        @cache
        def results_of(*, video: bool) -> Results:
            return Results(model=models.of(video=video), options=decided, note=tally.note)

        for video in jobs.media:
            results_of(video=video).check()
        results = results_of(video=jobs.media[0])
        if options.sizes.same_camera:
            results.take_size(jobs)
        make_ready(output)
        for message in left_out.unreadable:
            tally.failed(message)
        for message in (
            *left_out.notes(),
            *without_effect(options, jobs.counts),
            *results.left_out_of_all(),
            *not_kept(jobs.counts[Medium.PHOTO], options.saving.keep_answers),
        ):
            tally.note(message)
        try:
            predict_jobs(jobs.of(video=False), jobs.of(video=True), results_of, tally)
        except KeyboardInterrupt:
            tally.interrupted = True
    return tally.summary()


def refined_by(options: PredictOptions, model: Model) -> Model:
    """Wrap a model as the options ask; see ``refined``."""
    return refined(model, options.refine, vanishing_points=options.view.vanishing_points)


def predict_jobs(
    photos: Iterable[Job],
    clips: Iterable[Job],
    results_of: ResultsOf,
    tally: Tally,
    ready: Callable[[Path], None] | None = None,
) -> None:
    """Predict photographs in a stream, then clips one by one; failures are reported and skipped."""
    photo = next(photos := iter(photos), None)
    if photo is not None:
        _predict_photos(chain([photo], photos), results_of(video=False), tally, ready or make_ready)
    for job in clips:
        _predict_clip(job, results_of(video=True), tally)


def _predict_photos(
    photos: Iterable[Job], results: Results, tally: Tally, ready: Callable[[Path], None]
) -> None:
    predict_photos(
        _unfinished(photos, results, tally, ready),
        results.model,
        tally,
        batch_size=results.options.speed.batch_size,
        read=tally.stages.timed(READ, results.read),
        save=tally.stages.timed(FINISH, results.write),
    )


def make_ready(folder: Path) -> None:
    """Make a folder for results, and remove partial files that a killed run left in it."""
    make_folder(folder)
    sweep_parts(folder)


def _predict_clip(job: Job, results: Results, tally: Tally) -> None:
    from rilievo.predicting.videos.video_inputs import predict_video

    try:
        predict_video(job, results, tally)
    except Exception as error:
        tally.begins_anew = None
        fail(job, error, tally)


def _unfinished(
    jobs: Iterable[Job], results: Results, tally: Tally, ready: Callable[[Path], None]
) -> Iterator[Job]:
    """Yield the unfinished jobs, with their folders made, and count the others."""
    folder: Path | None = None
    for job in jobs:
        try:
            if results.is_finished(job):
                tally.finished_before()
                continue
            if job.target.parent != folder:
                folder = job.target.parent
                ready(folder)
        except Exception as error:
            fail(job, error, tally)
            continue
        yield job
