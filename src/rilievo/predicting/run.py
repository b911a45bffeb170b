"""``rilievo.predict_files``: from photographs and videos to files."""

import math
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import nullcontext
from dataclasses import dataclass, replace
from itertools import islice
from pathlib import Path
from typing import Protocol, runtime_checkable

from rilievo.calibration.size_files import read_known_csv, read_known_of_fixed_camera, sparse_files
from rilievo.errors import OptionError
from rilievo.errors.argument_types import check_type
from rilievo.errors.messages import Note, OptionName, Text
from rilievo.io.files.atomic import make_folder, sweep_parts
from rilievo.io.files.machine import check_disk_space, cores
from rilievo.io.outputs.save_options import SUBJECTS, WRITING
from rilievo.io.outputs.sidecar import sidecar_path
from rilievo.models import DEFAULT_MODEL, FAST_MODEL
from rilievo.models.base import Model, PaidModel
from rilievo.models.default.embedded import shared_cores
from rilievo.models.model_options import load_as
from rilievo.models.refinement.refine import refined
from rilievo.options.known_sizes import KnownSizes
from rilievo.options.run_options import Saving
from rilievo.options.unused_options import unused_parts
from rilievo.predicting.consent import agree_to_pay
from rilievo.predicting.inputs import Job, JobList, LeftOut, Medium, find_jobs
from rilievo.predicting.options import PredictOptions
from rilievo.predicting.photographs.finishing import option_notes
from rilievo.predicting.photographs.photo_memory import PhotoMemory, photo_memory, photo_size
from rilievo.predicting.photographs.photos import predict_photos
from rilievo.predicting.photographs.results import ResultWriter
from rilievo.predicting.run_times import FINISH, LOAD, READ, RunTimes, Stopwatch
from rilievo.predicting.summary import FAILURES, RunSummary, Tally, fail
from rilievo.prediction.output import OUTPUTS, options_of_output
from rilievo.prediction.saving import output_parts
from rilievo.system.signals import handle_if_ctrl_c

_MAX_READ_HEADERS = 64
"""Most photographs whose size is read to estimate disk space and memory."""
_SUBJECT_OF_OPTION: Mapping[str, str] = {**SUBJECTS, "confidence": "confidence"}
"""What an option changes, in words, by its name."""


@runtime_checkable
class FindJobs(Protocol):
    """Function that finds jobs, as ``find_jobs`` does on disk."""

    def __call__(
        self, inputs: Sequence[str | Path], output: Path, *, sequence: bool, left_out: LeftOut
    ) -> Iterator[Job]:
        """Yield the jobs."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class RunInputs:
    """What a run has to do.

    Attributes:
        jobs: Photographs and videos.
        failures: Messages on inputs that cannot be read.
        notes: Notes on what was left out, and on options without effect.
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
    """Models of a run, which may be the same; None if there are no such inputs."""

    photos: Model | None
    videos: Model | None


@dataclass(frozen=True, slots=True, kw_only=True)
class RunWriters:
    """Writers of a run's results; None if there are no such inputs."""

    photos: ResultWriter | None
    videos: ResultWriter | None

    @classmethod
    def of_models(
        cls, models: RunModels, make_writer: Callable[[Model], ResultWriter]
    ) -> "RunWriters":
        """Make a writer for each model."""
        return cls(
            photos=None if models.photos is None else make_writer(models.photos),
            videos=None if models.videos is None else make_writer(models.videos),
        )

    def all(self) -> list[ResultWriter]:
        """The writers that there are, that of photographs first."""
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
        if isinstance(model, PaidModel):
            agree_to_pay(model, jobs, options)

    stopwatch = Stopwatch()
    models = load_models(
        options,
        has_photos=jobs.has_photos,
        has_videos=jobs.has_videos,
        check=agree_if_paid,
        stopwatch=stopwatch,
        has_several_photos=jobs.counts[Medium.PHOTO] > 1,
    )
    output, total = options.saving.output, len(jobs) + len(run.failures)
    with Tally(output=output, total=total, show=show, stopwatch=stopwatch) as tally:
        writers = RunWriters.of_models(
            models, lambda model: ResultWriter(model=model, options=options, note=tally.note)
        )
        for writer in writers.all():
            writer.check()
        photo_writer = writers.photos
        if options.sizes.same_camera and photo_writer is not None:
            photo_writer = photo_writer.with_size_of_first_photo(jobs)
        make_ready(output)
        if photo_writer is not None:
            memory = check_room_of_photographs(jobs, photo_writer)
            if memory.note:
                tally.note(memory.note)
            writers = replace(writers, photos=replace(photo_writer, memory=memory))
        run.report(tally)
        for message in writers.all()[0].left_out_of_all():
            tally.note(message)
        try:
            predict_jobs(jobs, writers, tally)
        except KeyboardInterrupt as stop:
            tally.interrupted = handle_if_ctrl_c(stop)
    return tally.summary()


def read_inputs(
    inputs: Sequence[str | Path], options: PredictOptions, find: FindJobs = find_jobs
) -> RunInputs:
    """Find the jobs of a run, and check that its options fit them.

    Raises:
        OptionError: If there is no job, or an option does not fit.
    """
    inputs = [inputs] if isinstance(inputs, str | Path) else inputs
    if not inputs:
        raise OptionError("name at least one photograph, folder or video")
    for name in inputs:
        if not isinstance(name, str | Path):
            raise OptionError(
                f"inputs are paths of files and folders, not {type(name).__name__}; "
                "rilievo.predict takes arrays and images"
            )
    left_out, output = LeftOut(), options.saving.output
    jobs = JobList(find(inputs, output, sequence=options.video.sequence, left_out=left_out))
    if not len(jobs):
        message = left_out.nothing_found_message(inputs)
        if left_out.unreadable:
            message = left_out.unreadable[0]
        raise OptionError(problem=Text(message))
    _check_known_sizes(options.sizes, len(jobs))
    notes = [
        *left_out.notes(),
        *no_effect_notes(options, jobs.counts),
        *_unused_size_notes(options.sizes, jobs, output),
    ]
    return RunInputs(jobs=jobs, failures=left_out.unreadable, notes=notes)


def _check_known_sizes(sizes: KnownSizes, input_count: int) -> None:
    """Check that known sizes can be read, and that they can be those of all inputs.

    Raises:
        OptionError: If they belong to one photograph, and there are several.
    """
    if sizes.table is not None:
        if sizes.same_camera:
            read_known_of_fixed_camera(sizes.table)
        else:
            read_known_csv(sizes.table)
        return
    has_folder = sizes.sparse is not None and sizes.sparse.is_dir()
    if sizes.same_camera:
        if has_folder:
            raise OptionError(
                option="same_camera",
                problem=Text(
                    "takes one file of ", OptionName("sparse"), f", got the folder {sizes.sparse}"
                ),
            )
        return
    if input_count == 1:
        return
    if sizes.sparse is not None and not has_folder:
        raise OptionError(
            option="sparse",
            problem=Text(
                f"{sizes.sparse} is of one photograph, and {input_count} were found: name a folder "
                "with one file for each, or give ",
                OptionName("same_camera"),
                " if it never moved",
            ),
        )
    if sizes.known_sizes:
        size = sizes.known_sizes[0]
        raise OptionError(
            problem=Text(
                f"known {size.noun} {size} belongs to one photograph, and {input_count} were "
                "found: give a table, ",
                OptionName("known", "FILE.csv"),
                " with the header file,u,v,metres, or ",
                OptionName("same_camera"),
                " if it never moved",
            )
        )


def _unused_size_notes(sizes: KnownSizes, jobs: JobList, output: Path) -> list[str]:
    """Notes on rows of a table and on files of a sensor that belong to no input."""
    if sizes.same_camera:
        return []
    if sizes.table is not None:
        sources = {job.source.resolve() for job in jobs}
        rows = read_known_csv(sizes.table)
        unused = [path.name for path in rows if path not in sources]
        return unused_parts(sizes.table, unused, len(rows), "photographs of it are no input")
    if sizes.sparse is not None and sizes.sparse.is_dir():
        used = {_name_in_sparse_folder(job, output) for job in jobs}
        files = [path.relative_to(sizes.sparse) for path in {*sparse_files(sizes.sparse)}]
        unused = sorted(str(file) for file in files if file.with_suffix("") not in used)
        return unused_parts(sizes.sparse, unused, len(files), "files are of no photograph")
    return []


def _name_in_sparse_folder(job: Job, output: Path) -> Path:
    """Path without suffix that the sensor's file of a job has in its folder."""
    if job.target.is_relative_to(output):
        return job.target.relative_to(output)
    return Path(job.source.stem)


def no_effect_notes(options: PredictOptions, inputs: Mapping[Medium, int]) -> list[str]:
    """Notes on options that have no effect.

    Args:
        options: Options of the run.
        inputs: Number of inputs of each kind.
    """
    sizes, video, refine = options.sizes, options.video, options.refine
    has_sequences = inputs.get(Medium.SEQUENCE, 0) > 0
    has_clips = has_sequences or inputs.get(Medium.VIDEO, 0) > 0
    has_pictures = has_sequences or inputs.get(Medium.PHOTO, 0) > 0
    has_several = sum(inputs.values()) > 1

    sequence = OptionName("sequence")
    needs_sequences = Text("is about folders of frames, and none was named")
    needs_clips = Text("is about videos and folders of frames (", sequence, "), and none was named")
    needs_pictures = Text(
        "is about photographs and folders of frames (", sequence, "), and none was named"
    )
    needs_several = Text("is about several inputs, and one was named")
    without_effect = {
        "sequence": (video.sequence and not has_sequences, needs_sequences),
        "fps": (video.fps is not None and not has_clips, needs_clips),
        "independent": (video.independent and not has_clips, needs_clips),
        "same_camera": (sizes.same_camera and not has_several, needs_several),
        "alpha": (refine.alpha != "mask" and not has_pictures, needs_pictures),
        "stretch": (refine.stretch and not has_pictures, needs_pictures),
        "own_depth": (not sizes.own_depth and not has_pictures, needs_pictures),
        "batch_size": (
            options.speed.batch_size > 1 and not (has_several or has_clips),
            needs_several,
        ),
    }
    notes = option_notes(options)
    for name, (has_no_effect, reason) in without_effect.items():
        if has_no_effect:
            notes.append(Note(reason, option=name))
    return [*notes, *no_output_notes(options, options.saving.formats)]


def no_output_notes(options: PredictOptions, outputs: Collection[str]) -> list[str]:
    """Notes on options that none of the outputs shows."""
    saving = options.saving
    is_changed = {name: getattr(saving, name) != getattr(Saving, name) for name in WRITING}
    is_changed["confidence"] = options.refine.confidence == "mirror"
    # An option concerns an output if it changes its look or one of its parts.
    concerns = {
        output: {*options_of_output(output), *output_parts([output])}
        for output in (*OUTPUTS.own, *outputs)
    }
    notes: list[str] = []
    for name, subject in _SUBJECT_OF_OPTION.items():
        is_shown = any(name in concerns[output] for output in outputs)
        if not is_changed[name] or is_shown:
            continue
        candidates = " or ".join(output for output in OUTPUTS.own if name in concerns[output])
        problem = Text(
            f"is about {subject}, and none is saved: add {candidates} to ", OptionName("save")
        )
        notes.append(Note(problem, option=name))
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

    Args:
        options: Options of the run.
        has_photos: Whether a model for photographs is needed.
        has_videos: Whether a model for videos is needed.
        check: Function that refuses a model by an error.
        stopwatch: Times of the run.
        has_several_photos: Whether photographs are predicted beside each other, so that each leaves
            cores to the others.
    """
    photo_name = options.network.model or DEFAULT_MODEL
    video_name = options.network.model or FAST_MODEL
    is_same = has_photos and has_videos and photo_name == video_name

    def load(name: str, *, shares_cores: bool = False) -> Model:
        with shared_cores(cores()) if shares_cores else nullcontext():
            model = load_as(name, options.network, options.speed)
        check(model)
        model = refined(model, options.refine, vanishing_points=options.view.vanishing_points)
        stopwatch.add(RunTimes(model=_model_words(model)))
        return model

    load_timed = stopwatch.timed(LOAD, load)
    photos: Model | None = None
    videos: Model | None = None
    if has_photos:
        is_one_by_one = options.speed.batch_size == 1
        shares_cores = has_several_photos and is_one_by_one and not is_same
        photos = load_timed(photo_name, shares_cores=shares_cores)
    if has_videos:
        videos = photos if is_same else load_timed(video_name)
    return RunModels(photos=photos, videos=videos)


def _model_words(model: Model) -> str:
    """Name of a model with its settings."""
    settings = ", ".join(f"{name} {value}" for name, value in model.settings.items())
    return f"{model.card.name} ({settings})" if settings else model.card.name


def check_room_of_photographs(jobs: JobList, writer: ResultWriter) -> PhotoMemory:
    """Check that the results fit on the disk, and decide how many fit into memory at once.

    The need is estimated from some of the photographs.

    Raises:
        OutputError: If the disk is too small.
        OptionError: If memory is too small for one photograph.
    """
    count = jobs.counts[Medium.PHOTO]
    photos = (job for job in jobs if job.medium is Medium.PHOTO)
    sampled = [*islice(photos, 0, None, math.ceil(count / _MAX_READ_HEADERS))]
    sizes = [photo_size(job.source) for job in sampled if not sidecar_path(job.target).exists()]
    needed = sum(map(writer.min_file_bytes, sizes)) / len(sampled) * count
    subject = f"the results of {count:,} photographs" if count > 1 else "its results"
    hint = Text(
        "choose another folder with ",
        OptionName("output"),
        ", or fewer outputs with ",
        OptionName("save"),
    )
    check_disk_space(writer.options.saving.output, needed, subject, hint)
    return photo_memory(sizes, writer.min_memory)


def make_ready(folder: Path) -> None:
    """Make a folder, and remove what killed runs have left in it."""
    make_folder(folder)
    sweep_parts(folder)


def predict_jobs(
    jobs: Iterable[Job],
    writers: RunWriters,
    tally: Tally,
    prepare_folder: Callable[[Path], None] = make_ready,
) -> None:
    """Predict all photographs as a stream, and then the videos one by one.

    ``prepare_folder`` is called with each folder of results before it is written to.
    """
    photo_writer = writers.photos
    if photo_writer is not None:
        predict_photos(
            _unfinished_photos(jobs, photo_writer, tally, prepare_folder),
            photo_writer.model,
            tally,
            batch_size=photo_writer.options.speed.batch_size,
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
            fail(job, error, tally)


def _unfinished_photos(
    jobs: Iterable[Job],
    writer: ResultWriter,
    tally: Tally,
    prepare_folder: Callable[[Path], None],
) -> Iterator[Job]:
    """Yield the photographs that are still to be done; count those that are finished or fail."""
    prepared: Path | None = None
    for job in jobs:
        if job.medium is not Medium.PHOTO:
            continue
        try:
            if writer.is_finished(job):
                tally.finished_before()
                continue
            folder = job.target.parent
            if folder != prepared:
                prepare_folder(folder)
                prepared = folder
        except Exception as error:
            fail(job, error, tally)
            continue
        yield job
