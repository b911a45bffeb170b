"""Records of a comparison: models side by side, on one benchmark or several."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from rilievo.arrays.shapes import Float64, Values
from rilievo.evaluation.intervals import ValueRange, mean_interval, scene_means
from rilievo.evaluation.metrics.metric import Better
from rilievo.evaluation.records import Summary
from rilievo.evaluation.summaries import SIGNIFICANCE_LEVEL


@dataclass(frozen=True, slots=True, kw_only=True)
class Difference:
    """One run minus the reference, in one metric.

    Attributes:
        mean: Mean of the differences of the images, or of the scenes.
        low: Lower end of its paired 95% interval; None with too few images or scenes.
        p: P-value with Holm's correction for all runs of the column.
    """

    mean: float
    low: float | None
    high: float | None
    p: float

    @property
    def is_significant(self) -> bool:
        """Whether p-value and interval both say so: the former tests ranks, the latter the mean."""
        if self.low is None or self.high is None:
            return False
        return self.p < SIGNIFICANCE_LEVEL and not self.low <= 0 <= self.high


@dataclass(frozen=True, slots=True, kw_only=True)
class ComparedValue:
    """Value of one result in one metric, with its interval, rank and difference.

    Attributes:
        low: Lower end of the 95% interval of ``value``; None if there is no interval.
        rank: Rank among the runs, 1 for the best; None for a published result.
        difference: Difference from the reference; None for the reference and published results.
        is_best: Whether it is significantly better than every other run.
    """

    value: float
    low: float | None = None
    high: float | None = None
    rank: int | None = None
    difference: Difference | None = None
    is_best: bool = False

    @property
    def is_marked(self) -> bool:
        """Whether it differs significantly from the reference."""
        return self.difference is not None and self.difference.is_significant


@dataclass(frozen=True, slots=True, kw_only=True)
class ComparedImages:
    """Images whose values are compared, and how their means and intervals are computed.

    Attributes:
        scenes: Scene of each image; None if it is not known.
        by_scene: Whether a mean is taken over scenes, and not over images.
    """

    scenes: tuple[str | None, ...]
    by_scene: bool

    def means(self, values: Values) -> Float64[np.ndarray, "m"]:
        """The values that a mean is taken of: those of the images, or the means of the scenes."""
        return scene_means(values, self.scenes) if self.by_scene else values

    def cell(self, values: Values, value_range: ValueRange = ValueRange.ANY) -> ComparedValue:
        """Mean of the images' values with its 95% interval."""
        mean = float(self.means(values).mean())
        interval = mean_interval(values, self.scenes, value_range, by_scene=self.by_scene)
        low, high = interval or (None, None)
        return ComparedValue(value=mean, low=low, high=high)


@dataclass(frozen=True, slots=True, kw_only=True)
class ComparedResult:
    """Result of one model on a benchmark: a run, or a result that a paper published.

    Attributes:
        cells: Values by metric; a published result has only those that were published.
        alignment: Alignment of a run's predictions; None if nothing is aligned.
        source: Paper of a published result, and known differences; None for a run.
        quote: The published result as the paper has it.
    """

    name: str
    is_published: bool
    cells: Mapping[str, ComparedValue]
    alignment: str | None = None
    source: str | None = None
    quote: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class ComparedMetric:
    """One metric, in which all runs of a benchmark are compared.

    Attributes:
        reference: Run that the others are compared with.
        ids: Images whose values are compared.
        values: Values of each run, one for each of ``ids``; absolute values if the metric is best
            near zero.
        cells: Value of each run over all images.
    """

    metric: str
    label: str
    unit: str
    better: Better
    reference: str
    ids: tuple[str, ...]
    images: ComparedImages
    values: Mapping[str, Values]
    cells: Mapping[str, ComparedValue]


@dataclass(frozen=True, slots=True, kw_only=True)
class BenchmarkComparison:
    """Runs side by side on one benchmark, with a row for each run and a column for each metric.

    Attributes:
        label: Name of the benchmark, with its data if several comparisons have the same benchmark.
        image_count: Number of images that all runs have.
        baseline: Run that the user chose to compare with; None to compare with the best.
        columns: Metrics, the leading one first.
        rows: Runs, the best first; then published results, likewise.
        reports: Report of each run on disk.
    """

    label: str
    benchmark: str
    benchmark_sha256: str
    title: str
    dataset: str
    image_count: int
    baseline: str | None
    columns: tuple[ComparedMetric, ...]
    rows: tuple[ComparedResult, ...]
    notes: tuple[str, ...]
    reports: Mapping[str, Path] = field(default_factory=dict)

    @property
    def leading(self) -> ComparedMetric:
        """Column of the metric by which runs are ranked."""
        return self.columns[0]

    @property
    def runs(self) -> tuple[ComparedResult, ...]:
        """Rows of runs, without published results."""
        return tuple(row for row in self.rows if not row.is_published)

    @property
    def sources(self) -> Mapping[str, int]:
        """Papers of the published results, each with the number by which tables cite it, from 1."""
        sources = dict.fromkeys(row.source for row in self.rows if row.source)
        return {source: index for index, source in enumerate(sources, start=1)}

    def differences(self) -> Iterator[tuple[ComparedResult, ComparedMetric, Difference]]:
        """Yield the differences of all runs from the reference, metric by metric."""
        for column in self.columns:
            for row in self.runs:
                difference = row.cells[column.metric].difference
                if difference is not None:
                    yield row, column, difference


@dataclass(frozen=True, slots=True, kw_only=True)
class SetMean:
    """Mean of a metric over several datasets, each counting the same.

    Attributes:
        family: Program or benchmark that the datasets belong to.
        sets: Labels of the benchmarks on the datasets.
    """

    family: str
    metric: ComparedMetric | Summary
    sets: tuple[str, ...]
    values: Mapping[str, float]

    @property
    def label(self) -> str:
        """Heading of its column."""
        return f"{self.family}: mean of {len(self.sets)} datasets"

    @property
    def note(self) -> str:
        """Sentence that names the datasets."""
        return f"{self.label}, with equal weights: {', '.join(self.sets)}."


@dataclass(frozen=True, slots=True, kw_only=True)
class PairOverSets:
    """Two models compared over all benchmarks, the better one first.

    Attributes:
        ratio: Error of the better over that of the worse, a geometric mean over the benchmarks.
        low: Lower end of its interval. The intervals of all pairs hold together in 95% of cases.
        p: P-value corrected for all pairs.
    """

    better: str
    worse: str
    ratio: float
    low: float
    high: float
    p: float

    @property
    def is_claimed(self) -> bool:
        """Whether the better one is significantly better."""
        return self.p < SIGNIFICANCE_LEVEL and self.high < 1


@dataclass(frozen=True, slots=True, kw_only=True)
class Standing:
    """Ranks of one model on several benchmarks.

    Attributes:
        ranks: Rank on each benchmark by its label; models with equal numbers share the mean rank.
        mean_rank: Mean over the benchmarks that all models have; None if there are none.
        low: Lower end of its 95% interval; None if there is no interval.
    """

    name: str
    ranks: Mapping[str, float]
    mean_rank: float | None = None
    low: float | None = None
    high: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Comparison:
    """Runs side by side, with a group of columns for each benchmark.

    Attributes:
        notes: What to know before the numbers are believed, with the notes of the groups.
        standings: Ranks of the models over several benchmarks, the best mean rank first.
        shared_benchmarks: Labels of the benchmarks that all models have.
        pairs: Pairs of models over the shared benchmarks, the smallest p-value first.
    """

    groups: tuple[BenchmarkComparison, ...]
    notes: tuple[str, ...]
    standings: tuple[Standing, ...] = ()
    shared_benchmarks: tuple[str, ...] = ()
    means: tuple[SetMean, ...] = ()
    pairs: tuple[PairOverSets, ...] = ()

    @property
    def has_several_benchmarks(self) -> bool:
        """Whether it has several benchmarks."""
        return len(self.groups) > 1

    @property
    def has_ranks(self) -> bool:
        """Whether there are mean ranks to show."""
        return len(self.standings) > 1 and bool(self.shared_benchmarks)
