"""Numbers over all images, and how far chance alone moves them."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
from jaxtyping import Float64

from rilievo.evaluate.benchmark import Averaging, Benchmark
from rilievo.evaluate.metrics import metrics_of
from rilievo.evaluate.ranges import COUNT, range_errors
from rilievo.evaluate.records import RangeError, Score, Summary
from rilievo.evaluate.scoring import Scored
from rilievo.metrics.metric import AnyMetric, Sums, pooled

RESAMPLES = 1000
SEED = 0
"""Of the resamples: the same scores have the same interval."""

KEPT_SUMS = 64
"""Longer sums, such as a histogram, are added up but not kept of each image: without interval."""

BLOCK = 2_000_000
"""Counts of images in resamples that are held at once."""


@dataclass(slots=True, kw_only=True)
class Tallied:
    """What scores of images add up to; memory per image is some hundred bytes.

    Attributes:
        benchmark: Of the scores.
    """

    benchmark: Benchmark
    scores: list[Score] = field(default_factory=list)
    _sums: dict[str, list[Sums]] = field(default_factory=dict)
    _totals: dict[str, Sums] = field(default_factory=dict)
    _ranges: Float64[np.ndarray, "3 bins"] = field(default_factory=lambda: np.zeros((3, COUNT)))

    def add(self, scored: Scored) -> None:
        """Take in one image."""
        self.scores.append(scored.score)
        if scored.ranges is not None:
            self._ranges += scored.ranges
        for name, sums in scored.sums.items():
            total = self._totals.get(name)
            self._totals[name] = sums.copy() if total is None else total + sums
            if sums.size <= KEPT_SUMS:
                self._sums.setdefault(name, []).append(sums)

    @property
    def ranges(self) -> tuple[RangeError, ...]:
        """Error against true depth; empty where it was not measured."""
        return range_errors(self._ranges)

    def summaries(self, exact: Mapping[str, float]) -> tuple[Summary, ...]:
        """One a metric, the leading one first; of one image at least.

        Args:
            exact: Pooled values by metric that are known better than the sums tell.
        """
        metrics = metrics_of(self.benchmark)
        pixels = np.array([score.pixels for score in self.scores], dtype=np.float64)
        values = {name: [score.values[name] for score in self.scores] for name in metrics}
        sums = {name: np.stack(each) for name, each in self._sums.items()}
        spread = _intervals(self.benchmark, metrics, values, sums, pixels)
        return tuple(
            self._summary(metric, np.array(values[name]), exact.get(name), spread.get(name))
            for name, metric in metrics.items()
        )

    def _summary(
        self,
        metric: AnyMetric,
        values: Float64[np.ndarray, "n"],
        exact: float | None,
        interval: tuple[float, float] | None,
    ) -> Summary:
        pixels = sum(score.pixels for score in self.scores)
        whole = exact
        if whole is None and metric.pools:
            whole = pooled(metric, self._totals[metric.name], pixels)
        per_image = float(values.mean())
        by_pixel = self.benchmark.averaging is Averaging.POOLED and whole is not None
        return Summary(
            metric=metric.name,
            label=metric.label,
            unit=metric.unit,
            better=metric.better,
            value=whole if by_pixel and whole is not None else per_image,
            low=None if interval is None else interval[0],
            high=None if interval is None else interval[1],
            per_image=per_image,
            pooled=whole,
            median=float(np.median(values)),
            images=len(self.scores),
            pixels=pixels,
        )


def _intervals(
    benchmark: Benchmark,
    metrics: Mapping[str, AnyMetric],
    values: Mapping[str, Sequence[float]],
    sums: Mapping[str, Float64[np.ndarray, "n k"]],
    pixels: Float64[np.ndarray, "n"],
) -> dict[str, tuple[float, float]]:
    """95 % percentile intervals: images drawn anew with replacement, the same ones for all."""
    count = pixels.size
    if count < 2:
        return {}
    drawn: dict[str, list[float]] = {}
    for times in _resamples(count):
        drawn_pixels = times @ pixels
        for name, metric in metrics.items():
            if benchmark.averaging is Averaging.PER_IMAGE or not metric.pools:
                found = times @ np.array(values[name]) / count
            elif name in sums:
                totals = times @ sums[name]
                found = [
                    metric.finish(total, int(number))
                    for total, number in zip(totals, drawn_pixels, strict=True)
                ]
            else:
                continue
            drawn.setdefault(name, []).extend(map(float, found))
    return {
        name: (float(np.percentile(each, 2.5)), float(np.percentile(each, 97.5)))
        for name, each in drawn.items()
    }


def _resamples(count: int) -> Iterable[Float64[np.ndarray, "some n"]]:
    """How often each image is in each of ``RESAMPLES`` draws of ``count`` images, in blocks."""
    chance = np.random.default_rng(SEED)
    rows = max(1, BLOCK // count)
    for start in range(0, RESAMPLES, rows):
        size = min(rows, RESAMPLES - start)
        yield chance.multinomial(count, np.full(count, 1 / count), size=size).astype(np.float64)
