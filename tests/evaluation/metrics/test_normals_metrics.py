"""Errors of normals: angles by hand and by arctangent, and an exact median over many images."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from rilievo.errors import InputError, NoGroundTruthError
from rilievo.evaluation.metrics import (
    NORMAL_METRICS,
    NormalsPair,
    measure,
    pooled,
    pooled_median,
    value,
)

seeds = st.integers(0, 2**32 - 1)
MEDIAN = NORMAL_METRICS["median"]


def pair(predicted: np.ndarray, true: np.ndarray, valid: np.ndarray | None = None) -> NormalsPair:
    valid = np.ones(true.shape[1:], bool) if valid is None else valid
    return NormalsPair(predicted=predicted, true=true, valid=valid)


def random_pair(seed: int, shape: tuple[int, int] = (9, 12)) -> NormalsPair:
    rng = np.random.default_rng(seed)
    true = rng.normal(size=(3, *shape))
    return pair(true + rng.normal(0, 0.4, true.shape), true, rng.random(shape) < 0.8)


def angles_by_arctangent(p: NormalsPair) -> np.ndarray:
    found = []
    for v, u in np.argwhere(p.valid):
        a, b = p.predicted[:, v, u], p.true[:, v, u]
        found.append(math.degrees(math.atan2(np.linalg.norm(np.cross(a, b)), a @ b)))
    return np.array(found)


@given(seed=seeds)
def test_every_metric_is_what_angles_by_arctangent_give(seed: int) -> None:
    p = random_pair(seed)
    angles = angles_by_arctangent(p)
    expected = {
        "mean": angles.sum() / angles.size,
        "median": float(np.percentile(angles, 50)),
        "rmse": math.sqrt((angles**2).sum() / angles.size),
        "within_5": np.mean(angles < 5),
        "within_7_5": np.mean(angles < 7.5),
        "within_11_25": np.mean(angles < 11.25),
        "within_22_5": np.mean(angles < 22.5),
        "within_30": np.mean(angles < 30),
    }
    assert measure(NORMAL_METRICS, p) == pytest.approx(expected, abs=2e-6)


def turned(degrees: list[float]) -> NormalsPair:
    """A wall seen head-on, and the same turned about the vertical."""
    angles = np.radians([degrees])
    predicted = np.stack([np.sin(angles), np.zeros_like(angles), -np.cos(angles)])
    true = np.zeros_like(predicted)
    true[2] = -2.0
    return pair(predicted, true)


def test_angles_worked_out_by_hand() -> None:
    scores = measure(NORMAL_METRICS, turned([0.0, 6.0, 10.0, 90.0, 180.0]))
    assert scores["mean"] == pytest.approx(57.2)
    assert scores["median"] == pytest.approx(10.0)
    assert scores["rmse"] == pytest.approx(math.sqrt((36 + 100 + 8100 + 32400) / 5))
    shares = [scores[f"within_{name}"] for name in ("5", "7_5", "11_25", "22_5", "30")]
    assert shares == [0.2, 0.4, 0.6, 0.6, 0.6]


def test_an_even_number_of_pixels_has_its_median_in_the_middle() -> None:
    assert value(MEDIAN, turned([1.0, 2.0, 5.0, 50.0])) == pytest.approx(3.5)


@given(seed=seeds)
def test_a_perfect_prediction_of_any_length_scores_best(seed: int) -> None:
    true = np.random.default_rng(seed).normal(size=(3, 5, 7))
    for name, score in measure(NORMAL_METRICS, pair(true, true)).items():
        assert score == (1.0 if name.startswith("within") else 0.0)
    scores = measure(NORMAL_METRICS, pair(7.0 * true, true))
    assert scores["mean"] < 2e-6
    assert scores["within_5"] == 1.0


@given(seed=seeds)
def test_turning_both_and_exchanging_both_changes_nothing(seed: int) -> None:
    p = random_pair(seed)
    turn, _ = np.linalg.qr(np.random.default_rng(seed).normal(size=(3, 3)))
    both = [np.einsum("ij,jhw->ihw", turn, n) for n in (p.true, p.predicted)]
    other = pair(both[0], both[1], p.valid)
    assert measure(NORMAL_METRICS, other) == pytest.approx(measure(NORMAL_METRICS, p), abs=2e-6)


@given(seed=seeds)
def test_pooling_is_scoring_side_by_side(seed: int) -> None:
    parts = [random_pair(seed + k) for k in range(3)]
    arrays = [[p.predicted for p in parts], [p.true for p in parts], [p.valid for p in parts]]
    whole = pair(*(np.concatenate(array, axis=-1) for array in arrays))
    for name, metric in NORMAL_METRICS.items():
        sums = np.sum([metric.sums(p) for p in parts], axis=0)
        together = pooled(metric, sums, whole.count)
        # The median's histogram is 0.011° wide; its exact form is below.
        assert together == pytest.approx(
            value(metric, whole), abs=0.012 if name == "median" else 1e-9
        )


@given(
    seed=seeds,
    sizes=st.lists(st.integers(0, 40), min_size=1, max_size=6).filter(sum),
    spread=st.sampled_from([1e-6, 0.01, 1.0, 60.0]),
)
def test_the_pooled_median_is_exact_however_close_the_angles_lie(
    seed: int, sizes: list[int], spread: float
) -> None:
    rng = np.random.default_rng(seed)
    middle = rng.uniform(60, 120)
    parts = [middle + rng.uniform(-spread, spread, size) for size in sizes]
    expected = np.median(np.concatenate(parts))
    assert pooled_median(lambda: iter(parts)) == pytest.approx(expected, abs=1e-7)


def test_the_pooled_median_may_lie_between_far_angles_and_at_the_ends() -> None:
    apart = [np.array([0.0, 10.0]), np.array([180.0, 30.0])]
    assert pooled_median(lambda: apart) == pytest.approx(20.0, abs=1e-7)
    assert pooled_median(lambda: [np.array([180.0, 180.0])]) == 180.0
    assert pooled_median(lambda: [np.zeros(3)]) == 0.0


def test_without_angles_there_is_no_median() -> None:
    with pytest.raises(NoGroundTruthError, match="no median angle"):
        pooled_median(lambda: [np.zeros(0)])


@pytest.mark.parametrize("bad", [0.0, math.nan, math.inf])
@pytest.mark.parametrize("part", ["predicted", "true"])
def test_a_normal_without_direction_is_refused(part: str, bad: float) -> None:
    normals = {name: np.ones((3, 4, 5)) for name in ("predicted", "true")}
    normals[part][:, 1, 1] = bad
    with pytest.raises(
        InputError, match=f"^{part} normals have zero, NaN or infinite length at 1 of 20"
    ):
        pair(**normals)


def test_what_does_not_count_is_not_read() -> None:
    p = random_pair(1)
    predicted = np.where(p.valid, p.predicted, np.nan)
    assert measure(NORMAL_METRICS, pair(predicted, p.true, p.valid)) == measure(NORMAL_METRICS, p)
