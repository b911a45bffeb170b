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
    finish_results,
    repeatable_results,
    run_folder,
)
from rilievo.evaluation.evaluation_plan import EvaluationPlan, plan_scores, resolve_model
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
from rilievo.evaluation.tables.set_means import SetValues, notes_on_means, set_means
from rilievo.evaluation.tables.wording import bounds, number
from rilievo.extensions.trust import trust
from rilievo.models.base import Model
from rilievo.models.refinement.refine import mirrored
from rilievo.pages.tables import NOTHING, Table, make_heads

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
class _RunRequest:
    """A run of a suite, with the options for this run."""

    run: SuiteRun
    options: EvaluateOptions


@dataclass(frozen=True, slots=True, kw_only=True)
class _PlannedRun:
    """A run that is ready to be scored, or whose result is known already.

    Attributes:
        row: Result so far: finished before, refused, or empty.
        root: Folder of the dataset.
        plan: What is left to do; None if nothing is.
    """

    run: SuiteRun
    options: EvaluateOptions
    row: SuiteRow
    root: Path | None = None
    plan: EvaluationPlan | None = None


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

    ``suite`` is a name of ``suite_names``, a TOML file, or the record itself; ``root`` holds the
    folders of its datasets, ``options.predictions`` folders named as its runs. A benchmark that
    lacks its data, or scores what the model does not predict, is skipped with the reason. ``say``
    receives a line before each benchmark.

    Raises:
        OptionError: If there is no such suite, or options are for one benchmark alone.
        ModelError: If the model cannot be loaded.
        OutputError: If results cannot be written.
    """
    options = options or EvaluateOptions()
    trust(options.trust_code)
    suite = suite if isinstance(suite, Suite) else find_suite(suite)
    _refuse_options_for_one_benchmark(
        options, ("dataset", "split", "variant", "list_file", "align")
    )
    folder = _suite_folder(model, suite.name, options)
    requests = [
        _RunRequest(run=run, options=_options_of_run(options, run, folder)) for run in suite.runs
    ]
    rows = _score_runs(requests, model, root, show=show, say=say)
    return SuiteResult(title=f"{suite.name}: {suite.title}", folder=folder, rows=rows)


def _options_of_run(options: EvaluateOptions, run: SuiteRun, folder: Path) -> EvaluateOptions:
    """Options of a suite, with the data, predictions and output folder of one of its runs."""
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
    _refuse_options_for_one_benchmark(options, ("align",))
    if options.dataset is None:
        raise OptionError(
            option="protocols",
            problem=Text("scores one dataset by many benchmarks: name it, ", OptionName("dataset")),
        )

    folder = _suite_folder(model, f"{options.dataset}-protocols", options)
    split = options.split or find_dataset(options.dataset).card.splits[0]
    requests: list[_RunRequest] = []
    refused: list[SuiteRow] = []
    for name in _protocol_names(protocols, options.dataset):
        benchmark = find_benchmark(name)
        output = folder / benchmark.name
        reason = _dataset_mismatch(benchmark, options.dataset, split, options.variant)
        if reason is not None:
            refused.append(SuiteRow(label=benchmark.name, folder=output, reason=reason))
            continue
        run_options = replace(options, output=output)
        if benchmark.dataset is not None:
            run_options = replace(run_options, split=None, variant=None)
        run = SuiteRun(benchmark=name, name=benchmark.name)
        requests.append(_RunRequest(run=run, options=run_options))
    if not requests:
        reasons = join_texts("; ", [Text(f"{row.label}: ", row.reason) for row in refused])
        raise OptionError(
            f"no benchmark fits '{options.dataset}', split '{split}':", problem=reasons
        )

    rows = _score_runs(requests, model, root, cache_all_outputs=True, show=show, say=say)
    title = f"{options.dataset}: {protocols}"
    return SuiteResult(title=title, folder=folder, rows=(*rows, *refused))


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
    """Why a benchmark does not fit a dataset, its split or its variant; None if it fits."""
    if benchmark.dataset is None:
        return None
    for what, required, requested in (
        ("dataset", benchmark.dataset, dataset),
        ("split", benchmark.split, split),
        ("variant", benchmark.variant, variant),
    ):
        if required is not None and requested is not None and required != requested:
            return f"is of the {what} '{required}', and '{requested}' is asked for"
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
    """Plan all runs first, so that refusals come early, then score one after the other."""
    first_options = requests[0].options
    # What is wrong with the model is no fault of a benchmark.
    loaded = resolve_model(model, first_options) if first_options.predictions is None else None
    make_plan = partial(
        plan_scores, model=model, loaded=loaded, cache_all_outputs=cache_all_outputs
    )
    planned_runs = [_plan_run(request, root, loaded, make_plan) for request in requests]
    rows: list[SuiteRow] = []
    for position, planned in enumerate(planned_runs, start=1):
        say(f"{position} of {len(planned_runs)}: {planned.row.label}")
        rows.append(_score_run(planned, rows, make_plan, show=show))
    return tuple(rows)


def _plan_run(
    request: _RunRequest,
    root: str | Path | None,
    loaded: Model | None,
    make_plan: Callable[..., EvaluationPlan],
) -> _PlannedRun:
    """Plan one run; its row says so if it is finished already, or why it cannot be scored."""
    run, options = request.run, request.options
    assert options.output is not None, "a run of a suite has a folder"
    row = SuiteRow(label=run.label, folder=options.output)
    planned = _PlannedRun(run=run, options=options, row=row)
    try:
        planned = replace(planned, root=_dataset_root(run, root))
        selection = select_images(find_benchmark(run.benchmark), planned.root, options)
        if loaded is not None:
            finish_results(row.folder)
            made_by = mirrored(loaded, options).made_by
            finished = repeatable_results(row.folder, selection, made_by)
            if finished is not None:
                return replace(planned, row=replace(row, evaluation=finished, was_finished=True))
        plan = make_plan(
            selection, benchmark_name=run.benchmark, root=planned.root, options=options
        )
    except OutputError:
        raise
    except RilievoError as error:
        return replace(planned, row=replace(row, reason=note_of(error)))
    return replace(planned, plan=plan)


def _score_run(
    planned: _PlannedRun,
    scored_rows: Sequence[SuiteRow],
    make_plan: Callable[..., EvaluationPlan],
    *,
    show: bool,
) -> SuiteRow:
    """Score one run, with the predictions of an earlier run of the suite where these fit."""
    plan, options = planned.plan, planned.options
    if plan is None:
        return planned.row
    try:
        if isinstance(plan.source.predictions, PredictionCache) and plan.model is not None:
            # Given as an option, so that the results can be opened later with these predictions.
            fingerprint = plan.source.predictions.fingerprint
            reusable = _reusable_predictions(fingerprint, plan.selection, scored_rows)
            options = replace(options, predictions=reusable)
        if scored_rows:
            # Files may have changed while the benchmarks before were scored.
            plan = make_plan(
                plan.selection,
                benchmark_name=planned.run.benchmark,
                root=planned.root,
                options=options,
            )
        evaluation = score_plan(plan, show=show)
    except OutputError:
        raise
    except RilievoError as error:
        return replace(planned.row, reason=note_of(error))
    return replace(planned.row, evaluation=evaluation)


def _reusable_predictions(
    wanted: Fingerprint, selection: Selection, scored_rows: Sequence[SuiteRow]
) -> Path | None:
    """Folder of the first earlier run whose predictions are those wanted; None if none is."""
    for row in scored_rows:
        if row.evaluation is None or row.evaluation.data.root != selection.scored_data.root:
            continue
        try:
            cache = read_cache(row.folder / PREDICTIONS)
            # Another variant of a dataset may show the same photographs.
            if replace(cache.fingerprint, variant=wanted.variant) != wanted:
                continue
            absent, broken = cache.missing(selection.ids)
            refuse_other_photographs(cache, selection)
        except (InputError, OptionError):
            continue
        unscored = {image.id for image in row.evaluation.unscored}
        if not broken and unscored.issuperset(absent):
            return row.folder
    return None


def _dataset_root(run: SuiteRun, root: str | Path | None) -> Path | None:
    """Folder of a run's dataset: ``root``, or the run's folder below it."""
    if run.folder is None:
        return None if root is None else Path(root)
    folder = Path(run.folder).expanduser()
    if root is not None:
        return Path(root).expanduser() / folder
    if not folder.is_absolute():
        raise OptionError(
            problem=Text(
                f"the suite looks for the folder '{run.folder}' below ", OptionName("root")
            ),
            hint="say it",
        )
    return folder


def _refuse_options_for_one_benchmark(options: EvaluateOptions, names: Sequence[str]) -> None:
    for name in names:
        if getattr(options, name) is not None:
            raise OptionError(
                option=name,
                problem="is for one benchmark",
                hint="leave it out, or score one alone",
            )


def _suite_folder(model: AnyModel, name: str, options: EvaluateOptions) -> Path:
    """Folder that holds a folder for each benchmark; refused if it is a file."""
    unnamed = options.predictions.name if options.predictions else "model"
    folder = run_folder(options.output, model_name(model) or unnamed, name)
    if os.path.exists(folder) and not os.path.isdir(folder):
        raise OutputError(f"{folder}: a file has this name: choose another folder")
    return folder


def rows_table(suite_rows: Sequence[SuiteRow]) -> Table:
    """Table of each benchmark's leading metric, followed by means over several datasets."""
    table_rows: list[tuple[str, ...]] = []
    values_on_sets: list[SetValues] = []
    for row in suite_rows:
        evaluation = row.evaluation
        if evaluation is None:
            reason = for_terminal(row.reason)
            table_rows.append((row.label, NOTHING, NOTHING, NOTHING, reason))
            continue
        leading = evaluation.summaries[0]
        images = f"{len(evaluation.scores)} of {evaluation.data.asked}"
        if row.was_finished:
            images += ", done before"
        interval = bounds(leading.low, leading.high)
        table_rows.append((row.label, leading.label, number(leading.value), interval, images))
        values_on_sets.append(
            SetValues(
                label=row.label,
                benchmark=evaluation.benchmark,
                metric=leading,
                values={evaluation.made_by.model: leading.value},
            )
        )

    means = set_means(values_on_sets)
    for mean in means:
        [value] = mean.values.values()
        table_rows.append((mean.label, mean.metric.label, number(value), NOTHING, NOTHING))
    return Table(
        heads=make_heads(
            "benchmark", "metric", "value", "95 % interval", "images", words=["metric"]
        ),
        rows=tuple(table_rows),
        notes=notes_on_means(means),
    )
