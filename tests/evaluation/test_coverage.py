"""Coverage of 95% intervals of the mean: for independent images, and for frames of scenes.

The errors are lognormal, skewed as those of images are. The figures are those of
docs/reference/statistics.md; a percentile bootstrap, measured beside, is what they are better than.
"""

import numpy as np
import pytest

from rilievo.evaluation.intervals import Interval, ValueRange, mean_interval

SPREAD = 0.8
TRUE_MEAN = float(np.exp(SPREAD**2 / 2))
DRAWS = 500

COVERAGE = {3: 0.92, 5: 0.92, 10: 0.91, 20: 0.92, 94: 0.94}
"""Coverage for independent images, by their number, as the documents state it."""


def errors(rng: np.random.Generator, count: int) -> np.ndarray:
    return np.exp(rng.normal(0, SPREAD, count))


def bootstrap(values: np.ndarray, rng: np.random.Generator) -> Interval:
    drawn = values[rng.integers(0, values.size, (500, values.size))].mean(axis=1)
    return Interval(*map(float, np.percentile(drawn, [2.5, 97.5])))


def holds(interval: Interval | None, true: float) -> bool:
    assert interval is not None
    return interval.low <= true <= interval.high


@pytest.mark.parametrize("count", COVERAGE)
def test_the_interval_of_an_error_holds_the_truth_as_often_as_is_said(count: int) -> None:
    rng = np.random.default_rng(count)
    ours = theirs = 0
    for _ in range(DRAWS):
        values = errors(rng, count)
        ours += holds(mean_interval(values, value_range=ValueRange.POSITIVE), TRUE_MEAN)
        theirs += holds(bootstrap(values, rng), TRUE_MEAN)
    assert ours / DRAWS == pytest.approx(COVERAGE[count], abs=0.035)
    # Of many images both are right.
    if count <= 10:
        assert ours > theirs + 0.03 * DRAWS


def frames(rng: np.random.Generator, scenes: int, each: int) -> np.ndarray:
    """Errors of frames, nearly alike within a scene."""
    of_scene = rng.normal(0, SPREAD * 0.9**0.5, scenes).repeat(each)
    return np.exp(of_scene + rng.normal(0, SPREAD * 0.1**0.5, scenes * each))


@pytest.mark.parametrize(("scenes", "said"), [(5, 0.91), (13, 0.91), (40, 0.93)])
def test_frames_of_scenes_count_as_scenes(scenes: int, said: float) -> None:
    rng = np.random.default_rng(scenes)
    names = [f"{scene}" for scene in range(scenes) for _ in range(12)]
    by_scene = by_image = 0
    for _ in range(DRAWS):
        values = frames(rng, scenes, 12)
        by_scene += holds(mean_interval(values, names, ValueRange.POSITIVE), TRUE_MEAN)
        by_image += holds(mean_interval(values, value_range=ValueRange.POSITIVE), TRUE_MEAN)
    assert by_scene / DRAWS == pytest.approx(said, abs=0.035)
    assert by_image / DRAWS < 0.55


def test_paired_differences_of_either_sign_are_held_as_often() -> None:
    rng = np.random.default_rng(8)
    held = 0
    for _ in range(DRAWS):
        differences = 0.1 * (errors(rng, 10) - errors(rng, 10))
        held += holds(mean_interval(differences), 0.0)
    assert 0.92 <= held / DRAWS <= 0.99
