"""Plan an evaluation, and refuse what cannot work before the first image is predicted."""

import math
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import NoReturn

from rilievo.alignment.ground_truth import AlignMethod
from rilievo.data.datasets.dataset import evenly_spread
from rilievo.errors import InputError, OptionError, RilievoError, check_type
from rilievo.errors.messages import Note, OptionName, Text
from rilievo.evaluation.benchmarks import find_benchmark
from rilievo.evaluation.benchmarks.benchmark import Benchmark, Task
from rilievo.evaluation.evaluation_folder import choose_results_folder
from rilievo.evaluation.options import EvaluateOptions
from rilievo.evaluation.point_fit import PointFit
from rilievo.evaluation.predictions.prediction_cache import (
    AnyModel,
    PredictionCache,
    find_cache,
    model_name,
)
from rilievo.evaluation.predictions.sources import (
    PREDICTIONS,
    find_predictions,
    unmatched_files,
    warnings_before_scoring,
)
from rilievo.evaluation.scoring.comparable_depth import ALIGNED_TASKS, alignment_for_kind
from rilievo.evaluation.scoring.pool import check_memory_for_scores
from rilievo.evaluation.scoring.score_job import needs_scenes, require_scene
from rilievo.evaluation.selection import Selection, select_images
from rilievo.evaluation.stored_predictions import Predictions
from rilievo.io.files.atomic import check_folder
from rilievo.io.files.machine import cores
from rilievo.models.base import Model
from rilievo.models.refinement.refine import mirrored
from rilievo.models.requests import register_function
from rilievo.predicting.consent import agree_to_calls
from rilievo.records.sample import Truth
from rilievo.schema.fields import changed_options

IMAGES_PER_PROCESS = 60
"""Fewest images for which another scoring process pays; one takes about a second to start."""
_MODEL_OPTIONS = ("flip", "confidence", "device", "engine", "precision")
"""Options without effect on predictions that exist already."""
_MAX_CHECKED_IMAGES = 8
"""Most images whose ground truth is read before anything is predicted."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CachedModel:
    """A model, and the folder where its predictions are cached.

    Attributes:
        ask_consent: Function that takes the number of photographs to predict, and asks the user
            to agree if the model is paid.
    """

    model: Model
    cache: PredictionCache
    ask_consent: Callable[[int], None]


@dataclass(frozen=True, slots=True, kw_only=True)
class EvaluationPlan:
    """What an evaluation predicts and scores, how, and where the results go.

    Attributes:
        cached_model: Model that makes the predictions; None if they come from files.
        alignment: Alignment of the predicted depth; None if the benchmark aligns nothing.
        command: Command line that repeats the evaluation.
        processes: Number of scoring processes.
        option_words: Words of the command line for each given option, by option name.
        warnings: Warnings about the predictions for the results, ``early_warnings`` included.
        early_warnings: Warnings about implausible numbers, to be shown before scoring.
        missing_truth: Warnings about truth that some images lack, to be shown before predicting.
    """

    selection: Selection
    folder: Path
    predictions: Predictions
    cached_model: CachedModel | None
    alignment: AlignMethod | PointFit | str | None
    processes: int
    command: str
    option_words: Mapping[str, tuple[str, ...]]
    warnings: tuple[str, ...] = ()
    early_warnings: tuple[str, ...] = ()
    missing_truth: tuple[str, ...] = ()


def resolve_model(model: AnyModel, options: EvaluateOptions) -> Model:
    """Return a model that is loaded already, or load one by its name, file or function."""
    if model is None:
        raise OptionError(
            problem=Text(
                "give a model to predict with, or a folder of ",
                OptionName("predictions"),
                " to score",
            )
        )
    if isinstance(model, Model):
        if options.kind is not None or options.settings:
            raise OptionError(
                "kind and settings only apply to a model given by name; this model is already "
                "loaded"
            )
        return model
    if isinstance(model, str | Path):
        return options.load(model)
    return options.load(register_function(model))


def make_plan(
    model: AnyModel,
    benchmark: Benchmark | str,
    root: str | Path | None,
    options: EvaluateOptions,
    *,
    scores: bool = True,
) -> EvaluationPlan:
    """Plan an evaluation; arguments and errors are those of ``evaluate``.

    With ``scores=False`` the images are only predicted, so that missing truth does not matter.
    """
    if not isinstance(benchmark, Benchmark):
        check_type("benchmark", benchmark, str, "a Benchmark or the name of a benchmark")
        benchmark = find_benchmark(benchmark)
    selection = select_images(benchmark, root, options)
    loaded = None if options.predictions is not None else resolve_model(model, options)
    return plan_scores(
        selection,
        model=model,
        loaded=loaded,
        benchmark_name=benchmark.name,
        root=root,
        options=options,
        scores=scores,
    )


def plan_scores(
    selection: Selection,
    *,
    model: AnyModel,
    loaded: Model | None,
    benchmark_name: str,
    root: str | Path | None,
    options: EvaluateOptions,
    cache_all_outputs: bool = False,
    scores: bool = True,
) -> EvaluationPlan:
    """Plan the predictions and scores of selected images.

    ``loaded`` is the loaded model, or None with ``options.predictions``. ``model``,
    ``benchmark_name`` and ``root`` are what the user gave, for the recorded command. With
    ``cache_all_outputs``, all that the model predicts is cached, for later benchmarks of a suite.
    With ``scores=False``, the images are only predicted, so that missing truth does not matter.
    """
    benchmark, image_root = selection.benchmark, selection.dataset.request.root
    given_name = model_name(model)
    processes = process_count(len(selection.ids), options.workers or cores())

    cached_model: CachedModel | None = None
    warnings: tuple[str, ...] = ()
    early_warnings: tuple[str, ...] = ()
    if options.predictions is None:
        assert loaded is not None, "callers load the model if there are no predictions"
        model_to_cache = mirrored(loaded, options)
        folder = choose_results_folder(
            options.output, benchmark, model_to_cache.made_by, image_root
        )
        cache = find_cache(
            folder / PREDICTIONS, model_to_cache, selection, cache_all_outputs=cache_all_outputs
        )
        # A mirrored image is predicted too, so each image counts as two paid calls.
        predicts_twice = options.flip or options.compares_mirror_image
        ask_consent = partial(agree_to_calls, loaded, flip=predicts_twice, yes=options.yes)
        cached_model = CachedModel(model=model_to_cache, cache=cache, ask_consent=ask_consent)
        predictions: Predictions = cache
    else:
        predictions = find_predictions(given_name, selection, options)
        folder = choose_results_folder(options.output, benchmark, predictions.made_by, image_root)
        instead = Text("a model, but you gave ", OptionName("predictions"))
        unused = [
            Note(Text("only applies to ", instead), option=name)
            for name in changed_options(options, _MODEL_OPTIONS)
        ]
        early_warnings = warnings_before_scoring(predictions, selection, options.requested_crop)
        warnings = (*unused, *early_warnings, *unmatched_files(predictions))

    kind = predictions.kind
    alignment = None
    if benchmark.task in ALIGNED_TASKS and kind is not None:
        alignment = alignment_for_kind(benchmark, kind)
    missing_truth = _check_truth(selection, processes) if scores else ()
    check_folder(folder)
    return EvaluationPlan(
        selection=selection,
        folder=folder,
        predictions=predictions,
        cached_model=cached_model,
        alignment=alignment,
        processes=processes,
        command=options.command_line(given_name, benchmark_name, root),
        option_words=options.words_by_option(given_name, benchmark_name, root),
        warnings=warnings,
        early_warnings=early_warnings,
        missing_truth=missing_truth,
    )


def process_count(num_images: int, max_processes: int) -> int:
    """Number of scoring processes: one for every 60 images, but at least 1."""
    return max(1, min(max_processes, num_images // IMAGES_PER_PROCESS))


_DEPTH = "ground-truth depth"
_NORMALS = "ground-truth normals"
_SCENE = "scene"
_VALID_PIXEL = "pixel with ground-truth depth"


def _check_truth(selection: Selection, processes: int) -> tuple[str, ...]:
    """Check that a few images have the truth to score, and that the memory suffices for scores.

    Returns:
        Warnings about truth that some of the images lack.
    """
    truths = _sample_truths(selection)
    warnings = _missing_truth_warnings(selection, truths)
    shapes = [truth.depth.shape for truth in truths if truth.depth is not None]
    if selection.benchmark.task is Task.DEPTH and shapes:
        check_memory_for_scores(max(shapes, key=math.prod), processes)
    return warnings


def _sample_truths(selection: Selection) -> list[Truth]:
    """Read the truth of a few images, evenly spread, without broken files."""
    max_images = min(_MAX_CHECKED_IMAGES, max(2, len(selection.ids) // 10))
    truths: list[Truth] = []
    for image_id in evenly_spread(selection.ids, max_images):
        # A broken file is reported when it is scored.
        with suppress(RilievoError, OSError):
            truths.append(selection.dataset.truth(image_id))
    return truths


def _missing_truth_warnings(selection: Selection, truths: Sequence[Truth]) -> tuple[str, ...]:
    """Warnings about truth that the benchmark needs and that some of the images lack.

    Raises:
        OptionError: If all of them lack normals.
        InputError: If all of them lack something else that the benchmark needs.
    """
    benchmark = selection.benchmark
    missing_by_id: dict[str, str] = {}
    for truth in truths:
        missing = _missing_truth_part(truth, benchmark)
        if missing is not None:
            missing_by_id[truth.id] = missing

    # One image without a valid pixel does not mean that the others have none.
    all_lack_it = len(missing_by_id) == len(truths) and _VALID_PIXEL not in missing_by_id.values()
    if missing_by_id and all_lack_it:
        _raise_missing_truth(selection, truths, missing_by_id[truths[0].id])

    image_counts = Counter(sorted(missing_by_id.values()))
    return tuple(
        f"rilievo found no {missing}, which the benchmark '{benchmark.name}' needs, in {count} of "
        f"the {len(truths)} images that it checked; such images get no score"
        for missing, count in image_counts.items()
    )


def _missing_truth_part(truth: Truth, benchmark: Benchmark) -> str | None:
    """Name the truth that the benchmark needs and an image lacks; None if nothing is missing."""
    if benchmark.task is Task.NORMALS and truth.normals is None:
        return _NORMALS
    if benchmark.task in (Task.DEPTH, Task.PICTURE, Task.POINTS):
        if truth.depth is None or truth.depth_valid is None:
            return _DEPTH
        if not truth.depth_valid.any():
            return _VALID_PIXEL
    if needs_scenes(benchmark) and truth.scene is None:
        return _SCENE
    return None


def _raise_missing_truth(selection: Selection, truths: Sequence[Truth], missing: str) -> NoReturn:
    """Raise the error for a dataset whose images all lack what the benchmark needs."""
    benchmark = selection.benchmark
    if missing == _NORMALS:
        raise OptionError(
            f"the dataset '{selection.dataset.card.name}' has no ground-truth normals, which the "
            f"benchmark '{benchmark.name}' scores"
        )
    if missing == _SCENE:
        require_scene(truths[0], benchmark)
    raise InputError(
        f"none of the {len(truths)} images that rilievo checked has {missing}, which the benchmark "
        f"'{benchmark.name}' scores; the first of these images is '{truths[0].id}'"
    )
