"""Evaluate a model or stored predictions: plan, predict, score, summarise and write."""

import time
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

from rilievo.cli.streams import print_to_stderr
from rilievo.data.datasets.joined_interpretation import join_interpretations
from rilievo.errors import InputError, OptionError, check_type
from rilievo.errors.messages import Text, count_text, for_terminal, note_about
from rilievo.evaluation.benchmarks.benchmark import (
    Benchmark,
    Task,
    benchmark_settings,
    benchmark_sha256,
)
from rilievo.evaluation.evaluation_folder import replacing_results
from rilievo.evaluation.evaluation_plan import CachedModel, EvaluationPlan, make_plan
from rilievo.evaluation.evaluation_report import write_results
from rilievo.evaluation.metrics.normals import pooled_median
from rilievo.evaluation.options import EvaluateOptions
from rilievo.evaluation.predictions.prediction_cache import (
    AnyModel,
    CacheFiller,
    open_cache,
    predict_into_cache,
)
from rilievo.evaluation.records import Evaluation, Summary, Unscored
from rilievo.evaluation.scoring.orientation import settle_orientation_notes
from rilievo.evaluation.scoring.pool import score_all
from rilievo.evaluation.scoring.report_pictures import ReportPictures
from rilievo.evaluation.scoring.score import ScoreWithSums
from rilievo.evaluation.scoring.score_job import make_score_job
from rilievo.evaluation.selection import Selection
from rilievo.evaluation.summaries import (
    ScoreAccumulator,
    evaluation_remarks,
    mask_reason,
    pools_median_angle,
)
from rilievo.io.depth.interpretation import DepthInterpretation
from rilievo.io.files.names import printable
from rilievo.predicting.summary import Tally
from rilievo.records.prediction_record import Setting
from rilievo.version import VERSION

_MAX_SHOWN_PER_REASON = 3
"""Most images without a score for one reason that the progress display names."""
_TASKS_WITH_TRUE_DEPTH = (Task.DEPTH, Task.PICTURE, Task.POINTS, Task.STABILITY)


@dataclass(frozen=True, slots=True, kw_only=True)
class PredictedPart:
    """Result of predicting one part of a benchmark's images, into a folder that parts share."""

    folder: Path
    image_count: int
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

    The result is what ``evaluation.json`` holds. An evaluation that was stopped is resumed. In a
    script, call it below ``if __name__ == "__main__"``, because scoring starts processes.

    Examples:
        >>> options = rilievo.EvaluateOptions(dataset="folder", output="scores")
        >>> rilievo.evaluate("rilievo/small", "depth", "rooms", options, show=False).benchmark
        'depth'

    Args:
        model: A name in ``MODELS``, a file, a model loaded before, or a function of your own
            (``rilievo.model``). With ``options.predictions``, None or a name for the results.
        benchmark: A name in ``BENCHMARKS``, ``package.module:NAME``, or a ``Benchmark``.
        root: Folder of the dataset; None for a synthetic one.
        options: All other settings.
        show: Whether to show progress.
        fill_cache: Function that predicts the images that are not in the cache yet.

    Raises:
        OptionError: If names are unknown or options conflict.
        InputError: If the root is not the dataset, or no image can be scored.
        OutputError: If the folder cannot be written or holds other results.
    """
    options = EvaluateOptions() if options is None else options
    check_type("options", options, EvaluateOptions, "an EvaluateOptions")
    plan = make_plan(model, benchmark, root, options)
    return score_plan(plan, show=show, fill_cache=fill_cache)


def score_plan(
    plan: EvaluationPlan,
    *,
    show: bool = True,
    fill_cache: CacheFiller = predict_into_cache,
    shown_warnings: set[str] | None = None,
) -> Evaluation:
    """Predict images that have no prediction yet, score all, and write the results of a plan.

    Warnings in ``shown_warnings`` are not shown again, and those that are shown are added. They are
    in the results anyway.
    """
    start = time.perf_counter()
    selection, predictions = plan.selection, plan.predictions
    true_depth = DepthInterpretation()
    if selection.benchmark.task in _TASKS_WITH_TRUE_DEPTH:
        true_depth = join_interpretations(selection.dataset, selection.ids)
    if show:
        # Before anything is predicted or scored, so that wrong numbers cost no time.
        shown_warnings = set() if shown_warnings is None else shown_warnings
        for warning in (*true_depth.warnings, *plan.early_warnings):
            if warning not in shown_warnings:
                print_to_stderr(f"warning: {for_terminal(warning)}")
                shown_warnings.add(warning)

    absent = [Unscored(id=image.id, reason=image.reason) for image in selection.absent]
    accumulator = ScoreAccumulator(benchmark=selection.benchmark, unscored=absent)
    warnings = list(plan.warnings)
    if plan.cached_model is not None:
        failed, cache_warnings = _predict_missing(
            plan.cached_model, selection, plan.missing_truth, show=show, fill_cache=fill_cache
        )
        accumulator.unscored += failed
        warnings += cache_warnings

    unscored_ids = {image.id for image in accumulator.unscored}
    ids = [image_id for image_id in selection.ids if image_id not in unscored_ids]
    job, ids = make_score_job(selection.benchmark, selection.dataset, predictions, ids)
    with Tally(output=plan.folder, total=len(ids), show=show) as tally:
        tally.part("score")
        _add_scores(accumulator, score_all(job.score, ids, processes=plan.processes), tally)
    if not accumulator.scores:
        raise _nothing_scored_error(accumulator.unscored)
    accumulator.scores = settle_orientation_notes(accumulator.scores)
    seconds = time.perf_counter() - start

    warnings += [*true_depth.warnings, *evaluation_remarks(selection, accumulator)]
    exact_pooled: dict[str, float] = {}
    if pools_median_angle(selection.benchmark):
        # Sums of the images give the median only approximately, so all angles are read again.
        scored_ids = [score.id for score in accumulator.scores]
        exact_pooled["median"] = pooled_median(partial(job.angles, scored_ids))
    summaries = accumulator.summaries(exact_pooled)
    evaluation = _evaluation_record(plan, true_depth, accumulator, summaries, warnings, seconds)
    pictures = ReportPictures(
        benchmark=selection.benchmark,
        dataset=selection.dataset,
        predictions=predictions,
        scene_fits=job.scene_fits,
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
    """Predict the images of a benchmark whose ids ``is_in_part`` accepts, without scoring them."""
    if options.predictions is not None:
        raise OptionError(
            option="predictions",
            problem="names predictions that exist already, so there is no part left to predict; "
            "leave it out",
        )
    plan = make_plan(model, benchmark, root, options, scores=False)
    assert plan.cached_model is not None, "without options.predictions, a model predicts"
    ids = tuple(image_id for image_id in plan.selection.ids if is_in_part(image_id))
    selection = replace(plan.selection, ids=ids)
    failed, _ = _predict_missing(
        plan.cached_model, selection, plan.missing_truth, show=show, fill_cache=fill_cache
    )
    return PredictedPart(folder=plan.folder, image_count=len(ids), failed=tuple(failed))


def _predict_missing(
    cached_model: CachedModel,
    selection: Selection,
    notes: Sequence[str],
    *,
    show: bool,
    fill_cache: CacheFiller,
) -> tuple[Sequence[Unscored], list[str]]:
    """Predict the images that the cache lacks, after a display of ``notes``.

    Returns:
        The images that could not be predicted, and warnings about damaged files of the cache.
    """
    cache = cached_model.cache
    cache = open_cache(cache.folder, cache.fingerprint, selection.ids)
    absent_ids, broken_ids = cache.missing(selection.ids)
    unpredicted_ids = {*absent_ids, *broken_ids}
    ids = [image_id for image_id in selection.ids if image_id in unpredicted_ids]
    cached_model.ask_consent(len(ids))
    with Tally(output=cache.folder, total=len(ids), show=show) as tally:
        for note in notes:
            tally.say(note)
        for image_id in broken_ids:
            tally.say(f"{cache.file_path(image_id)}: is damaged, so rilievo predicts it again")
        crop = selection.benchmark.input_crop
        failed = fill_cache(cache, cached_model.model, selection.dataset, crop, ids, tally)
    warnings = []
    if broken_ids:
        warnings.append(
            f"rilievo predicted {count_text(len(broken_ids), 'image')} again, because the cached "
            "predictions were damaged"
        )
    return failed, warnings


def _add_scores(
    accumulator: ScoreAccumulator, results: Iterable[ScoreWithSums | Unscored], tally: Tally
) -> None:
    """Collect the scores of images, and count them in the progress display.

    The display names the first images without a score for each reason. The results name all.
    """
    reason_counts: Counter[str] = Counter()
    for result in results:
        if not isinstance(result, Unscored):
            accumulator.add(result)
            tally.done()
            continue
        accumulator.unscored.append(result)
        reason = mask_reason(result)
        reason_counts[reason] += 1
        is_shown = reason_counts[reason] <= _MAX_SHOWN_PER_REASON
        message = note_about(printable(result.id), result.reason)
        tally.failed(message, shared_reason="" if is_shown else reason)
        if reason_counts[reason] == _MAX_SHOWN_PER_REASON + 1:
            tally.say("more images have no score for this reason; the results list them")


def _nothing_scored_error(unscored: Sequence[Unscored]) -> InputError:
    """Error for an evaluation in which no image has a score, with the reason for the first one."""
    first = unscored[0]
    beginning = f"the only image, {first.id}, could not be scored:"
    if len(unscored) > 1:
        beginning = (
            f"none of the {len(unscored)} images could be scored; the reason for the first one, "
            f"{first.id}:"
        )
    return InputError(beginning, problem=Text(first.reason))


def _evaluation_record(
    plan: EvaluationPlan,
    true_depth: DepthInterpretation,
    accumulator: ScoreAccumulator,
    summaries: tuple[Summary, ...],
    warnings: Sequence[str],
    seconds: float,
) -> Evaluation:
    """Record for ``evaluation.json``: what the plan fixed, and the scores with their summaries."""
    selection, predictions = plan.selection, plan.predictions
    benchmark = selection.benchmark
    descriptions: Mapping[str, Setting] = {
        "title": benchmark.title,
        "reproduces": benchmark.reproduces,
        "hides": benchmark.hides,
    }
    scores_depth = benchmark.task not in (Task.NORMALS, Task.CAMERA)
    return Evaluation(
        benchmark=benchmark.name,
        benchmark_sha256=benchmark_sha256(benchmark),
        settings={**descriptions, **benchmark_settings(benchmark)},
        task=benchmark.task.value,
        made_by=predictions.made_by,
        kind=predictions.kind.value if predictions.kind is not None and scores_depth else None,
        alignment=None if plan.alignment is None else str(plan.alignment),
        data=replace(
            selection.scored_data, numbers=true_depth.properties, read_as=true_depth.summary_line
        ),
        summaries=summaries,
        parts=accumulator.parts,
        ranges=accumulator.ranges,
        sparsification=accumulator.sparsification,
        reliability=accumulator.reliability,
        scores=tuple(accumulator.scores),
        unscored=tuple(accumulator.unscored),
        warnings=tuple(warnings),
        command=plan.command,
        asked=plan.option_words,
        version=VERSION,
        seconds=seconds,
    )
