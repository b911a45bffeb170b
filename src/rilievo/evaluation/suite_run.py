"""A suite scored, benchmark after benchmark, with a model that is loaded once."""

import os
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path

from rilievo.errors import InputError, OptionError, OutputError, RilievoError
from rilievo.evaluation.benchmarks import find_benchmark
from rilievo.evaluation.benchmarks.suite import Suite, SuiteRun, find_suite
from rilievo.evaluation.evaluate_options import EvaluateOptions
from rilievo.evaluation.evaluating import model_name, score_plan
from rilievo.evaluation.plan import Plan, make_plan
from rilievo.evaluation.predictions.cache import PREDICTIONS, read_cache
from rilievo.evaluation.predictions.predicting import fingerprint_of, load_model_of
from rilievo.evaluation.records import Evaluation, Summary
from rilievo.evaluation.results.evaluation_folder import finished_results
from rilievo.evaluation.tables.set_means import OnSet, notes_on_means, set_means
from rilievo.evaluation.tables.wording import interval, number
from rilievo.models.base import Model
from rilievo.models.functions.given_functions import DepthFunction
from rilievo.models.processing.refined import mirrored
from rilievo.pages.tables import NOTHING, Table, heads
from rilievo.plugins import trust


@dataclass(frozen=True, slots=True, kw_only=True)
class SuiteRow:
    """One benchmark of a suite that was run.

    Attributes:
        label: Label of the run in its suite.
        folder: Folder of its results.
        evaluation: Results of the run; None where it has none.
        reason: Reason why it has none, in one line.
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
    """A suite that was run.

    Attributes:
        suite: Suite that was run.
        folder: Holds a folder for each of its benchmarks.
        rows: One a benchmark.
    """

    suite: Suite
    folder: Path
    rows: tuple[SuiteRow, ...]


def run_suite(
    model: Model | str | Path | DepthFunction | None,
    suite: Suite | str | Path,
    root: str | Path | None = None,
    options: EvaluateOptions | None = None,
    *,
    show: bool = True,
    say: Callable[[str], None] = lambda _: None,
) -> SuiteResult:
    """Score a model on every benchmark of a suite.

    A benchmark that cannot be scored, because its data is not there or the model does not predict
    what it scores, is passed over with the reason. What an earlier call finished is not done
    again, so a suite that was stopped goes on where it was; benchmarks that show the model the
    same photographs share its predictions.

    Args:
        model: A name, a file, or a model loaded before; with ``options.predictions``, None or the
            name of what made them.
        suite: A name of ``suite_names``, a TOML file, or the record itself.
        root: Holds the folders of the suite's datasets.
        options: All else. Predictions, if any, lie in folders named as the suite's runs.
        show: Whether to show progress on standard error.
        say: Takes a line as each benchmark begins.

    Raises:
        OptionError: If there is no such suite, or options are for one benchmark alone.
        ModelError: If the model cannot be loaded.
        OutputError: If results cannot be written.
    """
    options = options or EvaluateOptions()
    trust(options.trust_code)
    chosen = suite if isinstance(suite, Suite) else find_suite(suite)
    _refuse_single(options)
    folder = _suite_folder(model_name(model), chosen, options)
    load = cache(lambda: load_model_of(model, options))
    if options.predictions is None:
        load()  # what is wrong with the model is no fault of a benchmark
    rows: list[SuiteRow] = []
    for place, run in enumerate(chosen.runs, start=1):
        say(f"{place} of {len(chosen.runs)}: {run.label}")
        own = _own_options(options, run, folder)
        try:
            rows.append(_row(run, model, load, root, own, rows, show=show))
        except OutputError:
            raise
        except RilievoError as error:
            assert own.output is not None, "a run of a suite has a folder"
            rows.append(SuiteRow(label=run.label, folder=own.output, reason=str(error)))
    return SuiteResult(suite=chosen, folder=folder, rows=tuple(rows))


def _row(
    run: SuiteRun,
    model: Model | str | Path | DepthFunction | None,
    load: Callable[[], Model],
    root: str | Path | None,
    options: EvaluateOptions,
    done: Sequence[SuiteRow],
    *,
    show: bool,
) -> SuiteRow:
    """Score one benchmark, unless that is done."""
    assert options.output is not None
    benchmark, where = find_benchmark(run.benchmark), _root_of(run, root)
    plan = make_plan(benchmark, where, options)
    row = SuiteRow(label=run.label, folder=options.output)
    if options.predictions is None:
        loaded = mirrored(load(), options)
        found = finished_results(options.output, plan, loaded.made_by)
        if found is not None:
            return replace(row, evaluation=found, was_finished=True)
        options = replace(options, predictions=_kept_before(loaded, plan, done))
    # With the predictions of an earlier run of the suite, so that results open with them.
    command = options.command_line(model_name(model), run.benchmark, where)
    evaluation = score_plan(
        plan, options, name=model_name(model), load=load, command=command, show=show
    )
    return replace(row, evaluation=evaluation)


def _kept_before(model: Model, plan: Plan, done: Sequence[SuiteRow]) -> Path | None:
    """The folder of an earlier run of the suite that has just the predictions that are wanted."""
    wanted, root = fingerprint_of(model, plan.benchmark), plan.facts.root
    for row in done:
        if row.evaluation is None or row.evaluation.data.root != root:
            continue
        try:
            kept = read_cache(row.folder / PREDICTIONS)
        except InputError:
            continue
        if kept.fingerprint == wanted and not any(kept.missing(plan.ids)):
            return row.folder
    return None


def _root_of(run: SuiteRun, root: str | Path | None) -> Path | None:
    if run.folder is None:
        return None if root is None else Path(root)
    folder = Path(run.folder).expanduser()
    if root is None and not folder.is_absolute():
        raise OptionError(f"the suite looks for the folder '{run.folder}' below --root; say it")
    return folder if root is None else Path(root).expanduser() / folder


def _own_options(options: EvaluateOptions, run: SuiteRun, folder: Path) -> EvaluateOptions:
    """The options of one benchmark."""
    given = options.predictions
    return replace(
        options,
        output=folder / run.label,
        predictions=None if given is None else given / run.label,
        dataset=run.dataset,
        split=run.split,
        variant=run.variant,
        list_file=None if run.list_file is None else Path(run.list_file),
    )


def _refuse_single(options: EvaluateOptions) -> None:
    """Refuse options that a suite settles itself."""
    for name, flag in (
        ("dataset", "--dataset"),
        ("split", "--split"),
        ("variant", "--variant"),
        ("list_file", "--list"),
        ("align", "--align"),
    ):
        if getattr(options, name) is not None:
            raise OptionError(f"{flag} is for one benchmark; a suite says it in its own file")


def _suite_folder(model: str | None, suite: Suite, options: EvaluateOptions) -> Path:
    if options.output is not None:
        folder = options.output
    else:
        name = model or (options.predictions.name if options.predictions else "model")
        folder = Path("runs") / re.sub(r"[^\w.+=-]+", "-", f"{name}-{suite.name}").strip("-.")
    if os.path.exists(folder) and not os.path.isdir(folder):
        raise OutputError(f"{folder}: a file has this name: choose another folder")
    return folder


def rows_table(scored: Sequence[SuiteRow]) -> Table:
    """The leading metric of each benchmark, then means over sets, which the notes name."""
    rows: list[tuple[str, ...]] = []
    numbers: list[OnSet] = []
    for row in scored:
        run = row.evaluation
        if run is None:
            rows.append((row.label, NOTHING, NOTHING, NOTHING, row.reason))
            continue
        leading = run.summaries[0]
        state = f"{len(run.scores)} of {run.data.asked}"
        state += ", done before" if row.was_finished else ""
        rows.append((row.label, leading.label, number(leading.value), interval(leading), state))
        numbers.append(_on_set(row.label, run, leading))
    means = set_means(numbers)
    for each in means:
        [value] = each.values.values()
        rows.append((each.label, each.heading, number(value), NOTHING, NOTHING))
    return Table(
        heads=heads("benchmark", "metric", "value", "95 % interval", "images", words=["metric"]),
        rows=tuple(rows),
        notes=notes_on_means(means),
    )


def _on_set(label: str, run: Evaluation, leading: Summary) -> OnSet:
    return OnSet(
        label=label,
        benchmark=run.benchmark,
        metric=leading.metric,
        heading=leading.label,
        unit=leading.unit,
        better=leading.better,
        values={run.made_by.model: leading.value},
    )
