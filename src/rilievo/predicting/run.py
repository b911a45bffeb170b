"""``rilievo.predict_files``: predict photographs and videos, and write results to files."""

import math
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import nullcontext
from dataclasses import dataclass, replace
from itertools import islice
from pathlib import Path
from typing import Protocol, runtime_checkable

from rilievo.errors import OptionError, check_type
from rilievo.errors.messages import Note, OptionName, Text, join_alternatives
from rilievo.io.files.atomic import make_folder, sweep_parts
from rilievo.io.files.machine import check_disk_space, cores
from rilievo.io.outputs.save_options import SUBJECTS, WRITING
from rilievo.io.outputs.sidecar import sidecar_path
from rilievo.models import DEFAULT_MODEL, FAST_MODEL
from rilievo.models.base import Model
from rilievo.models.default.embedded import shared_cores
from rilievo.models.model_options import load_as
from rilievo.models.refinement.refine import refined
from rilievo.options.run_options import Saving
from rilievo.predicting.consent import agree_to_pay
from rilievo.predicting.inputs import (
    Job,
    JobList,
    Medium,
    SkippedInputs,
    find_jobs,
)
from rilievo.predicting.metres.job_sizes import check_sizes_of_inputs, unused_size_notes
from rilievo.predicting.options import PredictOptions
from rilievo.predicting.photographs.finishing import option_notes
from rilievo.predicting.photographs.photo_memory import PhotoMemory, photo_memory, photo_size
from rilievo.predicting.photographs.photos import predict_photos
from rilievo.predicting.photographs.results import ResultWriter
from rilievo.predicting.run_times import FINISH, LOAD, READ, RunTimes, Stopwatch
from rilievo.predicting.summary import FAILURES, RunSummary, Tally, record_failure
from rilievo.prediction.output import OUTPUTS, output_option_names
from rilievo.prediction.saving import output_parts
from rilievo.system.signals import handle_if_ctrl_c

_MAX_READ_HEADERS = 64
"""Number of photographs whose size is read to estimate disk space and memory."""
_SUBJECT_BY_OPTION: Mapping[str, str] = {**SUBJECTS, "confidence": "confidence"}
"""What each option of writing files is about, in words."""


@runtime_checkable
class FindJobs(Protocol):
    """Function that finds jobs, as ``find_jobs`` does on disk."""

    def __call__(
        self, inputs: Sequence[str | Path], output: Path, *, sequence: bool, skipped: SkippedInputs
    ) -> Iterator[Job]:
        """Yield the jobs."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class RunInputs:
    """Inputs of a run.

    Attributes:
        failures: Messages on inputs that cannot be read.
        notes: Notes on skipped files, and on options without effect.
    """

    jobs: JobList
    failures: Sequence[str]
    notes: Sequence[str]

    def report(self, tally: Tally) -> None:
        """Count the failures, and keep the notes for the summary."""
        for message in self.failures:
            tally.failed(message)
        for message in self.notes:
            tally.note(message)


@dataclass(frozen=True, slots=True, kw_only=True)
class RunModels:
    """Models of a run, which may be the same object; None if there are no such inputs."""

    photos: Model | None
    videos: Model | None


@dataclass(frozen=True, slots=True, kw_only=True)
class RunWriters:
    """Writers of a run's results; None if there are no such inputs."""

    photos: ResultWriter | None
    videos: ResultWriter | None

    @classmethod
    def from_models(
        cls, models: RunModels, make_writer: Callable[[Model], ResultWriter]
    ) -> "RunWriters":
        """Make a writer for each model."""
        return cls(
            photos=None if models.photos is None else make_writer(models.photos),
            videos=None if models.videos is None else make_writer(models.videos),
        )

    def all(self) -> list[ResultWriter]:
        """List the writers that are not None, that of photographs first."""
        return [writer for writer in (self.photos, self.videos) if writer is not None]


def predict_files(
    inputs: Sequence[str | Path], options: PredictOptions | None = None, *, show: bool = True
) -> RunSummary:
    """Predict photographs, folders and videos, and write results to files.

    Inputs that fail are reported and skipped. Each file is written whole or not at all.

    Examples:
        >>> options = rilievo.PredictOptions(model="rilievo/small", output="results")
        >>> rilievo.predict_files(["photo.jpg"], options, show=False).done
        1

    Args:
        inputs: Files, folders with their subfolders, or patterns.
        options: Options of the run.
        show: Whether to show progress on standard error.

    Raises:
        RilievoError: If nothing can be done at all.
    """
    options = PredictOptions() if options is None else options
    check_type("options", options, PredictOptions, "a PredictOptions")
    run = read_inputs(inputs, options)
    jobs = run.jobs

    def agree_if_paid(model: Model) -> None:
        """Ask the user before calls that cost money."""
        batch_size = options.speed.batch_size
        agree_to_pay(model, jobs, options.refine, batch_size=batch_size, yes=options.network.yes)

    stopwatch = Stopwatch()
    models = load_models(
        options,
        has_photos=jobs.has_photos,
        has_videos=jobs.has_videos,
        check=agree_if_paid,
        stopwatch=stopwatch,
        has_several_photos=jobs.counts[Medium.PHOTO] > 1,
    )
    output = options.saving.output
    input_count = len(jobs) + len(run.failures)
    with Tally(
        output=output,
        total=input_count,
        show=show,
        overwrites=options.saving.overwrite,
        stopwatch=stopwatch,
    ) as tally:
        writers = _prepare_writers(models, options, jobs, tally.note)
        run.report(tally)
        for message in writers.all()[0].skipped_output_notes():
            tally.note(message)
        try:
            predict_jobs(jobs, writers, tally, batch_size=options.speed.batch_size)
        except KeyboardInterrupt as stop:
            tally.interrupted = handle_if_ctrl_c(stop)
        tally.sort_notes(jobs)
    return tally.summary()


def _prepare_writers(
    models: RunModels, options: PredictOptions, jobs: JobList, note: Callable[[str], None]
) -> RunWriters:
    """Make the output folder and the writers, after checking that they can write all results.

    Raises:
        RilievoError: If an output cannot be made, or the results do not fit on the disk or into
            memory.
    """
    writers = RunWriters.from_models(
        models, lambda model: ResultWriter(model=model, options=options, note=note)
    )
    for writer in writers.all():
        writer.check()
    photo_writer = writers.photos
    if options.sizes.same_camera and photo_writer is not None:
        photo_writer = photo_writer.require_size_of_first_photo(jobs)
    output = options.saving.output
    prepare_output_folder(output)
    if photo_writer is None:
        return writers
    memory = check_disk_and_memory(jobs, photo_writer, output)
    if memory.note:
        note(memory.note)
    return replace(writers, photos=replace(photo_writer, memory=memory))


def read_inputs(
    inputs: Sequence[str | Path], options: PredictOptions, find: FindJobs = find_jobs
) -> RunInputs:
    """Find the jobs of a run, and check that its options fit them.

    Raises:
        OptionError: If there is no job, or if an option does not fit.
    """
    inputs = [inputs] if isinstance(inputs, str | Path) else inputs
    if not inputs:
        raise OptionError("there is no input; give at least one photograph, folder or video")
    for name in inputs:
        if not isinstance(name, str | Path):
            raise OptionError(
                f"inputs must be paths of files or folders, not {type(name).__name__}; "
                "pass arrays and images to rilievo.predict"
            )
    skipped = SkippedInputs()
    output = options.saving.output
    jobs = JobList(find(inputs, output, sequence=options.video.sequence, skipped=skipped))
    if not len(jobs):
        message = skipped.nothing_found_message(inputs)
        if skipped.unreadable:
            message = skipped.unreadable[0]
        raise OptionError(problem=Text(message))
    check_sizes_of_inputs(options.sizes, len(jobs))
    notes = [
        *skipped.notes(),
        *no_effect_notes(options, jobs.counts),
        *unused_size_notes(options.sizes, jobs, output),
    ]
    return RunInputs(jobs=jobs, failures=skipped.unreadable, notes=notes)


def no_effect_notes(options: PredictOptions, inputs: Mapping[Medium, int]) -> list[str]:
    """Return notes on options that have no effect on the inputs or outputs of a run.

    ``inputs`` are the numbers of inputs of each kind.
    """
    sizes = options.sizes
    video = options.video
    refine = options.refine
    has_sequences = inputs.get(Medium.SEQUENCE, 0) > 0
    has_clips = has_sequences or inputs.get(Medium.VIDEO, 0) > 0
    has_photos = inputs.get(Medium.PHOTO, 0) > 0
    has_pictures = has_sequences or has_photos
    has_several = sum(inputs.values()) > 1

    sequence = OptionName("sequence")
    needs_sequences = Text("only applies to folders of frames, but there are none among the inputs")
    needs_clips = Text(
        "only applies to videos and folders of frames (",
        sequence,
        "), but there are none among the inputs",
    )
    needs_pictures = Text(
        "only applies to photographs and folders of frames (",
        sequence,
        "), but there are none among the inputs",
    )
    needs_photos = Text("only applies to photographs, but there are none among the inputs")
    needs_several = Text("only applies to several inputs, but there is only one")
    uses_batches = options.speed.batch_size > 1
    uses = [
        _OptionUse("sequence", video.sequence, has_sequences, needs_sequences),
        _OptionUse("fps", video.fps is not None, has_clips, needs_clips),
        _OptionUse("independent", video.independent, has_clips, needs_clips),
        _OptionUse("same_camera", sizes.same_camera, has_several, needs_several),
        _OptionUse("manhattan", not refine.manhattan, has_photos, needs_photos),
        _OptionUse("alpha", refine.alpha != "mask", has_pictures, needs_pictures),
        _OptionUse("stretch", refine.stretch, has_pictures, needs_pictures),
        _OptionUse("own_depth", not sizes.own_depth, has_pictures, needs_pictures),
        _OptionUse("batch_size", uses_batches, has_several or has_clips, needs_several),
    ]
    input_notes = [
        Note(use.needed_inputs, option=use.option)
        for use in uses
        if use.is_changed and not use.has_effect
    ]
    return [
        *option_notes(options),
        *input_notes,
        *no_output_notes(options, options.saving.formats),
    ]


@dataclass(frozen=True, slots=True)
class _OptionUse:
    """An option that affects only some kinds of inputs.

    Attributes:
        is_changed: Whether the user gives it another value than the default.
        has_effect: Whether it affects an input of the run.
        needed_inputs: Note for the user on the inputs that it would affect.
    """

    option: str
    is_changed: bool
    has_effect: bool
    needed_inputs: Text | str


def no_output_notes(options: PredictOptions, outputs: Collection[str]) -> list[str]:
    """Return notes on options of writing that affect none of the outputs."""
    saving = options.saving
    is_changed = {name: getattr(saving, name) != getattr(Saving, name) for name in WRITING}
    is_changed["confidence"] = options.refine.confidence == "mirror"

    def affects(option: str, output: str) -> bool:
        """Whether an option changes how an output is written, or one of its parts."""
        return option in output_option_names(output) or option in output_parts([output])

    notes: list[str] = []
    for option, subject in _SUBJECT_BY_OPTION.items():
        has_effect = any(affects(option, output) for output in outputs)
        if not is_changed[option] or has_effect:
            continue
        candidates = [output for output in OUTPUTS.own if affects(option, output)]
        problem = Text(
            f"only affects {subject}, which this run does not save: add "
            f"{join_alternatives(candidates)} to ",
            OptionName("save"),
        )
        notes.append(Note(problem, option=option))
    return notes


def load_models(
    options: PredictOptions,
    *,
    has_photos: bool,
    has_videos: bool,
    check: Callable[[Model], None],
    stopwatch: Stopwatch,
    has_several_photos: bool = False,
) -> RunModels:
    """Load the models for photographs and for videos, with the refinements of the options.

    ``check`` raises an error for a model that is not allowed. If several photographs are predicted
    in parallel (``has_several_photos``), each has to leave cores to the others.
    """
    photo_name = options.network.model or DEFAULT_MODEL
    video_name = options.network.model or FAST_MODEL
    is_same_model = has_photos and has_videos and photo_name == video_name

    def load(name: str, *, shares_cores: bool = False) -> Model:
        """Load one model, check and refine it, and record its name with the run's times."""
        with shared_cores(cores()) if shares_cores else nullcontext():
            model = load_as(name, options.network, options.speed)
        check(model)
        model = refined(model, options.refine, vanishing_points=options.view.vanishing_points)
        stopwatch.add(RunTimes(model=_describe_model(model)))
        return model

    load_timed = stopwatch.timed(LOAD, load)
    photos: Model | None = None
    videos: Model | None = None
    if has_photos:
        is_one_by_one = options.speed.batch_size == 1
        shares_cores = has_several_photos and is_one_by_one and not is_same_model
        photos = load_timed(photo_name, shares_cores=shares_cores)
    if has_videos:
        videos = photos if is_same_model else load_timed(video_name)
    return RunModels(photos=photos, videos=videos)


def _describe_model(model: Model) -> str:
    """Describe a model by its name and its settings."""
    settings = ", ".join(f"{name} {value}" for name, value in model.settings.items())
    return f"{model.card.name} ({settings})" if settings else model.card.name


def check_disk_and_memory(jobs: JobList, writer: ResultWriter, output: Path) -> PhotoMemory:
    """Check that the results fit on the disk, and find how many photographs fit into memory.

    Both are estimated from the sizes of some of the photographs.

    Raises:
        OutputError: If the disk is too small.
        OptionError: If memory is too small for one photograph.
    """
    photo_count = jobs.counts[Medium.PHOTO]
    photos = (job for job in jobs if job.medium is Medium.PHOTO)
    sampling_step = math.ceil(photo_count / _MAX_READ_HEADERS)
    sampled = [*islice(photos, 0, None, sampling_step)]
    # Photographs that have results already need no further space.
    sizes = [photo_size(job.source) for job in sampled if not sidecar_path(job.target).exists()]
    mean_bytes = sum(map(writer.min_file_bytes, sizes)) / len(sampled)
    needed_bytes = mean_bytes * photo_count
    subject = "the results of the photograph"
    if photo_count > 1:
        subject = f"the results of {photo_count:,} photographs"
    hint = Text(
        "choose another folder with ",
        OptionName("output"),
        ", or fewer outputs with ",
        OptionName("save"),
    )
    check_disk_space(output, needed_bytes, subject, hint)
    return photo_memory(sizes, writer.min_memory)


def prepare_output_folder(folder: Path) -> None:
    """Make a folder, and remove temporary files that killed runs have left in it."""
    make_folder(folder)
    sweep_parts(folder)


def predict_jobs(
    jobs: Iterable[Job],
    writers: RunWriters,
    tally: Tally,
    *,
    batch_size: int,
    prepare_folder: Callable[[Path], None] = prepare_output_folder,
) -> None:
    """Predict all photographs in parallel, and then the videos one by one.

    The network takes ``batch_size`` photographs together. ``prepare_folder`` is called with each
    output folder before its first result.
    """
    photo_writer = writers.photos
    if photo_writer is not None:
        predict_photos(
            _unfinished_photos(jobs, photo_writer, tally, prepare_folder),
            photo_writer.model,
            tally,
            batch_size=batch_size,
            read=tally.stopwatch.timed(READ, photo_writer.read),
            save=tally.stopwatch.timed(FINISH, photo_writer.write),
            is_depth_sufficient=photo_writer.is_depth_sufficient,
            at_once=photo_writer.memory.at_once,
            waiting_pixels=photo_writer.memory.waiting_pixels,
        )
    if writers.videos is None:
        return
    for job in jobs:
        if job.medium is Medium.PHOTO:
            continue
        try:
            from rilievo.predicting.videos.video_jobs import predict_video

            predict_video(job, writers.videos, tally)
        except FAILURES as error:
            tally.begins_anew = None
            record_failure(job, error, tally)


def _unfinished_photos(
    jobs: Iterable[Job],
    writer: ResultWriter,
    tally: Tally,
    prepare_folder: Callable[[Path], None],
) -> Iterator[Job]:
    """Yield the photographs that remain to be done, and count those that are finished or fail."""
    prepared_folder: Path | None = None
    for job in jobs:
        if job.medium is not Medium.PHOTO:
            continue
        try:
            if writer.is_finished(job):
                tally.finished_before()
                continue
            folder = job.target.parent
            if folder != prepared_folder:
                prepare_folder(folder)
                prepared_folder = folder
        except Exception as error:
            record_failure(job, error, tally)
            continue
        yield job
