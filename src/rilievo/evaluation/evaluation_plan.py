"""Plan an evaluation, and refuse what cannot work before the first image is predicted."""

import math
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import NoReturn

from rilievo.alignment import AlignMethod
from rilievo.alignment.point_fit import PointFit
from rilievo.data.datasets.dataset import evenly_spread
from rilievo.errors import InputError, OptionError, RilievoError
from rilievo.errors.argument_types import check_type
from rilievo.errors.messages import OptionName, Text
from rilievo.evaluation.benchmarks import find_benchmark
from rilievo.evaluation.benchmarks.benchmark import Benchmark, Task
from rilievo.evaluation.evaluation_folder import (
    finish_results,
    refuse_other_results,
    run_folder,
)
from rilievo.evaluation.options import EvaluateOptions
from rilievo.evaluation.predictions.prediction_cache import AnyModel, find_cache, model_name
from rilievo.evaluation.predictions.sources import PREDICTIONS, find_predictions
from rilievo.evaluation.scoring.comparable_depth import ALIGNED_TASKS, alignment_for_kind
from rilievo.evaluation.scoring.pool import check_memory_of_scores
from rilievo.evaluation.scoring.scenes import needs_scenes, require_scene
from rilievo.evaluation.selection import Selection, select_images
from rilievo.evaluation.stored_predictions import PredictionSource
from rilievo.io.files.atomic import check_folder
from rilievo.io.files.machine import cores
from rilievo.models.base import Model
from rilievo.models.refinement.refine import mirrored
from rilievo.models.requests import register_function
from rilievo.predicting.consent import agree_to_calls
from rilievo.records.prediction_record import MadeBy
from rilievo.records.sample import Truth

IMAGES_PER_PROCESS = 60
"""Fewest images for which another scoring process pays; one takes about a second to start."""
_MAX_CHECKED_IMAGES = 8
"""Most images whose ground truth is read before anything is predicted."""


@dataclass(frozen=True, slots=True, kw_only=True)
class EvaluationPlan:
    """What an evaluation predicts and scores, how, and where the results go.

    Attributes:
        model: Model to predict with; None where all predictions come from files.
        ask_consent: Function that asks the user to agree to so many paid predictions.
        method: Alignment of the predicted depth; None where the benchmark aligns nothing.
        processes: Number of processes that score.
        command: Command line that repeats the evaluation.
        option_words: The same options as words, by option name.
        missing_truth: Warnings about truth that some images lack, to be shown before predicting.
            The results have a remark on every image without a score.
    """

    selection: Selection
    folder: Path
    source: PredictionSource
    model: Model | None
    ask_consent: Callable[[int], None]
    method: AlignMethod | PointFit | str | None
    processes: int
    command: str
    option_words: Mapping[str, tuple[str, ...]]
    missing_truth: tuple[str, ...] = ()


def resolve_model(model: AnyModel, options: EvaluateOptions) -> Model:
    """Load a model by its name or file; a model that is loaded already is returned.

    Raises:
        OptionError: If there is no model, or an option is only for a model given by name.
    """
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
            raise OptionError("kind and settings are for a model by its name; this one is loaded")
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
        check_type("benchmark", benchmark, str, "a Benchmark or the name of one")
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

    Args:
        selection: Images and benchmark.
        model: What the user gave, for the recorded command.
        loaded: The loaded model; None with ``options.predictions``.
        benchmark_name: Name of the benchmark in the recorded command.
        root: Folder of the dataset in the recorded command.
        options: All options of the evaluation.
        cache_all_outputs: Whether to cache everything that the model predicts, for benchmarks that
            follow, and not only what this benchmark scores.
        scores: Whether the images are scored, so that missing truth is looked for.
    """
    benchmark = selection.benchmark
    name = model_name(model)
    option_words = options.words_by_option(name, benchmark_name, root)
    processes = process_count(len(selection.ids), options.workers or cores())

    if options.predictions is None:
        assert loaded is not None, "what predicts is loaded before"
        predictor = mirrored(loaded, options)
        folder = _results_folder(selection, predictor.card.name, predictor.made_by, options)
        cache = find_cache(
            folder / PREDICTIONS, predictor, selection, cache_all_outputs=cache_all_outputs
        )
        source = PredictionSource(predictions=cache)
        predicts_twice = options.flip or options.mirrors
        ask_consent = partial(agree_to_calls, loaded, flip=predicts_twice, yes=options.yes)
    else:
        predictor, ask_consent = None, _ask_no_consent
        source = find_predictions(name, selection, options, option_names=option_words)
        made_by = source.predictions.made_by
        folder = _results_folder(selection, made_by.model, made_by, options)

    kind = source.predictions.kind
    method = None
    if benchmark.task in ALIGNED_TASKS and kind is not None:
        method = alignment_for_kind(benchmark, kind)
    missing_truth = _missing_truth_warnings(selection, processes) if scores else ()
    check_folder(folder)
    return EvaluationPlan(
        selection=selection,
        folder=folder,
        source=source,
        model=predictor,
        ask_consent=ask_consent,
        method=method,
        processes=processes,
        command=options.command_line(name, benchmark_name, root),
        option_words=option_words,
        missing_truth=missing_truth,
    )


def _results_folder(
    selection: Selection, model: str, made_by: MadeBy, options: EvaluateOptions
) -> Path:
    """Folder for the results, which may hold earlier results of the same evaluation only."""
    benchmark = selection.benchmark
    folder = run_folder(options.output, model, benchmark.name)
    finish_results(folder)
    refuse_other_results(folder, benchmark, made_by, selection.dataset.request.root)
    return folder


def _ask_no_consent(images: int) -> None:
    """Do nothing, because predictions from files cost nothing."""


def process_count(images: int, workers: int) -> int:
    """Number of scoring processes: one for every 60 images, at least 1, at most ``workers``."""
    return max(1, min(workers, images // IMAGES_PER_PROCESS))


_DEPTH = "true depth"
_NORMALS = "true normals"
_SCENE = "scene"
_VALID_PIXEL = "pixel of known depth"


def _missing_truth_warnings(selection: Selection, processes: int) -> tuple[str, ...]:
    """Read the truth of a few images, and warn about what the benchmark misses in some of them."""
    benchmark, dataset = selection.benchmark, selection.dataset
    max_images = min(_MAX_CHECKED_IMAGES, max(2, len(selection.ids) // 10))
    truths: list[Truth] = []
    for id in evenly_spread(selection.ids, max_images):
        # A broken file is reported when it is scored.
        with suppress(RilievoError, OSError):
            truths.append(dataset.truth(id))

    missing_by_id: dict[str, str] = {}
    for truth in truths:
        missing = _missing_truth_part(truth, benchmark)
        if missing is not None:
            missing_by_id[truth.id] = missing

    # That an image has no valid pixel tells nothing about the other images.
    all_lack_it = len(missing_by_id) == len(truths) and _VALID_PIXEL not in missing_by_id.values()
    if missing_by_id and all_lack_it:
        _refuse_missing_truth(selection, truths, missing_by_id[truths[0].id])

    shapes = [truth.depth.shape for truth in truths if truth.depth is not None]
    if benchmark.task is Task.DEPTH and shapes:
        check_memory_of_scores(max(shapes, key=math.prod), processes)

    counts = Counter(sorted(missing_by_id.values()))
    return tuple(
        f"{count} of {len(truths)} images that were looked at have no {part}, which the "
        f"benchmark '{benchmark.name}' needs: they have no score"
        for part, count in counts.items()
    )


def _missing_truth_part(truth: Truth, benchmark: Benchmark) -> str | None:
    """What an image lacks that the benchmark needs, in words; None if it has everything."""
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


def _refuse_missing_truth(selection: Selection, truths: Sequence[Truth], missing: str) -> NoReturn:
    """Raise the error for a dataset whose images all lack what the benchmark needs."""
    benchmark = selection.benchmark
    if missing == _NORMALS:
        raise OptionError(
            f"the dataset '{selection.dataset.card.name}' has no true normals, which the benchmark "
            f"'{benchmark.name}' scores"
        )
    if missing == _SCENE:
        require_scene(truths[0], benchmark)
    raise InputError(
        f"none of {len(truths)} images that were looked at has {missing}, which the benchmark "
        f"'{benchmark.name}' scores; the first is {truths[0].id}"
    )
