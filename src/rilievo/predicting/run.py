"""``rilievo.predict_files``: photographs, folders and videos, to files."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path

from rilievo.calibration import KnownLength
from rilievo.calibration.table import read_known_table
from rilievo.errors import OptionError
from rilievo.io.atomic import make_folder, sweep_parts
from rilievo.io.limits import printable
from rilievo.models import load_model
from rilievo.models.base import Model
from rilievo.models.refinement import FlipAveraged, Tiled
from rilievo.models.sharpening import Sharpened
from rilievo.predicting.consent import agree_to_pay
from rilievo.predicting.inputs import Job, LeftOut, Medium, find_jobs
from rilievo.predicting.options import PredictOptions
from rilievo.predicting.photos import fail, predict_photos
from rilievo.predicting.results import Results
from rilievo.predicting.summary import Summary, Tally


def predict_files(
    inputs: Sequence[str | Path], options: PredictOptions | None = None, *, show: bool = True
) -> Summary:
    """Predict photographs, folders and videos, and write the results.

    One input that fails is reported and passed over; files appear whole or not at all.

    Args:
        inputs: Files, folders (recursive) or patterns.
        options: What to do with them.
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
    total = sum(1 for _ in _jobs(inputs, options, left_out))
    if not total:
        raise OptionError(f"no photograph or video in {', '.join(map(printable, inputs))}")
    check_known(options, total)
    model = load_model(
        options.model,
        kind=options.kind,
        device=options.device,
        engine=options.engine,
        precision=options.precision,
        threads=options.threads,
        settings=options.model_settings,
    )
    agree_to_pay(model, _jobs(inputs, options), options)
    model = refined(model, flip=options.flip, tile=options.tile, sharp=options.sharp == "on")
    with Tally(output=options.output, total=total, show=show) as tally:
        results = Results(model=model, options=options, note=tally.note)
        results.check()
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
            _predict_all(inputs, results, tally)
        except KeyboardInterrupt:
            tally.interrupted = True
    return tally.summary()


def refined(model: Model, *, flip: bool, tile: int | None, sharp: bool = False) -> Model:
    """The model with the refinements that are asked for: tiles, the mirror, then sharp edges."""
    if tile is not None:
        model = Tiled(model, tile)
    if flip:
        model = FlipAveraged(model)
    return Sharpened(model) if sharp else model


def predict_jobs(
    photos: Iterable[Job],
    clips: Iterable[Job],
    results: Results,
    tally: Tally,
    ready: Callable[[Path], None] | None = None,
) -> None:
    """Predict photographs in a stream, then clips one by one; what fails is told and passed over.

    Args:
        photos: Jobs of single photographs.
        clips: Jobs of videos and sequences.
        results: Writes what is predicted.
        tally: Counts what happens.
        ready: Makes a folder for results ready; ``make_ready`` when None.
    """
    predict_photos(
        _unfinished(photos, results, tally, ready or make_ready),
        results.model,
        tally,
        batch_size=results.options.batch_size,
        prepare=results.prepare,
        save=results.write,
    )
    for job in clips:
        _predict_clip(job, results, tally)


def make_ready(folder: Path) -> None:
    """Make a folder for results, and remove what a run that was killed left half-written in it.

    Raises:
        OutputError: If the system refuses.
    """
    make_folder(folder)
    sweep_parts(folder)


def _predict_all(inputs: Sequence[str | Path], results: Results, tally: Tally) -> None:
    def jobs(*, photos: bool) -> Iterator[Job]:
        every = _jobs(inputs, results.options)
        return (job for job in every if (job.medium is Medium.PHOTO) is photos)

    predict_jobs(jobs(photos=True), jobs(photos=False), results, tally)


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
    """Refuse points of one photograph where several are named, and a table that cannot be used.

    Args:
        options: What is asked.
        inputs: Photographs and videos that were found.

    Raises:
        OptionError: If one point would scale several photographs.
        InputError: If the table cannot be read.
    """
    if options.known_table is not None:
        read_known_table(options.known_table)
    elif options.sparse is not None and inputs > 1 and not options.sparse.is_dir():
        raise OptionError(
            f"--sparse {printable(options.sparse)} is of one photograph, and {inputs} were found: "
            "name a folder with one file for each"
        )
    elif options.known_facts and inputs > 1:
        [first, *_] = options.known_facts
        what = "length" if isinstance(first, KnownLength) else "point"
        raise OptionError(
            f"known {what} {first} belongs to one photograph, and {inputs} were found: "
            "give a table, --known FILE.csv with the header file,u,v,metres"
        )


def without_effect(inputs: Sequence[str | Path], options: PredictOptions) -> list[str]:
    """Options that were given and change nothing."""
    if options.sequence and not any(Path(name).is_dir() for name in inputs):
        return ["--sequence is about folders of frames, and none was named"]
    return []


def _unfinished(
    jobs: Iterable[Job], results: Results, tally: Tally, ready: Callable[[Path], None]
) -> Iterator[Job]:
    """The jobs that are to be done, their folders made; others are counted."""
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
