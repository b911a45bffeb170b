"""Measure what conformal ranges hold: ``RILIEVO_DATA=... python tools/conformal_coverage.py``.

Frames of a set are split at random, many times. Errors of one part set the size of a range of
depth, by ``rilievo.calibration.conformal``; the share of the other part's errors inside it is its
coverage. Depth of the embedded model is brought to metres by the median, and its log error is
divided by the spread that its confidence implies. The frames of these sets name no scene, so each
counts as one.

Given all errors of a scene, the quantile holds more than it must where scenes are few; given one
drawn error of each of 10 k - 1 scenes, it holds 90 % exactly, on average.
"""

import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from jaxtyping import Float64
from real_frames import scored_samples
from real_sets import REAL_SETS

import rilievo
from rilievo.calibration.conformal import conformal_quantile, split_scenes
from rilievo.types import Sample

LEVEL = 0.9
SETS = ("nyu", "panel-7scenes")
PIXELS = 200
"""Pixels of each frame, drawn by chance."""
SPLITS = 200
_LEAST_SURE = 1e-3


@dataclass(frozen=True, slots=True, kw_only=True)
class Coverage:
    """Coverage of many splits.

    Attributes:
        scenes: Number of scenes that set the size of the range.
        mean: Mean over the splits.
        scatter: Standard deviation of one split.
    """

    scenes: int
    mean: float
    scatter: float


def coverage_of_splits(
    scores: Sequence[Float64[np.ndarray, "_"]],
    *,
    scenes: int,
    one_each: bool,
    splits: int = SPLITS,
    level: float = LEVEL,
) -> Coverage:
    """Coverage of the judged scenes by the quantile of the others, split after split.

    Args:
        scores: Scores of each scene.
        scenes: Number of scenes that set the size of the range.
        one_each: Whether one score is drawn of each of them, in place of all.
        splits: Number of random splits.
        level: Share of scores that a range should hold.
    """
    found = []
    for seed in range(splits):
        chance = np.random.default_rng(seed)
        chosen = split_scenes(range(len(scores)), share=scenes / len(scores), seed=seed)
        given = [each for each, is_given in zip(scores, chosen, strict=True) if is_given]
        if one_each:
            given = [chance.choice(each, 1) for each in given]
        bound = conformal_quantile(given, level)
        judged = [each for each, is_given in zip(scores, chosen, strict=True) if not is_given]
        found.append(np.mean([np.mean(each <= bound) for each in judged]))
    return Coverage(scenes=scenes, mean=float(np.mean(found)), scatter=float(np.std(found, ddof=1)))


def scores_of(sample: Sample, chance: np.random.Generator) -> Float64[np.ndarray, "_"]:
    """Log errors of some pixels over the spread that the confidence implies."""
    assert sample.depth is not None
    assert sample.depth_valid is not None
    found = rilievo.predict(sample.image)
    assert found.confidence is not None
    places = np.flatnonzero(sample.depth_valid)
    places = chance.choice(places, min(PIXELS, places.size), replace=False)
    ratio = np.log(found.depth.values.ravel()[places] / sample.depth.ravel()[places])
    sure = found.confidence.ravel()[places].astype(np.float64)
    spread = -np.log(1.25) / np.log1p(-np.clip(sure, _LEAST_SURE, 1 - _LEAST_SURE))
    return np.abs(ratio - np.median(ratio)) / spread


def main() -> None:
    """Print a table."""
    data = Path(os.environ["RILIEVO_DATA"])
    print("| set | frames | set the range | errors of each | mean | one split, +- |")
    print("|---|---|---|---|---|---|")
    for name in SETS:
        chance = np.random.default_rng(0)
        scores = [scores_of(each, chance) for each in scored_samples(REAL_SETS[name], data)]
        exact = (len(scores) * 2 // 3 + 1) // 10 * 10 - 1
        for scenes, one_each in ((len(scores) // 2, False), (exact, True)):
            found = coverage_of_splits(scores, scenes=scenes, one_each=one_each)
            many = "one" if one_each else f"all {PIXELS}"
            print(
                f"| {name} | {len(scores)} | {scenes} | {many} | {found.mean:.1%} | "
                f"{found.scatter:.1%} |"
            )


if __name__ == "__main__":
    main()
