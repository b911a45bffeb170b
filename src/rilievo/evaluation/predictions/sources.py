"""Open predictions that exist already: of an earlier evaluation, or of another program."""

import os
from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from rilievo.data.datasets.dataset import evenly_spread
from rilievo.errors import InputError, OptionError, RilievoError
from rilievo.errors.messages import OptionName, Text, join_texts
from rilievo.evaluation.benchmarks.benchmark import Benchmark, Task
from rilievo.evaluation.benchmarks.metric_choice import benchmark_metrics, needs_confidence
from rilievo.evaluation.foreign_confidence import ForeignConfidence, Meaning
from rilievo.evaluation.options import FILE_OPTIONS, EvaluateOptions
from rilievo.evaluation.predictions.foreign_predictions import (
    ForeignPredictions,
    open_foreign_folder,
    open_stack,
)
from rilievo.evaluation.predictions.prediction_cache import (
    FINGERPRINT,
    Fingerprint,
    PredictionCache,
    check_same_photographs,
    read_cache,
)
from rilievo.evaluation.predictions.rilievo_results import (
    RilievoResults,
    find_sidecars,
    is_rilievo_sidecar,
    open_rilievo_results,
)
from rilievo.evaluation.selection import Selection
from rilievo.evaluation.stored_numbers import ValueEncoding
from rilievo.evaluation.stored_predictions import Predictions
from rilievo.io.depth.crops import RESIZED, STRETCHED, RequestedPlacement
from rilievo.io.depth.encoding import NumberEncoding
from rilievo.io.depth.placement import PlacementNames, orientation_note
from rilievo.io.files.names import printable
from rilievo.io.photographs.photo import read_orientation

PREDICTIONS = "predictions"
"""Folder of the cache in the folder of an evaluation."""
_MAX_CHECKED_PHOTOS = 24
"""Most photographs whose EXIF orientation is read before anything is scored."""


def find_predictions(
    model_name: str | None, selection: Selection, options: EvaluateOptions
) -> PredictionCache | RilievoResults | ForeignPredictions:
    """Open the predictions in the folder or file ``options.predictions``, to score them.

    They are those of an earlier evaluation, results of ``rilievo predict``, or files of another
    program.

    Args:
        model_name: Name of the model that made another program's predictions; None to name it after
            their folder.
        selection: Images and benchmark.
        options: Where the predictions are, and how to read them.

    Raises:
        InputError: If there are no predictions of these images.
        OptionError: If they are not what the benchmark scores, or contradict the options.
    """
    path = options.predictions
    assert path is not None, "callers check that the option is given"
    cache = _read_earlier_cache(path, selection, options)
    if cache is not None:
        return cache
    predictions = _open_folder_or_array(path, selection, options)
    if model_name is None or isinstance(predictions, RilievoResults):
        return predictions
    return replace(predictions, made_by=replace(predictions.made_by, model=model_name))


def warnings_before_scoring(
    predictions: Predictions, selection: Selection, stated_crop: RequestedPlacement | None
) -> tuple[str, ...]:
    """Warn about another program's files whose numbers or orientation are probably not as stated.

    A few files are read for it, so that wrong numbers cost no time. ``stated_crop`` is the part of
    the picture that the predictions show, as stated by the user.
    """
    if not isinstance(predictions, ForeignPredictions):
        return ()
    return (*predictions.number_warnings(), *_orientation_warnings(selection, stated_crop))


def unmatched_files(predictions: Predictions) -> tuple[str, ...]:
    """Note on files of predictions that belong to no selected image; empty if there are none."""
    if not isinstance(predictions, ForeignPredictions | RilievoResults):
        return ()
    return () if predictions.unmatched_note is None else (predictions.unmatched_note,)


def _read_earlier_cache(
    path: Path, selection: Selection, options: EvaluateOptions
) -> PredictionCache | None:
    """Read the predictions of an earlier evaluation; None if ``path`` is not one.

    ``path`` is the folder of the evaluation, or its subfolder with the predictions.
    """
    for folder in (path, path / PREDICTIONS):
        if os.path.isfile(folder / FINGERPRINT):
            cache = read_cache(folder)
            _check_cache_fits(cache, selection.benchmark, options)
            check_same_photographs(cache, selection)
            return cache
    return None


def _orientation_warnings(
    selection: Selection, stated_crop: RequestedPlacement | None
) -> list[str]:
    """Warn about photographs with an EXIF orientation, because many programs ignore it.

    There is one warning for each kind of orientation, which names the first photograph.
    """
    names = PlacementNames(map="the prediction", picture="the photograph")
    # Resized and stretched predictions show the whole photograph.
    is_crop = stated_crop not in (None, RESIZED, STRETCHED)
    first_by_note: dict[str, str] = {}
    counts: Counter[str] = Counter()
    checked_ids = evenly_spread(selection.ids, _MAX_CHECKED_PHOTOS)
    for image_id in checked_ids:
        file = selection.dataset.photo_file(image_id)
        if file is None:
            return []  # The dataset has no files of photographs.
        try:
            exif = read_orientation(file)
        except (RilievoError, OSError):
            continue  # A broken photograph is reported when it is read.
        note = orientation_note(exif.orientation, exif.upright_size, names, is_part=is_crop)
        if note is not None:
            counts[note] += 1
            first_by_note.setdefault(note, image_id)
    return [
        f"prediction of {image_id}: {note} (applies to {counts[note]} of {len(checked_ids)} "
        "photographs)"
        for note, image_id in first_by_note.items()
    ]


def _open_folder_or_array(
    path: Path, selection: Selection, options: EvaluateOptions
) -> RilievoResults | ForeignPredictions:
    """Open a folder with a file for each image, or a file with one array for a whole split."""
    confidence_source = options.foreign_confidence
    if confidence_source is not None:
        _require_scored_confidence(selection.benchmark, confidence_source, options.sure)
    if os.path.isfile(path):
        for name in ("pattern", "sure"):
            if getattr(options, name) is not None:
                raise OptionError(
                    option=name,
                    problem=Text(
                        "only applies if ",
                        OptionName("predictions"),
                        " is a folder, but you gave a single file",
                    ),
                    hint="leave it out",
                )
        return open_stack(
            path,
            selection.dataset.listed,
            value_encoding=options.value_encoding,
            task=selection.benchmark.task,
            crop=options.requested_crop,
            number_encoding=options.number_encoding,
        )
    return open_predictions(
        path,
        selection.ids,
        value_encoding=options.value_encoding,
        task=selection.benchmark.task,
        pattern=options.pattern,
        confidence_source=confidence_source,
        crop=options.requested_crop,
        number_encoding=options.number_encoding,
    )


def open_predictions(
    folder: Path,
    ids: Sequence[str],
    *,
    value_encoding: ValueEncoding,
    task: Task,
    pattern: str | None = None,
    confidence_source: ForeignConfidence | None = None,
    allow_pictures: bool = False,
    crop: RequestedPlacement | None = None,
    number_encoding: NumberEncoding | None = None,
) -> RilievoResults | ForeignPredictions:
    """Open a folder of predictions, of another program or of ``rilievo predict``.

    ``allow_pictures`` accepts results of ``rilievo predict`` without arrays. The other arguments
    are those of ``open_foreign_folder``.
    """
    if not os.path.isdir(folder):
        raise InputError(f"{folder}: no such folder of predictions")
    sidecars = find_sidecars(folder)
    if any(is_rilievo_sidecar(path) for path in sidecars):
        for option, value in (("crop", crop), ("pattern", pattern), ("sure", confidence_source)):
            if value is not None:
                raise OptionError(
                    option=option,
                    problem="only applies to predictions of other programs, but these are "
                    "rilievo's own",
                    hint="leave it out",
                )
        return open_rilievo_results(
            folder, sidecars, ids, value_encoding, allow_pictures=allow_pictures
        )
    return open_foreign_folder(
        folder,
        ids,
        value_encoding=value_encoding,
        task=task,
        pattern=pattern,
        confidence_source=confidence_source,
        crop=crop,
        number_encoding=number_encoding,
    )


def _require_scored_confidence(
    benchmark: Benchmark, confidence: ForeignConfidence, name: str | None
) -> None:
    """Raise an OptionError unless the benchmark scores confidences with this meaning.

    ``name`` is that of ``--sure``, for the message.
    """
    if not needs_confidence(benchmark):
        raise OptionError(
            problem=Text(
                f"the benchmark '{benchmark.name}' does not score confidence: leave ",
                OptionName("sure"),
                " out, or choose the benchmark certainty or certainty-order",
            )
        )
    probability_metrics = [
        name for name, metric in benchmark_metrics(benchmark).items() if metric.needs_probability
    ]
    if probability_metrics and confidence.meaning is not Meaning.PROBABILITY:
        raise OptionError(
            f"the confidence '{name}' ranks the pixels but is not a probability, which the "
            f"benchmark '{benchmark.name}' needs for {', '.join(probability_metrics)}: choose the "
            "benchmark certainty-order"
        )


def _check_cache_fits(
    cache: PredictionCache, benchmark: Benchmark, options: EvaluateOptions
) -> None:
    """Check that cached predictions fit the benchmark, and that no option contradicts them."""
    fingerprint = cache.fingerprint
    has_file_options = any(getattr(options, name) for name in FILE_OPTIONS)
    if has_file_options or options.kind not in (None, fingerprint.kind):
        raise OptionError(
            path=printable(cache.folder),
            problem=Text(
                "already states what it contains; leave ",
                join_texts(", ", map(OptionName, ("kind", *FILE_OPTIONS[:-1]))),
                " and ",
                OptionName(FILE_OPTIONS[-1]),
                " out",
            ),
        )
    problem = _cache_problem(fingerprint, benchmark)
    if problem is not None:
        raise OptionError(path=printable(cache.folder), problem=problem, hint="predict again")


def _cache_problem(fingerprint: Fingerprint, benchmark: Benchmark) -> str | None:
    """Return the reason why cached predictions do not fit a benchmark; None if they fit."""
    task = benchmark.task
    benchmark_words = f"the benchmark '{benchmark.name}'"
    input_crop = str(benchmark.input_crop)
    if fingerprint.dataset != benchmark.dataset:
        return (
            f"contains predictions for the dataset '{fingerprint.dataset}', but {benchmark_words} "
            f"uses '{benchmark.dataset}'"
        )
    if fingerprint.input_crop != input_crop:
        return (
            f"contains predictions for the input crop '{fingerprint.input_crop}', but "
            f"{benchmark_words} uses '{input_crop}'"
        )
    if task in (Task.POINTS, Task.CAMERA) and not fingerprint.camera:
        return f"contains no cameras, which {benchmark_words} needs"
    if task is Task.NORMALS and not fingerprint.normals:
        return f"contains no normals, which {benchmark_words} scores"
    if task not in (Task.NORMALS, Task.CAMERA) and fingerprint.kind is None:
        return f"contains no depth, which {benchmark_words} needs"
    if needs_confidence(benchmark) and not fingerprint.confidence:
        return f"contains no confidence, which {benchmark_words} scores"
    return None
