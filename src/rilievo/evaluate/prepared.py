"""The predictions that are scored: those that the user gives, or a model's, made and kept."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from rilievo.errors import OptionError
from rilievo.evaluate.answers import Answers
from rilievo.evaluate.benchmark import Benchmark
from rilievo.evaluate.cache import Cache
from rilievo.evaluate.folder import check_results, run_folder
from rilievo.evaluate.metres import FITTED, method_for
from rilievo.evaluate.options import EvaluateOptions
from rilievo.evaluate.plan import Plan
from rilievo.evaluate.predicting import Fill, fingerprint_of, refuse_other_photographs
from rilievo.evaluate.records import Unscored
from rilievo.evaluate.sources import find_predictions, open_run_cache
from rilievo.models.base import Model
from rilievo.predicting.run import agree_to_calls, refined
from rilievo.predicting.summary import Tally
from rilievo.types import DepthKind


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
    """The model that options name, ready to predict.

    Raises:
        OptionError: If there is none, or it is loaded and options say how to load it.
        ModelError: If it cannot be loaded.
    """
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
        failed = filling(cache, model, plan.dataset, plan.benchmark.input_crop, wanted, tally)
    warnings = (f"{len(broken)} kept predictions were broken and made anew",) if broken else ()
    return Source(answers=cache, folder=folder, failed=tuple(failed), warnings=warnings)


def _refuse_other_kinds(benchmark: Benchmark, kind: DepthKind | None) -> None:
    """Refuse a kind of depth before any work is done, rather than image by image."""
    if benchmark.task in FITTED and kind is not None:
        method_for(benchmark, kind)
