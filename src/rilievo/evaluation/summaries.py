"""Numbers over all images."""

import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial

import numpy as np

from rilievo.alignment.turned_maps import TURNS
from rilievo.arrays.shapes import Float64, Values
from rilievo.errors.messages import Note, OptionName, Text, join_texts
from rilievo.evaluation.benchmarks.benchmark import (
    Averaging,
    Benchmark,
    Invalid,
    Task,
    benchmark_metrics,
)
from rilievo.evaluation.intervals import (
    FEWEST,
    Interval,
    Reach,
    Statistic,
    jackknife_interval,
    mean_statistic,
    scene_count,
    scene_weights,
)
from rilievo.evaluation.metrics.certainty import Reliability, reliability_bins
from rilievo.evaluation.metrics.metric import (
    AnyMetric,
    Better,
    Curves,
    RangeSums,
    Scenes,
    Sums,
    pooled,
)
from rilievo.evaluation.metrics.normals import pooled_median
from rilievo.evaluation.metrics.pairs import REMOVED
from rilievo.evaluation.records import RangeError, Score, Sparsification, Subset, Summary, Unscored
from rilievo.evaluation.scoring.depth_ranges import COUNT, range_errors
from rilievo.evaluation.scoring.metres import FEW, OTHER_UNIT, TURNED, UNANSWERED
from rilievo.evaluation.scoring.placing import is_note_on_place
from rilievo.evaluation.scoring.pool import ScoreJob
from rilievo.evaluation.scoring.score import ScoreWithSums
from rilievo.evaluation.selection import Selection
from rilievo.io.depth.plausibility import TOO_FAR, TOO_NEAR
from rilievo.io.files.names import printable

LEVEL = 0.05

# Most reasons that the remark on images without a score gives.
_MOST_REASONS = 3

# Longer sums, such as a histogram, are not kept of each image, and have no interval.
KEPT_SUMS = 64


@dataclass(slots=True, kw_only=True)
class ScoreTally:
    """Sums of the scores of images; some hundred bytes an image."""

    benchmark: Benchmark
    scores: list[Score] = field(default_factory=list)
    _sums: dict[str, list[Sums]] = field(default_factory=dict)
    _totals: dict[str, Sums] = field(default_factory=dict)
    _ranges: RangeSums = field(default_factory=lambda: np.zeros((3, COUNT)))
    _parts: dict[str, "ScoreTally"] = field(default_factory=dict)
    _curves: Curves | None = None
    _reliability: Sums | None = None

    def add(self, scored: ScoreWithSums) -> None:
        """Add one image's score and sums."""
        self.scores.append(scored.score)
        for name in self.benchmark.parts:
            if scored.score.id.startswith(name):
                whole = replace(self.benchmark, parts=())
                self._parts.setdefault(name, ScoreTally(benchmark=whole)).add(scored)
        if scored.ranges is not None:
            self._ranges += scored.ranges
        self._curves = _add_optional(self._curves, scored.curves)
        self._reliability = _add_optional(self._reliability, scored.reliability)
        for name, sums in scored.sums.items():
            total = self._totals.get(name)
            self._totals[name] = sums.copy() if total is None else total + sums
            if sums.size <= KEPT_SUMS:
                self._sums.setdefault(name, []).append(sums)

    @property
    def parts(self) -> tuple[Subset, ...]:
        """Parts of the images, in the benchmark's order."""
        return tuple(
            Subset(name=name, images=len(part.scores), summaries=part.summaries({}))
            for name in self.benchmark.parts
            if (part := self._parts.get(name)) is not None
        )

    @property
    def ranges(self) -> tuple[RangeError, ...]:
        """Error against true depth."""
        return range_errors(self._ranges)

    @property
    def sparsification(self) -> tuple[Sparsification, ...]:
        """Leading error by share of pixels removed."""
        if self._curves is None:
            return ()
        rows = zip(REMOVED, *(self._curves / len(self.scores)), strict=True)
        return tuple(
            Sparsification(removed=float(at), by_confidence=float(ours), by_error=float(best))
            for at, ours, best in rows
        )

    @property
    def reliability(self) -> tuple[Reliability, ...]:
        """Confidence against the share that is right."""
        return () if self._reliability is None else reliability_bins(self._reliability)

    def summaries(self, exact: Mapping[str, float]) -> tuple[Summary, ...]:
        """One a metric, the leading one first; ``exact`` ones are known better than by sums."""
        metrics = benchmark_metrics(self.benchmark)
        pixels = np.array([score.pixels for score in self.scores], dtype=np.float64)
        values = {name: [score.values[name] for score in self.scores] for name in metrics}
        sums = {name: np.stack(item) for name, item in self._sums.items()}
        scenes = [score.scene for score in self.scores]
        by_scene = self.benchmark.averaging is Averaging.PER_SCENE
        weights = scene_weights(scenes) if by_scene else None
        statistics = dict(
            _metric_statistics(self.benchmark, metrics, values, sums, pixels, weights)
        )
        spread = {name: jackknife_interval(item, scenes) for name, item in statistics.items()}
        return tuple(
            self._summary(
                metric, np.array(values[name]), exact.get(name), spread.get(name), weights
            )
            for name, metric in metrics.items()
        )

    def _summary(
        self,
        metric: AnyMetric,
        values: Values,
        exact: float | None,
        interval: Interval | None,
        weights: Values | None,
    ) -> Summary:
        pixels = sum(score.pixels for score in self.scores)
        whole = exact
        if whole is None and metric.pools:
            whole = pooled(metric, self._totals[metric.name], pixels)
        per_image = float(values.mean())
        value = per_image if weights is None else float(np.average(values, weights=weights))
        if self.benchmark.averaging is Averaging.POOLED and whole is not None:
            value = whole
        low, high = interval or (None, None)
        return Summary(
            metric=metric.name,
            label=metric.label,
            unit=metric.unit,
            better=metric.better,
            value=value,
            low=low,
            high=high,
            per_image=per_image,
            pooled=whole,
            median=float(np.median(values)),
            images=len(self.scores),
            pixels=pixels,
        )


def _add_optional(
    total: Float64[np.ndarray, "..."] | None, part: Float64[np.ndarray, "..."] | None
) -> Float64[np.ndarray, "..."] | None:
    if part is None:
        return total
    return part.copy() if total is None else total + part


def _metric_statistics(
    benchmark: Benchmark,
    metrics: Mapping[str, AnyMetric],
    values: Mapping[str, Sequence[float]],
    sums: Mapping[str, Float64[np.ndarray, "n k"]],
    pixels: Values,
    weights: Values | None,
) -> Iterable[tuple[str, Statistic]]:
    for name, metric in metrics.items():
        reach = metric_reach(metric.better, metric.unit, values[name])
        if benchmark.averaging is not Averaging.POOLED or not metric.pools:
            yield name, mean_statistic(np.array(values[name]), reach, weights)
        elif name in sums:
            parts = np.column_stack([sums[name], pixels])
            yield name, Statistic(parts=parts, finish=partial(_metric_of_sums, metric), reach=reach)


def _metric_of_sums(
    metric: AnyMetric, sums: Float64[np.ndarray, "m k"]
) -> Float64[np.ndarray, "m"]:
    return np.array([metric.finish(row[:-1], round(row[-1])) for row in sums], np.float64)


def metric_reach(better: Better, unit: str, values: Sequence[float]) -> Reach:
    """Range that a metric's values can have."""
    if better is Better.ZERO or min(values) < 0:
        return Reach.ANY
    if better is Better.LOWER:
        return Reach.POSITIVE
    return Reach.SHARE if not unit and max(values) <= 1 else Reach.ANY


def exact_pooled_median(job: ScoreJob, tallied: ScoreTally) -> dict[str, float]:
    """Median angle [°] of all pixels by name, if the benchmark pools."""
    benchmark = job.benchmark
    pooled = benchmark.averaging is Averaging.POOLED and "median" in benchmark_metrics(benchmark)
    if benchmark.task is not Task.NORMALS or not pooled:
        return {}
    scored = [score.id for score in tallied.scores]
    return {"median": pooled_median(partial(job.angles, scored))}


def evaluation_remarks(
    selection: Selection, tallied: ScoreTally, unscored: Iterable[Unscored]
) -> Iterator[str]:
    """Remarks, a line each."""
    facts = selection.facts
    found_or_absent = facts.found + len(selection.dataset.absent)
    if facts.official is not None and found_or_absent != facts.official:
        yield f"the whole split has {facts.official} images; {facts.found} were found"
    passed = len(selection.dataset.absent) - len(selection.absent)
    if passed:
        yield Note(
            Text(
                f"{passed} images of the split have no files, and ",
                OptionName("limit"),
                " passes over them",
            )
        )
    yield from unscored_remark(unscored, facts.asked)
    yield from scene_remark([score.scene for score in tallied.scores])
    turned = [TURNED.format(words) for words in TURNS]
    for remark in (TOO_FAR, TOO_NEAR, OTHER_UNIT, *turned):
        images = sum(any(note.endswith(remark) for note in score.notes) for score in tallied.scores)
        if images:
            yield f"{images} images: {remark}"
    yield from _place_remarks(tallied)
    yield from _pixel_remarks(selection, tallied)


def unscored_remark(unscored: Iterable[Unscored], asked: int) -> Iterator[str]:
    """One remark on all images without a score, with its reasons; the commonest comes first."""
    first: dict[str, Unscored] = {}
    count: Counter[str] = Counter()
    for image in unscored:
        # Names and numbers in a reason differ from image to image.
        without_id = re.sub(rf"(?<!\w){re.escape(image.id)}(?!\w)", "#", image.reason)
        reason = re.sub(r"\d[\d.,]*", "#", without_id)
        count[reason] += 1
        first.setdefault(reason, image)
    if not count:
        return
    reasons: list[str | Text] = []
    for reason, images in count.most_common(_MOST_REASONS):
        image = first[reason]
        others = f" and {images - 1} more" if images > 1 else ""
        reasons.append(Text(image.reason, f" ({printable(image.id)}{others})"))
    rest = sum(images for _, images in count.most_common()[_MOST_REASONS:])
    if rest:
        reasons.append(f"{rest} for other reasons, which the results list")
    start = f"{count.total()} of {asked} images have no score: "
    yield Note(Text(start, join_texts("; ", reasons)))


def _place_remarks(tallied: ScoreTally) -> Iterator[str]:
    """Remarks on where predictions of another size were put, a kind each."""
    first: dict[str, str] = {}
    count: Counter[str] = Counter()
    for score in tallied.scores:
        for note in filter(is_note_on_place, score.notes):
            # Sizes may differ from image to image.
            kind = re.sub(r"\d[\d.,]*", "#", note)
            count[kind] += 1
            first.setdefault(kind, f"{score.id}: {note}")
    for kind, words in first.items():
        yield f"{words}; so {count[kind]} of {len(tallied.scores)} images"


def _pixel_remarks(selection: Selection, tallied: ScoreTally) -> Iterator[str]:
    invalid = selection.benchmark.invalid
    unanswered = [score.unanswered for score in tallied.scores]
    lost = sum(unanswered)
    if lost:
        scored = sum(score.pixels for score in tallied.scores)
        whole = scored if invalid is Invalid.FAR else scored + lost
        yield (
            f"{np.count_nonzero(unanswered)} images: {lost:,} of {whole:,} {UNANSWERED[invalid]} "
            f"({lost / whole:.2%})"
        )
    small = sum(score.pixels < FEW for score in tallied.scores)
    if small and selection.benchmark.task not in (Task.CAMERA, Task.ORDER):
        yield (
            f"{small} images rest on fewer than {FEW} pixels each, and count as much as any other "
            "in a mean over images"
        )


def scene_remark(scenes: Scenes) -> Iterator[str]:
    """Remark that frames of one clip are no independent evidence."""
    count = scene_count(scenes)
    if count < FEWEST <= len(scenes):
        named = " and ".join(sorted(printable(scene) for scene in set(scenes) if scene))
        yield (
            f"the {len(scenes)} images are frames of {count} scene{'s' if count > 1 else ''} "
            f"({named}) and nearly alike, so no confidence interval is claimed"
        )
