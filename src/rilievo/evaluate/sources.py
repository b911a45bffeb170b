"""Sources of predictions that are not made now: an earlier evaluation, or another program."""

import os
from collections.abc import Iterable
from dataclasses import dataclass, replace
from pathlib import Path

from rilievo.errors import OptionError
from rilievo.evaluate.answers import Answers
from rilievo.evaluate.benchmark import Task
from rilievo.evaluate.cache import FINGERPRINT, Cache, Fingerprint, open_cache, read_cache
from rilievo.evaluate.foreign import describe_extra, open_foreign
from rilievo.evaluate.metrics import judges_confidence
from rilievo.evaluate.options import EvaluateOptions
from rilievo.evaluate.plan import Plan
from rilievo.evaluate.predicting import refuse_other_photographs
from rilievo.evaluate.stack import open_stack
from rilievo.io.limits import printable

PREDICTIONS = "predictions"
"""The folder of predictions within the folder of an evaluation."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Found:
    """Predictions on disk.

    Attributes:
        answers: To be scored.
        warnings: Warnings about the predictions.
    """

    answers: Answers
    warnings: tuple[str, ...] = ()


def open_run_cache(folder: Path, fingerprint: Fingerprint, ids: Iterable[str]) -> Cache:
    """The cache in the folder of an evaluation, as ``open_cache`` says."""
    return open_cache(folder / PREDICTIONS, fingerprint, ids)


def find_predictions(label: str | None, plan: Plan, options: EvaluateOptions) -> Found:
    """The predictions that the user gives.

    Args:
        label: Name of their model, if they do not state it.
        plan: Plan of the evaluation.
        options: Folder, kind and scale.

    Raises:
        OptionError: If they are not what the benchmark scores, or not what the options say.
        InputError: If the folder is not there or fits no image.
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
