"""Several models on one benchmark, side by side: the records that tables and pages are made of."""

from collections.abc import Iterator, Mapping
from dataclasses import field, replace
from pathlib import Path

import numpy as np

from rilievo.evaluation.benchmarks.benchmark import Averaging
from rilievo.evaluation.metrics.metric import Better, badness
from rilievo.evaluation.records import Evaluation, Summary
from rilievo.evaluation.results.intervals import (
    LEVEL,
    Reach,
    holm,
    mean_interval,
    scene_means,
    wilcoxon_p,
)
from rilievo.evaluation.results.summaries import reach_of
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
class Comparison:
    """Runs of one benchmark, side by side.

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


def compared_metric(
    runs: Mapping[str, Evaluation],
    metric: str,
    ids: tuple[str, ...],
    baseline: str | None,
    *,
    is_cut: bool,
) -> Column:
    """Rank the runs in one metric, and test them against the reference.

    Args:
        runs: Evaluations by name.
        metric: Metric that all of them have.
        ids: Images that are compared.
        baseline: Name of the reference; None for the best run.
        is_cut: Whether some run has more images, so that its own number does not count.
    """
    rows = {name: {score.id: score.values for score in run.scores} for name, run in runs.items()}
    ids = tuple(id for id in ids if all(metric in row[id] for row in rows.values()))
    values = {
        name: np.array([row[id][metric] for id in ids], np.float64) for name, row in rows.items()
    }
    scenes = {score.id: score.scene for score in next(iter(runs.values())).scores}
    images = Images(scenes=tuple(scenes[id] for id in ids), by_scene=is_by_scene(runs))
    summaries = {
        name: next(entry for entry in run.summaries if entry.metric == metric)
        for name, run in runs.items()
    }
    quoted = {name: _quoted(summaries[name], values[name], images, is_cut=is_cut) for name in runs}
    better = next(iter(summaries.values())).better
    badnesses = {name: badness(cell.value, better) for name, cell in quoted.items()}
    best = min(runs, key=badnesses.__getitem__)
    reference = best if baseline is None else baseline
    # Of what is best near zero, its size is compared: two biases of opposite sign may be equal.
    if better is Better.ZERO:
        values = {name: np.abs(array) for name, array in values.items()}
    to_best = to_reference = _differences(values, images, best)
    if reference != best:
        to_reference = _differences(values, images, reference)
    sign = -1 if better is Better.HIGHER else 1
    is_clear = bool(to_best) and all(
        entry.is_significant and sign * entry.mean > 0 for entry in to_best.values()
    )
    return Column(
        metric=metric,
        label=summaries[reference].label,
        unit=summaries[reference].unit,
        better=better,
        reference=reference,
        ids=ids,
        images=images,
        values=values,
        cells={
            name: replace(
                cell,
                rank=1 + sum(other < badnesses[name] for other in badnesses.values()),
                difference=to_reference.get(name),
                is_best=is_clear and name == best,
            )
            for name, cell in quoted.items()
        },
    )


def is_by_scene(runs: Mapping[str, Evaluation]) -> bool:
    """Whether the runs' benchmark averages over scenes, not over images."""
    return any(run.settings.get("averaging") == Averaging.PER_SCENE for run in runs.values())


def _quoted(
    summary: Summary,
    values: Values,
    images: Images,
    *,
    is_cut: bool,
) -> Cell:
    """The run's own number; over common images alone, their mean."""
    if not is_cut or not values.size:
        return Cell(value=summary.value, low=summary.low, high=summary.high)
    return images.cell(values, reach_of(summary.better, summary.unit, values.tolist()))


def _differences(
    values: Mapping[str, Values], images: Images, reference: str
) -> Mapping[str, Difference]:
    """Every other run against the reference."""
    others = {
        name: array - values[reference]
        for name, array in values.items()
        if name != reference and array.size
    }
    corrected = holm([wilcoxon_p(scene_means(other, images.scenes)) for other in others.values()])
    cells = map(images.cell, others.values())
    return {
        name: Difference(mean=cell.value, low=cell.low, high=cell.high, p=p)
        for name, cell, p in zip(others, cells, corrected, strict=True)
    }
