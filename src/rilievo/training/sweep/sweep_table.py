"""The table of a sweep: a row per backbone and probe, with mean and spread over seeds."""

import statistics
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from rilievo.training.sweep.sweep_results import Better, Cell, Measured, Value
from rilievo.training.sweep.sweep_scoring import PublishedResult

PUBLISHED = "published"


@dataclass(frozen=True, slots=True, kw_only=True)
class Column:
    """One metric under one benchmark.

    Attributes:
        images: Number of images that all our rows have scores for, if some row lacks some; None
            if every row has scores for all images.
    """

    benchmark: str
    metric: str
    label: str
    unit: str
    better: Better
    images: int | None = None

    @property
    def heading(self) -> str:
        """Heading of the column; shares are in %."""
        arrow = "↑" if self.better is Better.HIGHER else "↓"
        common = "" if self.images is None else f", {self.images} common images"
        return f"{self.label} {self.shown_unit} {arrow}{common}".replace("  ", " ")

    @property
    def shown_unit(self) -> str:
        """Unit of the numbers in the table."""
        return self.unit or "%"

    def shown(self, value: float) -> float:
        """Convert a value to the unit of the table."""
        return value if self.unit else 100 * value


@dataclass(frozen=True, slots=True, kw_only=True)
class Score:
    """A metric over seeds: mean, and sample standard deviation (n - 1; None for a single seed)."""

    mean: float
    spread: float | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """One line of the table.

    Attributes:
        probe: Kind of the probe; ``PUBLISHED`` for published results of others.
        alone: Whether the row is for a single layer.
        seeds: Least number of seeds behind any score of the row.
        parameters: Number of parameters of the backbone; None where it is not known.
        probe_parameters: Number of parameters of the probe, the largest over tasks.
        cpu_seconds: CPU time of one image from photograph to prediction, mean over tasks and
            seeds.
        gaps: Warnings about images without a score, by benchmark and seed.
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
    """Rows with common columns: ours in the order of the sweep's file, then published ones."""

    title: str
    columns: tuple[Column, ...]
    rows: tuple[Row, ...]


def make_table(
    title: str, cells: Sequence[Cell], published: Mapping[str, Sequence[PublishedResult]]
) -> Table:
    """Group cells into rows.

    Rows are added for published results, by the benchmark's name; its settings are those of the
    cells.
    """
    common = _common(cells)
    columns = tuple(dict.fromkeys(_columns(cells, common)))
    groups: dict[tuple[str, str, tuple[int, ...], bool], list[Cell]] = {}
    for cell in cells:
        groups.setdefault((cell.title, cell.probe, cell.layers, cell.alone), []).append(cell)
    rows = [_row(alike, columns, common) for alike in groups.values()]
    return Table(title=title, columns=columns, rows=(*rows, *published_rows(published, columns)))


def published_rows(
    published: Mapping[str, Sequence[PublishedResult]], columns: Sequence[Column]
) -> tuple[Row, ...]:
    """Published results of others, by the name of their benchmark.

    A model has a row for each source of its most published benchmark: numbers of two sources of
    one benchmark never share a row.
    """
    scores: dict[tuple[str, int], dict[Column, Score]] = {}
    sources: dict[tuple[str, int], list[str]] = {}
    for benchmark, results in published.items():
        seen: Counter[str] = Counter()
        for each in results:
            found = {
                column: Score(mean=each.values[column.metric], spread=None)
                for column in columns
                if column.benchmark == benchmark and column.metric in each.values
            }
            if each.data or not found:
                continue
            key = each.model, seen[each.model]
            seen[each.model] += 1
            scores.setdefault(key, {}).update(found)
            sources.setdefault(key, []).append(each.source)
    return tuple(
        Row(
            title=key[0],
            probe=PUBLISHED,
            scores=found,
            source=" / ".join(dict.fromkeys(sources[key])),
        )
        for key, found in scores.items()
    )


def spread_of(values: Sequence[float]) -> Score:
    """Mean and sample standard deviation over seeds."""
    spread = statistics.stdev(values) if len(values) > 1 else None
    return Score(mean=statistics.fmean(values), spread=spread)


def _common(cells: Sequence[Cell]) -> Mapping[str, frozenset[str]]:
    """Images that all cells could score, for each benchmark where some cell missed an image.

    Without this, a row that misses its own hard images would look better than one that does not.
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
    """The benchmark's value, or the mean over the common images; None where there is none."""
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
    """Warnings, one per benchmark with images that have no score."""
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
