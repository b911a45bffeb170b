"""Remarks on an evaluation once every image has its score."""

from collections.abc import Iterable, Iterator, Sequence

import numpy as np
from jaxtyping import Float64

from rilievo.datasets.files import TOO_FAR, TOO_NEAR
from rilievo.evaluate.answers import Answers
from rilievo.evaluate.benchmark import Averaging, Invalid, Task
from rilievo.evaluate.intervals import FEWEST, scene_count
from rilievo.evaluate.notes import FEW, OTHER_UNIT, UNANSWERED
from rilievo.evaluate.plan import Plan
from rilievo.evaluate.records import Unscored
from rilievo.evaluate.scoring import angles
from rilievo.evaluate.summaries import Tallied
from rilievo.io.limits import printable
from rilievo.metrics.normals import pooled_median


def exact_values(plan: Plan, answers: Answers, tallied: Tallied) -> dict[str, float]:
    """The median angle of all pixels, where it is what the benchmark quotes: two more readings."""
    benchmark = plan.benchmark
    pooled = benchmark.averaging is Averaging.POOLED and "median" in benchmark.metrics
    if benchmark.task is not Task.NORMALS or not pooled:
        return {}
    scored = [score.id for score in tallied.scores]

    def each() -> Iterator[Float64[np.ndarray, "n"]]:
        for id in scored:
            yield angles(benchmark, answers.read(id), plan.dataset.truth(id))

    return {"median": pooled_median(each)}


def remarks(plan: Plan, tallied: Tallied, unscored: Iterable[Unscored]) -> Iterator[str]:
    """Remarks on the evaluation, one line each."""
    facts, count = plan.facts, len(tallied.scores)
    if facts.official is not None and facts.found != facts.official:
        yield f"the whole split has {facts.official} images; {facts.found} were found"
    passed = len(plan.dataset.absent) - len(plan.absent)
    if passed:
        yield f"{passed} images of the split have no files, and --limit passes over them"
    if facts.asked > count:
        yield f"{count} of {facts.asked} images have a score; the others are listed with reasons"
    yield from on_scenes([each.scene for each in tallied.scores])
    for said in (TOO_FAR, TOO_NEAR, OTHER_UNIT):
        images = sum(any(note.endswith(said) for note in each.notes) for each in tallied.scores)
        if images:
            yield f"{images} images: {said}"
    yield from _pixels(plan, tallied)


def _pixels(plan: Plan, tallied: Tallied) -> Iterator[str]:
    """Number of pixels without a prediction, and images scored on very few pixels."""
    invalid = plan.benchmark.invalid
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
    if small and plan.benchmark.task not in (Task.CAMERA, Task.ORDER):
        yield (
            f"{small} images rest on fewer than {FEW} pixels each, and count as much as any other "
            "in a mean over images"
        )


def on_scenes(scenes: Sequence[str | None]) -> Iterator[str]:
    """Frames of one clip are no independent evidence, however many there are."""
    found = scene_count(scenes)
    if found < FEWEST <= len(scenes):
        named = " and ".join(sorted(printable(each) for each in set(scenes) if each))
        yield (
            f"the {len(scenes)} images are frames of {found} scene{'s' if found > 1 else ''} "
            f"({named}) and nearly alike, so no confidence interval is claimed"
        )
