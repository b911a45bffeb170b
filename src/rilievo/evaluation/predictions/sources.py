"""Open predictions that exist already: of an earlier evaluation, or of another program."""

import os
from collections import Counter
from collections.abc import Collection
from dataclasses import replace
from pathlib import Path

from rilievo.data.datasets.dataset import evenly_spread
from rilievo.errors import OptionError, RilievoError
from rilievo.errors.messages import OptionName, Text
from rilievo.evaluation.benchmarks.benchmark import Benchmark, Task
from rilievo.evaluation.benchmarks.metric_choice import benchmark_metrics, judges_confidence
from rilievo.evaluation.foreign_confidence import ForeignConfidence, Meaning
from rilievo.evaluation.options import EvaluateOptions
from rilievo.evaluation.predictions.foreign_predictions import (
    ForeignPredictions,
    open_predictions,
    open_stack,
)
from rilievo.evaluation.predictions.prediction_cache import (
    FINGERPRINT,
    Fingerprint,
    PredictionCache,
    read_cache,
    refuse_other_photographs,
)
from rilievo.evaluation.predictions.rilievo_results import RilievoResults
from rilievo.evaluation.selection import Selection
from rilievo.evaluation.stored_predictions import PredictionSource
from rilievo.io.depth.crops import RESIZED, STRETCHED, StatedPlacement
from rilievo.io.depth.placement import PlacementWords, orientation_note
from rilievo.io.files.names import printable
from rilievo.io.photographs.decode import read_orientation
from rilievo.options.unused_options import notes_on_unused

PREDICTIONS = "predictions"
"""Folder of the cache in the folder of an evaluation."""
_MAX_CHECKED_PHOTOS = 24
"""Most photographs whose EXIF orientation is read before anything is scored."""
_MODEL_OPTIONS = ("flip", "confidence", "device", "engine", "precision")
"""Options without effect on predictions that exist already."""


def find_predictions(
    label: str | None,
    selection: Selection,
    options: EvaluateOptions,
    *,
    option_names: Collection[str] = (),
) -> PredictionSource:
    """Open the predictions that ``options.predictions`` names.

    Args:
        label: Name for the predictions of another program; None to name them after their folder.
        selection: Images and benchmark.
        options: Where the predictions are and what they hold.
        option_names: Options that the user gave, to warn about those for models.

    Raises:
        InputError: If there are no predictions of these images.
        OptionError: If they are not what the benchmark scores, or contradict the options.
    """
    path = options.predictions
    assert path is not None, "asked for only where they are given"
    unused = [name for name in _MODEL_OPTIONS if name in option_names]
    warnings = notes_on_unused(
        unused, Text("a model, and ", OptionName("predictions"), " are there already")
    )
    for folder in (path, path / PREDICTIONS):
        if os.path.isfile(folder / FINGERPRINT):
            cache = read_cache(folder)
            _refuse_unfit_cache(cache, selection.benchmark, options)
            refuse_other_photographs(cache, selection)
            return PredictionSource(predictions=cache, warnings=tuple(warnings))

    predictions = _open_file_predictions(path, selection, options)
    early_warnings: list[str] = []
    if isinstance(predictions, ForeignPredictions):
        if label is not None:
            predictions = replace(predictions, made_by=replace(predictions.made_by, model=label))
        early_warnings += predictions.number_warnings()
        early_warnings += _orientation_warnings(selection, options.stated_place)
    warnings += early_warnings
    if predictions.unmatched_note is not None:
        warnings.append(predictions.unmatched_note)
    return PredictionSource(
        predictions=predictions, warnings=tuple(warnings), early_warnings=tuple(early_warnings)
    )


def _orientation_warnings(selection: Selection, stated: StatedPlacement | None) -> list[str]:
    """Warn about photographs that EXIF turns, because many programs ignore the orientation.

    Each kind of orientation is said once, with the first photograph. ``stated`` is the part of the
    picture that the predictions show, as the user says.
    """
    words = PlacementWords(map="the prediction", picture="the photograph")
    is_part = stated not in (None, RESIZED, STRETCHED)
    first_by_note: dict[str, str] = {}
    counts: Counter[str] = Counter()
    checked_ids = evenly_spread(selection.ids, _MAX_CHECKED_PHOTOS)
    for id in checked_ids:
        file = selection.dataset.photo_file(id)
        if file is None:
            return []
        try:
            stored = read_orientation(file)
        except (RilievoError, OSError):
            continue  # A broken photograph is named where it is read.
        note = orientation_note(stored.orientation, stored.upright_size, words, is_part=is_part)
        if note is not None:
            counts[note] += 1
            first_by_note.setdefault(note, id)
    return [
        f"prediction of {id}: {note}; so {counts[note]} of {len(checked_ids)} photographs"
        for note, id in first_by_note.items()
    ]


def _open_file_predictions(
    path: Path, selection: Selection, options: EvaluateOptions
) -> RilievoResults | ForeignPredictions:
    """Open a folder of files, or one array of a whole split."""
    confidence_source = _usable_confidence(selection.benchmark, options)
    if os.path.isfile(path):
        _refuse_options_of_a_folder(options)
        return open_stack(
            path,
            selection.dataset.listed,
            value_encoding=options.value_encoding,
            task=selection.benchmark.task,
            crop=options.stated_place,
            number_encoding=options.number_encoding,
        )
    return open_predictions(
        path,
        selection.ids,
        value_encoding=options.value_encoding,
        task=selection.benchmark.task,
        pattern=options.pattern,
        confidence_source=confidence_source,
        crop=options.stated_place,
        number_encoding=options.number_encoding,
    )


def _refuse_options_of_a_folder(options: EvaluateOptions) -> None:
    """Refuse options that say how the files of a folder are read, beside a single file."""
    for name in ("pattern", "sure"):
        if getattr(options, name) is not None:
            raise OptionError(
                option=name,
                problem=Text("is for a folder of ", OptionName("predictions")),
                hint="this is one file",
            )


def _usable_confidence(benchmark: Benchmark, options: EvaluateOptions) -> ForeignConfidence | None:
    """Confidences that the user names, which the benchmark has to judge; None without."""
    confidence = options.foreign_confidence
    if confidence is None:
        return None
    if not judges_confidence(benchmark):
        raise OptionError(
            problem=Text(
                f"the benchmark '{benchmark.name}' judges no confidence: leave ",
                OptionName("sure"),
                " out, or take certainty or certainty-order",
            )
        )
    probability_metrics = [
        name for name, metric in benchmark_metrics(benchmark).items() if metric.needs_probability
    ]
    if probability_metrics and confidence.meaning is not Meaning.PROBABILITY:
        raise OptionError(
            f"'{options.sure}' is an order of the pixels and no probability, which "
            f"{', '.join(probability_metrics)} of the benchmark '{benchmark.name}' ask for: take "
            "certainty-order"
        )
    return confidence


def _refuse_unfit_cache(
    cache: PredictionCache, benchmark: Benchmark, options: EvaluateOptions
) -> None:
    """Refuse the predictions of an earlier evaluation if they are not what is scored."""
    fingerprint = cache.fingerprint
    describes_numbers = any(
        (options.scale, options.crop, options.encoding, options.pattern, options.sure)
    )
    if describes_numbers or options.kind not in (None, fingerprint.kind):
        raise OptionError(
            path=printable(cache.folder),
            problem=Text(
                "says itself what it holds; leave ",
                OptionName("kind"),
                ", ",
                OptionName("scale"),
                ", ",
                OptionName("crop"),
                ", ",
                OptionName("encoding"),
                ", ",
                OptionName("pattern"),
                " and ",
                OptionName("sure"),
                " out",
            ),
        )
    problem = _cache_problem(fingerprint, benchmark)
    if problem is not None:
        raise OptionError(path=printable(cache.folder), problem=problem, hint="predict anew")


def _cache_problem(fingerprint: Fingerprint, benchmark: Benchmark) -> str | None:
    """Why predictions do not fit a benchmark; None if they do."""
    task = benchmark.task
    name = f"the benchmark '{benchmark.name}'"
    input_crop = str(benchmark.input_crop)
    if fingerprint.dataset != benchmark.dataset:
        return (
            f"holds predictions for dataset '{fingerprint.dataset}', but {name} has "
            f"'{benchmark.dataset}'"
        )
    if fingerprint.input_crop != input_crop:
        return (
            f"holds predictions for input_crop '{fingerprint.input_crop}', but {name} has "
            f"'{input_crop}'"
        )
    if task in (Task.POINTS, Task.CAMERA) and not fingerprint.camera:
        return f"holds no cameras, which {name} judges"
    if task is Task.NORMALS and not fingerprint.normals:
        return f"holds depth alone, but {name} scores {task}"
    if task not in (Task.NORMALS, Task.CAMERA) and fingerprint.kind is None:
        return f"holds normals alone, but {name} scores {task}"
    if judges_confidence(benchmark) and not fingerprint.confidence:
        return f"holds no confidence, which {name} judges"
    return None
