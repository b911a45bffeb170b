"""Models side by side on one benchmark, with what chance alone would make of their differences."""

from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path

from rilievo.errors import OptionError, suggest
from rilievo.evaluate.benchmark import Published, settings_of
from rilievo.evaluate.benchmarks import find_benchmark
from rilievo.evaluate.comparison import Cell, Column, Comparison, Row
from rilievo.evaluate.comparison_columns import LineUp, line_up
from rilievo.evaluate.comparison_notes import notes_of
from rilievo.evaluate.records import Evaluation
from rilievo.evaluate.run_groups import check_benchmark, shared_images
from rilievo.evaluate.table import metric_names, read_evaluation
from rilievo.evaluate.wording import setting_value


def compare(
    runs: Sequence[Path | Evaluation],
    *,
    baseline: str | None = None,
    metrics: Sequence[str] | None = None,
    common: bool = False,
) -> Comparison:
    """Put runs of one benchmark side by side, with its published rows.

    Differences are tested image by image, or scene by scene where the dataset names them:
    Student's t gives their intervals, Wilcoxon's signed-rank test their p-values, with Holm's
    correction for the runs of each metric.

    Args:
        runs: Evaluations, their files, or the folders that hold them.
        baseline: Name of the run that the others are compared with: its model's, as the rows call
            it. By default the best run in each metric.
        metrics: Metrics to show, in this order; by default all that every run has.
        common: Whether to score anew, as means over images, those that all runs have, where the
            runs do not have the same.

    Raises:
        InputError: If a run cannot be read, or runs differ in benchmark, data or images.
        OptionError: If there is no run, or no such baseline or metric.
        MissingExtraError: If scipy is not installed.
    """
    if not runs:
        raise OptionError("there is no run to compare; give folders that hold evaluation.json")
    named = named_runs(runs)
    if baseline is not None and baseline not in named:
        raise OptionError(f"no run '{baseline}' for a baseline; {suggest(baseline, named)}")
    check_benchmark(named)
    ids = shared_images(named, common=common)
    return _compared(named, _metrics(named, metrics), ids, baseline)


def shared_metrics(runs: Sequence[Path | Evaluation]) -> tuple[str, ...]:
    """Metrics that all runs have, the leading one first.

    Raises:
        InputError: If a run cannot be read.
        OptionError: If there is none.
    """
    return _metrics(named_runs(runs), None)


def _compared(
    named: Mapping[str, Evaluation],
    metrics: Sequence[str],
    ids: tuple[str, ...],
    baseline: str | None,
) -> Comparison:
    is_cut = any(len(run.scores) != len(ids) for run in named.values())
    lines = [line_up(named, metric, ids, baseline, is_cut=is_cut) for metric in metrics]
    columns = tuple(line.column for line in lines)
    first = next(iter(named.values()))
    published = _published(first)
    return Comparison(
        benchmark=first.benchmark,
        benchmark_sha256=first.benchmark_sha256,
        title=setting_value(first.settings.get("title", "")),
        dataset=f"{first.data.dataset}, {first.data.split}",
        images=len(ids),
        baseline=baseline,
        columns=columns,
        rows=(*_run_rows(named, lines), *_published_rows(published, columns, named)),
        notes=notes_of(named, columns, images=len(ids), is_cut=is_cut),
    )


def named_runs(runs: Sequence[Path | Evaluation]) -> dict[str, Evaluation]:
    """Read runs, by their model; where several are of one, by their folder too.

    Raises:
        InputError: If a run cannot be read.
    """
    read = [run if isinstance(run, Evaluation) else read_evaluation(run) for run in runs]
    models = Counter(run.made_by.model for run in read)
    named: dict[str, Evaluation] = {}
    for given, run in zip(runs, read, strict=True):
        name = run.made_by.model
        if models[name] > 1 and isinstance(given, Path):
            folder = given if given.is_dir() else given.parent
            name = f"{name} ({folder.resolve().name})"
        unique, number = name, 2
        while unique in named:
            unique, number = f"{name} #{number}", number + 1
        named[unique] = run
    return named


def _metrics(runs: Mapping[str, Evaluation], asked: Sequence[str] | None) -> tuple[str, ...]:
    """Those to compare, each once."""
    known = [metric_names(run) for run in runs.values()]
    shared = tuple(name for name in known[0] if all(name in names for names in known))
    for name in asked or ():
        if name not in shared:
            raise OptionError(f"no metric '{name}' in every run; {suggest(name, shared)}")
    if not shared:
        raise OptionError("the runs have no metric in common")
    return tuple(dict.fromkeys(asked)) if asked else shared


def _run_rows(runs: Mapping[str, Evaluation], lines: Sequence[LineUp]) -> list[Row]:
    """The best in the leading metric first."""
    rows = [
        Row(
            name=name,
            is_published=False,
            cells={line.column.metric: line.cells[name] for line in lines},
            alignment=run.alignment,
        )
        for name, run in runs.items()
    ]
    return sorted(rows, key=lambda row: lines[0].cells[row.name].rank or 0)


def _published(run: Evaluation) -> tuple[Published, ...]:
    """Others' results under the settings of the run; what a benchmark leaves open may be any."""
    try:
        benchmark = find_benchmark(run.benchmark)
    except OptionError:
        return ()
    own = {name: value for name, value in settings_of(benchmark).items() if value is not None}
    is_same = all(run.settings.get(name) == value for name, value in own.items())
    return benchmark.published if is_same else ()


def _published_rows(
    published: Sequence[Published], columns: Sequence[Column], runs: Mapping[str, Evaluation]
) -> list[Row]:
    """Those that have a metric of ours."""
    rows: list[Row] = []
    for each in published:
        known = [column.metric for column in columns if column.metric in each.values]
        if known:
            name = f"{each.model} (published)" if each.model in runs else each.model
            cells = {metric: Cell(value=each.values[metric]) for metric in known}
            rows.append(Row(name=name, is_published=True, cells=cells, source=each.source))
    return rows
