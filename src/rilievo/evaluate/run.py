"""Evaluate a model, or a folder of predictions, on a dataset under a benchmark."""

import os
import time
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from jaxtyping import Float64

from rilievo.alignment import AlignMethod
from rilievo.errors import InputError, OptionError
from rilievo.evaluate.answers import Answers
from rilievo.evaluate.benchmark import (
    Averaging,
    Benchmark,
    Task,
    benchmark_sha256,
    settings_of,
)
from rilievo.evaluate.benchmarks import find_benchmark
from rilievo.evaluate.cache import Cache
from rilievo.evaluate.folder import check_results, run_folder, write_results
from rilievo.evaluate.metres import MILLIMETRES, method_for
from rilievo.evaluate.options import EvaluateOptions
from rilievo.evaluate.plan import Plan, command_line, make_plan
from rilievo.evaluate.pool import ScoreJob, score_all
from rilievo.evaluate.predicting import fill, fingerprint_of
from rilievo.evaluate.records import Evaluation, Unscored
from rilievo.evaluate.scoring import angles
from rilievo.evaluate.shown import Shown
from rilievo.evaluate.sources import find_predictions, open_run_cache
from rilievo.evaluate.summaries import Tallied
from rilievo.metrics.normals import pooled_median
from rilievo.models import load_model
from rilievo.models.base import Model
from rilievo.pipeline.run import refined
from rilievo.pipeline.summary import Tally
from rilievo.types import Setting
from rilievo.version import VERSION


@dataclass(frozen=True, slots=True, kw_only=True)
class _Source:
    """Predictions to be scored, and what went wrong on the way to them."""

    answers: Answers
    failed: tuple[Unscored, ...] = ()
    warnings: tuple[str, ...] = ()


def evaluate(
    model: Model | str | Path | None,
    benchmark: Benchmark | str,
    root: str | Path,
    options: EvaluateOptions | None = None,
    *,
    show: bool = True,
) -> Evaluation:
    """Score a model on a benchmark, and write results, tables and a report into a folder.

    Predictions are kept there, so that an evaluation that was stopped goes on where it was, and
    one that is repeated scores anew without the model. A script that calls this keeps the call
    below ``if __name__ == "__main__"``, since scoring starts further processes.

    Args:
        model: A name in ``MODELS``, a file, or a model loaded before. With
            ``options.predictions``, None, or the name that their rows are to have.
        benchmark: A name in ``BENCHMARKS``, ``package.module:NAME``, or the record itself.
        root: Where the dataset is on disk.
        options: All else.
        show: Whether to show progress on standard error.

    Returns:
        What ``evaluation.json`` holds. Images without a score are in ``unscored``, with reasons.

    Raises:
        OptionError: If names are unknown or options do not go together.
        InputError: If the root is not the dataset, or no image at all can be scored.
        OutputError: If the folder cannot be written or holds other results.
    """
    options = options or EvaluateOptions()
    chosen = benchmark if isinstance(benchmark, Benchmark) else find_benchmark(benchmark)
    plan = make_plan(chosen, root, options)
    start = time.perf_counter()
    if options.predictions is not None:
        label = None if model is None else str(model)
        source = _given(label, plan, options)
        folder = run_folder(options.output, source.answers.made_by.model, plan.benchmark.name)
        check_results(folder, plan.benchmark, source.answers.made_by)
    else:
        loaded = _loaded(model, options)
        folder = run_folder(options.output, loaded.card.name, plan.benchmark.name)
        check_results(folder, plan.benchmark, loaded.made_by)
        source = _predicted(loaded, plan, folder, show=show)
        start = time.perf_counter()
    _refuse_other_kinds(plan.benchmark, source.answers)
    tallied, unscored = _scored(plan, source, folder, options, show=show)
    evaluation = _evaluation(
        plan,
        source,
        tallied,
        unscored,
        command=command_line(_name(model), chosen.name, root, options),
        seconds=time.perf_counter() - start,
    )
    shown = Shown(benchmark=plan.benchmark, dataset=plan.dataset, answers=source.answers)
    return write_results(evaluation, folder, shown)


def _name(model: Model | str | Path | None) -> str | None:
    if isinstance(model, Model):
        return model.card.name
    return None if model is None else str(model)


def _loaded(model: Model | str | Path | None, options: EvaluateOptions) -> Model:
    if model is None:
        raise OptionError("give a model to predict with, or a folder of --predictions to score")
    if not isinstance(model, Model):
        model = load_model(
            model,
            device=options.device,
            engine=options.engine,
            precision=options.precision,
            threads=options.threads,
        )
    return refined(model, flip=options.flip, tile=None)


def _given(label: str | None, plan: Plan, options: EvaluateOptions) -> _Source:
    found = find_predictions(label, plan, options)
    return _Source(answers=found.answers, warnings=found.warnings)


def _predicted(model: Model, plan: Plan, folder: Path, *, show: bool) -> _Source:
    """Predictions of the model, those that an earlier run kept among them."""
    fingerprint = fingerprint_of(model, plan.benchmark)
    if plan.benchmark.task is Task.DEPTH:
        assert fingerprint.kind is not None, "a model that predicts depth says its kind"
        method_for(plan.benchmark, fingerprint.kind)
    cache: Cache = open_run_cache(folder, fingerprint, plan.ids)
    absent, broken = cache.missing(plan.ids)
    todo = {*absent, *broken}
    with Tally(output=folder, total=len(todo), show=show) as tally:
        for id in broken:
            tally.say(f"{cache.path_of(id)}: broken, so it is predicted anew")
        wanted = [id for id in plan.ids if id in todo]
        failed = fill(cache, model, plan.dataset, plan.benchmark.input_crop, wanted, tally)
    warnings = (f"{len(broken)} kept predictions were broken and made anew",) if broken else ()
    return _Source(answers=cache, failed=tuple(failed), warnings=warnings)


def _refuse_other_kinds(benchmark: Benchmark, answers: Answers) -> None:
    if benchmark.task is Task.DEPTH and answers.kind is not None:
        method_for(benchmark, answers.kind)


def _scored(
    plan: Plan, source: _Source, folder: Path, options: EvaluateOptions, *, show: bool
) -> tuple[Tallied, tuple[Unscored, ...]]:
    """Every image of the selection, with its score or without."""
    unscored = [Unscored(id=each.id, reason=each.reason) for each in plan.absent]
    unscored += source.failed
    lost = {each.id for each in source.failed}
    ids = [id for id in plan.ids if id not in lost]
    job = ScoreJob(benchmark=plan.benchmark, dataset=plan.dataset, answers=source.answers)
    tallied = Tallied(benchmark=plan.benchmark)
    with Tally(output=folder, total=len(ids), show=show) as tally:
        tally.part("score")
        for each in score_all(job, ids, workers=options.workers or _cores()):
            if isinstance(each, Unscored):
                unscored.append(each)
                tally.failed(f"{each.id}: {each.reason}")
            else:
                tallied.add(each)
                tally.done()
    if not tallied.scores:
        raise InputError(
            f"none of the {len(unscored)} images could be scored; the first, "
            f"{unscored[0].id}: {unscored[0].reason}"
        )
    return tallied, tuple(unscored)


def _evaluation(
    plan: Plan,
    source: _Source,
    tallied: Tallied,
    unscored: tuple[Unscored, ...],
    *,
    command: str,
    seconds: float,
) -> Evaluation:
    benchmark, kind = plan.benchmark, source.answers.kind
    method: AlignMethod | None = None
    if benchmark.task is Task.DEPTH and kind is not None:
        method = method_for(benchmark, kind)
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
        made_by=source.answers.made_by,
        kind=None if kind is None or benchmark.task is Task.NORMALS else kind.value,
        alignment=None if method is None else method.value,
        data=plan.facts,
        summaries=tallied.summaries(_exact(plan, source, tallied)),
        ranges=tallied.ranges,
        scores=tuple(tallied.scores),
        unscored=unscored,
        warnings=(*source.warnings, *_warnings(plan, tallied, unscored)),
        command=command,
        version=VERSION,
        seconds=seconds,
    )


def _exact(plan: Plan, source: _Source, tallied: Tallied) -> dict[str, float]:
    """The median angle of all pixels, where it is what the benchmark quotes: two more readings."""
    benchmark = plan.benchmark
    pooled = benchmark.averaging is Averaging.POOLED and "median" in benchmark.metrics
    if benchmark.task is not Task.NORMALS or not pooled:
        return {}
    scored = [score.id for score in tallied.scores]

    def each() -> Iterator[Float64[np.ndarray, "n"]]:
        for id in scored:
            yield angles(benchmark, source.answers.read(id), plan.dataset.truth(id))

    return {"median": pooled_median(each)}


def _warnings(plan: Plan, tallied: Tallied, unscored: Iterable[Unscored]) -> Iterator[str]:
    facts, count = plan.facts, len(tallied.scores)
    if facts.official is not None and facts.found != facts.official:
        yield f"papers score {facts.official} images of this split; {facts.found} were found"
    if facts.asked > count:
        yield f"{count} of {facts.asked} images have a score; the others are listed with reasons"
    far = sum(MILLIMETRES in score.notes for score in tallied.scores)
    if far:
        yield f"{far} images: {MILLIMETRES}"


def _cores() -> int:
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
