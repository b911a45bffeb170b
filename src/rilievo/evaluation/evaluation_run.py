"""Evaluate a model or stored predictions: plan, predict, score, summarise and write."""

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from rilievo.cli.streams import complain
from rilievo.data.datasets.joined_interpretation import join_interpretations
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
from rilievo.evaluation.evaluation_plan import EvaluationPlan, make_plan
from rilievo.evaluation.evaluation_report import write_results
from rilievo.evaluation.options import EvaluateOptions
from rilievo.evaluation.predictions.prediction_cache import (
    AnyModel,
    CacheFiller,
    PredictionCache,
    begin_cache,
    fill_cache_with_progress,
    predict_into_cache,
)
from rilievo.evaluation.records import Evaluation, Unscored
from rilievo.evaluation.scoring.pool import ScoreJob, score_all
from rilievo.evaluation.scoring.report_pictures import ReportPictures
from rilievo.evaluation.scoring.scenes import add_scenes, needs_scenes
from rilievo.evaluation.stored_predictions import PredictionSource
from rilievo.evaluation.summaries import (
    ScoreAccumulator,
    evaluation_remarks,
    exact_pooled_median,
)
from rilievo.io.depth.interpretation import DepthInterpretation
from rilievo.io.files.names import printable
from rilievo.predicting.summary import Tally
from rilievo.records.prediction_record import Setting
from rilievo.version import VERSION

_TASKS_WITH_TRUE_DEPTH = (Task.DEPTH, Task.PICTURE, Task.POINTS, Task.STABILITY)


@dataclass(frozen=True, slots=True, kw_only=True)
class PredictedPart:
    """Result of predicting one part of a benchmark's images, without scores.

    Attributes:
        folder: Folder of the evaluation, which other parts share.
        images: Number of images in this part.
        failed: Images that could not be predicted.
    """

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
    fill_cache: CacheFiller = predict_into_cache,
) -> Evaluation:
    """Score a model on a benchmark, and write results, tables and a report into a folder.

    The result is what ``evaluation.json`` holds. An evaluation that was stopped is resumed. A
    script calls this below ``if __name__ == "__main__"``, because scoring starts processes.

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
        fill_cache: Function that predicts the images that are not in the cache yet.

    Raises:
        OptionError: If names are unknown or options do not go together.
        InputError: If the root is not the dataset, or no image can be scored.
        OutputError: If the folder cannot be written or holds other results.
    """
    options = EvaluateOptions() if options is None else options
    check_type("options", options, EvaluateOptions, "an EvaluateOptions")
    plan = make_plan(model, benchmark, root, options)
    return score_plan(plan, show=show, fill_cache=fill_cache)


def score_plan(
    plan: EvaluationPlan, *, show: bool = True, fill_cache: CacheFiller = predict_into_cache
) -> Evaluation:
    """Predict what is missing, score every image, and write the results to the plan's folder."""
    start = time.perf_counter()
    truth_reading = _read_truth_numbers(plan)
    if show:
        # Before anything is predicted or scored, so that wrong numbers cost no time.
        for warning in (*truth_reading.warnings, *plan.source.early_warnings):
            complain(f"warning: {for_terminal(warning)}")

    source = _predict_missing(plan, show=show, fill_cache=fill_cache)
    scored = _score_images(plan, source, show=show)
    seconds = time.perf_counter() - start

    evaluation = _evaluation_record(plan, source, scored, truth_reading, seconds)
    pictures = ReportPictures(
        benchmark=scored.job.benchmark,
        dataset=scored.job.dataset,
        predictions=scored.job.predictions,
        fit_of=scored.job.fit_of,
    )
    with replacing_results(plan.folder) as files:
        return write_results(evaluation, files, pictures)


def predict_part(
    model: AnyModel,
    benchmark: Benchmark | str,
    root: str | Path | None,
    options: EvaluateOptions,
    *,
    is_in_part: Callable[[str], bool],
    show: bool = True,
    fill_cache: CacheFiller = predict_into_cache,
) -> PredictedPart:
    """Predict those images of a benchmark whose id ``is_in_part`` accepts, and score none."""
    if options.predictions is not None:
        raise OptionError(
            option="predictions", problem="are made already, so no part of them is left to predict"
        )
    plan = make_plan(model, benchmark, root, options, scores=False)
    ids = tuple(id for id in plan.selection.ids if is_in_part(id))
    plan = replace(plan, selection=replace(plan.selection, ids=ids))
    source = _predict_missing(plan, show=show, fill_cache=fill_cache)
    return PredictedPart(folder=plan.folder, images=len(ids), failed=source.failed)


def _read_truth_numbers(plan: EvaluationPlan) -> DepthInterpretation:
    """How the files of true depth are read; empty for a benchmark without true depth."""
    selection = plan.selection
    if selection.benchmark.task not in _TASKS_WITH_TRUE_DEPTH:
        return DepthInterpretation()
    return join_interpretations(selection.dataset, selection.ids)


def _predict_missing(
    plan: EvaluationPlan, *, show: bool, fill_cache: CacheFiller
) -> PredictionSource:
    """Predict the images that the cache lacks; predictions from files are returned unchanged."""
    source, model = plan.source, plan.model
    if model is None:
        return source
    cache = source.predictions
    assert isinstance(cache, PredictionCache), "what a model predicts goes into a cache"

    missing_ids, broken_ids = begin_cache(cache, plan.selection.ids)
    plan.ask_consent(len(missing_ids))
    broken_notes = map(cache.note_on_broken, broken_ids)
    failed = fill_cache_with_progress(
        cache,
        model,
        plan.selection,
        missing_ids,
        notes=(*source.warnings, *plan.missing_truth, *broken_notes),
        show=show,
        fill_cache=fill_cache,
    )
    warnings = list(source.warnings)
    if broken_ids:
        warnings.append(f"{len(broken_ids)} kept predictions were broken and made anew")
    return replace(source, failed=tuple(failed), warnings=tuple(warnings))


@dataclass(frozen=True, slots=True, kw_only=True)
class _ScoredImages:
    """Scores of all images, those without a score, and the job that scored them."""

    accumulator: ScoreAccumulator
    unscored: tuple[Unscored, ...]
    job: ScoreJob


def _score_images(plan: EvaluationPlan, source: PredictionSource, *, show: bool) -> _ScoredImages:
    """Score every image that has a prediction."""
    selection = plan.selection
    unscored = [Unscored(id=image.id, reason=image.reason) for image in selection.absent]
    unscored += source.failed
    failed_ids = {image.id for image in source.failed}
    ids = [id for id in selection.ids if id not in failed_ids]

    job = ScoreJob(
        benchmark=selection.benchmark, dataset=selection.dataset, predictions=source.predictions
    )
    if needs_scenes(job.benchmark):
        job, ids = add_scenes(job, ids)

    accumulator = ScoreAccumulator(benchmark=selection.benchmark)
    with Tally(output=plan.folder, total=len(ids), show=show) as tally:
        tally.part("score")
        for result in score_all(job, ids, processes=plan.processes):
            if isinstance(result, Unscored):
                unscored.append(result)
                tally.failed(note_about(printable(result.id), result.reason))
            else:
                accumulator.add(result)
                tally.done()
    if not accumulator.scores:
        raise InputError(
            f"none of the {len(unscored)} images could be scored; the first, {unscored[0].id}:",
            problem=Text(unscored[0].reason),
        )
    return _ScoredImages(accumulator=accumulator, unscored=tuple(unscored), job=job)


def _evaluation_record(
    plan: EvaluationPlan,
    source: PredictionSource,
    scored: _ScoredImages,
    truth_reading: DepthInterpretation,
    seconds: float,
) -> Evaluation:
    selection, accumulator = plan.selection, scored.accumulator
    benchmark = selection.benchmark
    descriptions: Mapping[str, Setting] = {
        "title": benchmark.title,
        "reproduces": benchmark.reproduces,
        "hides": benchmark.hides,
    }
    kind = source.predictions.kind
    scores_depth = benchmark.task not in (Task.NORMALS, Task.CAMERA)
    return Evaluation(
        benchmark=benchmark.name,
        benchmark_sha256=benchmark_sha256(benchmark),
        settings={**descriptions, **benchmark_settings(benchmark)},
        task=benchmark.task.value,
        made_by=source.predictions.made_by,
        kind=kind.value if kind is not None and scores_depth else None,
        alignment=None if plan.method is None else str(plan.method),
        data=replace(
            selection.scored_data,
            numbers=truth_reading.properties,
            read_as=truth_reading.summary_line,
        ),
        summaries=accumulator.summaries(exact_pooled_median(scored.job, accumulator)),
        parts=accumulator.parts,
        ranges=accumulator.ranges,
        sparsification=accumulator.sparsification,
        reliability=accumulator.reliability,
        scores=tuple(accumulator.scores),
        unscored=scored.unscored,
        warnings=(
            *source.warnings,
            *truth_reading.warnings,
            *evaluation_remarks(selection, accumulator, scored.unscored),
        ),
        command=plan.command,
        asked=plan.option_words,
        version=VERSION,
        seconds=seconds,
    )
