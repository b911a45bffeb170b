"""Several models on one benchmark, side by side: the records that tables and pages are made of."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float64

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

Values = Mapping[str, Float64[np.ndarray, "n"]]


@dataclass(frozen=True, slots=True, kw_only=True)
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


@dataclass(frozen=True, slots=True, kw_only=True)
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


@dataclass(frozen=True, slots=True, kw_only=True)
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


@dataclass(frozen=True, slots=True, kw_only=True)
class Column:
    """One metric.

    Attributes:
        unit: "" for none.
        better: Direction in which it improves.
        reference: Name of the run that the others are compared with.
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
        title: A line; empty where it is not known.
        dataset: Name of the dataset, and the split.
        baseline: The run that the user chose as reference; None for the best of each metric.
        columns: The leading metric first.
        rows: Runs, the best in the leading metric first; then published rows, likewise.
        by_scene: Whether its numbers are means over scenes of the means of their images.
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
    by_scene: bool = False

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


@dataclass(frozen=True, slots=True, kw_only=True)
class LineUp:
    """One metric of all runs.

    Attributes:
        column: Column of the table, and its values image by image.
    """

    column: Column
    cells: Mapping[str, Cell]


def line_up(
    runs: Mapping[str, Evaluation],
    metric: str,
    ids: tuple[str, ...],
    baseline: str | None,
    *,
    is_cut: bool,
) -> LineUp:
    """Rank the runs in one metric, and test them against the reference.

    Args:
        runs: Evaluations by name.
        metric: Metric that all of them have.
        ids: Images that are compared.
        baseline: Name of the reference; None for the best run.
        is_cut: Whether some run has more images, so that its own number does not count.
    """
    summaries = {
        name: next(each for each in run.summaries if each.metric == metric)
        for name, run in runs.items()
    }
    better = next(iter(summaries.values())).better
    ids, values = _values(runs, metric, ids)
    images = _Images(scenes=scenes_of(runs, ids), by_scene=is_by_scene(runs))
    quoted = {name: _quoted(summaries[name], values[name], images, is_cut=is_cut) for name in runs}
    order = sorted(runs, key=lambda name: badness(quoted[name].value, better))
    reference = order[0] if baseline is None else baseline
    # Of what is best near zero, its size is compared: two biases of opposite sign may be equal.
    sizes = {name: np.abs(each) for name, each in values.items()}
    compared = sizes if better is Better.ZERO else values
    column = Column(
        metric=metric,
        label=summaries[reference].label,
        unit=summaries[reference].unit,
        better=better,
        reference=reference,
        ids=ids,
        values={name: tuple(each.tolist()) for name, each in compared.items()},
    )
    return LineUp(column=column, cells=_cells(quoted, compared, images, order, column))


@dataclass(frozen=True, slots=True, kw_only=True)
class _Images:
    """Images of a column, and the mean over them.

    Attributes:
        scenes: Scene of each; None where it is not known.
        by_scene: Whether every scene counts the same, not every image.
    """

    scenes: tuple[str | None, ...]
    by_scene: bool

    def mean(self, values: Float64[np.ndarray, "n"]) -> float:
        """Mean of one value an image."""
        return float((scene_means(values, self.scenes) if self.by_scene else values).mean())

    def interval(
        self, values: Float64[np.ndarray, "n"], reach: Reach = Reach.ANY
    ) -> tuple[float, float] | tuple[None, None]:
        """The 95 % interval of that mean; (None, None) of too few images or scenes."""
        return mean_interval(values, self.scenes, reach, by_scene=self.by_scene) or (None, None)


def is_by_scene(runs: Mapping[str, Evaluation]) -> bool:
    """Whether the runs' benchmark averages over scenes, not over images."""
    return any(run.settings.get("averaging") == Averaging.PER_SCENE for run in runs.values())


def scenes_of(runs: Mapping[str, Evaluation], ids: Sequence[str]) -> tuple[str | None, ...]:
    """The scene of each image, by the first run that knows it: older runs name none."""
    known: dict[str, str | None] = {}
    for run in runs.values():
        for score in run.scores:
            known[score.id] = known.get(score.id) or score.scene
    return tuple(known[id] for id in ids)


def _values(
    runs: Mapping[str, Evaluation], metric: str, ids: tuple[str, ...]
) -> tuple[tuple[str, ...], Values]:
    """The images that have the metric in all runs, and its values there."""
    rows = {name: {score.id: score.values for score in run.scores} for name, run in runs.items()}
    ids = tuple(id for id in ids if all(metric in each[id] for each in rows.values()))
    values = {
        name: np.array([each[id][metric] for id in ids], np.float64) for name, each in rows.items()
    }
    return ids, values


def _quoted(
    summary: Summary,
    values: Float64[np.ndarray, "n"],
    images: _Images,
    *,
    is_cut: bool,
) -> Cell:
    """The run's own number; over common images alone, their mean."""
    if not is_cut or not values.size:
        return Cell(value=summary.value, low=summary.low, high=summary.high)
    reach = reach_of(summary.better, summary.unit, values.tolist())
    low, high = images.interval(values, reach)
    return Cell(value=images.mean(values), low=low, high=high)


def _cells(
    quoted: Mapping[str, Cell],
    values: Values,
    images: _Images,
    order: list[str],
    column: Column,
) -> Mapping[str, Cell]:
    best, better = order[0], column.better
    to_best = to_reference = _differences(values, images, best)
    if column.reference != best:
        to_reference = _differences(values, images, column.reference)
    sign = -1 if better is Better.HIGHER else 1
    is_clear = bool(to_best) and all(
        each.is_significant and sign * each.mean > 0 for each in to_best.values()
    )
    keys = [badness(quoted[name].value, better) for name in order]
    return {
        name: Cell(
            value=quoted[name].value,
            low=quoted[name].low,
            high=quoted[name].high,
            rank=1 + sum(other < key for other in keys),
            difference=to_reference.get(name),
            is_best=is_clear and name == best,
        )
        for name, key in zip(order, keys, strict=True)
    }


def _differences(values: Values, images: _Images, reference: str) -> Mapping[str, Difference]:
    """Every other run against the reference."""
    others = {
        name: each - values[reference]
        for name, each in values.items()
        if name != reference and each.size
    }
    corrected = holm([wilcoxon_p(scene_means(each, images.scenes)) for each in others.values()])
    differences = {}
    for (name, each), p in zip(others.items(), corrected, strict=True):
        low, high = images.interval(each)
        differences[name] = Difference(mean=images.mean(each), low=low, high=high, p=p)
    return differences
