"""Sources of predictions that are not made now: an earlier evaluation, or another program."""

import os
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

from rilievo.errors import OptionError
from rilievo.evaluate.answers import Answers
from rilievo.evaluate.benchmark import Benchmark, Task
from rilievo.evaluate.cache import FINGERPRINT, PREDICTIONS, Cache, open_cache, read_cache
from rilievo.evaluate.folder import check_results, run_folder
from rilievo.evaluate.foreign import describe_extra, open_foreign
from rilievo.evaluate.metres import FITTED, method_for
from rilievo.evaluate.metrics import judges_confidence
from rilievo.evaluate.options import EvaluateOptions
from rilievo.evaluate.plan import Plan
from rilievo.evaluate.predicting import Fill, fingerprint_of, refuse_other_photographs
from rilievo.evaluate.records import Unscored
from rilievo.evaluate.stored import open_stack
from rilievo.io.limits import printable
from rilievo.models.base import Model
from rilievo.predicting.run import agree_to_calls, refined
from rilievo.predicting.summary import Tally
from rilievo.types import DepthKind


@dataclass(frozen=True, slots=True, kw_only=True)
class Found:
    """Predictions on disk."""

    answers: Answers
    warnings: tuple[str, ...] = ()


def find_predictions(label: str | None, plan: Plan, options: EvaluateOptions) -> Found:
    """The predictions that the user gives.

    Args:
        label: Name of their model, if they do not state it.
        plan: Plan of the evaluation.
        options: Folder, kind and scale.
    """
    assert options.predictions is not None, "asked for only where they are given"
    for folder in (options.predictions, options.predictions / PREDICTIONS):
        if os.path.isfile(folder / FINGERPRINT):
            kept = _kept(read_cache(folder), plan, options)
            there = [id for id in plan.ids if os.path.exists(kept.path_of(id))]
            crop = plan.benchmark.input_crop
            refuse_other_photographs(kept, plan.dataset, crop, there)
            return Found(answers=kept)
    if os.path.isfile(options.predictions):
        return _stacked(label, plan, options)
    found = open_foreign(
        options.predictions,
        plan.ids,
        stored=options.stored,
        task=plan.benchmark.task,
        pattern=options.pattern,
    )
    if label is not None and not found.ours:
        found = replace(found, made_by=replace(found.made_by, model=label))
    extra = describe_extra(found)
    missing = len(plan.ids) - len(found.files)
    warnings = [extra] if extra else []
    if missing:
        warnings.append(f"{missing} of {len(plan.ids)} images have no prediction")
    return Found(answers=found, warnings=tuple(warnings))


def _stacked(label: str | None, plan: Plan, options: EvaluateOptions) -> Found:
    """The predictions of a whole split in one file."""
    assert options.predictions is not None
    if options.pattern is not None:
        raise OptionError("--pattern is for a folder of --predictions; this is one file")
    found = open_stack(
        options.predictions,
        plan.dataset.listed,
        stored=options.stored,
        task=plan.benchmark.task,
    )
    if label is not None:
        found = replace(found, made_by=replace(found.made_by, model=label))
    return Found(answers=found)


def _kept(cache: Cache, plan: Plan, options: EvaluateOptions) -> Cache:
    """Refuse what an earlier evaluation kept for photographs that were cut otherwise."""
    mark, benchmark = cache.fingerprint, plan.benchmark
    where = printable(cache.folder)
    if (options.scale, options.pattern) != (None, None) or options.kind not in (None, mark.kind):
        raise OptionError(
            f"{where}: says itself what it holds; leave --kind, --scale and --pattern out"
        )
    wanted = (("dataset", benchmark.dataset), ("input_crop", str(benchmark.input_crop)))
    for name, value in wanted:
        if getattr(mark, name) != value:
            raise OptionError(
                f"{where}: holds predictions for {name} '{getattr(mark, name)}', but the "
                f"benchmark '{benchmark.name}' has '{value}'; predict anew"
            )
    if benchmark.task in (Task.POINTS, Task.CAMERA) and not mark.camera:
        raise OptionError(
            f"{where}: holds no cameras, which the benchmark '{benchmark.name}' judges; predict "
            "anew"
        )
    normals = benchmark.task is Task.NORMALS
    if benchmark.task is Task.CAMERA:
        return cache
    if (normals and not mark.normals) or (not normals and mark.kind is None):
        raise OptionError(
            f"{where}: holds {'depth' if normals else 'normals'} alone, but the benchmark "
            f"'{benchmark.name}' scores {benchmark.task}; predict anew"
        )
    if judges_confidence(benchmark) and not mark.confidence:
        raise OptionError(
            f"{where}: holds no confidence, which the benchmark '{benchmark.name}' judges; "
            "predict anew"
        )
    return cache


@dataclass(frozen=True, slots=True, kw_only=True)
class Source:
    """Predictions to be scored, where results go, and what went wrong on the way."""

    answers: Answers
    folder: Path
    failed: tuple[Unscored, ...] = ()
    warnings: tuple[str, ...] = ()


def source_of(
    name: str | None,
    load: Callable[[], Model],
    plan: Plan,
    options: EvaluateOptions,
    *,
    show: bool,
    filling: Fill,
) -> Source:
    """Predictions: those that the user gives, or the model's."""
    benchmark = plan.benchmark
    if options.predictions is not None:
        found = find_predictions(name, plan, options)
        made_by = found.answers.made_by
        folder = run_folder(options.output, made_by.model, benchmark.name)
        check_results(folder, benchmark, made_by, plan.dataset.request.root)
        _refuse_other_kinds(benchmark, found.answers.kind)
        return Source(answers=found.answers, folder=folder, warnings=found.warnings)
    return predicted(load(), plan, options, show=show, filling=filling)


def called(model: Model | str | Path | None) -> str | None:
    """The user's name of the model; None where there is none."""
    if isinstance(model, Model):
        return model.card.name
    return None if model is None else str(model)


def load_asked(model: Model | str | Path | None, options: EvaluateOptions) -> Model:
    """The model that options name, ready to predict."""
    if model is None:
        raise OptionError("give a model to predict with, or a folder of --predictions to score")
    if isinstance(model, Model):
        if options.kind is not None or options.settings:
            raise OptionError("kind and settings are for a model by its name; this one is loaded")
        return model
    return options.load(model)


def predicted(
    loaded: Model, plan: Plan, options: EvaluateOptions, *, show: bool, filling: Fill
) -> Source:
    """Predictions of the model, those that an earlier run kept among them."""
    model = refined(loaded, flip=options.flip, mirror=options.mirrors, tile=None)
    folder = run_folder(options.output, model.card.name, plan.benchmark.name)
    check_results(folder, plan.benchmark, model.made_by, plan.dataset.request.root)
    fingerprint = fingerprint_of(model, plan.benchmark)
    _refuse_other_kinds(plan.benchmark, fingerprint.kind)
    cache = open_cache(folder / PREDICTIONS, fingerprint, plan.ids)
    absent, broken = cache.missing(plan.ids)
    todo = {*absent, *broken}
    kept = [id for id in plan.ids if id not in todo]
    refuse_other_photographs(cache, plan.dataset, plan.benchmark.input_crop, kept)
    agree_to_calls(loaded, len(todo), flip=options.flip or options.mirrors, yes=options.yes)
    with Tally(output=folder, total=len(todo), show=show) as tally:
        for id in broken:
            tally.say(f"{cache.path_of(id)}: broken, so it is predicted anew")
        wanted = [id for id in plan.ids if id in todo]
        failed = filling(cache, model, plan.dataset, plan.benchmark.input_crop, wanted, tally)
    warnings = (f"{len(broken)} kept predictions were broken and made anew",) if broken else ()
    return Source(answers=cache, folder=folder, failed=tuple(failed), warnings=warnings)


def _refuse_other_kinds(benchmark: Benchmark, kind: DepthKind | None) -> None:
    """Refuse a kind of depth before any work is done, rather than image by image."""
    if benchmark.task in FITTED and kind is not None:
        method_for(benchmark, kind)
