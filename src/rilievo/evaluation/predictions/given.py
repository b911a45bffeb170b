"""Predictions that the user gives: those of an earlier evaluation, or of another program."""

import os
from collections.abc import Sequence
from dataclasses import replace

from rilievo.errors import OptionError
from rilievo.evaluation.benchmarks.benchmark import Task
from rilievo.evaluation.benchmarks.named_metrics import judges_confidence, metrics_of
from rilievo.evaluation.evaluate_options import EvaluateOptions
from rilievo.evaluation.peer_confidences import Meaning, PeerConfidence
from rilievo.evaluation.plan import Plan
from rilievo.evaluation.predictions.cache import FINGERPRINT, PREDICTIONS, Cache, read_cache
from rilievo.evaluation.predictions.foreign import describe_extra, open_foreign
from rilievo.evaluation.predictions.predicting import refuse_other_photographs
from rilievo.evaluation.predictions.source import Source
from rilievo.evaluation.predictions.stack import open_stack
from rilievo.evaluation.results.evaluation_folder import run_folder
from rilievo.evaluation.stored_predictions import Predictions
from rilievo.io.files.limits import printable


def find_predictions(label: str | None, plan: Plan, options: EvaluateOptions) -> Source:
    """The predictions that the user gives.

    Args:
        label: Name of their model, if they do not state it.
        plan: Plan of the evaluation.
        options: Folder, kind and scale.
    """
    assert options.predictions is not None, "asked for only where they are given"
    for folder in (options.predictions, options.predictions / PREDICTIONS):
        if os.path.isfile(folder / FINGERPRINT):
            kept = _fitting(read_cache(folder), plan, options)
            there = [id for id in plan.ids if os.path.exists(kept.path_of(id))]
            crop = plan.benchmark.input_crop
            refuse_other_photographs(kept, plan.dataset, crop, there)
            return _source(kept, plan, options)
    if os.path.isfile(options.predictions):
        return _stacked(label, plan, options)
    found = open_foreign(
        options.predictions,
        plan.ids,
        stored=options.stored,
        task=plan.benchmark.task,
        pattern=options.pattern,
        sure=_sure(plan, options),
    )
    if label is not None and not found.ours:
        found = replace(found, made_by=replace(found.made_by, model=label))
    extra = describe_extra(found)
    missing = len(plan.ids) - len(found.files)
    warnings = [extra] if extra else []
    if missing:
        warnings.append(f"{missing} of {len(plan.ids)} images have no prediction")
    return _source(found, plan, options, warnings)


def _sure(plan: Plan, options: EvaluateOptions) -> PeerConfidence | None:
    """The confidences that are asked for, once the benchmark is found to judge no more of them."""
    sure = options.peer_confidence
    if sure is None:
        return None
    benchmark = plan.benchmark
    if not judges_confidence(benchmark):
        raise OptionError(
            f"the benchmark '{benchmark.name}' judges no confidence: leave --sure out, or say "
            "--certainty"
        )
    asked = [name for name, each in metrics_of(benchmark).items() if each.needs_probability]
    if asked and sure.meaning is not Meaning.PROBABILITY:
        raise OptionError(
            f"'{options.sure}' is an order of the pixels and no probability, which "
            f"{', '.join(asked)} of the benchmark '{benchmark.name}' ask for: take "
            "certainty-order, or add --certainty to another benchmark"
        )
    return sure


def _stacked(label: str | None, plan: Plan, options: EvaluateOptions) -> Source:
    """The predictions of a whole split in one file."""
    assert options.predictions is not None
    for name in ("pattern", "sure"):
        if getattr(options, name) is not None:
            raise OptionError(f"--{name} is for a folder of --predictions; this is one file")
    found = open_stack(
        options.predictions,
        plan.dataset.listed,
        stored=options.stored,
        task=plan.benchmark.task,
    )
    if label is not None:
        found = replace(found, made_by=replace(found.made_by, model=label))
    return _source(found, plan, options)


def _source(
    predictions: Predictions, plan: Plan, options: EvaluateOptions, warnings: Sequence[str] = ()
) -> Source:
    folder = run_folder(options.output, predictions.made_by.model, plan.benchmark.name)
    return Source(predictions=predictions, folder=folder, warnings=tuple(warnings))


def _fitting(cache: Cache, plan: Plan, options: EvaluateOptions) -> Cache:
    """Refuse an earlier evaluation's predictions that are not what the benchmark scores."""
    mark, benchmark = cache.fingerprint, plan.benchmark
    where = printable(cache.folder)
    if (options.scale, options.pattern, options.sure) != (None, None, None) or options.kind not in (
        None,
        mark.kind,
    ):
        raise OptionError(
            f"{where}: says itself what it holds; leave --kind, --scale, --pattern and --sure out"
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
