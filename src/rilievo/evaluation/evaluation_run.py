"""Evaluation of a model or predictions."""

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from rilievo.cli.streams import complain
from rilievo.data.datasets.check_download import join_number_readings
from rilievo.errors import InputError, OptionError
from rilievo.errors.argument_types import check_type
from rilievo.errors.messages import Text, for_terminal, note_about
from rilievo.evaluation.benchmarks.benchmark import (
    Benchmark,
    Task,
    benchmark_settings,
    benchmark_sha256,
)
from rilievo.evaluation.evaluation_folder import replacing_results
from rilievo.evaluation.evaluation_plan import Plan, make_plan
from rilievo.evaluation.evaluation_report import write_results
from rilievo.evaluation.options import EvaluateOptions
from rilievo.evaluation.predictions.prediction_cache import (
    AnyModel,
    Fill,
    PredictionCache,
    begin_cache,
    fill_cache_with_progress,
    predict_into_cache,
)
from rilievo.evaluation.records import Evaluation, Unscored
from rilievo.evaluation.scoring.pool import ScoreJob, score_all
from rilievo.evaluation.scoring.report_pictures import ReportPictures
from rilievo.evaluation.scoring.scenes import add_scenes, needs_scenes
from rilievo.evaluation.stored_predictions import Source
from rilievo.evaluation.summaries import ScoreTally, evaluation_remarks, exact_pooled_median
from rilievo.io.depth.interpretation import DepthInterpretation
from rilievo.io.files.names import printable
from rilievo.predicting.summary import Tally
from rilievo.records.prediction_record import Setting
from rilievo.version import VERSION

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

    Examples:
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
    reading = _read_numbers_of_truth(plan)
    if show:
        # Before anything is predicted or scored, so that wrong numbers cost no time.
        for doubt in (*reading.warnings, *plan.source.doubts):
            complain(f"warning: {for_terminal(doubt)}")
    source = _predict_missing(plan, show=show, filling=filling)
    tallied, unscored, job = _score_images(plan, source, show=show)
    seconds = time.perf_counter() - start
    evaluation = _evaluation_record(
        plan, source, job, tallied, unscored, reading=reading, seconds=seconds
    )
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
    broken_notes = map(source.predictions.note_on_broken, broken)
    failed = fill_cache_with_progress(
        source.predictions,
        model,
        plan.selection,
        wanted,
        notes=(*source.warnings, *plan.missing_truth, *broken_notes),
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
                tally.failed(note_about(printable(outcome.id), outcome.reason))
            else:
                tallied.add(outcome)
                tally.done()
    if not tallied.scores:
        raise InputError(
            f"none of the {len(unscored)} images could be scored; the first, {unscored[0].id}:",
            problem=Text(unscored[0].reason),
        )
    return tallied, tuple(unscored), job


def _read_numbers_of_truth(plan: Plan) -> DepthInterpretation:
    """How the numbers of true depth are read, and what they look like besides depth."""
    selection = plan.selection
    if selection.benchmark.task not in _DEEP:
        return DepthInterpretation()
    return join_number_readings(selection.dataset, selection.ids)


def _evaluation_record(
    plan: Plan,
    source: Source,
    job: ScoreJob,
    tallied: ScoreTally,
    unscored: tuple[Unscored, ...],
    *,
    reading: DepthInterpretation,
    seconds: float,
) -> Evaluation:
    selection, kind = plan.selection, source.predictions.kind
    benchmark = selection.benchmark
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
        data=replace(selection.facts, numbers=reading.properties, read_as=reading.summary_line),
        summaries=tallied.summaries(exact_pooled_median(job, tallied)),
        parts=tallied.parts,
        ranges=tallied.ranges,
        sparsification=tallied.sparsification,
        reliability=tallied.reliability,
        scores=tuple(tallied.scores),
        unscored=unscored,
        warnings=(
            *source.warnings,
            *reading.warnings,
            *evaluation_remarks(selection, tallied, unscored),
        ),
        command=plan.command,
        asked=plan.asked,
        version=VERSION,
        seconds=seconds,
    )
