"""Several models side by side, on one benchmark or several: the records that tables are made of."""

from collections.abc import Iterator, Mapping
from dataclasses import field
from pathlib import Path

import numpy as np

from rilievo.evaluation.metrics.metric import Better
from rilievo.evaluation.records import Summary
from rilievo.evaluation.results.intervals import LEVEL, Reach, mean_interval, scene_means
from rilievo.frozen import frozen
from rilievo.shapes import Float64, Values


@frozen
class Difference:
    """One run against the reference, in one metric, image by image.

    Attributes:
        mean: Mean of run minus reference, over the images of the column.
        low: Lower end of its paired 95 % confidence interval; None of fewer than three images or
            scenes.
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


@frozen
class Cell:
    """One metric of one row.

    Attributes:
        low: Lower end of its 95 % confidence interval; None where it is not known.
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


@frozen
class Images:
    """Images of a column, and the mean over them.

    Attributes:
        scenes: Scene of each; None where it is not known.
        by_scene: Whether every scene counts the same, not every image.
    """

    scenes: tuple[str | None, ...]
    by_scene: bool

    def means(self, values: Values) -> Float64[np.ndarray, "m"]:
        """Values that count the same: those of the images, or the means of their scenes."""
        return scene_means(values, self.scenes) if self.by_scene else values

    def cell(self, values: Values, reach: Reach = Reach.ANY) -> Cell:
        """Mean of one value an image, with its interval."""
        mean = float(self.means(values).mean())
        interval = mean_interval(values, self.scenes, reach, by_scene=self.by_scene)
        low, high = interval or (None, None)
        return Cell(value=mean, low=low, high=high)


@frozen
class Row:
    """A run, or a row of somebody's table.

    Attributes:
        is_published: Whether others say so, and we did not measure it.
        cells: Cells by metric; a missing one is unknown.
        alignment: Alignment of the predictions; None if unknown.
        source: Place of a published row, and what is known to differ.
        quote: Words of a published row in its source; empty for a run, or if nobody quoted it.
    """

    name: str
    is_published: bool
    cells: Mapping[str, Cell]
    alignment: str | None = None
    source: str | None = None
    quote: str = ""


@frozen
class Column:
    """One metric.

    Attributes:
        unit: "" for none.
        better: Direction in which it improves.
        reference: Name of the run that the others are compared with.
        images: Scenes of the images of ``ids``.
        values: Name of a run to what is compared, one for each of ``ids``: the run's values, or
            their sizes where the metric is best near zero.
        cells: Cells of the runs by their names.
    """

    metric: str
    label: str
    unit: str
    better: Better
    reference: str
    ids: tuple[str, ...]
    images: Images
    values: Mapping[str, Values]
    cells: Mapping[str, Cell]


@frozen
class ColumnGroup:
    """Runs side by side on one benchmark.

    Attributes:
        label: Name of the benchmark; among several, with its data where that tells it apart.
        title: A line; empty where it is not known.
        dataset: Name of the dataset, and the split.
        baseline: The run that the user chose as reference; None for the best of each metric.
        columns: The leading metric first.
        rows: Runs, the best in the leading metric first; then published rows, likewise.
        reports: Report beside the results of each run, where it is known.
    """

    label: str
    benchmark: str
    benchmark_sha256: str
    title: str
    dataset: str
    images: int
    baseline: str | None
    columns: tuple[Column, ...]
    rows: tuple[Row, ...]
    notes: tuple[str, ...]
    reports: Mapping[str, Path] = field(default_factory=dict)

    @property
    def leading(self) -> Column:
        """Column of the metric by which runs are ranked."""
        return self.columns[0]

    @property
    def runs(self) -> tuple[Row, ...]:
        """The rows that were measured."""
        return tuple(row for row in self.rows if not row.is_published)

    @property
    def sources(self) -> Mapping[str, int]:
        """Sources of published rows, numbered from 1."""
        sources = dict.fromkeys(row.source for row in self.rows if row.source)
        return {source: index for index, source in enumerate(sources, start=1)}

    def differences(self) -> Iterator[tuple[Row, Column, Difference]]:
        """Metric by metric, every run but the reference."""
        for column in self.columns:
            for row in self.runs:
                difference = row.cells[column.metric].difference
                if difference is not None:
                    yield row, column, difference


@frozen
class SetMean:
    """A metric's mean over sets.

    Attributes:
        family: Benchmark of the sets, or what their benchmarks' names share.
        metric: Name, label, unit and direction of the metric.
        sets: Labels of the sets.
        values: Mean of each model that was scored on all of them.
    """

    family: str
    metric: Column | Summary
    sets: tuple[str, ...]
    values: Mapping[str, float]

    @property
    def label(self) -> str:
        """Name of the column."""
        return f"{self.family}: mean of {len(self.sets)} sets"

    @property
    def note(self) -> str:
        """The sets by name."""
        return f"{self.label}, each counting the same: {', '.join(self.sets)}."


@frozen
class PairOverSets:
    """Two models over all benchmarks.

    Attributes:
        first: Model with the smaller mean error.
        second: The other one.
        ratio: Error of the first over that of the second, the geometric mean over the benchmarks.
        low: Lower end of the interval of the ratio; with 95 %, those of all pairs hold.
        high: Upper end.
        p: P-value that both are alike, corrected for all pairs.
    """

    first: str
    second: str
    ratio: float
    low: float
    high: float
    p: float

    @property
    def is_claimed(self) -> bool:
        """Whether the first is said to be better."""
        return self.p < LEVEL and self.high < 1


@frozen
class Standing:
    """One model over all benchmarks.

    Attributes:
        name: Name of the model.
        ranks: Rank of the model by label of the benchmark, on those where it was scored.
        mean_rank: Mean over the benchmarks that all models have; None where there is none.
        low: Lower end of the 95 % interval of the mean rank; None where images are too few, or
            the numbers of a benchmark are no means over images.
        high: Upper end.
    """

    name: str
    ranks: Mapping[str, float]
    mean_rank: float | None = None
    low: float | None = None
    high: float | None = None


@frozen
class Comparison:
    """Runs side by side: a group of columns for each benchmark, and what they say together.

    Attributes:
        groups: Benchmarks, in the order in which their first runs were given.
        notes: Notes to read before the numbers are believed, those of the groups too.
        models: Ranks of models over several benchmarks, the best mean rank first.
        shared: Labels of the benchmarks that mean ranks rest on.
        means: Means over sets, of families that have several.
        pairs: Every two models over the benchmarks that all have, the surest claims first.
    """

    groups: tuple[ColumnGroup, ...]
    notes: tuple[str, ...]
    models: tuple[Standing, ...] = ()
    shared: tuple[str, ...] = ()
    means: tuple[SetMean, ...] = ()
    pairs: tuple[PairOverSets, ...] = ()

    @property
    def is_of_several(self) -> bool:
        """Whether it is of several benchmarks."""
        return len(self.groups) > 1

    @property
    def has_ranks(self) -> bool:
        """Whether there is a mean rank to show: of several models, on benchmarks that all have."""
        return len(self.models) > 1 and bool(self.shared)
