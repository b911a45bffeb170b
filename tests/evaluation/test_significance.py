"""Paired statistics: against scipy, by hand, and by simulation."""

import itertools

import numpy as np
import pytest
import scipy.stats
from hypothesis import given, settings
from hypothesis import strategies as st

from rilievo.evaluation.intervals import (
    ValueRange,
    holm_correction,
    mean_interval,
    scene_means,
    wilcoxon_p,
)


def test_holm_worked_out_by_hand() -> None:
    """0.01 x 3 = 0.03; 0.02 x 2 = 0.04; 0.03 x 1 is raised to the 0.04 before it."""
    assert holm_correction([0.03, 0.01, 0.02]) == pytest.approx((0.04, 0.03, 0.04))
    assert holm_correction([0.9, 0.6]) == (1.0, 1.0)
    assert holm_correction([]) == ()


@settings(deadline=None)
@given(st.lists(st.floats(0, 1), min_size=1, max_size=8))
def test_holm_keeps_the_order_and_lies_between_no_correction_and_bonferroni(
    p_values: list[float],
) -> None:
    corrected = holm_correction(p_values)
    for p, raised in zip(p_values, corrected, strict=True):
        assert p <= raised <= min(1.0, len(p_values) * p) + 1e-12 or raised <= max(corrected)
        assert p <= raised <= 1.0
    for (p, a), (q, b) in itertools.combinations(zip(p_values, corrected, strict=True), 2):
        assert a <= b if p <= q else b <= a
    assert corrected[int(np.argmin(p_values))] == min(1.0, len(p_values) * min(p_values))


def test_wilcoxon_counts_all_signs_of_the_ranks() -> None:
    """Ranks 1 to 5, of which 1 is negative: W = 1, and of 32 signs 2 x 2 are as far out."""
    assert wilcoxon_p(np.array([-0.1, 0.2, 0.3, 0.4, 0.5])) == pytest.approx(4 / 32)


def test_wilcoxon_by_enumeration_and_against_scipy() -> None:
    differences = np.random.default_rng(3).normal(0.4, 1, 9)
    ranks = scipy.stats.rankdata(np.abs(differences))
    observed = abs(ranks @ np.sign(differences))
    sums = [abs(ranks @ np.array(signs)) for signs in itertools.product((-1, 1), repeat=9)]
    expected = np.mean([each >= observed - 1e-9 for each in sums])
    assert wilcoxon_p(differences) == pytest.approx(expected)
    many = np.random.default_rng(4).normal(0.1, 1, 300)
    assert wilcoxon_p(many) == pytest.approx(scipy.stats.wilcoxon(many).pvalue)


def test_images_without_a_difference_say_nothing() -> None:
    some = np.array([0.3, -0.1, 0.2, 0.5])
    assert wilcoxon_p(np.r_[some, np.zeros(50)]) == wilcoxon_p(some)
    assert wilcoxon_p(np.zeros(7)) == 1.0
    assert wilcoxon_p(np.array([0.2])) == 1.0


@given(st.integers(0, 1000), st.floats(-5, 5), st.floats(0.1, 10))
def test_an_interval_moves_and_stretches_with_its_values(
    seed: int, shift: float, factor: float
) -> None:
    values = np.random.default_rng(seed).normal(size=30)
    low, high = mean_interval(values) or (0, 0)
    assert low <= values.mean() <= high
    moved = mean_interval(factor * values + shift)
    assert moved == pytest.approx((factor * low + shift, factor * high + shift), abs=1e-9)
    other = np.random.default_rng(seed + 1).permutation(values)
    assert mean_interval(other) == pytest.approx((low, high), abs=0.1)


@pytest.mark.parametrize("images", [3, 7, 21, 22, 80, 1000])
def test_an_interval_agrees_with_scipys_t(images: int) -> None:
    values = np.random.default_rng(0).gamma(2, size=images)
    theirs = scipy.stats.t.interval(0.95, images - 1, values.mean(), scipy.stats.sem(values))
    assert mean_interval(values) == pytest.approx(theirs, abs=2e-5 * (theirs[1] - theirs[0]))


def test_errors_stay_above_zero_and_shares_between_zero_and_one() -> None:
    """Mean 2, standard error 1 and t 4.3027 reach, on the logarithm, a factor of exp(2.15)."""
    errors = np.array([1.0, 1.0, 4.0])
    assert scipy.stats.sem(errors) == pytest.approx(1)
    factor = np.exp(4.302653 / 2)
    assert mean_interval(errors, value_range=ValueRange.POSITIVE) == pytest.approx(
        (2 / factor, 2 * factor), rel=1e-4
    )
    shares = 1 - errors / 10
    expected = (max(0, 1 - 0.2 * factor), 1 - 0.2 / factor)
    assert mean_interval(shares, value_range=ValueRange.FRACTION) == pytest.approx(
        expected, rel=1e-4
    )
    perfect = mean_interval(np.ones(5), value_range=ValueRange.FRACTION)
    assert perfect == (1, 1)


def test_scenes_count_once_however_many_their_frames_are() -> None:
    """Frames that are all alike add nothing: the interval is that of one frame a scene."""
    of_scene = np.array([0.1, 0.2, 0.15, 0.3])
    names = [f"{scene}" for scene in range(4) for _ in range(25)]
    found = mean_interval(of_scene.repeat(25), names)
    assert found == pytest.approx(mean_interval(of_scene))
    assert scene_means(of_scene.repeat(25), names) == pytest.approx(of_scene)
    assert mean_interval(of_scene.repeat(25), ["one"] * 100) is None
    assert mean_interval(of_scene, ["a", "a", "b", "b"]) is None
    assert mean_interval(of_scene, ["a", "a", None, None]) is not None


def test_no_difference_is_called_significant_once_in_twenty() -> None:
    rng = np.random.default_rng(12)
    called = sum(wilcoxon_p(rng.normal(size=40)) < 0.05 for _ in range(400))
    assert 10 <= called <= 32


def test_an_interval_needs_three_images() -> None:
    assert mean_interval(np.array([0.4, 0.5])) is None
    assert mean_interval(np.array([0.5, 0.5, 0.5])) == (0.5, 0.5)
