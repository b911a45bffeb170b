"""Evaluate a model, or a folder of predictions, on a dataset under a benchmark."""

import os
import time
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from jaxtyping import Float64

from rilievo.alignment import AlignMethod
from rilievo.datasets.plausibility import TOO_FAR, TOO_NEAR
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
from rilievo.evaluate.metres import OTHER_UNIT, UNANSWERED, method_for
from rilievo.evaluate.options import EvaluateOptions
from rilievo.evaluate.plan import Plan, command_line, make_plan
from rilievo.evaluate.pool import ScoreJob, score_all
from rilievo.evaluate.predicting import fill, fingerprint_of, refuse_other_photographs
from rilievo.evaluate.records import Evaluation, Unscored
from rilievo.evaluate.scoring import angles
from rilievo.evaluate.shown import Shown
from rilievo.evaluate.sources import find_predictions, open_run_cache
from rilievo.evaluate.summaries import Tallied
from rilievo.io.limits import printable
from rilievo.metrics.normals import pooled_median
from rilievo.models import load_model
from rilievo.models.base import Model
from rilievo.pipeline.consent import agree_to_calls
from rilievo.pipeline.run import refined
from rilievo.pipeline.summary import Tally
from rilievo.types import DepthKind, Setting
from rilievo.version import VERSION


@dataclass(frozen=True, slots=True, kw_only=True)
class _Source:
    """Predictions to be scored, where results go, and what went wrong on the way."""

    answers: Answers
    folder: Path
    failed: tuple[Unscored, ...] = ()
    warnings: tuple[str, ...] = ()


def evaluate(
    model: Model | str | Path | None,
    benchmark: Benchmark | str,
    root: str | Path | None = None,
    options: EvaluateOptions | None = None,
    *,
    show: bool = True,
) -> Evaluation:
    """Score a model on a benchmark, and write results, tables and a report into a folder.

    Predictions are kept there, so that an evaluation that was stopped goes on where it was. A
    script calls this below ``if __name__ == "__main__"``, since scoring starts processes.

    Args:
        model: A name in ``MODELS``, a file, or a model loaded before. With
            ``options.predictions``, None, or the name that their rows are to have.
        benchmark: A name in ``BENCHMARKS``, ``package.module:NAME``, or the record itself.
        root: Where the dataset is on disk; None for one that makes itself.
        options: All else.
        show: Whether to show progress on standard error.

    Returns:
        What ``evaluation.json`` holds. Images without a score are in ``unscored``, with reasons.

    Raises:
        OptionError: If names are unknown or options do not go together.
        InputError: If the root is not the dataset, or no image at all can be scored.
        OutputError: If the folder cannot be written or holds other results.
    """
    start = time.perf_counter()
    options = options or EvaluateOptions()
    chosen = benchmark if isinstance(benchmark, Benchmark) else find_benchmark(benchmark)
    plan = make_plan(chosen, root, options)
    source = _source(model, plan, options, show=show)
    tallied, unscored = _scored(plan, source, options, show=show)
    command = command_line(_name(model), chosen.name, root, options)
    seconds = time.perf_counter() - start
    evaluation = _evaluation(plan, source, tallied, unscored, command=command, seconds=seconds)
    shown = Shown(benchmark=plan.benchmark, dataset=plan.dataset, answers=source.answers)
    return write_results(evaluation, source.folder, shown)


def _source(
    model: Model | str | Path | None, plan: Plan, options: EvaluateOptions, *, show: bool
) -> _Source:
    """Predictions: those that the user gives, or the model's."""
    benchmark = plan.benchmark
    if options.predictions is not None:
        found = find_predictions(_name(model), plan, options)
        made_by = found.answers.made_by
        folder = run_folder(options.output, made_by.model, benchmark.name)
        check_results(folder, benchmark, made_by, plan.dataset.request.root)
        _refuse_other_kinds(benchmark, found.answers.kind)
        return _Source(answers=found.answers, folder=folder, warnings=found.warnings)
    return _predicted(_loaded(model, options), plan, options, show=show)


def _name(model: Model | str | Path | None) -> str | None:
    if isinstance(model, Model):
        return model.card.name
    return None if model is None else str(model)


def _loaded(model: Model | str | Path | None, options: EvaluateOptions) -> Model:
    if model is None:
        raise OptionError("give a model to predict with, or a folder of --predictions to score")
    if isinstance(model, Model):
        if options.kind is not None or options.settings:
            raise OptionError("kind and settings are for a model by its name; this one is loaded")
        return model
    return load_model(
        model,
        kind=options.kind,
        device=options.device,
        engine=options.engine,
        precision=options.precision,
        threads=options.threads,
        settings=options.model_settings,
    )


def _predicted(loaded: Model, plan: Plan, options: EvaluateOptions, *, show: bool) -> _Source:
    """Predictions of the model, those that an earlier run kept among them."""
    model = refined(loaded, flip=options.flip, tile=None)
    folder = run_folder(options.output, model.card.name, plan.benchmark.name)
    check_results(folder, plan.benchmark, model.made_by, plan.dataset.request.root)
    fingerprint = fingerprint_of(model, plan.benchmark)
    _refuse_other_kinds(plan.benchmark, fingerprint.kind)
    cache: Cache = open_run_cache(folder, fingerprint, plan.ids)
    absent, broken = cache.missing(plan.ids)
    todo = {*absent, *broken}
    kept = [id for id in plan.ids if id not in todo]
    refuse_other_photographs(cache, plan.dataset, plan.benchmark.input_crop, kept)
    agree_to_calls(loaded, len(todo), flip=options.flip, yes=options.yes)
    with Tally(output=folder, total=len(todo), show=show) as tally:
        for id in broken:
            tally.say(f"{cache.path_of(id)}: broken, so it is predicted anew")
        wanted = [id for id in plan.ids if id in todo]
        failed = fill(cache, model, plan.dataset, plan.benchmark.input_crop, wanted, tally)
    warnings = (f"{len(broken)} kept predictions were broken and made anew",) if broken else ()
    return _Source(answers=cache, folder=folder, failed=tuple(failed), warnings=warnings)


def _refuse_other_kinds(benchmark: Benchmark, kind: DepthKind | None) -> None:
    """Before any work is done, rather than image by image."""
    if benchmark.task is Task.DEPTH and kind is not None:
        method_for(benchmark, kind)


def _scored(
    plan: Plan, source: _Source, options: EvaluateOptions, *, show: bool
) -> tuple[Tallied, tuple[Unscored, ...]]:
    """Every image of the selection, with its score or without."""
    unscored = [Unscored(id=each.id, reason=each.reason) for each in plan.absent]
    unscored += source.failed
    lost = {each.id for each in source.failed}
    ids = [id for id in plan.ids if id not in lost]
    job = ScoreJob(benchmark=plan.benchmark, dataset=plan.dataset, answers=source.answers)
    tallied = Tallied(benchmark=plan.benchmark)
    with Tally(output=source.folder, total=len(ids), show=show) as tally:
        tally.part("score")
        for each in score_all(job, ids, workers=options.workers or _cores()):
            if isinstance(each, Unscored):
                unscored.append(each)
                tally.failed(f"{printable(each.id)}: {each.reason}")
            else:
                tallied.add(each)
                tally.done()
    if not tallied.scores:
        raise InputError(
            f"none of the {len(unscored)} images could be scored; the first, "
            f"{printable(unscored[0].id)}: {unscored[0].reason}"
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
        yield f"the split has {facts.official} images in the papers; {facts.found} were found"
    passed = len(plan.dataset.absent) - len(plan.absent)
    if passed:
        yield f"{passed} images of the split have no files, and --limit passes over them"
    if facts.asked > count:
        yield f"{count} of {facts.asked} images have a score; the others are listed with reasons"
    for said in (TOO_FAR, TOO_NEAR, OTHER_UNIT, UNANSWERED):
        images = sum(any(note.endswith(said) for note in each.notes) for each in tallied.scores)
        if images:
            yield f"{images} images: {said}"


def _cores() -> int:
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
