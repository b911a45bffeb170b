"""Laws of conformal quantiles: they hold what they promise on scenes that were not seen."""

import math
import sys
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from jaxtyping import Float64

sys.path.insert(0, str(Path(__file__).parents[3] / "lab" / "studies"))

from conformal import conformal_quantile, fewest_scenes

from rilievo.errors import RilievoError

Scores = list[Float64[np.ndarray, "_"]]


@given(
    scores=st.lists(st.floats(0, 1e6), min_size=9, max_size=60),
    level=st.sampled_from([0.5, 0.8, 0.9]),
)
@settings(deadline=None)
def test_with_one_score_a_scene_it_is_an_order_statistic(scores: list[float], level: float) -> None:
    """Split conformal: the ⌈(n + 1) level⌉-th smallest."""
    rank = math.ceil(level * (len(scores) + 1) * (1 - 1e-12))
    quantile = conformal_quantile([np.array([each]) for each in scores], level)
    assert quantile == sorted(scores)[rank - 1]


def test_a_scene_counts_once_however_many_scores_it_has() -> None:
    """Four scenes and one to come, by hand: at 0.6 three of the five have to be below."""
    scenes = [np.full(1000, 9.0), np.array([1.0]), np.array([2.0, 4.0]), np.array([3.0])]
    assert conformal_quantile(scenes, 0.6) == 4.0
    assert conformal_quantile(scenes, 0.4) == 3.0
    assert conformal_quantile(scenes, 0.8) == 9.0


@pytest.mark.parametrize("level", [0.5, 0.8, 0.9])
def test_over_splits_of_exchangeable_scenes_coverage_is_the_level(level: float) -> None:
    """Coverage, one score a scene: the level to the level + 1 / (n + 1), for any distribution."""
    n, splits = 19, 1500
    chance = np.random.default_rng(1)
    held = [
        scores[-1] <= conformal_quantile([each[None] for each in scores[:-1]], level)
        for scores in chance.pareto(1.1, (splits, n + 1))
    ]
    noise = 3 * math.sqrt(level * (1 - level) / splits)
    assert level - noise <= np.mean(held) <= level + 1 / (n + 1) + noise


def scenes_that_differ(chance: np.random.Generator, count: int) -> Scores:
    """Scenes of uneven size, some hard as a whole: hard ones have few scores."""
    found = []
    for _ in range(count):
        hard = chance.random() < 0.4
        scale = chance.uniform(2, 4) if hard else chance.uniform(0.5, 1)
        found.append(np.abs(scale * chance.standard_normal(3 if hard else 60)))
    return found


def test_scenes_that_differ_are_covered_where_pooled_scores_are_not() -> None:
    level, held, pooled = 0.8, [], []
    chance = np.random.default_rng(2)
    for _ in range(500):
        *known, new = scenes_that_differ(chance, 21)
        held.append(np.mean(new <= conformal_quantile(known, level)))
        pooled.append(np.mean(new <= np.quantile(np.concatenate(known), level)))
    assert level - 0.02 < np.mean(held) < level + 0.06
    assert np.mean(pooled) < level - 0.05


def test_over_random_splits_by_scene_coverage_is_the_level() -> None:
    """One set of frames, many splits of its scenes, which is how evaluation does it."""
    chance = np.random.default_rng(3)
    names = np.repeat(np.arange(120), chance.integers(1, 12, 120))
    scores = np.abs(chance.standard_normal(len(names)) * (0.5 + names % 7))
    held = []
    for seed in range(100):
        drawn = np.random.default_rng(seed).permutation(120)[:60]
        known = np.isin(names, drawn)
        groups = [scores[known & (names == name)] for name in np.unique(names[known])]
        quantile = conformal_quantile(groups, 0.9)
        left = np.unique(names[~known])
        held.append(np.mean([np.mean(scores[names == name] <= quantile) for name in left]))
    # At most 2 / (60 + 1) more, as the paper proves.
    assert 0.9 - 0.005 < np.mean(held) < 0.9 + 2 / 61


@given(factor=st.floats(0.01, 100), seed=st.integers(0, 50))
@settings(deadline=None)
def test_units_do_not_matter_and_a_higher_level_is_no_lower(factor: float, seed: int) -> None:
    scenes = scenes_that_differ(np.random.default_rng(seed), 12)
    scaled = [factor * each for each in scenes]
    quantiles = [conformal_quantile(scenes, level) for level in (0.3, 0.6, 0.9)]
    assert quantiles == sorted(quantiles)
    assert conformal_quantile(scaled, 0.6) == pytest.approx(factor * quantiles[1])


@pytest.mark.parametrize(("level", "fewest"), [(0.5, 1), (0.8, 4), (0.9, 9), (0.95, 19)])
def test_too_few_scenes_are_refused_with_the_number_that_is_enough(
    level: float, fewest: int
) -> None:
    assert fewest_scenes(level) == fewest
    scenes = [np.array([1.0 + place]) for place in range(fewest)]
    assert conformal_quantile(scenes, level) == fewest
    with pytest.raises(RilievoError, match=f"at least {fewest}"):
        conformal_quantile(scenes[1:], level)


@pytest.mark.parametrize(
    ("scenes", "level", "words"),
    [
        ([np.array([1.0])] * 3, 1.0, "between 0 and 1"),
        ([np.array([1.0])] * 3, 0.0, "between 0 and 1"),
        ([np.array([1.0]), np.array([])], 0.5, "scene 1 has 0 scores"),
        ([np.array([1.0]), np.array([2.0, np.nan])], 0.5, "1 of them NaN"),
    ],
)
def test_what_has_no_quantile_is_refused(scenes: Scores, level: float, words: str) -> None:
    with pytest.raises(RilievoError, match=words):
        conformal_quantile(scenes, level)
