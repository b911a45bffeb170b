"""Evaluation of a model or predictions: its plan, then its run.

All that can be refused is refused by the plan, before the first prediction.
"""

import math
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, replace
from functools import partial
from itertools import groupby
from pathlib import Path

from rilievo.alignment import AlignMethod
from rilievo.alignment.point_fit import PointFit
from rilievo.data.datasets.check_download import join_number_readings
from rilievo.data.datasets.loaders import evenly_spread
from rilievo.errors import InputError, OptionError, RilievoError
from rilievo.errors.argument_types import check_type
from rilievo.errors.messages import OptionName, Text, at
from rilievo.evaluation.benchmarks import find_benchmark
from rilievo.evaluation.benchmarks.benchmark import (
    Benchmark,
    Task,
    benchmark_settings,
    benchmark_sha256,
)
from rilievo.evaluation.evaluation_folder import refuse_other_results, replacing_results, run_folder
from rilievo.evaluation.evaluation_report import write_results
from rilievo.evaluation.options import EvaluateOptions
from rilievo.evaluation.predictions.sources import (
    PREDICTIONS,
    AnyModel,
    Fill,
    PredictionCache,
    begin_cache,
    fill_cache_with_progress,
    find_cache,
    find_predictions,
    model_name,
    predict_into_cache,
)
from rilievo.evaluation.records import Evaluation, Unscored
from rilievo.evaluation.scoring.metres import FITTED, alignment_for_kind
from rilievo.evaluation.scoring.pool import (
    ScoreJob,
    add_scenes,
    check_memory_of_scores,
    needs_scenes,
    require_scene,
    score_all,
)
from rilievo.evaluation.scoring.report_pictures import ReportPictures
from rilievo.evaluation.selection import Selection, select_images
from rilievo.evaluation.stored_predictions import Source
from rilievo.evaluation.summaries import ScoreTally, evaluation_remarks, exact_pooled_median
from rilievo.io.depth_numbers import NumberReading
from rilievo.io.files.atomic import check_folder
from rilievo.io.files.machine import cores
from rilievo.io.files.names import printable
from rilievo.models.base import Model
from rilievo.models.refinement.refine import mirrored
from rilievo.models.requests import register_function
from rilievo.predicting.run import agree_to_calls
from rilievo.predicting.summary import Tally
from rilievo.records.prediction_record import Setting
from rilievo.records.sample import Truth
from rilievo.version import VERSION

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
        refuse_other_results(folder, benchmark, made_by, root)
    kind = source.predictions.kind
    method = alignment_for_kind(benchmark, kind) if benchmark.task in FITTED and kind else None
    if scores:
        warnings = _missing_truth_warnings(selection, count)
        source = replace(source, warnings=(*source.warnings, *warnings))
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


_DEEP = (Task.DEPTH, Task.PICTURE, Task.POINTS, Task.STABILITY)


@dataclass(frozen=True, slots=True, kw_only=True)
class PredictedPart:
    """Predictions of some of a benchmark's images."""

    folder: Path
    images: int
    failed: tuple[Unscored, ...]


def evaluate(
    model: AnyModel,
    benchmark: Benchmark | str,
    root: str | Path | None = None,
    options: EvaluateOptions | None = None,
    *,
    show: bool = True,
    filling: Fill = predict_into_cache,
) -> Evaluation:
    """Score a model on a benchmark, and write results, tables and a report into a folder.

    The result is what ``evaluation.json`` holds. An evaluation that was stopped goes on. A script
    calls
    this below ``if __name__ == "__main__"``, since scoring starts processes.

    >>> options = rilievo.EvaluateOptions(dataset="folder", output="scores")
    >>> rilievo.evaluate("rilievo/small", "depth", "rooms", options, show=False).benchmark
    'depth'

    Args:
        model: A name in ``MODELS``, a file, a model loaded before, or a function of your own
            (``rilievo.model``). With ``options.predictions``, None or a name for the results.
        benchmark: A name in ``BENCHMARKS``, ``package.module:NAME``, or the record itself.
        root: Folder of the dataset; None for one that is generated.
        options: All else.
        show: Whether to show progress.
        filling: Predicts what is not kept yet.

    Raises:
        OptionError: If names are unknown or options do not go together.
        InputError: If the root is not the dataset, or no image can be scored.
        OutputError: If the folder cannot be written or holds other results.
    """
    options = EvaluateOptions() if options is None else options
    check_type("options", options, EvaluateOptions, "an EvaluateOptions")
    plan = make_plan(model, benchmark, root, options)
    return score_plan(plan, show=show, filling=filling)


def score_plan(plan: Plan, *, show: bool = True, filling: Fill = predict_into_cache) -> Evaluation:
    """Predict, score and write results as a plan says."""
    start = time.perf_counter()
    source = _predict_missing(plan, show=show, filling=filling)
    tallied, unscored, job = _score_images(plan, source, show=show)
    seconds = time.perf_counter() - start
    evaluation = _evaluation_record(plan, source, job, tallied, unscored, seconds=seconds)
    shown = ReportPictures(
        benchmark=job.benchmark,
        dataset=job.dataset,
        predictions=job.predictions,
        fit_of=job.fit_of,
    )
    with replacing_results(plan.folder) as files:
        return write_results(evaluation, files, shown)


def predict_part(
    model: AnyModel,
    benchmark: Benchmark | str,
    root: str | Path | None,
    options: EvaluateOptions,
    *,
    takes: Callable[[str], bool],
    show: bool = True,
    filling: Fill = predict_into_cache,
) -> PredictedPart:
    """Predict the images of a benchmark whose id ``takes`` accepts."""
    if options.predictions is not None:
        raise OptionError(
            option="predictions", problem="are made already, so no part of them is left to predict"
        )
    plan = make_plan(model, benchmark, root, options, scores=False)
    ids = tuple(id for id in plan.selection.ids if takes(id))
    plan = replace(plan, selection=replace(plan.selection, ids=ids))
    source = _predict_missing(plan, show=show, filling=filling)
    return PredictedPart(folder=plan.folder, images=len(ids), failed=source.failed)


def _predict_missing(plan: Plan, *, show: bool, filling: Fill) -> Source:
    """Source with a full cache; a source of files is unchanged."""
    source, model = plan.source, plan.model
    if model is None:
        return source
    assert isinstance(source.predictions, PredictionCache), (
        "what a model predicts goes into a cache"
    )
    wanted, broken = begin_cache(source.predictions, plan.selection.ids)
    plan.agree(len(wanted))
    failed = fill_cache_with_progress(
        source.predictions,
        model,
        plan.selection,
        wanted,
        notes=(*source.warnings, *map(source.predictions.note_on_broken, broken)),
        show=show,
        filling=filling,
    )
    anew = (f"{len(broken)} kept predictions were broken and made anew",) if broken else ()
    return replace(source, failed=tuple(failed), warnings=(*source.warnings, *anew))


def _score_images(
    plan: Plan, source: Source, *, show: bool
) -> tuple[ScoreTally, tuple[Unscored, ...], ScoreJob]:
    selection = plan.selection
    unscored = [Unscored(id=outcome.id, reason=outcome.reason) for outcome in selection.absent]
    unscored += source.failed
    lost = {outcome.id for outcome in source.failed}
    ids = [id for id in selection.ids if id not in lost]
    job = ScoreJob(
        benchmark=selection.benchmark, dataset=selection.dataset, predictions=source.predictions
    )
    if needs_scenes(job.benchmark):
        job, ids = add_scenes(job, ids)
    tallied = ScoreTally(benchmark=selection.benchmark)
    with Tally(output=plan.folder, total=len(ids), show=show) as tally:
        tally.part("score")
        for outcome in score_all(job, ids, processes=plan.processes):
            if isinstance(outcome, Unscored):
                unscored.append(outcome)
                tally.failed(at(printable(outcome.id), outcome.reason))
            else:
                tallied.add(outcome)
                tally.done()
    if not tallied.scores:
        raise InputError(
            f"none of the {len(unscored)} images could be scored; the first, {unscored[0].id}:",
            problem=Text(unscored[0].reason),
        )
    return tallied, tuple(unscored), job


def _evaluation_record(
    plan: Plan,
    source: Source,
    job: ScoreJob,
    tallied: ScoreTally,
    unscored: tuple[Unscored, ...],
    *,
    seconds: float,
) -> Evaluation:
    selection, kind = plan.selection, source.predictions.kind
    benchmark = selection.benchmark
    reading = (
        join_number_readings(selection.dataset, selection.ids)
        if benchmark.task in _DEEP
        else NumberReading()
    )
    words: Mapping[str, Setting] = {
        "title": benchmark.title,
        "reproduces": benchmark.reproduces,
        "hides": benchmark.hides,
    }
    return Evaluation(
        benchmark=benchmark.name,
        benchmark_sha256=benchmark_sha256(benchmark),
        settings={**words, **benchmark_settings(benchmark)},
        task=benchmark.task.value,
        made_by=source.predictions.made_by,
        kind=None if kind is None or benchmark.task in (Task.NORMALS, Task.CAMERA) else kind.value,
        alignment=None if plan.method is None else str(plan.method),
        data=replace(selection.facts, numbers=reading.facts, read_as=reading.summary_line),
        summaries=tallied.summaries(exact_pooled_median(job, tallied)),
        parts=tallied.parts,
        ranges=tallied.ranges,
        sparsification=tallied.sparsification,
        reliability=tallied.reliability,
        scores=tuple(tallied.scores),
        unscored=unscored,
        warnings=(
            *source.warnings,
            *reading.doubts,
            *evaluation_remarks(selection, tallied, unscored),
        ),
        command=plan.command,
        asked=plan.asked,
        version=VERSION,
        seconds=seconds,
    )
