"""Plan of an evaluation, which refuses all that can be refused before the first prediction."""

import math
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from itertools import groupby
from pathlib import Path

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
from rilievo.evaluation.scoring.metres import FITTED, alignment_for_kind
from rilievo.evaluation.scoring.pool import check_memory_of_scores
from rilievo.evaluation.scoring.scenes import needs_scenes, require_scene
from rilievo.evaluation.selection import Selection, select_images
from rilievo.evaluation.stored_predictions import Source
from rilievo.io.files.atomic import check_folder
from rilievo.io.files.machine import cores
from rilievo.models.base import Model
from rilievo.models.refinement.refine import mirrored
from rilievo.models.requests import register_function
from rilievo.predicting.consent import agree_to_calls
from rilievo.records.sample import Truth

# A process that scores takes about a second to start.
PER_PROCESS = 60

# Most images whose truth is read before anything is predicted.
_LOOKED_AT = 8


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """Images, predictions, model, alignment and folder of an evaluation.

    Attributes:
        model: None where all predictions are files.
        agree: Asks for consent to paid calls.
        missing_truth: Sentences on truth that some of the images lack, for the time before
            anything is predicted; the results have a remark on every image without a score.
    """

    selection: Selection
    folder: Path
    source: Source
    model: Model | None
    agree: Callable[[int], None]
    method: AlignMethod | PointFit | str | None
    processes: int
    command: str
    asked: Mapping[str, tuple[str, ...]]
    missing_truth: tuple[str, ...] = ()


def load_unless_loaded(model: AnyModel, options: EvaluateOptions) -> Model:
    """Load a model by its name; a loaded one comes back."""
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
    return options.load(model if isinstance(model, str | Path) else register_function(model))


def make_plan(
    model: AnyModel,
    benchmark: Benchmark | str,
    root: str | Path | None,
    options: EvaluateOptions,
    *,
    scores: bool = True,
) -> Plan:
    """Plan an evaluation, with the arguments and errors of ``evaluate``."""
    if isinstance(benchmark, Benchmark):
        chosen = benchmark
    else:
        check_type("benchmark", benchmark, str, "a Benchmark or the name of one")
        chosen = find_benchmark(benchmark)
    selection = select_images(chosen, root, options)
    loaded = None if options.predictions is not None else load_unless_loaded(model, options)
    return plan_scores(
        selection,
        model=model,
        loaded=loaded,
        dataset=(chosen.name, root),
        options=options,
        scores=scores,
    )


def plan_scores(
    selection: Selection,
    *,
    model: AnyModel,
    loaded: Model | None,
    dataset: tuple[str, str | Path | None],
    options: EvaluateOptions,
    is_whole: bool = False,
    scores: bool = True,
) -> Plan:
    """Plan predictions and scores of selected images.

    With ``is_whole`` all is cached that the model predicts.
    """
    benchmark = selection.benchmark
    name, root = model_name(model), selection.dataset.request.root
    words = options.words_by_option(name, *dataset)
    count = process_count(len(selection.ids), options.workers or cores())
    if options.predictions is None:
        assert loaded is not None, "what predicts is loaded before"
        predictor = mirrored(loaded, options)
        folder = run_folder(options.output, predictor.card.name, benchmark.name)
        finish_results(folder)
        refuse_other_results(folder, benchmark, predictor.made_by, root)
        cache = find_cache(folder / PREDICTIONS, predictor, selection, is_whole=is_whole)
        source = Source(predictions=cache)
        twice = options.flip or options.mirrors
        agree = partial(agree_to_calls, loaded, flip=twice, yes=options.yes)
    else:
        predictor, agree = None, _ask_no_consent
        source = find_predictions(name, selection, options, words=words)
        made_by = source.predictions.made_by
        folder = run_folder(options.output, made_by.model, benchmark.name)
        finish_results(folder)
        refuse_other_results(folder, benchmark, made_by, root)
    kind = source.predictions.kind
    method = alignment_for_kind(benchmark, kind) if benchmark.task in FITTED and kind else None
    missing_truth = _missing_truth_warnings(selection, count) if scores else ()
    check_folder(folder)
    return Plan(
        selection=selection,
        folder=folder,
        source=source,
        model=predictor,
        agree=agree,
        method=method,
        processes=count,
        command=options.command_line(name, *dataset),
        asked=words,
        missing_truth=missing_truth,
    )


def _ask_no_consent(photographs: int) -> None:
    """Do nothing: files are free."""


def process_count(images: int, workers: int) -> int:
    """Number of processes: one per 60 images, at most ``workers``."""
    return max(1, min(workers, images // PER_PROCESS))


def _missing_truth_warnings(selection: Selection, count: int) -> tuple[str, ...]:
    """Warnings where some of a sample lack truth; raises where all do."""
    # What only some of the images lack is a warning; a broken file has its own reason later.
    benchmark, dataset = selection.benchmark, selection.dataset
    truths: list[Truth] = []
    most = min(_LOOKED_AT, max(2, len(selection.ids) // 10))
    for id in evenly_spread(selection.ids, most):
        with suppress(RilievoError, OSError):
            truths.append(dataset.truth(id))
    lacking = {
        truth.id: what for truth in truths if (what := _missing_truth_part(truth, benchmark))
    }
    # An image without a known pixel says nothing of the others.
    if lacking and len(lacking) == len(truths) and _PIXEL not in lacking.values():
        what = lacking[truths[0].id]
        if what == _NORMALS:
            raise OptionError(
                f"the dataset '{dataset.card.name}' has no true normals, which the benchmark "
                f"'{benchmark.name}' scores"
            )
        if what == _SCENE:
            require_scene(truths[0], benchmark)
        raise InputError(
            f"none of {len(truths)} images that were looked at has {what}, which the benchmark "
            f"'{benchmark.name}' scores; the first is {truths[0].id}"
        )
    shapes = [truth.depth.shape for truth in truths if truth.depth is not None]
    if benchmark.task is Task.DEPTH and shapes:
        check_memory_of_scores(max(shapes, key=math.prod), count)
    return tuple(
        f"{len([*same])} of {len(truths)} images that were looked at have no {what}, which the "
        f"benchmark '{benchmark.name}' needs: they have no score"
        for what, same in groupby(sorted(lacking.values()))
    )


_DEPTH, _NORMALS, _SCENE, _PIXEL = "true depth", "true normals", "scene", "pixel of known depth"


def _missing_truth_part(truth: Truth, benchmark: Benchmark) -> str:
    """Name of what is missing, or ""."""
    if benchmark.task is Task.NORMALS and truth.normals is None:
        return _NORMALS
    if benchmark.task in (Task.DEPTH, Task.PICTURE, Task.POINTS):
        if truth.depth is None or truth.depth_valid is None:
            return _DEPTH
        if not truth.depth_valid.any():
            return _PIXEL
    return _SCENE if needs_scenes(benchmark) and truth.scene is None else ""
