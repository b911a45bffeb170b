"""Evaluations of many benchmarks."""

import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

from rilievo.data.datasets import find_dataset
from rilievo.errors import InputError, OptionError, OutputError, RilievoError
from rilievo.errors.messages import OptionName, Text, for_terminal, join_texts, note_of
from rilievo.evaluation.benchmarks import BENCHMARKS, find_benchmark
from rilievo.evaluation.benchmarks.benchmark import Benchmark
from rilievo.evaluation.benchmarks.suite import Suite, SuiteRun, find_suite
from rilievo.evaluation.evaluation_folder import (
    finish_results,
    repeatable_results,
    run_folder,
)
from rilievo.evaluation.evaluation_plan import Plan, load_unless_loaded, plan_scores
from rilievo.evaluation.evaluation_run import score_plan
from rilievo.evaluation.options import EvaluateOptions
from rilievo.evaluation.predictions.prediction_cache import (
    AnyModel,
    Fingerprint,
    PredictionCache,
    model_name,
    read_cache,
    refuse_other_photographs,
)
from rilievo.evaluation.predictions.sources import PREDICTIONS
from rilievo.evaluation.records import Evaluation
from rilievo.evaluation.selection import Selection, select_images
from rilievo.evaluation.tables.set_means import OnSet, notes_on_means, set_means
from rilievo.evaluation.tables.wording import bounds, number
from rilievo.extensions.trust import trust
from rilievo.models.base import Model
from rilievo.models.refinement.refine import mirrored
from rilievo.pages.tables import NOTHING, Table, make_heads

ALL = "all"


@dataclass(frozen=True, slots=True, kw_only=True)
class SuiteRow:
    """Result of one benchmark of several.

    Attributes:
        evaluation: None where there is a ``reason``.
        was_finished: Whether the results lay there before.
    """

    label: str
    folder: Path
    evaluation: Evaluation | None = None
    reason: str = ""
    was_finished: bool = False

    @property
    def is_whole(self) -> bool:
        """Whether every image has a score."""
        return self.evaluation is not None and not self.evaluation.unscored


@dataclass(frozen=True, slots=True, kw_only=True)
class SuiteResult:
    """Results of several benchmarks, each in its own folder."""

    title: str
    folder: Path
    rows: tuple[SuiteRow, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class _PlannedRun:
    run: SuiteRun
    options: EvaluateOptions
    row: SuiteRow
    root: Path | None = None
    plan: Plan | None = None


def run_suite(
    model: AnyModel,
    suite: Suite | str | Path,
    root: str | Path | None = None,
    options: EvaluateOptions | None = None,
    *,
    show: bool = True,
    say: Callable[[str], None] = lambda _: None,
) -> SuiteResult:
    """Score a model on every benchmark of a suite; one that was stopped goes on.

    ``suite`` is a name of ``suite_names``, a TOML file, or the record itself; ``root`` holds the
    folders of its datasets, ``options.predictions`` folders named as its runs. A benchmark that
    lacks its data, or scores what the model does not predict, is skipped with the reason.

    Raises:
        OptionError: If there is no such suite, or options are for one benchmark alone.
        ModelError: If the model cannot be loaded.
        OutputError: If results cannot be written.
    """
    options = options or EvaluateOptions()
    trust(options.trust_code)
    chosen = suite if isinstance(suite, Suite) else find_suite(suite)
    _refuse_options(options, ("dataset", "split", "variant", "list_file", "align"))
    folder = _results_folder(model, chosen.name, options)
    predictions = options.predictions
    turns = [
        (
            run,
            replace(
                options,
                output=folder / run.label,
                predictions=None if predictions is None else predictions / run.label,
                dataset=run.dataset,
                split=run.split,
                variant=run.variant,
                list_file=None if run.list_file is None else Path(run.list_file),
            ),
        )
        for run in chosen.runs
    ]
    rows = _score_runs(turns, model, root, show=show, say=say)
    return SuiteResult(title=f"{chosen.name}: {chosen.title}", folder=folder, rows=rows)


def evaluate_protocols(
    model: AnyModel,
    protocols: str,
    root: str | Path | None,
    options: EvaluateOptions,
    *,
    show: bool = True,
    say: Callable[[str], None] = lambda _: None,
) -> SuiteResult:
    """Score one dataset by many benchmarks, with one prediction of each picture.

    ``protocols`` are names with commas between them, or ``all`` that fit. Errors are those of
    ``run_suite``, and an ``OptionError`` if no benchmark fits the dataset.
    """
    trust(options.trust_code)
    _refuse_options(options, ("align",))
    if options.dataset is None:
        raise OptionError(
            option="protocols",
            problem=Text("scores one dataset by many benchmarks: name it, ", OptionName("dataset")),
        )
    folder = _results_folder(model, f"{options.dataset}-protocols", options)
    split = options.split or find_dataset(options.dataset).card.splits[0]
    turns: list[tuple[SuiteRun, EvaluateOptions]] = []
    refused: list[SuiteRow] = []
    names = [
        name
        for name, candidate in BENCHMARKS.items()
        if candidate.dataset in (None, options.dataset)
    ]
    if protocols != ALL:
        names = [name.strip() for name in protocols.split(",")]
    for name in dict.fromkeys(names):
        benchmark = find_benchmark(name)
        place = folder / benchmark.name
        reason = _dataset_mismatch(benchmark, options.dataset, split, options.variant)
        if reason is not None:
            refused.append(SuiteRow(label=benchmark.name, folder=place, reason=reason))
            continue
        own = replace(options, output=place)
        if benchmark.dataset is not None:
            own = replace(own, split=None, variant=None)
        turns.append((SuiteRun(benchmark=name, name=benchmark.name), own))
    if not turns:
        reasons = join_texts("; ", [Text(f"{row.label}: ", row.reason) for row in refused])
        raise OptionError(
            f"no benchmark fits '{options.dataset}', split '{split}':", problem=reasons
        )
    rows = _score_runs(turns, model, root, is_whole=True, show=show, say=say)
    title = f"{options.dataset}: {protocols}"
    return SuiteResult(title=title, folder=folder, rows=(*rows, *refused))


def _dataset_mismatch(
    benchmark: Benchmark, dataset: str, split: str, variant: str | None
) -> str | None:
    """Reason, or None."""
    if benchmark.dataset is None:
        return None
    for what, own, target in (
        ("dataset", benchmark.dataset, dataset),
        ("split", benchmark.split, split),
        ("variant", benchmark.variant, variant),
    ):
        if None not in (own, target) and own != target:
            return f"is of the {what} '{own}', and '{target}' is asked for"
    return None


def _score_runs(
    turns: Sequence[tuple[SuiteRun, EvaluateOptions]],
    model: AnyModel,
    root: str | Path | None,
    *,
    is_whole: bool = False,
    show: bool,
    say: Callable[[str], None],
) -> tuple[SuiteRow, ...]:
    first = turns[0][1]
    # What is wrong with the model is no fault of a benchmark.
    loaded = load_unless_loaded(model, first) if first.predictions is None else None
    settle = partial(plan_scores, model=model, loaded=loaded, is_whole=is_whole)
    planned = [_plan_run(run, options, root, loaded, settle) for run, options in turns]
    rows: list[SuiteRow] = []
    for place, turn in enumerate(planned, start=1):
        say(f"{place} of {len(planned)}: {turn.row.label}")
        rows.append(_score_run(turn, rows, settle, show=show))
    return tuple(rows)


def _plan_run(
    run: SuiteRun,
    options: EvaluateOptions,
    root: str | Path | None,
    loaded: Model | None,
    settle: Callable[..., Plan],
) -> _PlannedRun:
    assert options.output is not None, "a run of a suite has a folder"
    row = SuiteRow(label=run.label, folder=options.output)
    turn = _PlannedRun(run=run, options=options, row=row)
    try:
        turn = replace(turn, root=_dataset_root(run, root))
        selection = select_images(find_benchmark(run.benchmark), turn.root, options)
        if loaded is not None:
            finish_results(row.folder)
            finished = repeatable_results(row.folder, selection, mirrored(loaded, options).made_by)
            if finished is not None:
                return replace(turn, row=replace(row, evaluation=finished, was_finished=True))
        plan = settle(selection, dataset=(run.benchmark, turn.root), options=options)
    except OutputError:
        raise
    except RilievoError as error:
        return replace(turn, row=replace(row, reason=note_of(error)))
    return replace(turn, plan=plan)


def _score_run(
    turn: _PlannedRun,
    done: Sequence[SuiteRow],
    settle: Callable[..., Plan],
    *,
    show: bool,
) -> SuiteRow:
    plan, options = turn.plan, turn.options
    if plan is None:
        return turn.row
    try:
        if isinstance(plan.source.predictions, PredictionCache) and plan.model is not None:
            # With the predictions of an earlier run of the suite, so that results open with them.
            wanted = plan.source.predictions.fingerprint
            options = replace(
                options, predictions=_reusable_predictions(wanted, plan.selection, done)
            )
        # Files may have changed while the benchmarks before were scored.
        if done:
            plan = settle(plan.selection, dataset=(turn.run.benchmark, turn.root), options=options)
        evaluation = score_plan(plan, show=show)
    except OutputError:
        raise
    except RilievoError as error:
        return replace(turn.row, reason=note_of(error))
    return replace(turn.row, evaluation=evaluation)


def _reusable_predictions(
    wanted: Fingerprint, selection: Selection, done: Sequence[SuiteRow]
) -> Path | None:
    """Earlier row's folder, or None."""
    for row in done:
        if row.evaluation is None or row.evaluation.data.root != selection.facts.root:
            continue
        try:
            predictions = read_cache(row.folder / PREDICTIONS)
            # Another variant of a dataset may show the same photographs.
            if replace(predictions.fingerprint, variant=wanted.variant) != wanted:
                continue
            absent, broken = predictions.missing(selection.ids)
            lost = {image.id for image in row.evaluation.unscored}
            refuse_other_photographs(predictions, selection)
        except (InputError, OptionError):
            continue
        if not broken and lost.issuperset(absent):
            return row.folder
    return None


def _dataset_root(run: SuiteRun, root: str | Path | None) -> Path | None:
    if run.folder is None:
        return None if root is None else Path(root)
    folder = Path(run.folder).expanduser()
    if root is None and not folder.is_absolute():
        raise OptionError(
            problem=Text(
                f"the suite looks for the folder '{run.folder}' below ", OptionName("root")
            ),
            hint="say it",
        )
    return folder if root is None else Path(root).expanduser() / folder


def _refuse_options(options: EvaluateOptions, names: Sequence[str]) -> None:
    for name in names:
        if getattr(options, name) is not None:
            raise OptionError(
                option=name,
                problem="is for one benchmark",
                hint="leave it out, or score one alone",
            )


def _results_folder(model: AnyModel, name: str, options: EvaluateOptions) -> Path:
    label = options.predictions.name if options.predictions else "model"
    folder = run_folder(options.output, model_name(model) or label, name)
    if os.path.exists(folder) and not os.path.isdir(folder):
        raise OutputError(f"{folder}: a file has this name: choose another folder")
    return folder


def rows_table(scored: Sequence[SuiteRow]) -> Table:
    """Table of each benchmark's leading metric, then means over sets."""
    rows: list[tuple[str, ...]] = []
    numbers: list[OnSet] = []
    for row in scored:
        run = row.evaluation
        if run is None:
            rows.append((row.label, NOTHING, NOTHING, NOTHING, for_terminal(row.reason)))
            continue
        leading = run.summaries[0]
        state = f"{len(run.scores)} of {run.data.asked}"
        state += ", done before" if row.was_finished else ""
        rows.append(
            (
                row.label,
                leading.label,
                number(leading.value),
                bounds(leading.low, leading.high),
                state,
            )
        )
        values = {run.made_by.model: leading.value}
        numbers.append(
            OnSet(label=row.label, benchmark=run.benchmark, metric=leading, values=values)
        )
    means = set_means(numbers)
    for mean in means:
        [value] = mean.values.values()
        rows.append((mean.label, mean.metric.label, number(value), NOTHING, NOTHING))
    return Table(
        heads=make_heads(
            "benchmark", "metric", "value", "95 % interval", "images", words=["metric"]
        ),
        rows=tuple(rows),
        notes=notes_on_means(means),
    )
