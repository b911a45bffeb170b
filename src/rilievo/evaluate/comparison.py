"""Several models on one benchmark, side by side: the records that tables and pages are made of."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from rilievo.evaluate.intervals import LEVEL
from rilievo.metrics.metric import Better


@dataclass(frozen=True, slots=True, kw_only=True)
class Difference:
    """One run against the reference, in one metric, image by image.

    Attributes:
        mean: Mean of run minus reference, over the images of the column.
        low: Lower end of its paired 95 % confidence interval; None of fewer than three images or
            scenes.
        high: Upper end.
        p: P-value of Wilcoxon's signed-rank test on images, or on means of scenes where those are
            known, with Holm's correction for all runs of the column.
    """

    mean: float
    low: float | None
    high: float | None
    p: float

    @property
    def is_significant(self) -> bool:
        """Whether chance alone would hardly give it: p and the interval must agree.

        They test different things, ranks and the mean, so one can say it where the other does not.
        """
        if self.low is None or self.high is None:
            return False
        return self.p < LEVEL and not self.low <= 0 <= self.high


@dataclass(frozen=True, slots=True, kw_only=True)
class Cell:
    """One metric of one row.

    Attributes:
        value: The number to quote.
        low: Lower end of its 95 % confidence interval; None where it is not known.
        high: Upper end.
        rank: Rank among the runs, 1 for the best; None for published rows.
        difference: To the column's reference; None for the reference itself and published rows.
        is_best: Whether it is better than every other run, each time significantly.
    """

    value: float
    low: float | None = None
    high: float | None = None
    rank: int | None = None
    difference: Difference | None = None
    is_best: bool = False

    @property
    def is_marked(self) -> bool:
        """Whether it gets an asterisk: it differs from the reference, and not by chance alone."""
        return self.difference is not None and self.difference.is_significant


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """A run, or a row of somebody's table.

    Attributes:
        name: Unique among the rows.
        is_published: Whether others say so, and we did not measure it.
        cells: Cells by metric; a missing one is unknown.
        alignment: Alignment of the predictions; None if unknown.
        source: Source of a published row.
    """

    name: str
    is_published: bool
    cells: Mapping[str, Cell]
    alignment: str | None = None
    source: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Column:
    """One metric.

    Attributes:
        metric: Name of the metric.
        label: Label for tables.
        unit: "" for none.
        better: Direction in which it improves.
        reference: Name of the run that the others are compared with.
        ids: Images that the differences rest on.
        values: Name of a run to what is compared, one for each of ``ids``: the run's values, or
            their sizes where the metric is best near zero.
    """

    metric: str
    label: str
    unit: str
    better: Better
    reference: str
    ids: tuple[str, ...]
    values: Mapping[str, tuple[float, ...]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Comparison:
    """Runs of one benchmark, side by side.

    Attributes:
        benchmark: Name of the benchmark.
        benchmark_sha256: Hash of its settings.
        title: A line; empty where it is not known.
        dataset: Name of the dataset, and the split.
        images: Number of images that were compared.
        baseline: The run that the user chose as reference; None for the best of each metric.
        columns: The leading metric first.
        rows: Runs, the best in the leading metric first; then published rows.
        notes: Notes to read before the numbers.
    """

    benchmark: str
    benchmark_sha256: str
    title: str
    dataset: str
    images: int
    baseline: str | None
    columns: tuple[Column, ...]
    rows: tuple[Row, ...]
    notes: tuple[str, ...]

    @property
    def runs(self) -> tuple[Row, ...]:
        """The rows that were measured."""
        return tuple(row for row in self.rows if not row.is_published)

    @property
    def sources(self) -> Mapping[str, int]:
        """Sources of published rows, numbered from 1."""
        found = dict.fromkeys(row.source for row in self.rows if row.source)
        return {source: index for index, source in enumerate(found, start=1)}

    def differences(self) -> Iterator[tuple[Row, Column, Difference]]:
        """Metric by metric, every run but the reference."""
        for column in self.columns:
            for row in self.runs:
                difference = row.cells[column.metric].difference
                if difference is not None:
                    yield row, column, difference
