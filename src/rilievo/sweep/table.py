"""The table of a sweep: a row for each backbone and probe, mean and spread over seeds."""

import statistics
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from rilievo.evaluate.benchmark import Benchmark, benchmark_sha256
from rilievo.metrics.metric import Better
from rilievo.sweep.results import Cell, Measured, Value

PUBLISHED = "published"


@dataclass(frozen=True, slots=True, kw_only=True)
class Column:
    """One metric under one benchmark.

    Attributes:
        benchmark: Its name.
        metric: Its name.
        label: Of the metric.
        unit: "" for none.
        better: Which way it improves.
        images: How many all rows of ours rest on, where some row has no score for some image;
            None where every row has all.
    """

    benchmark: str
    metric: str
    label: str
    unit: str
    better: Better
    images: int | None = None

    @property
    def heading(self) -> str:
        """Above its numbers: shares are in %."""
        arrow = "↑" if self.better is Better.HIGHER else "↓"
        common = "" if self.images is None else f", {self.images} common images"
        return f"{self.label} {self.shown_unit} {arrow}{common}".replace("  ", " ")

    @property
    def shown_unit(self) -> str:
        """Of the numbers as they stand in the table."""
        return self.unit or "%"

    def shown(self, value: float) -> float:
        """The number as it stands in the table."""
        return value if self.unit else 100 * value


@dataclass(frozen=True, slots=True, kw_only=True)
class Score:
    """A metric over seeds.

    Attributes:
        mean: Over seeds.
        spread: Standard deviation over seeds, n - 1 below the root; None for a single one.
    """

    mean: float
    spread: float | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """One line of the table.

    Attributes:
        title: What the backbone is called.
        probe: Its kind; ``PUBLISHED`` for rows of others' tables.
        layers: That were taken.
        alone: Whether it is one layer alone.
        seeds: How many each score rests on, at least.
        parameters: Of the backbone; None where it is not known.
        probe_parameters: Of the probe, the largest of the tasks.
        cpu_seconds: Of one image from photograph to answer, the mean over tasks and seeds.
        scores: By column.
        source: Of a published row.
        gaps: What deserves a look: images without a score, by benchmark and seed.
    """

    title: str
    probe: str
    layers: tuple[int, ...] = ()
    alone: bool = False
    seeds: int = 0
    parameters: int | None = None
    probe_parameters: int | None = None
    cpu_seconds: float | None = None
    scores: Mapping[Column, Score]
    source: str | None = None
    gaps: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Table:
    """Rows with the same columns, ours first.

    Attributes:
        title: Of the sweep.
        columns: In order.
        rows: In the order of the sweep's file, published ones behind them.
    """

    title: str
    columns: tuple[Column, ...]
    rows: tuple[Row, ...]


def make_table(title: str, cells: Sequence[Cell], benchmarks: Iterable[Benchmark]) -> Table:
    """Gather cells into rows; published rows join where the benchmark is theirs, unchanged.

    Args:
        title: Of the sweep.
        cells: Done.
        benchmarks: That they were scored by, with what is published under them.
    """
    common = _common(cells)
    columns = tuple(dict.fromkeys(_columns(cells, common)))
    groups: dict[tuple[str, str, tuple[int, ...], bool], list[Cell]] = {}
    for cell in cells:
        groups.setdefault((cell.title, cell.probe, cell.layers, cell.alone), []).append(cell)
    shas = {each.sha256 for cell in cells for each in cell.measured}
    matching = [each for each in benchmarks if benchmark_sha256(each) in shas]
    rows = [_row(alike, columns, common) for alike in groups.values()]
    return Table(title=title, columns=columns, rows=(*rows, *published_rows(matching, columns)))


def published_rows(benchmarks: Iterable[Benchmark], columns: Sequence[Column]) -> tuple[Row, ...]:
    """What others published under these benchmarks, one row a model."""
    scores: dict[str, dict[Column, Score]] = {}
    sources: dict[str, str] = {}
    for benchmark in benchmarks:
        for each in benchmark.published:
            found = {
                column: Score(mean=each.values[column.metric], spread=None)
                for column in columns
                if column.benchmark == benchmark.name and column.metric in each.values
            }
            scores.setdefault(each.model, {}).update(found)
            sources[each.model] = each.source
    return tuple(
        Row(title=model, probe=PUBLISHED, scores=found, source=sources[model])
        for model, found in scores.items()
    )


def spread_of(values: Sequence[float]) -> Score:
    """Mean and standard deviation of a few seeds."""
    spread = statistics.stdev(values) if len(values) > 1 else None
    return Score(mean=statistics.fmean(values), spread=spread)


def _common(cells: Sequence[Cell]) -> Mapping[str, frozenset[str]]:
    """Under each benchmark that some cell could not score an image of: those that all could.

    A row that leaves out its own hard images would look better than one that does not.
    """
    every: dict[str, list[Measured]] = {}
    for cell in cells:
        for measured in cell.measured:
            every.setdefault(measured.benchmark, []).append(measured)
    return {
        benchmark: frozenset.intersection(*(frozenset(each.ids) for each in those))
        for benchmark, those in every.items()
        if any(each.unscored for each in those)
    }


def _value(measured: Measured, value: Value, common: frozenset[str] | None) -> float | None:
    """The number by the benchmark, or its mean over the common images; None where there is none."""
    if common is None:
        return value.value
    kept = [each for id, each in zip(measured.ids, value.each, strict=True) if id in common]
    return statistics.fmean(kept) if kept else None


def _columns(cells: Sequence[Cell], common: Mapping[str, frozenset[str]]) -> Iterable[Column]:
    for cell in cells:
        for measured in cell.measured:
            for value in measured.values:
                yield _column(measured.benchmark, value, common)


def _column(benchmark: str, value: Value, common: Mapping[str, frozenset[str]]) -> Column:
    return Column(
        images=len(common[benchmark]) if benchmark in common else None,
        benchmark=benchmark,
        metric=value.metric,
        label=value.label,
        unit=value.unit,
        better=value.better,
    )


def _row(
    cells: Sequence[Cell], columns: Sequence[Column], common: Mapping[str, frozenset[str]]
) -> Row:
    values: dict[Column, list[float]] = {}
    for cell in cells:
        for measured in cell.measured:
            for value in measured.values:
                number = _value(measured, value, common.get(measured.benchmark))
                if number is not None:
                    column = _column(measured.benchmark, value, common)
                    values.setdefault(column, []).append(number)
    first = cells[0]
    return Row(
        title=first.title,
        probe=first.probe,
        layers=first.layers,
        alone=first.alone,
        seeds=min((len(each) for each in values.values()), default=0),
        parameters=first.backbone_parameters,
        probe_parameters=max(cell.probe_parameters for cell in cells),
        cpu_seconds=statistics.fmean(cell.predicting_cpu_seconds for cell in cells),
        scores={column: spread_of(values[column]) for column in columns if column in values},
        gaps=tuple(_gaps(cells)),
    )


def _gaps(cells: Sequence[Cell]) -> Iterable[str]:
    """A line for each benchmark under which some images have no score."""
    names = dict.fromkeys(each.benchmark for cell in cells for each in cell.measured)
    for name in names:
        there = [each for cell in cells for each in cell.measured if each.benchmark == name]
        reasons = [each.reason for each in there if each.unscored]
        if reasons:
            counts = ", ".join(str(each.unscored) for each in there)
            yield (
                f"{cells[0].title}, {cells[0].probe}, seed by seed: {counts} images have no score "
                f"under {name}; the first, {reasons[0]}"
            )
