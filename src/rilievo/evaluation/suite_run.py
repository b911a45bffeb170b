"""Score a model on several benchmarks in turn: a suite, or many protocols on one dataset."""

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
    find_same_results,
    finish_results,
    run_folder,
)
from rilievo.evaluation.evaluation_plan import EvaluationPlan, plan_scores, resolve_model
from rilievo.evaluation.evaluation_run import score_plan
from rilievo.evaluation.options import EvaluateOptions
from rilievo.evaluation.predictions.prediction_cache import (
    AnyModel,
    Fingerprint,
    check_same_photographs,
    model_name,
    read_cache,
)
from rilievo.evaluation.predictions.sources import PREDICTIONS
from rilievo.evaluation.records import Evaluation
from rilievo.evaluation.selection import Selection, select_images
from rilievo.evaluation.tables.set_means import SetValues, means_notes, set_means
from rilievo.evaluation.tables.wording import bounds, number
from rilievo.extensions.trust import trust
from rilievo.models.base import Model
from rilievo.models.refinement.refine import mirrored
from rilievo.pages.tables import EMPTY_CELL, Table, make_headings

ALL_PROTOCOLS = "all"
"""Word for every benchmark that fits the dataset."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SuiteRow:
    """Result of one benchmark of several.

    Attributes:
        label: Name of the run, and of its folder.
        evaluation: Result; None if the benchmark was skipped or failed.
        reason: Why there is no evaluation; empty if there is one.
        was_finished: Whether an earlier run had computed the results already.
    """

    label: str
    folder: Path
    evaluation: Evaluation | None = None
    reason: str = ""
    was_finished: bool = False

    @property
    def is_complete(self) -> bool:
        """Whether every image has a score."""
        return self.evaluation is not None and not self.evaluation.unscored


@dataclass(frozen=True, slots=True, kw_only=True)
class SuiteResult:
    """Results of several benchmarks, each in its own folder."""

    title: str
    folder: Path
    rows: tuple[SuiteRow, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class _RunRequest:
    """A run of a suite, with its own options."""

    run: SuiteRun
    options: EvaluateOptions


@dataclass(frozen=True, slots=True, kw_only=True)
class _PlannedRun:
    """A run with its result so far: finished before, refused, or empty if it is to be scored.

    Attributes:
        plan: Plan of the evaluation; None if the result is known.
        make_plan: Function that makes the plan again, from other options.
    """

    row: SuiteRow
    options: EvaluateOptions
    plan: EvaluationPlan | None
    make_plan: Callable[..., EvaluationPlan]


def run_suite(
    model: AnyModel,
    suite: Suite | str | Path,
    root: str | Path | None = None,
    options: EvaluateOptions | None = None,
    *,
    show: bool = True,
    say: Callable[[str], None] = lambda _: None,
) -> SuiteResult:
    """Score a model on every benchmark of a suite, and resume a suite that was stopped.

    A benchmark that lacks its data, or scores what the model does not predict, is skipped with the
    reason.

    Args:
        model: Model, as for ``evaluate``.
        suite: A name of ``suite_names``, a TOML file, or the record itself.
        root: Folder that holds the folders of the datasets.
        options: Options of all runs. ``options.predictions`` holds a folder for each run.
        show: Whether to show progress.
        say: Function that receives a line before each benchmark.

    Raises:
        OptionError: If there is no such suite, or options are for one benchmark alone.
        ModelError: If the model cannot be loaded.
        OutputError: If results cannot be written.
    """
    options = options or EvaluateOptions()
    trust(options.trust_code)
    suite = suite if isinstance(suite, Suite) else find_suite(suite)
    _check_options_unset(options, ("dataset", "split", "variant", "list_file", "align"))
    folder = _suite_folder(model, suite.name, options)
    requests = [
        _RunRequest(run=run, options=_run_options(options, run, folder)) for run in suite.runs
    ]
    rows = _score_runs(requests, model, root, show=show, say=say)
    return SuiteResult(title=f"{suite.name}: {suite.title}", folder=folder, rows=rows)


def _run_options(options: EvaluateOptions, run: SuiteRun, folder: Path) -> EvaluateOptions:
    """Put the data, predictions and output folder of one run into the options of a suite."""
    predictions = options.predictions
    return replace(
        options,
        output=folder / run.label,
        predictions=None if predictions is None else predictions / run.label,
        dataset=run.dataset,
        split=run.split,
        variant=run.variant,
        list_file=None if run.list_file is None else Path(run.list_file),
    )


def evaluate_protocols(
    model: AnyModel,
    protocols: str,
    root: str | Path | None,
    options: EvaluateOptions,
    *,
    show: bool = True,
    say: Callable[[str], None] = lambda _: None,
) -> SuiteResult:
    """Score one dataset by many benchmarks, with a single prediction of each picture.

    ``protocols`` are names with commas between them, or ``all`` that fit. Errors are those of
    ``run_suite``, and an ``OptionError`` if no benchmark fits the dataset.
    """
    trust(options.trust_code)
    _check_options_unset(options, ("align",))
    if options.dataset is None:
        raise OptionError(
            option="protocols",
            problem=Text(
                "scores one dataset with several benchmarks: choose the dataset with ",
                OptionName("dataset"),
            ),
        )

    folder = _suite_folder(model, f"{options.dataset}-protocols", options)
    split = options.split or find_dataset(options.dataset).card.splits[0]
    requests: list[_RunRequest] = []
    mismatched_rows: list[SuiteRow] = []
    for name in _protocol_names(protocols, options.dataset):
        benchmark = find_benchmark(name)
        output = folder / benchmark.name
        mismatch = _dataset_mismatch(benchmark, options.dataset, split, options.variant)
        if mismatch is not None:
            mismatched_rows.append(SuiteRow(label=benchmark.name, folder=output, reason=mismatch))
            continue
        run_options = replace(options, output=output)
        if benchmark.dataset is not None:
            # The benchmark has a split and a variant of its own.
            run_options = replace(run_options, split=None, variant=None)
        run = SuiteRun(benchmark=name, name=benchmark.name)
        requests.append(_RunRequest(run=run, options=run_options))
    if not requests:
        reasons = join_texts("; ", [Text(f"{row.label}: ", row.reason) for row in mismatched_rows])
        raise OptionError(
            f"no benchmark fits the split '{split}' of the dataset '{options.dataset}':",
            problem=reasons,
        )

    rows = _score_runs(requests, model, root, cache_all_outputs=True, show=show, say=say)
    title = f"benchmarks on the dataset '{options.dataset}'"
    return SuiteResult(title=title, folder=folder, rows=(*rows, *mismatched_rows))


def _protocol_names(protocols: str, dataset: str) -> list[str]:
    """Names of the benchmarks that ``--protocols`` lists, each once."""
    if protocols != ALL_PROTOCOLS:
        return list(dict.fromkeys(name.strip() for name in protocols.split(",")))
    return [
        name
        for name, benchmark in BENCHMARKS.items()
        if benchmark.dataset is None or benchmark.dataset == dataset
    ]


def _dataset_mismatch(
    benchmark: Benchmark, dataset: str, split: str, variant: str | None
) -> str | None:
    """Return why a benchmark does not fit a dataset, split or variant; None if it fits."""
    if benchmark.dataset is None:
        return None
    for setting, required, requested in (
        ("dataset", benchmark.dataset, dataset),
        ("split", benchmark.split, split),
        ("variant", benchmark.variant, variant),
    ):
        if required is not None and requested is not None and required != requested:
            return f"uses the {setting} '{required}', but you asked for '{requested}'"
    return None


def _score_runs(
    requests: Sequence[_RunRequest],
    model: AnyModel,
    root: str | Path | None,
    *,
    cache_all_outputs: bool = False,
    show: bool,
    say: Callable[[str], None],
) -> tuple[SuiteRow, ...]:
    """Plan all runs first, so that mistakes are reported early, then score one after the other."""
    first_options = requests[0].options
    # A model that cannot be loaded stops the suite, and is not the failure of one benchmark.
    loaded = resolve_model(model, first_options) if first_options.predictions is None else None
    make_plan = partial(
        plan_scores, model=model, loaded=loaded, cache_all_outputs=cache_all_outputs
    )
    planned_runs = [_plan_run(request, root, loaded, make_plan) for request in requests]
    rows: list[SuiteRow] = []
    shown_warnings: set[str] = set()  # shown once, though several benchmarks read the same files
    for run_number, planned in enumerate(planned_runs, start=1):
        say(f"{run_number} of {len(planned_runs)}: {planned.row.label}")
        rows.append(_score_run(planned, rows, show=show, shown_warnings=shown_warnings))
    return tuple(rows)


def _plan_run(
    request: _RunRequest,
    root: str | Path | None,
    loaded: Model | None,
    make_plan: Callable[..., EvaluationPlan],
) -> _PlannedRun:
    """Plan one run, unless it is finished already or cannot be scored, as its row says then."""
    run, options = request.run, request.options
    assert options.output is not None, "_run_options sets a folder for every run"
    row = SuiteRow(label=run.label, folder=options.output)
    plan = None
    try:
        dataset_root = _dataset_root(run, root)
        selection = select_images(find_benchmark(run.benchmark), dataset_root, options)
        make_plan = partial(make_plan, selection, benchmark_name=run.benchmark, root=dataset_root)
        finished = None
        if loaded is not None:
            finish_results(row.folder)
            made_by = mirrored(loaded, options).made_by
            finished = find_same_results(row.folder, selection, made_by)
        if finished is not None:
            row = replace(row, evaluation=finished, was_finished=True)
        else:
            plan = make_plan(options=options)
    except OutputError:
        raise
    except RilievoError as error:
        row = replace(row, reason=note_of(error))
    return _PlannedRun(row=row, options=options, plan=plan, make_plan=make_plan)


def _score_run(
    planned: _PlannedRun,
    previous_rows: Sequence[SuiteRow],
    *,
    show: bool,
    shown_warnings: set[str],
) -> SuiteRow:
    """Score one run, with the predictions of a previous run of the suite if these fit.

    ``shown_warnings`` is as for ``score_plan``.
    """
    plan, options = planned.plan, planned.options
    if plan is None:
        return planned.row
    try:
        if plan.cached_model is not None:
            # Given as an option, so that the results can be opened later with these predictions.
            fingerprint = plan.cached_model.cache.fingerprint
            reusable = _find_reusable_predictions(fingerprint, plan.selection, previous_rows)
            options = replace(options, predictions=reusable)
        if previous_rows:
            # Files may have changed while the previous benchmarks were scored, so plan again.
            plan = planned.make_plan(options=options)
        evaluation = score_plan(plan, show=show, shown_warnings=shown_warnings)
    except OutputError:
        raise
    except RilievoError as error:
        return replace(planned.row, reason=note_of(error))
    return replace(planned.row, evaluation=evaluation)


def _find_reusable_predictions(
    fingerprint: Fingerprint, selection: Selection, previous_rows: Sequence[SuiteRow]
) -> Path | None:
    """Folder of the first previous run with the same predictions; None if there is none."""
    for row in previous_rows:
        if row.evaluation is None or row.evaluation.data.root != selection.scored_data.root:
            continue
        try:
            cache = read_cache(row.folder / PREDICTIONS)
            # Another variant of a dataset may show the same photographs.
            if replace(cache.fingerprint, variant=fingerprint.variant) != fingerprint:
                continue
            absent, broken = cache.missing(selection.ids)
            check_same_photographs(cache, selection)
        except (InputError, OptionError):
            continue
        # Images that could not be predicted then need not be tried again.
        unscored_ids = {image.id for image in row.evaluation.unscored}
        if not broken and unscored_ids.issuperset(absent):
            return row.folder
    return None


def _dataset_root(run: SuiteRun, root: str | Path | None) -> Path | None:
    """Folder of a run's dataset: ``root``, or the run's folder below it."""
    if run.folder is None:
        return None if root is None else Path(root)
    folder = Path(run.folder).expanduser()
    if root is not None:
        # An absolute folder stays as it is, because pathlib ignores what stands before it.
        return Path(root).expanduser() / folder
    if not folder.is_absolute():
        place = "the folder of the dataset is unknown: give it with "
        if folder.parts:
            place = (
                f"the suite does not say where the folder '{folder}' of the dataset is: give the "
                "folder that contains it with "
            )
        raise OptionError(problem=Text(place, OptionName("root")))
    return folder


def _check_options_unset(options: EvaluateOptions, names: Sequence[str]) -> None:
    """Raise an OptionError if one of the options is given, which suit a single benchmark only."""
    for name in names:
        if getattr(options, name) is not None:
            raise OptionError(
                option=name,
                problem="only applies to a single benchmark",
                hint="leave it out, or run a single benchmark",
            )


def _suite_folder(model: AnyModel, suite_name: str, options: EvaluateOptions) -> Path:
    """Folder that holds a folder for each benchmark; raises an OutputError if it is a file."""
    default_name = options.predictions.name if options.predictions else "model"
    folder = run_folder(options.output, model_name(model) or default_name, suite_name)
    if os.path.exists(folder) and not os.path.isdir(folder):
        raise OutputError(f"{folder}: a file with this name exists: choose another folder")
    return folder


def rows_table(suite_rows: Sequence[SuiteRow]) -> Table:
    """Table of each benchmark's leading metric, followed by means over several datasets."""
    table_rows: list[tuple[str, ...]] = []
    values_on_datasets: list[SetValues] = []
    for row in suite_rows:
        evaluation = row.evaluation
        if evaluation is None:
            reason = for_terminal(row.reason)
            table_rows.append((row.label, EMPTY_CELL, EMPTY_CELL, EMPTY_CELL, reason))
            continue
        leading = evaluation.summaries[0]
        image_counts = f"{len(evaluation.scores)} of {evaluation.data.asked}"
        if row.was_finished:
            image_counts += ", done before"
        interval = bounds(leading.low, leading.high)
        table_rows.append((row.label, leading.label, number(leading.value), interval, image_counts))
        values_on_datasets.append(
            SetValues(
                label=row.label,
                benchmark=evaluation.benchmark,
                metric=leading,
                values={evaluation.made_by.model: leading.value},
            )
        )

    means = set_means(values_on_datasets)
    for mean in means:
        [value] = mean.values.values()
        table_rows.append((mean.label, mean.metric.label, number(value), EMPTY_CELL, EMPTY_CELL))
    return Table(
        headings=make_headings(
            "benchmark", "metric", "value", "95% interval", "images", words=["metric"]
        ),
        rows=tuple(table_rows),
        notes=means_notes(means),
    )
