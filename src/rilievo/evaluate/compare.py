"""Models side by side on one benchmark, with what chance alone would make of their differences."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from jaxtyping import Float64

from rilievo.errors import OptionError, suggest
from rilievo.evaluate.agreement import check_benchmark, shared_images
from rilievo.evaluate.benchmark import Published
from rilievo.evaluate.cards import card_of
from rilievo.evaluate.comparison import Cell, Column, Comparison, Difference, Row
from rilievo.evaluate.comparison_notes import notes_of
from rilievo.evaluate.records import Evaluation, Summary
from rilievo.evaluate.significance import holm, mean_interval, wilcoxon_p
from rilievo.evaluate.table import metric_names, read_evaluation
from rilievo.metrics.metric import Better

Values = Mapping[str, Float64[np.ndarray, "n"]]


@dataclass(frozen=True, slots=True, kw_only=True)
class _Runs:
    """What is compared.

    Attributes:
        all: By name, in the order given.
        ids: Images that are compared.
        is_cut: Whether some run has more images than these.
        baseline: Name of the run that the others are compared with; None for each metric's best.
    """

    all: Mapping[str, Evaluation]
    ids: tuple[str, ...]
    is_cut: bool
    baseline: str | None


def compare(
    runs: Sequence[Path | Evaluation],
    *,
    baseline: str | None = None,
    metrics: Sequence[str] | None = None,
    common: bool = False,
) -> Comparison:
    """Put runs of one benchmark side by side, with its published rows.

    Differences are tested image by image: a paired bootstrap gives their intervals, Wilcoxon's
    signed-rank test their p-values, with Holm's correction for the runs of each metric.

    Args:
        runs: Evaluations, their files, or the folders that hold them.
        baseline: Name of the run that the others are compared with: its model's, as the rows call
            it. By default the best run in each metric.
        metrics: Which, in this order; by default all that every run has.
        common: Whether to score anew, as means over images, those that all runs have, where the
            runs do not have the same.

    Raises:
        InputError: If a run cannot be read, or runs differ in benchmark, data or images.
        OptionError: If there is no run, or no such baseline or metric.
        MissingExtraError: If scipy is not installed.
    """
    if not runs:
        raise OptionError("there is no run to compare; give folders that hold evaluation.json")
    named = _named(runs)
    if baseline is not None and baseline not in named:
        raise OptionError(f"no run '{baseline}' for a baseline; {suggest(baseline, named)}")
    check_benchmark(named)
    ids = shared_images(named, common=common)
    is_cut = any(len(run.scores) != len(ids) for run in named.values())
    compared = _Runs(all=named, ids=ids, is_cut=is_cut, baseline=baseline)
    first = next(iter(named.values()))
    card = card_of(first)
    columns: list[Column] = []
    cells: dict[str, dict[str, Cell]] = {name: {} for name in named}
    for metric in _metrics(named, metrics):
        column, found = _column(compared, metric)
        columns.append(column)
        for name, cell in found.items():
            cells[name][metric] = cell
    return Comparison(
        benchmark=first.benchmark,
        benchmark_sha256=first.benchmark_sha256,
        title="" if card is None else card.title,
        dataset=f"{first.data.dataset}, {first.data.split}",
        images=len(ids),
        baseline=baseline,
        columns=tuple(columns),
        rows=(*_run_rows(named, cells), *_published_rows(card and card.published, columns, named)),
        notes=notes_of(named, columns, images=len(ids), is_cut=is_cut),
    )


def _named(runs: Sequence[Path | Evaluation]) -> dict[str, Evaluation]:
    """Runs by their model; where several are of one, by their folder too."""
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


def _column(runs: _Runs, metric: str) -> tuple[Column, Mapping[str, Cell]]:
    """One metric of all runs."""
    summaries = {
        name: next(each for each in run.summaries if each.metric == metric)
        for name, run in runs.all.items()
    }
    ids, values = _values(runs, metric)
    quoted = {name: _quoted(runs, summaries[name], values[name]) for name in runs.all}
    sign = 1 if next(iter(summaries.values())).better is Better.LOWER else -1
    keys = {name: sign * cell.value for name, cell in quoted.items()}
    best = min(keys, key=keys.__getitem__)
    reference = best if runs.baseline is None else runs.baseline
    to_best = _differences(values, best)
    to_reference = to_best if reference == best else _differences(values, reference)
    is_clear = bool(to_best) and all(
        each.is_significant and sign * each.mean > 0 for each in to_best.values()
    )
    cells = {
        name: Cell(
            value=cell.value,
            low=cell.low,
            high=cell.high,
            rank=1 + sum(other < keys[name] for other in keys.values()),
            difference=to_reference.get(name),
            is_best=is_clear and name == best,
        )
        for name, cell in quoted.items()
    }
    column = Column(
        metric=metric,
        label=summaries[best].label,
        unit=summaries[best].unit,
        better=summaries[best].better,
        reference=reference,
        ids=ids,
        values={name: tuple(each.tolist()) for name, each in values.items()},
    )
    return column, cells


def _values(runs: _Runs, metric: str) -> tuple[tuple[str, ...], Values]:
    """Values of the images where every run has the metric."""
    by_id = {
        name: {score.id: score.values for score in run.scores} for name, run in runs.all.items()
    }
    ids = tuple(id for id in runs.ids if all(metric in each[id] for each in by_id.values()))
    return ids, {
        name: np.array([each[id][metric] for id in ids], np.float64) for name, each in by_id.items()
    }


def _quoted(runs: _Runs, summary: Summary, values: Float64[np.ndarray, "n"]) -> Cell:
    """The run's own number; over common images alone, their mean."""
    if not runs.is_cut or not values.size:
        return Cell(value=summary.value, low=summary.low, high=summary.high)
    low, high = mean_interval(values) or (None, None)
    return Cell(value=float(values.mean()), low=low, high=high)


def _differences(values: Values, reference: str) -> Mapping[str, Difference]:
    """Every other run against the reference."""
    others = {
        name: each - values[reference]
        for name, each in values.items()
        if name != reference and each.size
    }
    corrected = holm([wilcoxon_p(each) for each in others.values()])
    differences = {}
    for (name, each), p in zip(others.items(), corrected, strict=True):
        low, high = mean_interval(each) or (None, None)
        differences[name] = Difference(mean=float(each.mean()), low=low, high=high, p=p)
    return differences


def _run_rows(runs: Mapping[str, Evaluation], cells: Mapping[str, Mapping[str, Cell]]) -> list[Row]:
    """The best in the leading metric first."""
    rows = [
        Row(name=name, is_published=False, cells=cells[name], alignment=run.alignment)
        for name, run in runs.items()
    ]
    return sorted(rows, key=lambda row: next(iter(row.cells.values())).rank or 0)


def _published_rows(
    published: Sequence[Published] | None, columns: Sequence[Column], runs: Mapping[str, Evaluation]
) -> list[Row]:
    """Those that have a metric of ours."""
    rows: list[Row] = []
    for each in published or ():
        known = [column.metric for column in columns if column.metric in each.values]
        if known:
            name = f"{each.model} (published)" if each.model in runs else each.model
            cells = {metric: Cell(value=each.values[metric]) for metric in known}
            rows.append(Row(name=name, is_published=True, cells=cells, source=each.source))
    return rows
