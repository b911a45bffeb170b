"""Summarise the scores of all images: means with intervals, parts, and remarks."""

import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path

import numpy as np

from rilievo.arrays.shapes import Float64, Values
from rilievo.errors.messages import Note, OptionName, Text, count_text, join_texts
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
from rilievo.evaluation.metrics.pairs import REMOVED
from rilievo.evaluation.records import RangeError, Score, Sparsification, Subset, Summary, Unscored
from rilievo.evaluation.scoring.comparable_depth import FEW_PIXELS, OTHER_UNIT, UNANSWERED
from rilievo.evaluation.scoring.depth_ranges import RANGE_COUNT, range_errors
from rilievo.evaluation.scoring.orientation import ORIENTATION_NOTES
from rilievo.evaluation.scoring.placing import is_placement_note, is_prediction_note
from rilievo.evaluation.scoring.score import ScoreWithSums
from rilievo.evaluation.selection import Selection
from rilievo.io.depth.plausibility import MEDIAN_WARNINGS
from rilievo.io.files.names import printable

SIGNIFICANCE_LEVEL = 0.05
_MAX_REASONS = 3
"""Most reasons that the remark on images without a score gives."""
MAX_STORED_SUMS = 64
"""Most sums of a metric that are stored for each image. A metric with more, such as one with a
histogram, has no interval."""


@dataclass(slots=True, kw_only=True)
class ScoreAccumulator:
    """Collects the scores of images, and summarises them; it needs some hundred bytes an image."""

    benchmark: Benchmark
    scores: list[Score] = field(default_factory=list)
    unscored: list[Unscored] = field(default_factory=list)
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
            self._total_by_metric[name] = sums + self._total_by_metric.get(name, 0)
            # The sums of each image are needed only for the interval.
            if sums.size <= MAX_STORED_SUMS:
                self._sums_by_metric.setdefault(name, []).append(sums)

    def _add_to_parts(self, scored: ScoreWithSums) -> None:
        """Add a score to the parts of the benchmark whose prefix the image's id has."""
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
        """Mean leading error by the removed fraction of pixels; empty without confidences."""
        if self._curves is None:
            return ()
        by_confidence, by_error = self._curves / len(self.scores)
        return tuple(
            Sparsification(
                removed=float(removed),
                by_confidence=float(confidence_error),
                by_error=float(least_error),
            )
            for removed, confidence_error, least_error in zip(
                REMOVED, by_confidence, by_error, strict=True
            )
        )

    @property
    def reliability(self) -> tuple[Reliability, ...]:
        """Fraction of right pixels by confidence; empty without confidences."""
        return () if self._reliability is None else reliability_bins(self._reliability)

    def summaries(self, exact_pooled: Mapping[str, float]) -> tuple[Summary, ...]:
        """Summarise each metric over all images, the leading one first.

        ``exact_pooled`` has pooled values, by metric, that sums give only approximately.
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
            summary = self._summary(metric, values, exact_pooled.get(name), interval, weights)
            summaries.append(summary)
        return tuple(summaries)

    def _statistic(
        self, metric: AnyMetric, values: Values, weights: Values | None
    ) -> Statistic | None:
        """Statistic from which the interval of a metric is computed.

        It is None for a pooled metric with too many sums to store for each image.
        """
        value_range = metric_value_range(metric.better, metric.unit, values.tolist())
        if self.benchmark.averaging is not Averaging.POOLED or not metric.pools:
            return mean_statistic(values, value_range, weights)
        sums = self._sums_by_metric.get(metric.name)
        if sums is None:
            return None
        pixels = np.array([score.pixels for score in self.scores], dtype=np.float64)
        return Statistic(
            summands=np.column_stack([np.stack(sums), pixels]),
            finish=partial(_pooled_values, metric),
            value_range=value_range,
        )

    def _summary(
        self,
        metric: AnyMetric,
        values: Values,
        exact_pooled: float | None,
        interval: Interval | None,
        weights: Values | None,
    ) -> Summary:
        """Summarise one metric from the values of the images, by the benchmark's averaging."""
        pixels = sum(score.pixels for score in self.scores)
        pooled_value = exact_pooled
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
    total: Float64[np.ndarray, "..."] | None, summand: Float64[np.ndarray, "..."] | None
) -> Float64[np.ndarray, "..."] | None:
    """Add arrays of which either may be None, for nothing."""
    if summand is None:
        return total
    return summand.copy() if total is None else total + summand


def _pooled_values(metric: AnyMetric, sums: Float64[np.ndarray, "m k"]) -> Float64[np.ndarray, "m"]:
    """Value of a metric for each row of its sums, the last of which is the number of pixels."""
    return np.array([metric.finish(row[:-1], round(row[-1])) for row in sums], np.float64)


def metric_value_range(better: Better, unit: str, values: Sequence[float]) -> ValueRange:
    """Range of the values that a metric can have, inferred from its direction, unit and values."""
    if better is Better.ZERO or min(values) < 0:
        return ValueRange.ANY
    if better is Better.LOWER:
        return ValueRange.POSITIVE
    return ValueRange.FRACTION if not unit and max(values) <= 1 else ValueRange.ANY


def pools_median_angle(benchmark: Benchmark) -> bool:
    """Whether a benchmark scores the median angle over the pixels of all images."""
    pools_normals = benchmark.task is Task.NORMALS and benchmark.averaging is Averaging.POOLED
    return pools_normals and "median" in benchmark_metrics(benchmark)


def evaluation_remarks(selection: Selection, accumulator: ScoreAccumulator) -> Iterator[str]:
    """Yield remarks on an evaluation: missing images, implausible depth, few scored pixels."""
    data = selection.scored_data
    scores = accumulator.scores
    part_of_split = _part_of_split_remark(selection)
    if part_of_split is not None:
        yield part_of_split
    yield from selection.dataset.deviations
    # With a limit, images without files do not count as requested.
    skipped_count = len(selection.dataset.absent) - len(selection.absent)
    if skipped_count:
        yield Note(
            Text(
                OptionName("limit"),
                f" does not count {count_text(skipped_count, 'image')} of the split without files "
                "on disk",
            )
        )
    for remark in (
        unscored_remark(accumulator.unscored, data.asked),
        scene_remark([score.scene for score in scores]),
    ):
        if remark is not None:
            yield remark

    # Each of these notes is the end of a note on an image.
    for note in (*MEDIAN_WARNINGS, OTHER_UNIT, *ORIENTATION_NOTES):
        with_note = [score for score in scores if any(text.endswith(note) for text in score.notes)]
        if with_note:
            yield f"in {count_text(len(with_note), 'image')}, {note}"
    yield from _prediction_remarks(scores)
    yield from _pixel_remarks(selection.benchmark, scores)


def _part_of_split_remark(selection: Selection) -> str | None:
    """Remark that not the whole split is to be scored; None if it is, or if its size is unknown."""
    data = selection.scored_data
    listed_count = data.found + len(selection.dataset.absent)
    has_limit = len(selection.ids) < data.found
    if data.official is None or (listed_count == data.official and not has_limit):
        return None
    words: list[str | Text | OptionName] = [f"the whole split has {data.official} images"]
    if listed_count != data.official:
        if data.list_file is None:
            words.append(f", but rilievo found {data.found}")
        else:
            words.append(f", but {printable(Path(data.list_file).name)} lists {listed_count}")
    if has_limit:
        words += [", of which ", OptionName("limit"), f" leaves {len(selection.ids)}"]
    return Note(Text(*words))


def unscored_remark(unscored: Iterable[Unscored], requested_count: int) -> str | None:
    """Remark on all images without a score, the commonest reasons first; None if there are none.

    ``requested_count`` is the number of images that were to be scored.
    """
    first_by_reason: dict[str, Unscored] = {}
    counts: Counter[str] = Counter()
    for image in unscored:
        masked_reason = mask_reason(image)
        counts[masked_reason] += 1
        first_by_reason.setdefault(masked_reason, image)
    if not counts:
        return None

    reasons: list[str | Text] = []
    for masked_reason, count in counts.most_common(_MAX_REASONS):
        first = first_by_reason[masked_reason]
        others = f" and {count - 1} more" if count > 1 else ""
        reasons.append(Text(first.reason, f" ({printable(first.id)}{others})"))
    unnamed_count = sum(count for _, count in counts.most_common()[_MAX_REASONS:])
    if unnamed_count:
        reasons.append(f"{unnamed_count} for other reasons, which the results list")
    verb = "has" if counts.total() == 1 else "have"
    requested = count_text(requested_count, "image")
    beginning = f"{counts.total()} of {requested} {verb} no score: "
    return Note(Text(beginning, join_texts("; ", reasons)))


def mask_reason(image: Unscored) -> str:
    """Mask the image's id and the numbers in the reason for which it has no score.

    Reasons that differ only in these count as the same.
    """
    without_id = re.sub(rf"(?<!\w){re.escape(image.id)}(?!\w)", "#", image.reason)
    return _mask_numbers(without_id)


def _mask_numbers(text: str) -> str:
    """Replace numbers by #, so that texts that differ only in these are equal."""
    return re.sub(r"\d[\d.,]*", "#", text)


def _prediction_remarks(scores: Sequence[Score]) -> Iterator[str]:
    """Yield a remark for each note that predictions bring along, or that says where they are put.

    Notes that differ only in numbers share one remark.
    """
    first_by_note: dict[str, str] = {}
    counts: Counter[str] = Counter()
    for score in scores:
        for note in score.notes:
            if not (is_placement_note(note) or is_prediction_note(note)):
                continue
            masked_note = _mask_numbers(note)  # sizes may differ from image to image
            counts[masked_note] += 1
            first_by_note.setdefault(masked_note, f"{score.id}: {note}")
    for masked_note, first in first_by_note.items():
        yield f"{first} (applies to {counts[masked_note]} of {count_text(len(scores), 'image')})"


def _pixel_remarks(benchmark: Benchmark, scores: Sequence[Score]) -> Iterator[str]:
    """Yield remarks on pixels without a prediction, and on images with few scored pixels."""
    unanswered = [score.unanswered for score in scores]
    total_unanswered = sum(unanswered)
    if total_unanswered:
        total_pixels = sum(score.pixels for score in scores)
        if benchmark.invalid is not Invalid.FAR:
            # Only with ``FAR`` do the scored pixels include those without a prediction.
            total_pixels += total_unanswered
        pixels = f"{total_unanswered:,} of {total_pixels:,} pixels"
        yield (
            f"in {count_text(int(np.count_nonzero(unanswered)), 'image')}, "
            f"{UNANSWERED[benchmark.invalid].format(pixels)} "
            f"({total_unanswered / total_pixels:.2%})"
        )
    small_count = sum(score.pixels < FEW_PIXELS for score in scores)
    if small_count and benchmark.task not in (Task.CAMERA, Task.ORDER):
        yield (
            f"the scores of {count_text(small_count, 'image')} are based on fewer than "
            f"{FEW_PIXELS} pixels each, but count as much as those of other images in a mean over "
            "images"
        )


def scene_remark(scenes: Scenes) -> str | None:
    """Remark on frames of so few scenes that no interval is claimed; None for other images."""
    num_scenes = scene_count(scenes)
    if not num_scenes < MIN_SCENES <= len(scenes):
        return None
    names = " and ".join(sorted(printable(scene) for scene in set(scenes) if scene))
    return (
        f"the {len(scenes)} images are frames of {count_text(num_scenes, 'scene')} ({names}) and "
        "nearly alike, so there is no confidence interval"
    )
