"""Evaluate a model, or a folder of predictions, on a dataset under a benchmark."""

import time
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path

from rilievo.alignment import AlignMethod
from rilievo.alignment.point_fit import PointFit
from rilievo.cores import cores
from rilievo.data.datasets.check_download import read_facts
from rilievo.errors import InputError, OptionError
from rilievo.evaluation.benchmarks import find_benchmark
from rilievo.evaluation.benchmarks.benchmark import (
    Benchmark,
    Task,
    benchmark_sha256,
    settings_of,
)
from rilievo.evaluation.evaluate_options import EvaluateOptions
from rilievo.evaluation.predictions.given import find_predictions
from rilievo.evaluation.predictions.predicting import (
    AnyModel,
    Fill,
    fill,
    load_model_of,
    predicted,
)
from rilievo.evaluation.records import Evaluation, Unscored
from rilievo.evaluation.reports.results_writing import write_results
from rilievo.evaluation.results.evaluation_folder import check_results
from rilievo.evaluation.results.summaries import Tallied, exact_values, remarks
from rilievo.evaluation.scoring.metres import FITTED, method_for, refuse_other_kinds
from rilievo.evaluation.scoring.pool import ScoreJob, check_memory_of_scores, score_all
from rilievo.evaluation.scoring.report_pictures import ReportPictures
from rilievo.evaluation.scoring.scenes import with_scenes
from rilievo.evaluation.selection import Selection, select_images
from rilievo.evaluation.stored_predictions import Source
from rilievo.foreign_names import answered
from rilievo.frozen import frozen
from rilievo.io.files.limits import printable
from rilievo.io.outside.depth_numbers import NumberReading
from rilievo.messages import at, template
from rilievo.models.base import Model
from rilievo.models.functions.given_functions import name_of
from rilievo.predicting.summary import Tally
from rilievo.types import Setting
from rilievo.version import VERSION

_DEEP = (Task.DEPTH, Task.PICTURE, Task.POINTS, Task.STABILITY)
"""Tasks that read true depth."""


@frozen
class PredictedPart:
    """Predictions of a part of a benchmark's images.

    Attributes:
        folder: Folder of the evaluation; scores are added later.
        images: Number of images of the part.
        failed: Those that could not be predicted.
    """

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

    Predictions are kept there, so that an evaluation that was stopped goes on where it was. A
    script calls this below ``if __name__ == "__main__"``, since scoring starts processes.

    Args:
        model: A name in ``MODELS``, a file, a model loaded before, or a function of your own
            (``rilievo.model``). With
            ``options.predictions``, None, or the name that their rows are to have.
        benchmark: A name in ``BENCHMARKS``, ``package.module:NAME``, or the record itself.
        root: Folder of the dataset on disk; None for one that is generated.
        options: All else.
        show: Whether to show progress on standard error.
        filling: Predicts what is not kept yet; in this process, unless another way is given.

    Returns:
        Content of ``evaluation.json``. Images without a score are in ``unscored``, with reasons.

    Raises:
        OptionError: If names are unknown or options do not go together.
        InputError: If the root is not the dataset, or no image at all can be scored.
        OutputError: If the folder cannot be written or holds other results.
    """
    options = options or EvaluateOptions()
    chosen = benchmark if isinstance(benchmark, Benchmark) else find_benchmark(benchmark)
    selection = select_images(chosen, root, options)
    return score_plan(
        selection,
        options,
        name=model_name(model),
        load=lambda: load_model_of(model, options),
        command=options.command_line(model_name(model), chosen.name, root),
        asked=options.asked(model_name(model), chosen.name, root),
        show=show,
        filling=filling,
    )


def model_name(model: AnyModel) -> str | None:
    """The user's name of the model; None where there is none."""
    if isinstance(model, Model):
        return model.card.name
    if model is None or isinstance(model, str | Path):
        return None if model is None else str(model)
    return name_of(model)


def score_plan(
    selection: Selection,
    options: EvaluateOptions,
    *,
    name: str | None,
    load: Callable[[], Model],
    command: str,
    asked: Mapping[str, tuple[str, ...]],
    show: bool = True,
    filling: Fill = fill,
    is_whole: bool = False,
) -> Evaluation:
    """Do what a plan says: ``evaluate``, once everything is settled.

    ``load`` makes the model ready, and is called only where there are no predictions; ``name`` is
    the user's name of the model or of the predictions, ``command`` the one that repeats it,
    ``asked`` its words; ``is_whole`` tells whether all is kept that the model predicts.
    """
    start = time.perf_counter()
    check_memory_of_scores(selection, options.workers or cores())
    if options.predictions is None:
        source = predicted(
            load(), selection, options, show=show, filling=filling, is_whole=is_whole
        )
    else:
        source = find_predictions(name, selection, options)
        made_by = source.predictions.made_by
        check_results(source.folder, selection.benchmark, made_by, selection.dataset.request.root)
        refuse_other_kinds(selection.benchmark, source.predictions.kind)
    tallied, unscored, job = _scored(selection, source, options, show=show)
    seconds = time.perf_counter() - start
    evaluation = _evaluation(selection, source, tallied, unscored, command=command, seconds=seconds)
    evaluation = replace(evaluation, asked=asked)
    shown = ReportPictures(
        benchmark=selection.benchmark,
        dataset=selection.dataset,
        predictions=source.predictions,
        fit_of=job.fit_of,
    )
    return write_results(evaluation, source.folder, shown)


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
    """Predict those of a benchmark's images that ``takes`` an id, to be scored by ``evaluate``.

    All else is as for ``evaluate``.
    """
    if options.predictions is not None:
        raise OptionError(
            option="predictions", problem="are made already, so no part of them is left to predict"
        )
    chosen = benchmark if isinstance(benchmark, Benchmark) else find_benchmark(benchmark)
    whole = select_images(chosen, root, options)
    selection = replace(whole, ids=tuple(id for id in whole.ids if takes(id)))
    source = predicted(
        load_model_of(model, options), selection, options, show=show, filling=filling
    )
    return PredictedPart(folder=source.folder, images=len(selection.ids), failed=source.failed)


def _scored(
    selection: Selection, source: Source, options: EvaluateOptions, *, show: bool
) -> tuple[Tallied, tuple[Unscored, ...], ScoreJob]:
    """Every image of the selection, with its score or without."""
    unscored = [Unscored(id=outcome.id, reason=outcome.reason) for outcome in selection.absent]
    unscored += source.failed
    lost = {outcome.id for outcome in source.failed}
    ids = [id for id in selection.ids if id not in lost]
    job = ScoreJob(
        benchmark=selection.benchmark, dataset=selection.dataset, predictions=source.predictions
    )
    if job.needs_scenes:
        job, ids = with_scenes(job, ids)
    tallied = Tallied(benchmark=selection.benchmark)
    with Tally(output=source.folder, total=len(ids), show=show) as tally:
        tally.part("score")
        for outcome in score_all(job, ids, workers=options.workers or cores()):
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


def _evaluation(
    selection: Selection,
    source: Source,
    tallied: Tallied,
    unscored: tuple[Unscored, ...],
    *,
    command: str,
    seconds: float,
) -> Evaluation:
    """The record of what was scored."""
    benchmark, kind = selection.benchmark, source.predictions.kind
    method: AlignMethod | PointFit | str | None = None
    if benchmark.task in FITTED and kind is not None:
        method = method_for(benchmark, kind)
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
        alignment=None if method is None else str(method),
        data=replace(selection.facts, numbers=reading.facts, read_as=reading.line),
        summaries=tallied.summaries(exact_values(selection, source.predictions, tallied)),
        parts=tallied.parts,
        ranges=tallied.ranges,
        sparsification=tallied.sparsification,
        reliability=tallied.reliability,
        scores=tuple(tallied.scores),
        unscored=unscored,
        warnings=(*source.warnings, *reading.doubts, *remarks(selection, tallied, unscored)),
        command=command,
        version=VERSION,
        seconds=seconds,
    )
