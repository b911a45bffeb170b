"""``rilievo.predict_files``: photographs, folders and videos, to files."""

import sys
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import cache
from itertools import chain
from pathlib import Path
from typing import Protocol

from rilievo.calibration.lengths import KnownLength
from rilievo.errors import OptionError
from rilievo.io.atomic import make_folder, sweep_parts
from rilievo.io.limits import printable
from rilievo.models.base import Model, PaidModel
from rilievo.models.sharpening import Sharpened
from rilievo.models.trimming import Trimmed
from rilievo.predicting.focal import VanishingCamera
from rilievo.predicting.inputs import Job, LeftOut, Medium, find_jobs
from rilievo.predicting.options import PredictOptions
from rilievo.predicting.photos import predict_photos
from rilievo.predicting.results import Results
from rilievo.predicting.run_models import RunModels
from rilievo.predicting.stages import FINISH, READ, Stages
from rilievo.predicting.summary import Summary, Tally, fail
from rilievo.predicting.units import unit_notes


class ResultsOf(Protocol):
    """Function that gives the results of a run's photographs, or of its videos."""

    def __call__(self, *, video: bool) -> Results:
        """Results with the model of photographs, or of videos."""
        ...


def agree_to_pay(model: Model, jobs: Iterable[Job], options: PredictOptions) -> None:
    """Ask before more than one paid call; a model that costs nothing passes.

    Args:
        model: Model as loaded, before any refinement.
        jobs: All inputs; those that an earlier run finished count too, but are not sent.
        options: Options of the run.
    """
    if not isinstance(model, PaidModel):
        return
    name = f"model '{model.card.name}'"
    for flag, given in (
        ("--tile", options.tile is not None),
        ("--batch-size", options.batch_size > 1),
    ):
        # If one photograph of a batch fails, the batch is sent again one by one.
        if given:
            raise OptionError(f"{name} is paid by the call: {flag} would send photographs again")
    mirror = options.mirrors
    photographs = 0
    for job in jobs:
        if job.medium is not Medium.PHOTO:
            raise OptionError(
                f"{job.source}: {name} is paid by the call, and every frame would be one: choose "
                "the frames, and give them as photographs"
            )
        photographs += 1
    agree_to_calls(model, photographs, flip=options.flip or mirror, yes=options.yes)


def agree_to_calls(model: Model, photographs: int, *, flip: bool, yes: bool) -> None:
    """Ask before more than one paid call; a model that costs nothing passes."""
    if not isinstance(model, PaidModel):
        return
    calls = photographs * (2 if flip else 1)
    if calls > 1 and not yes:
        _ask(model, photographs, calls)
    model.allow(calls)


def _ask(model: PaidModel, photographs: int, calls: int) -> None:
    what = f"{photographs} photographs go to {model.service}, as {calls} paid calls"
    if sys.stdin is None or not sys.stdin.isatty():
        raise OptionError(f"{what}: say --yes to agree, as nobody can be asked here")
    sys.stderr.write(f"rilievo: {what}. Go on? [y/N] ")
    sys.stderr.flush()
    if sys.stdin.readline().strip().lower() not in ("y", "yes"):
        raise OptionError(f"nothing was sent to {model.service}")


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
    left_out = LeftOut()
    media = Counter(job.medium is not Medium.PHOTO for job in _jobs(inputs, options, left_out))
    total = media.total()
    if not total:
        raise OptionError(f"no photograph or video in {', '.join(map(printable, inputs))}")
    check_known(options, total)
    stages = Stages()

    def ready(options: PredictOptions, name: str) -> Model:
        model = options.load(name)
        agree_to_pay(model, _jobs(inputs, options), options)
        return refined_by(options, model)

    models = RunModels(options, ready, stages)
    for video in sorted(media):
        models.of(video=video)
    with Tally(output=options.output, total=total, show=show, stages=stages) as tally:

        @cache
        def results_of(*, video: bool) -> Results:
            return Results(model=models.of(video=video), options=options, note=tally.note)

        for video in sorted(media):
            results_of(video=video).check()
        results = results_of(video=False not in media)
        if options.same_camera:
            results.take_size(_jobs(inputs, options))
        make_ready(options.output)
        for message in left_out.unreadable:
            tally.failed(message)
        for message in (
            *left_out.notes(),
            *without_effect(inputs, options),
            *results.left_out_of_all(),
        ):
            tally.note(message)
        try:
            _predict_all(inputs, options, results_of, tally)
        except KeyboardInterrupt:
            tally.interrupted = True
    return tally.summary()


def refined_by(options: PredictOptions, model: Model) -> Model:
    """Wrap a model as the options ask; see ``refined``."""
    return refined(
        model,
        flip=options.flip,
        mirror=options.mirrors,
        tile=options.tile,
        sharp=options.sharp == "on",
        vanishing_points=options.vanishing_points,
        trim=options.trim == "on",
    )


def refined(
    model: Model,
    *,
    flip: bool,
    mirror: bool = False,
    tile: int | None,
    sharp: bool = False,
    vanishing_points: bool = False,
    trim: bool = False,
) -> Model:
    """Refine a model as asked: tiles, mirror image, sharp edges, camera, trimmed borders."""
    if tile is not None:
        from rilievo.models.refinement import Tiled

        model = Tiled(model, tile)
    if flip:
        from rilievo.models.refinement import FlipAveraged

        model = FlipAveraged(model)
    if mirror:
        from rilievo.models.mirror_confidence import MirrorConfidence

        model = MirrorConfidence(model)
    if sharp:
        model = Sharpened(model)
    if vanishing_points:
        model = VanishingCamera(model)
    # Outermost: all else is shown the inside alone. Only depth can say where there is no answer.
    return Trimmed(model) if trim and model.card.kind is not None else model


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
        batch_size=results.options.batch_size,
        read=tally.stages.timed(READ, results.read),
        save=tally.stages.timed(FINISH, results.write),
    )


def make_ready(folder: Path) -> None:
    """Make a folder for results, and remove partial files that a killed run left in it."""
    make_folder(folder)
    sweep_parts(folder)


def _predict_all(
    inputs: Sequence[str | Path], options: PredictOptions, results_of: ResultsOf, tally: Tally
) -> None:
    def jobs(*, photos: bool) -> Iterator[Job]:
        every = _jobs(inputs, options)
        return (job for job in every if (job.medium is Medium.PHOTO) is photos)

    predict_jobs(jobs(photos=True), jobs(photos=False), results_of, tally)


def _predict_clip(job: Job, results: Results, tally: Tally) -> None:
    from rilievo.predicting.video import predict_video

    try:
        predict_video(job, results, tally)
    except Exception as error:
        tally.begins_anew = None
        fail(job, error, tally)


def _jobs(
    inputs: Sequence[str | Path], options: PredictOptions, left_out: LeftOut | None = None
) -> Iterator[Job]:
    return find_jobs(inputs, options.output, sequence=options.sequence, left_out=left_out)


def check_known(options: PredictOptions, inputs: int) -> None:
    """Refuse points of one photograph if there are several, and a table that cannot be used."""
    if options.known_table is not None:
        from rilievo.calibration.fact import read_known_table, shared_known

        (shared_known if options.same_camera else read_known_table)(options.known_table)
    elif options.same_camera:
        if options.sparse is not None and options.sparse.is_dir():
            raise OptionError(
                f"--same-camera takes one file of --sparse, got the folder {options.sparse}"
            )
    elif options.sparse is not None and inputs > 1 and not options.sparse.is_dir():
        raise OptionError(
            f"--sparse {options.sparse} is of one photograph, and {inputs} were found: name a "
            "folder with one file for each, or give --same-camera if it never moved"
        )
    elif options.known_facts and inputs > 1:
        [first, *_] = options.known_facts
        what = "length" if isinstance(first, KnownLength) else "point"
        raise OptionError(
            f"known {what} {first} belongs to one photograph, and {inputs} were found: "
            "give a table, --known FILE.csv with the header file,u,v,metres, or --same-camera if "
            "it never moved"
        )


def without_effect(inputs: Sequence[str | Path], options: PredictOptions) -> list[str]:
    """Notes on options that have no effect, or hardly the one that is meant."""
    notes = unit_notes(options.known_facts, options.camera_height, options.fov)
    if options.sequence and not any(Path(name).is_dir() for name in inputs):
        notes.append("--sequence is about folders of frames, and none was named")
    if options.drop and not {"ply", "glb", "html"} & {*options.formats}:
        notes.append("--drop is about surfaces, and none is saved: add ply, glb or html to --save")
    if options.backing and not {"ply", "glb"} & {*options.formats}:
        notes.append(
            "--backing is about meshes and clouds, and none is saved: add glb or ply to --save"
        )
    return notes


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
