"""``rilievo.predict_files``: photographs and videos to files."""

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
from rilievo.predicting.summary import (
    FAILURES,
    FINISH,
    LOAD,
    READ,
    RunSummary,
    RunTimes,
    Stages,
    Tally,
    fail,
)
from rilievo.prediction.output import OUTPUTS, options_of_output
from rilievo.prediction.saving import output_parts
from rilievo.system.signals import handle_if_ctrl_c

_MEASURED = 64
_CLIPS = Text("videos and folders of frames (", OptionName("sequence"), "), and none")
_STILLS = Text("photographs and folders of frames (", OptionName("sequence"), "), and none")
_ABOUT: Mapping[str, str] = {**SUBJECTS, "confidence": "confidence"}


@runtime_checkable
class FindJobs(Protocol):
    """``find_jobs``, or the same elsewhere."""

    def __call__(
        self, inputs: Sequence[str | Path], output: Path, *, sequence: bool, left_out: LeftOut
    ) -> Iterator[Job]:
        """Yield the jobs."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class RunInputs:
    """Jobs of a run, failures and notes."""

    jobs: JobList
    failures: Sequence[str]
    notes: Sequence[str]

    def tell(self, tally: Tally) -> None:
        """Report the failures and notes."""
        for message in self.failures:
            tally.failed(message)
        for message in self.notes:
            tally.note(message)


def predict_files(
    inputs: Sequence[str | Path], options: PredictOptions | None = None, *, show: bool = True
) -> RunSummary:
    """Predict photographs, folders and videos, and write results atomically.

    Failed inputs are reported and skipped.

    Examples:
        >>> options = rilievo.PredictOptions(model="rilievo/small", output="results")
        >>> rilievo.predict_files(["photo.jpg"], options, show=False).done
        1

    Args:
        inputs: Files, folders (recursive) or patterns.
        options: Options of the run.
        show: Whether to show progress on standard error.

    Raises:
        RilievoError: If nothing can be done at all.
    """
    options = PredictOptions() if options is None else options
    check_type("options", options, PredictOptions, "a PredictOptions")
    run = read_inputs(inputs, options)
    jobs, stages, output = run.jobs, Stages(), options.saving.output

    def pay(model: Model) -> None:
        if isinstance(model, PaidModel):
            agree_to_pay(model, jobs, options)

    several = jobs.counts[Medium.PHOTO] > 1
    models = load_models(options, jobs.media, pay, stages, several=several)
    total = len(jobs) + len(run.failures)
    with Tally(output=output, total=total, show=show, stages=stages) as tally:
        results = {
            video: ResultWriter(model=model, options=options, note=tally.note)
            for video, model in models.items()
        }
        for outcome in results.values():
            outcome.check()
        first_medium = jobs.media[0]
        if options.sizes.same_camera:
            results[first_medium] = results[first_medium].with_size_of_first_photo(jobs)
        make_ready(output)
        if False in results:
            memory = check_room_of_photographs(jobs, results[False])
            results[False] = replace(results[False], memory=memory)
            if memory.note:
                tally.note(memory.note)
        run.tell(tally)
        for message in results[first_medium].left_out_of_all():
            tally.note(message)
        try:
            predict_jobs(jobs, results, tally)
        except KeyboardInterrupt as stop:
            tally.interrupted = handle_if_ctrl_c(stop)
    return tally.summary()


def read_inputs(
    inputs: Sequence[str | Path], options: PredictOptions, find: FindJobs = find_jobs
) -> RunInputs:
    """Find a run's jobs, and compare its options.

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
        message = next(iter(left_out.unreadable), None) or left_out.nothing_found_words(inputs)
        raise OptionError(problem=Text(message))
    sizes = options.sizes
    if sizes.known_sizes or sizes.known or sizes.sparse is not None:
        _check_known_sizes(sizes, len(jobs))
    notes = [*left_out.notes(), *no_effect_notes(options, jobs.counts)]
    notes += _unused_facts_notes(sizes, jobs, output)
    return RunInputs(jobs=jobs, failures=left_out.unreadable, notes=notes)


def _check_known_sizes(sizes: KnownSizes, inputs: int) -> None:
    if sizes.table is not None:
        (read_known_of_fixed_camera if sizes.same_camera else read_known_csv)(sizes.table)
    elif sizes.same_camera:
        if sizes.sparse is not None and sizes.sparse.is_dir():
            raise OptionError(
                option="same_camera",
                problem=Text(
                    "takes one file of ", OptionName("sparse"), f", got the folder {sizes.sparse}"
                ),
            )
    elif sizes.sparse is not None and inputs > 1 and not sizes.sparse.is_dir():
        raise OptionError(
            option="sparse",
            problem=Text(
                f"{sizes.sparse} is of one photograph, and {inputs} "
                "were found: name a folder with one file for each, or give ",
                OptionName("same_camera"),
                " if it never moved",
            ),
        )
    elif sizes.known_sizes and inputs > 1:
        [first, *_] = sizes.known_sizes
        raise OptionError(
            problem=Text(
                f"known {first.noun} {first} belongs to one "
                f"photograph, and {inputs} were found: give a table, ",
                OptionName("known", "FILE.csv"),
                " with the header file,u,v,metres, or ",
                OptionName("same_camera"),
                " if it never moved",
            )
        )


def _unused_facts_notes(sizes: KnownSizes, jobs: JobList, output: Path) -> list[str]:
    if sizes.same_camera:
        return []
    if sizes.table is not None:
        sources = {job.source.resolve() for job in jobs}
        rows = read_known_csv(sizes.table)
        others = [path.name for path in rows if path not in sources]
        return unused_parts(sizes.table, others, len(rows), "photographs of it are no input")
    if sizes.sparse is not None and sizes.sparse.is_dir():
        names = {
            job.target.relative_to(output)
            if job.target.is_relative_to(output)
            else Path(job.source.stem)
            for job in jobs
        }
        files = {*sparse_files(sizes.sparse)}
        others = sorted(
            str(path.relative_to(sizes.sparse))
            for path in files
            if path.relative_to(sizes.sparse).with_suffix("") not in names
        )
        return unused_parts(sizes.sparse, others, len(files), "files are of no photograph")
    return []


def no_effect_notes(options: PredictOptions, inputs: Mapping[Medium, int]) -> list[str]:
    """Notes on options without effect on so many inputs."""
    sizes, video, refine = options.sizes, options.video, options.refine
    notes = option_notes(options)
    sequences = inputs.get(Medium.SEQUENCE, 0)
    clips, several = sequences + inputs.get(Medium.VIDEO, 0), sum(inputs.values()) > 1
    stills = sequences + inputs.get(Medium.PHOTO, 0)
    for name, is_given, has_effect, about in (
        ("sequence", video.sequence, sequences, "folders of frames, and none"),
        ("fps", video.fps is not None, clips, _CLIPS),
        ("independent", video.independent, clips, _CLIPS),
        ("same_camera", sizes.same_camera, several, "several inputs, and one"),
        ("alpha", refine.alpha != "mask", stills, _STILLS),
        ("stretch", refine.stretch, stills, _STILLS),
        ("own_depth", not sizes.own_depth, stills, _STILLS),
        ("batch_size", options.speed.batch_size > 1, several or clips, "several inputs, and one"),
    ):
        if is_given and not has_effect:
            notes.append(Note(Text("is about ", about, " was named"), option=name))
    return [*notes, *no_output_notes(options, options.saving.formats)]


def no_output_notes(options: PredictOptions, outputs: Collection[str]) -> list[str]:
    """Notes on options that no output shows."""
    saving = options.saving
    notes: list[str] = []
    is_changed = {name: getattr(saving, name) != getattr(Saving, name) for name in WRITING}
    is_changed["confidence"] = options.refine.confidence == "mirror"
    # What decides how an output looks, and what it holds.
    concerns = {
        output: {*options_of_output(output), *output_parts([output])}
        for output in (*OUTPUTS.own, *outputs)
    }
    for name, about in _ABOUT.items():
        if is_changed[name] and not any(name in concerns[output] for output in outputs):
            words = " or ".join(output for output in OUTPUTS.own if name in concerns[output])
            problem = Text(
                f"is about {about}, and none is saved: add {words} to ", OptionName("save")
            )
            notes.append(Note(problem, option=name))
    return notes


def load_models(
    options: PredictOptions,
    media: Iterable[bool],
    check: Callable[[Model], None],
    stages: Stages,
    *,
    several: bool = False,
) -> Mapping[bool, Model]:
    """Load the models of photographs (False) and videos (True), refined."""
    one_by_one = options.speed.batch_size == 1

    def load(name: str) -> Model:
        is_shared = several and one_by_one and name != names.get(True)
        with shared_cores(cores()) if is_shared else nullcontext():
            model = load_as(name, options.network, options.speed)
        check(model)
        return refined(model, options.refine, vanishing_points=options.view.vanishing_points)

    names = {
        video: options.network.model or (FAST_MODEL if video else DEFAULT_MODEL) for video in media
    }
    loaded = {name: stages.timed(LOAD, load)(name) for name in dict.fromkeys(names.values())}
    for model in loaded.values():
        settings = ", ".join(f"{name} {value}" for name, value in model.settings.items())
        name = model.card.name
        stages.add(RunTimes(model=f"{name} ({settings})" if settings else name))
    return {video: loaded[name] for video, name in names.items()}


def check_room_of_photographs(jobs: JobList, results: ResultWriter) -> PhotoMemory:
    """Compare disk and memory with what is free.

    Raises:
        OutputError: If the disk is too small.
        OptionError: If memory is too small for one.
    """
    count = jobs.counts[Medium.PHOTO]
    stills = (job for job in jobs if job.medium is Medium.PHOTO)
    some = [*islice(stills, 0, None, -(-count // _MEASURED))]
    sizes = [photo_size(job.source) for job in some if not sidecar_path(job.target).exists()]
    needed = sum(map(results.min_file_bytes, sizes)) / len(some) * count
    what = f"the results of {count:,} photographs" if count > 1 else "its results"
    hint = Text(
        "choose another folder with ",
        OptionName("output"),
        ", or fewer outputs with ",
        OptionName("save"),
    )
    check_disk_space(results.options.saving.output, needed, what, hint)
    return photo_memory(sizes, results.min_memory)


def make_ready(folder: Path) -> None:
    """Make a folder without partial files."""
    make_folder(folder)
    sweep_parts(folder)


def predict_jobs(
    jobs: Iterable[Job],
    results: Mapping[bool, ResultWriter],
    tally: Tally,
    ready: Callable[[Path], None] = make_ready,
) -> None:
    """Predict photographs in a stream, then clips."""
    timed, photos = tally.stages.timed, results.get(False)
    if photos is not None:
        predict_photos(
            _unfinished_photos(jobs, photos, tally, ready),
            photos.model,
            tally,
            batch_size=photos.options.speed.batch_size,
            read=timed(READ, photos.read),
            save=timed(FINISH, photos.write),
            of_depth_alone=photos.is_depth_sufficient,
            at_once=photos.memory.at_once,
            waiting_pixels=photos.memory.waiting_pixels,
        )
    for job in jobs:
        if job.medium is Medium.PHOTO:
            continue
        try:
            from rilievo.predicting.videos.clip import predict_video

            predict_video(job, results[True], tally)
        except FAILURES as error:
            tally.begins_anew = None
            fail(job, error, tally)


def _unfinished_photos(
    jobs: Iterable[Job], results: ResultWriter, tally: Tally, ready: Callable[[Path], None]
) -> Iterator[Job]:
    """Photographs to do; others are counted, failures noted, each new folder made ``ready``."""
    folder: Path | None = None
    for job in jobs:
        if job.medium is not Medium.PHOTO:
            continue
        try:
            if results.is_finished(job):
                tally.finished_before()
                continue
            if job.target.parent != folder:
                ready(job.target.parent)
                folder = job.target.parent
        except Exception as error:
            fail(job, error, tally)
            continue
        yield job
