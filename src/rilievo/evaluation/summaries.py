"""Summarise the scores of all images: means with intervals, parts, and remarks."""

import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial

import numpy as np

from rilievo.alignment.turned_maps import TURNS
from rilievo.arrays.shapes import Float64, Values
from rilievo.errors.messages import Note, OptionName, Text, join_texts
from rilievo.evaluation.benchmarks.benchmark import Averaging, Benchmark, Invalid, Task
from rilievo.evaluation.benchmarks.metric_choice import benchmark_metrics
from rilievo.evaluation.intervals import (
    MIN_SCENES,
    Interval,
    Statistic,
    ValueRange,
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
from rilievo.evaluation.scoring.comparable_depth import FEW_PIXELS, OTHER_UNIT, TURNED, UNANSWERED
from rilievo.evaluation.scoring.depth_ranges import RANGE_COUNT, range_errors
from rilievo.evaluation.scoring.placing import is_note_on_place
from rilievo.evaluation.scoring.pool import ScoreJob
from rilievo.evaluation.scoring.score import ScoreWithSums
from rilievo.evaluation.selection import Selection
from rilievo.io.depth.plausibility import TOO_FAR, TOO_NEAR
from rilievo.io.files.names import printable

SIGNIFICANCE_LEVEL = 0.05
_MAX_REASONS = 3
"""Most reasons that the remark on images without a score gives."""
MAX_STORED_SUMS = 64
"""Most sums of a metric that are stored for each image. A metric with more, such as one with a
histogram, has no interval."""


@dataclass(slots=True, kw_only=True)
class ScoreAccumulator:
    """Collects the scores of images, and summarises them; some hundred bytes an image.

    Attributes:
        scores: Scores in the order in which they were added.
    """

    benchmark: Benchmark
    scores: list[Score] = field(default_factory=list)
    _sums_by_metric: dict[str, list[Sums]] = field(default_factory=dict)
    _total_by_metric: dict[str, Sums] = field(default_factory=dict)
    _range_sums: RangeSums = field(default_factory=lambda: np.zeros((3, RANGE_COUNT)))
    _parts: dict[str, "ScoreAccumulator"] = field(default_factory=dict)
    _curves: Curves | None = None
    _reliability: Sums | None = None

    def add(self, scored: ScoreWithSums) -> None:
        """Add the score and the sums of one image."""
        self.scores.append(scored.score)
        self._add_to_parts(scored)
        if scored.ranges is not None:
            self._range_sums += scored.ranges
        self._curves = _add_optional(self._curves, scored.curves)
        self._reliability = _add_optional(self._reliability, scored.reliability)
        for name, sums in scored.sums.items():
            total = self._total_by_metric.get(name)
            self._total_by_metric[name] = sums.copy() if total is None else total + sums
            if sums.size <= MAX_STORED_SUMS:
                self._sums_by_metric.setdefault(name, []).append(sums)

    def _add_to_parts(self, scored: ScoreWithSums) -> None:
        for name in self.benchmark.parts:
            if not scored.score.id.startswith(name):
                continue
            if name not in self._parts:
                without_parts = replace(self.benchmark, parts=())
                self._parts[name] = ScoreAccumulator(benchmark=without_parts)
            self._parts[name].add(scored)

    @property
    def parts(self) -> tuple[Subset, ...]:
        """Summaries of parts of the images, in the benchmark's order; empty parts are left out."""
        subsets = []
        for name in self.benchmark.parts:
            if name in self._parts:
                part = self._parts[name]
                summaries = part.summaries({})
                subsets.append(Subset(name=name, images=len(part.scores), summaries=summaries))
        return tuple(subsets)

    @property
    def ranges(self) -> tuple[RangeError, ...]:
        """Errors by ranges of true depth."""
        return range_errors(self._range_sums)

    @property
    def sparsification(self) -> tuple[Sparsification, ...]:
        """Mean leading error by the share of pixels removed; empty without confidences."""
        if self._curves is None:
            return ()
        by_confidence, by_error = self._curves / len(self.scores)
        return tuple(
            Sparsification(
                removed=float(share),
                by_confidence=float(confidence_error),
                by_error=float(least_error),
            )
            for share, confidence_error, least_error in zip(
                REMOVED, by_confidence, by_error, strict=True
            )
        )

    @property
    def reliability(self) -> tuple[Reliability, ...]:
        """Share of pixels that are right by confidence; empty without confidences."""
        return () if self._reliability is None else reliability_bins(self._reliability)

    def summaries(self, exact: Mapping[str, float]) -> tuple[Summary, ...]:
        """Summarise each metric over all images, the leading one first.

        ``exact`` has pooled values, by metric, that sums give only approximately.
        """
        metrics = benchmark_metrics(self.benchmark)
        values_by_metric = {
            name: np.array([score.values[name] for score in self.scores]) for name in metrics
        }
        scenes = [score.scene for score in self.scores]
        is_by_scene = self.benchmark.averaging is Averaging.PER_SCENE
        weights = scene_weights(scenes) if is_by_scene else None

        summaries = []
        for name, metric in metrics.items():
            values = values_by_metric[name]
            statistic = self._statistic(metric, values, weights)
            interval = None if statistic is None else jackknife_interval(statistic, scenes)
            summaries.append(self._summary(metric, values, exact.get(name), interval, weights))
        return tuple(summaries)

    def _statistic(
        self, metric: AnyMetric, values: Values, weights: Values | None
    ) -> Statistic | None:
        """Statistic whose interval is computed; None for a pooled metric with too many sums."""
        value_range = metric_value_range(metric.better, metric.unit, values.tolist())
        if self.benchmark.averaging is not Averaging.POOLED or not metric.pools:
            return mean_statistic(values, value_range, weights)
        sums = self._sums_by_metric.get(metric.name)
        if sums is None:
            return None
        pixels = np.array([score.pixels for score in self.scores], dtype=np.float64)
        return Statistic(
            parts=np.column_stack([np.stack(sums), pixels]),
            finish=partial(_pooled_values, metric),
            value_range=value_range,
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
        pooled_value = exact
        if pooled_value is None and metric.pools:
            pooled_value = pooled(metric, self._total_by_metric[metric.name], pixels)

        per_image = float(values.mean())
        if self.benchmark.averaging is Averaging.POOLED and pooled_value is not None:
            value = pooled_value
        elif weights is not None:
            value = float(np.average(values, weights=weights))
        else:
            value = per_image
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
            pooled=pooled_value,
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


def _pooled_values(metric: AnyMetric, sums: Float64[np.ndarray, "m k"]) -> Float64[np.ndarray, "m"]:
    """Value of a metric for each row of its sums, the last of which is the number of pixels."""
    return np.array([metric.finish(row[:-1], round(row[-1])) for row in sums], np.float64)


def metric_value_range(better: Better, unit: str, values: Sequence[float]) -> ValueRange:
    """Range of the values that a metric can have, judged by its direction, unit and values."""
    if better is Better.ZERO or min(values) < 0:
        return ValueRange.ANY
    if better is Better.LOWER:
        return ValueRange.POSITIVE
    return ValueRange.SHARE if not unit and max(values) <= 1 else ValueRange.ANY


def exact_pooled_median(job: ScoreJob, accumulator: ScoreAccumulator) -> dict[str, float]:
    """Median angle [°] over the pixels of all images, by metric name.

    Empty unless the benchmark pools and scores this median.
    """
    benchmark = job.benchmark
    if benchmark.task is not Task.NORMALS or benchmark.averaging is not Averaging.POOLED:
        return {}
    if "median" not in benchmark_metrics(benchmark):
        return {}
    scored_ids = [score.id for score in accumulator.scores]
    return {"median": pooled_median(partial(job.angles, scored_ids))}


def evaluation_remarks(
    selection: Selection, accumulator: ScoreAccumulator, unscored: Iterable[Unscored]
) -> Iterator[str]:
    """Yield remarks on an evaluation: missing images, implausible depth, few scored pixels."""
    data = selection.scored_data
    scores = accumulator.scores
    listed = data.found + len(selection.dataset.absent)
    if data.official is not None and listed != data.official:
        yield f"the whole split has {data.official} images; {data.found} were found"
    passed_over = len(selection.dataset.absent) - len(selection.absent)
    if passed_over:
        yield Note(
            Text(
                f"{passed_over} images of the split have no files, and ",
                OptionName("limit"),
                " passes over them",
            )
        )
    yield from unscored_remark(unscored, data.asked)
    yield from scene_remark([score.scene for score in scores])

    turned_remarks = [TURNED.format(words) for words in TURNS]
    for remark in (TOO_FAR, TOO_NEAR, OTHER_UNIT, *turned_remarks):
        images = sum(_has_note(score, remark) for score in scores)
        if images:
            yield f"{images} images: {remark}"
    yield from _place_remarks(scores)
    yield from _pixel_remarks(selection.benchmark, scores)


def _has_note(score: Score, ending: str) -> bool:
    return any(note.endswith(ending) for note in score.notes)


def unscored_remark(unscored: Iterable[Unscored], asked: int) -> Iterator[str]:
    """Yield one remark on all images without a score, with the commonest reasons first.

    ``asked`` is the number of images that were to be scored. Nothing is yielded if all were.
    """
    first_by_kind: dict[str, Unscored] = {}
    counts: Counter[str] = Counter()
    for image in unscored:
        # Names and numbers in a reason differ from image to image.
        without_id = re.sub(rf"(?<!\w){re.escape(image.id)}(?!\w)", "#", image.reason)
        kind = _mask_numbers(without_id)
        counts[kind] += 1
        first_by_kind.setdefault(kind, image)
    if not counts:
        return

    reasons: list[str | Text] = []
    for kind, images in counts.most_common(_MAX_REASONS):
        first = first_by_kind[kind]
        others = f" and {images - 1} more" if images > 1 else ""
        reasons.append(Text(first.reason, f" ({printable(first.id)}{others})"))
    rest = sum(images for _, images in counts.most_common()[_MAX_REASONS:])
    if rest:
        reasons.append(f"{rest} for other reasons, which the results list")
    beginning = f"{counts.total()} of {asked} images have no score: "
    yield Note(Text(beginning, join_texts("; ", reasons)))


def _mask_numbers(text: str) -> str:
    return re.sub(r"\d[\d.,]*", "#", text)


def _place_remarks(scores: Sequence[Score]) -> Iterator[str]:
    """Yield a remark for each way in which predictions of another size were placed."""
    first_by_kind: dict[str, str] = {}
    counts: Counter[str] = Counter()
    for score in scores:
        for note in filter(is_note_on_place, score.notes):
            kind = _mask_numbers(note)  # sizes may differ from image to image
            counts[kind] += 1
            first_by_kind.setdefault(kind, f"{score.id}: {note}")
    for kind, first in first_by_kind.items():
        yield f"{first}; so {counts[kind]} of {len(scores)} images"


def _pixel_remarks(benchmark: Benchmark, scores: Sequence[Score]) -> Iterator[str]:
    """Yield remarks on pixels without a prediction, and on images with few scored pixels."""
    unanswered = [score.unanswered for score in scores]
    total_unanswered = sum(unanswered)
    if total_unanswered:
        pixels = sum(score.pixels for score in scores)
        if benchmark.invalid is not Invalid.FAR:
            pixels += total_unanswered
        yield (
            f"{np.count_nonzero(unanswered)} images: {total_unanswered:,} of {pixels:,} "
            f"{UNANSWERED[benchmark.invalid]} ({total_unanswered / pixels:.2%})"
        )
    small = sum(score.pixels < FEW_PIXELS for score in scores)
    if small and benchmark.task not in (Task.CAMERA, Task.ORDER):
        yield (
            f"{small} images rest on fewer than {FEW_PIXELS} pixels each, and count as much as any "
            "other in a mean over images"
        )


def scene_remark(scenes: Scenes) -> Iterator[str]:
    """Yield a remark if images are frames of so few scenes that no interval is claimed."""
    count = scene_count(scenes)
    if count < MIN_SCENES <= len(scenes):
        names = " and ".join(sorted(printable(scene) for scene in set(scenes) if scene))
        plural = "s" if count > 1 else ""
        yield (
            f"the {len(scenes)} images are frames of {count} scene{plural} "
            f"({names}) and nearly alike, so no confidence interval is claimed"
        )
