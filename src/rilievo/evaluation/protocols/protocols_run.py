"""A dataset scored by many benchmarks at once, with one prediction an image."""

import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from rilievo.errors import OptionError, OutputError, RilievoError
from rilievo.evaluation.evaluate_options import EvaluateOptions
from rilievo.evaluation.evaluating import (
    check_scored,
    cores,
    evaluation_of,
    given_source,
    model_name,
    unread,
)
from rilievo.evaluation.plan import Plan
from rilievo.evaluation.predictions.cache import PREDICTIONS
from rilievo.evaluation.predictions.predicting import (
    fill,
    filled,
    fingerprint_of,
    load_model_of,
    whole_fingerprint,
)
from rilievo.evaluation.predictions.source import Source
from rilievo.evaluation.protocols.choosing import Chosen, choose, same_pictures
from rilievo.evaluation.records import Evaluation, Unscored
from rilievo.evaluation.reports.results_writing import write_results
from rilievo.evaluation.results.evaluation_folder import (
    check_results,
    finished_results,
    run_folder,
)
from rilievo.evaluation.results.summaries import Tallied
from rilievo.evaluation.scoring.joint import JointJob, Turn, joined
from rilievo.evaluation.scoring.metres import refuse_other_kinds
from rilievo.evaluation.scoring.pool import ScoreJob, score_all
from rilievo.evaluation.scoring.scenes import with_scenes
from rilievo.evaluation.scoring.score import Scored
from rilievo.evaluation.scoring.solved import Solved
from rilievo.evaluation.suite_run import SuiteRow
from rilievo.models.base import Model
from rilievo.models.functions.given_functions import DepthFunction
from rilievo.models.processing.refined import mirrored
from rilievo.plugins import trust
from rilievo.predicting.summary import Tally


@dataclass(frozen=True, slots=True, kw_only=True)
class ProtocolsResult:
    """Benchmarks of one dataset that were scored together.

    Attributes:
        folder: Holds the predictions, and a folder for each benchmark.
        rows: One a benchmark, the refused ones last.
    """

    folder: Path
    rows: tuple[SuiteRow, ...]


@dataclass(slots=True, kw_only=True)
class _Entry:
    """One benchmark on its way."""

    plan: Plan
    source: Source
    job: ScoreJob
    ids: list[str]
    tallied: Tallied
    unscored: list[Unscored]


def evaluate_protocols(
    model: Model | str | Path | DepthFunction | None,
    protocols: str,
    root: str | Path | None,
    options: EvaluateOptions,
    *,
    show: bool = True,
) -> ProtocolsResult:
    """Score one dataset by many benchmarks, as ``evaluate`` does by each, at less cost.

    Every photograph is decoded and predicted once for all benchmarks that show the model the same
    picture, every truth is read once, and fits that several benchmarks ask for are made once.
    Numbers are equal to those of separate evaluations to the bit. Reports have no pictures.

    Args:
        model: A name, a file, or a model loaded before; with ``options.predictions``, None or the
            name of what made them.
        protocols: Names of benchmarks with commas between them, or ``all``.
        root: Folder of the dataset.
        options: All else; ``dataset`` is needed.
        show: Whether to show progress on standard error.

    Raises:
        OptionError: If no dataset is named, or no benchmark can be scored.
        ModelError: If the model cannot be loaded.
        OutputError: If results cannot be written.
    """
    trust(options.trust_code)
    if options.align is not None:
        raise OptionError("--align is for one benchmark; leave it out, or name it")
    chosen, name = choose(protocols, root, options), model_name(model)
    start = time.perf_counter()
    title = name or (options.predictions.name if options.predictions else "model")
    folder = run_folder(options.output, title, f"{options.dataset}-protocols")
    refused, done, entries = dict(chosen.refused), [], []
    if options.predictions is None:
        loaded = load_model_of(model, options)
        refined = mirrored(loaded, options)
        plans = _answered(chosen, refined, refused)
        done = list(_finished(plans, folder, refined))
        finished = {row.label for row in done}
        left = [each for each in plans if each.benchmark.name not in finished]
        entries = _predicted(left, loaded, folder, options, show=show)
    else:
        entries = _given(chosen, name, folder, options, refused)
    scored = _scored(entries, folder, options, refused, show=show)

    def command(entry: _Entry) -> str:
        # Whoever opens one of the results finds its predictions.
        given = options.predictions or entry.source.folder
        label = entry.plan.benchmark.name
        own = replace(options, output=folder / label, predictions=given)
        return own.command_line(name, label, root)

    seconds = time.perf_counter() - start
    done += [_written(each, folder, command, seconds) for each in scored]
    if not done:
        raise OptionError("; ".join(f"{each}: {reason}" for each, reason in refused.items()))
    order = {plan.benchmark.name: place for place, plan in enumerate(chosen.plans)}
    done.sort(key=lambda row: order[row.label])
    rest = [
        SuiteRow(label=each, folder=folder / each, reason=reason)
        for each, reason in refused.items()
    ]
    return ProtocolsResult(folder=folder, rows=(*done, *rest))


def _answered(chosen: Chosen, model: Model, refused: dict[str, str]) -> list[Plan]:
    """Plans of what the model predicts; reasons of the others are added to those refused."""
    plans = []
    for plan in chosen.plans:
        try:
            mark = fingerprint_of(model, plan.benchmark)
            refuse_other_kinds(plan.benchmark, mark.kind)
        except OptionError as error:
            refused[plan.benchmark.name] = str(error)
        else:
            plans.append(plan)
    return plans


def _finished(plans: Sequence[Plan], folder: Path, model: Model) -> Iterator[SuiteRow]:
    """Benchmarks that an earlier call finished."""
    for plan in plans:
        own = folder / plan.benchmark.name
        check_results(own, plan.benchmark, model.made_by, plan.dataset.request.root)
        found = finished_results(own, plan, model.made_by)
        if found is not None:
            label = plan.benchmark.name
            yield SuiteRow(label=label, folder=own, evaluation=found, was_finished=True)


def _predicted(
    plans: Sequence[Plan], loaded: Model, folder: Path, options: EvaluateOptions, *, show: bool
) -> list[_Entry]:
    """Predictions of each picture, once."""
    model = mirrored(loaded, options)
    entries = []
    for number, group in enumerate(same_pictures(plans)):
        first = group[0]
        mark = whole_fingerprint(model, first.benchmark)
        place = folder / (f"{PREDICTIONS}-{number + 1}" if number else PREDICTIONS)
        source = filled(place, mark, loaded, first, options, show=show, filling=fill)
        entries += [_entry(plan, source) for plan in group]
    return entries


def _given(
    chosen: Chosen,
    name: str | None,
    folder: Path,
    options: EvaluateOptions,
    refused: dict[str, str],
) -> list[_Entry]:
    """Predictions that the user gives."""
    entries = []
    for plan in chosen.plans:
        own = replace(options, output=folder / plan.benchmark.name)
        try:
            entries.append(_entry(plan, given_source(name, plan, own)))
        except OutputError:
            raise
        except RilievoError as error:
            refused[plan.benchmark.name] = str(error)
    return entries


def _entry(plan: Plan, source: Source) -> _Entry:
    lost = {each.id for each in source.failed}
    return _Entry(
        plan=plan,
        source=source,
        job=ScoreJob(
            benchmark=plan.benchmark, dataset=plan.dataset, predictions=source.predictions
        ),
        ids=[id for id in plan.ids if id not in lost],
        tallied=Tallied(benchmark=plan.benchmark),
        unscored=unread(plan, source),
    )


def _scored(
    entries: Sequence[_Entry],
    folder: Path,
    options: EvaluateOptions,
    refused: dict[str, str],
    *,
    show: bool,
) -> list[_Entry]:
    """Entries with their scores; those without any are refused."""
    ready = list(_with_scenes(entries, refused))
    turns = [Turn(job=each.job, ids=frozenset(each.ids)) for each in ready]
    for places in joined(turns):
        group = [ready[place] for place in places]
        wanted = frozenset[str]().union(*(each.ids for each in group))
        ids = [id for id in group[0].plan.ids if id in wanted]
        job = JointJob(turns=[turns[place] for place in places])
        with Tally(output=folder, total=len(ids), show=show) as tally:
            tally.part("score")
            for found in score_all(job, ids, workers=options.workers or cores()):
                tally.done()
                for entry, each in zip(group, found, strict=True):
                    _take(entry, each)
    return list(_with_a_score(ready, refused))


def _with_scenes(entries: Sequence[_Entry], refused: dict[str, str]) -> Iterator[_Entry]:
    turns = [Turn(job=each.job, ids=frozenset(each.ids)) for each in entries]
    shared = {
        place: solved for places in joined(turns) for solved in [Solved()] for place in places
    }
    for place, each in enumerate(entries):
        try:
            if each.job.needs_scenes:
                each.job, each.ids = with_scenes(each.job, each.ids, shared[place])
        except RilievoError as error:
            refused[each.plan.benchmark.name] = str(error)
        else:
            yield each


def _take(entry: _Entry, found: Scored | Unscored | None) -> None:
    """Add what was found of one image to its benchmark."""
    if isinstance(found, Unscored):
        entry.unscored.append(found)
    elif found is not None:
        entry.tallied.add(found)


def _with_a_score(entries: Sequence[_Entry], refused: dict[str, str]) -> Iterator[_Entry]:
    for each in entries:
        try:
            check_scored(each.tallied, each.unscored)
        except RilievoError as error:
            refused[each.plan.benchmark.name] = str(error)
        else:
            yield each


def _written(
    entry: _Entry, folder: Path, command: Callable[[_Entry], str], seconds: float
) -> SuiteRow:
    name = entry.plan.benchmark.name
    evaluation: Evaluation = evaluation_of(
        entry.plan,
        entry.source,
        entry.tallied,
        tuple(entry.unscored),
        command=command(entry),
        seconds=seconds,
    )
    evaluation = write_results(evaluation, folder / name, None)
    return SuiteRow(label=name, folder=folder / name, evaluation=evaluation)
