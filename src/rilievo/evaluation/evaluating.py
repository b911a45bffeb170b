"""Evaluate a model, or predictions, on a dataset under a benchmark."""

import time
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path

from rilievo.data.datasets.check_download import read_facts
from rilievo.errors import InputError, OptionError
from rilievo.evaluation.benchmarks.benchmark import (
    Benchmark,
    Task,
    benchmark_sha256,
    settings_of,
)
from rilievo.evaluation.evaluate_options import EvaluateOptions
from rilievo.evaluation.evaluation_report import write_results
from rilievo.evaluation.plan import Plan, make_plan
from rilievo.evaluation.predictions.cache import Cache
from rilievo.evaluation.predictions.sources import (
    AnyModel,
    Fill,
    fill,
    fill_cache,
    missing,
)
from rilievo.evaluation.records import Evaluation, Unscored
from rilievo.evaluation.results.evaluation_folder import replacing_results
from rilievo.evaluation.results.summaries import Tallied, exact_values, remarks
from rilievo.evaluation.scoring.pool import ScoreJob, needs_scenes, score_all, with_scenes
from rilievo.evaluation.scoring.report_pictures import ReportPictures
from rilievo.evaluation.stored_predictions import Source
from rilievo.frozen import frozen
from rilievo.io.depth_numbers import NumberReading
from rilievo.io.files.limits import printable
from rilievo.messages import at, template
from rilievo.other_libraries import answered
from rilievo.predicting.summary import Tally
from rilievo.prediction_record import Setting
from rilievo.version import VERSION

_DEEP = (Task.DEPTH, Task.PICTURE, Task.POINTS, Task.STABILITY)


@frozen
class PredictedPart:
    """Predictions of some of a benchmark's images."""

    folder: Path
    images: int
    failed: tuple[Unscored, ...]


@answered
def evaluate(
    model: AnyModel,
    benchmark: Benchmark | str,
    root: str | Path | None = None,
    options: EvaluateOptions | None = None,
    *,
    show: bool = True,
    filling: Fill = fill,
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
    plan = make_plan(model, benchmark, root, options or EvaluateOptions())
    return score_plan(plan, show=show, filling=filling)


def score_plan(plan: Plan, *, show: bool = True, filling: Fill = fill) -> Evaluation:
    """Predict, score and write results as a plan says."""
    start = time.perf_counter()
    source = _fill_source(plan, show=show, filling=filling)
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
    filling: Fill = fill,
) -> PredictedPart:
    """Predict the images of a benchmark whose id ``takes`` accepts."""
    if options.predictions is not None:
        raise OptionError(
            option="predictions", problem="are made already, so no part of them is left to predict"
        )
    plan = make_plan(model, benchmark, root, options, scores=False)
    ids = tuple(id for id in plan.selection.ids if takes(id))
    plan = replace(plan, selection=replace(plan.selection, ids=ids))
    source = _fill_source(plan, show=show, filling=filling)
    return PredictedPart(folder=plan.folder, images=len(ids), failed=source.failed)


def _fill_source(plan: Plan, *, show: bool, filling: Fill) -> Source:
    """Source, once its cache has all predictions."""
    source, model = plan.source, plan.model
    if model is None:
        return source
    assert isinstance(source.predictions, Cache), "what a model predicts goes into a cache"
    wanted, broken = missing(source.predictions, plan.selection.ids)
    plan.agree(len(wanted))
    failed = fill_cache(
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
) -> tuple[Tallied, tuple[Unscored, ...], ScoreJob]:
    selection = plan.selection
    unscored = [Unscored(id=outcome.id, reason=outcome.reason) for outcome in selection.absent]
    unscored += source.failed
    lost = {outcome.id for outcome in source.failed}
    ids = [id for id in selection.ids if id not in lost]
    job = ScoreJob(
        benchmark=selection.benchmark, dataset=selection.dataset, predictions=source.predictions
    )
    if needs_scenes(job.benchmark):
        job, ids = with_scenes(job, ids)
    tallied = Tallied(benchmark=selection.benchmark)
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
            problem=template(unscored[0].reason),
        )
    return tallied, tuple(unscored), job


def _evaluation_record(
    plan: Plan,
    source: Source,
    job: ScoreJob,
    tallied: Tallied,
    unscored: tuple[Unscored, ...],
    *,
    seconds: float,
) -> Evaluation:
    selection, kind = plan.selection, source.predictions.kind
    benchmark = selection.benchmark
    reading = (
        read_facts(selection.dataset, selection.ids) if benchmark.task in _DEEP else NumberReading()
    )
    words: Mapping[str, Setting] = {
        "title": benchmark.title,
        "reproduces": benchmark.reproduces,
        "hides": benchmark.hides,
    }
    return Evaluation(
        benchmark=benchmark.name,
        benchmark_sha256=benchmark_sha256(benchmark),
        settings={**words, **settings_of(benchmark)},
        task=benchmark.task.value,
        made_by=source.predictions.made_by,
        kind=None if kind is None or benchmark.task in (Task.NORMALS, Task.CAMERA) else kind.value,
        alignment=None if plan.method is None else str(plan.method),
        data=replace(selection.facts, numbers=reading.facts, read_as=reading.line),
        summaries=tallied.summaries(exact_values(job, tallied)),
        parts=tallied.parts,
        ranges=tallied.ranges,
        sparsification=tallied.sparsification,
        reliability=tallied.reliability,
        scores=tuple(tallied.scores),
        unscored=unscored,
        warnings=(*source.warnings, *reading.doubts, *remarks(selection, tallied, unscored)),
        command=plan.command,
        asked=plan.asked,
        version=VERSION,
        seconds=seconds,
    )
