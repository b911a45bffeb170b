"""Sparsification and calibration, against plain loops over the published definitions."""

import math
from itertools import pairwise

import numpy as np
import pytest
import scipy.stats

from rilievo.errors import InputError
from rilievo.evaluation.metrics import (
    CERTAINTY_METRICS,
    NORMAL_CERTAINTY_METRICS,
    DepthPair,
    NormalsPair,
    measure,
    pooled,
    value,
)
from rilievo.evaluation.metrics.certainty import reliability_bins, reliability_sums

SIZE = (24, 37)


def pair(seed: int = 0, *, levels: int | None = None) -> DepthPair:
    """Errors that grow where the confidence falls; ``levels`` makes many pixels equally sure."""
    chance = np.random.default_rng(seed)
    true = chance.uniform(1, 9, SIZE)
    confidence = chance.uniform(0, 1, SIZE)
    if levels is not None:
        confidence = np.round(confidence * levels) / levels
    predicted = true * np.exp(chance.normal(0, 0.05 + 0.5 * (1 - confidence), SIZE))
    valid = chance.random(SIZE) < 0.8
    return DepthPair(predicted=predicted, true=true, valid=valid, confidence=confidence)


def published_areas(
    p: np.ndarray, t: np.ndarray, uncertainty: np.ndarray
) -> dict[str, tuple[float, float]]:
    """AUSE and AURG, step by step with masks (Poggi et al. 2020)."""

    def mean_error(name: str, kept: np.ndarray) -> float:
        p_kept, t_kept = p[kept], t[kept]
        if name == "abs_rel":
            return float(np.mean(np.abs(t_kept - p_kept) / t_kept))
        if name == "rmse":
            return math.sqrt(np.mean((t_kept - p_kept) ** 2))
        return float(np.mean(np.maximum(t_kept / p_kept, p_kept / t_kept) >= 1.25))

    own = {
        "abs_rel": np.abs(t - p) / t,
        "rmse": (t - p) ** 2,
        "delta1": np.maximum(t / p, p / t),
    }
    places = [step / 50 for step in range(51)]
    areas = {}
    for name, worst in own.items():
        heights = []
        for order in (-uncertainty, -worst):
            curve = [
                mean_error(name, order >= np.percentile(order, 100 * place))
                for place in places[:-1]
            ]
            curve.append(0.0)
            steps = pairwise(curve)
            heights.append((curve[0], sum((a + b) / 2 * 0.02 for a, b in steps)))
        (whole, ours), (_, best) = heights
        areas[name] = (ours - best, whole - ours)
    return areas


@pytest.mark.parametrize("levels", [None, 4, 1])
def test_areas_are_the_published_ones(levels: int | None) -> None:
    one = pair(3, levels=levels)
    assert one.confidence is not None
    expected = published_areas(one.p, one.t, 1 - one.confidence[one.valid])
    found = measure(CERTAINTY_METRICS, one)
    for name, (ause, aurg) in expected.items():
        assert found[f"ause_{name}"] == pytest.approx(ause, abs=1e-12), name
        assert found[f"aurg_{name}"] == pytest.approx(aurg, abs=1e-12), name


def test_a_confidence_that_knows_the_errors_has_no_area() -> None:
    one = pair(1)
    confidence = np.zeros(SIZE)
    confidence[one.valid] = 1 / (1 + np.abs(one.relative))
    knowing = DepthPair(
        predicted=one.predicted, true=one.true, valid=one.valid, confidence=confidence
    )
    assert value(CERTAINTY_METRICS["ause_abs_rel"], knowing) == pytest.approx(0, abs=1e-12)
    found = value(CERTAINTY_METRICS["aurg_abs_rel"], knowing)
    assert found > value(CERTAINTY_METRICS["aurg_abs_rel"], one) > 0


def test_only_the_order_counts_for_the_areas() -> None:
    one = pair(2)
    assert one.confidence is not None
    bent = DepthPair(
        predicted=one.predicted, true=one.true, valid=one.valid, confidence=one.confidence**3 / 2
    )
    first, second = measure(CERTAINTY_METRICS, one), measure(CERTAINTY_METRICS, bent)
    for name in first:
        same = second[name] == pytest.approx(first[name], abs=1e-9)
        assert same == name.startswith("au"), name


def plain_calibration(one: DepthPair) -> dict[str, float]:
    assert one.confidence is not None
    said = one.confidence[one.valid].tolist()
    errors = [abs(math.log(p / t)) for p, t in zip(one.p, one.t, strict=True)]
    right = [error < math.log(1.25) for error in errors]
    bins: dict[int, list[int]] = {}
    for index, each in enumerate(said):
        number = next(b for b in range(15) if each <= (b + 1) / 15)
        bins.setdefault(number, []).append(index)
    ece = sum(
        abs(sum(said[i] for i in members) - sum(right[i] for i in members))
        for members in bins.values()
    )
    inside = 0
    for each, error in zip(said, errors, strict=True):
        spread = math.inf if each == 0 else -math.log(1.25) / math.log1p(-each) if each < 1 else 0
        inside += error <= spread * math.log(10)
    count = len(said)
    return {
        "ece": ece / count,
        "coverage90_gap": inside / count - 0.9,
    }


@pytest.mark.parametrize("levels", [None, 5])
def test_calibration_agrees_with_plain_loops(levels: int | None) -> None:
    one = pair(4, levels=levels)
    found = measure(CERTAINTY_METRICS, one)
    for name, expected in plain_calibration(one).items():
        assert found[name] == pytest.approx(expected, abs=1e-12), name


def test_laplaces_errors_are_covered_as_promised() -> None:
    """All calibration errors are near zero if errors are drawn as the confidence says."""
    chance = np.random.default_rng(5)
    spread = chance.uniform(0.05, 0.6, (200, 300))
    true = chance.uniform(1, 5, spread.shape)
    one = DepthPair(
        predicted=true * np.exp(chance.laplace(0, spread)),
        true=true,
        valid=np.ones(spread.shape, bool),
        confidence=1 - np.exp(-math.log(1.25) / spread),
    )
    for name in ("ece", "coverage90_gap"):
        assert value(CERTAINTY_METRICS[name], one) == pytest.approx(0, abs=0.01), name


def test_pooled_calibration_is_that_of_all_pixels() -> None:
    one, other = pair(6), pair(7)
    assert one.confidence is not None
    assert other.confidence is not None
    both = DepthPair(
        predicted=np.concatenate([one.predicted, other.predicted]),
        true=np.concatenate([one.true, other.true]),
        valid=np.concatenate([one.valid, other.valid]),
        confidence=np.concatenate([one.confidence, other.confidence]),
    )
    for name, metric in CERTAINTY_METRICS.items():
        if metric.pools:
            sums = metric.sums(one) + metric.sums(other)
            found = pooled(metric, sums, one.count + other.count)
            assert found == pytest.approx(value(metric, both), abs=1e-12), name
    bins = reliability_bins(reliability_sums(one) + reliability_sums(other))
    assert sum(each.pixels for each in bins) == both.count
    gap = sum(each.pixels * abs(each.said - each.right) for each in bins) / both.count
    assert gap == pytest.approx(value(CERTAINTY_METRICS["ece"], both), abs=1e-12)


def test_normals_are_taken_out_by_confidence() -> None:
    chance = np.random.default_rng(8)
    true = np.stack([np.zeros(SIZE), np.zeros(SIZE), -np.ones(SIZE)])
    tilt = chance.uniform(0, 1, SIZE)
    predicted = np.stack([np.sin(tilt), np.zeros(SIZE), -np.cos(tilt)])
    valid = np.ones(SIZE, bool)
    knowing = NormalsPair(predicted=predicted, true=true, valid=valid, confidence=1 - tilt)
    blind = NormalsPair(predicted=predicted, true=true, valid=valid, confidence=0 * tilt)
    assert measure(NORMAL_CERTAINTY_METRICS, knowing)["ause_mean"] == pytest.approx(0, abs=1e-9)
    # All leave at once: the curve is flat until its last step, to zero.
    mean = float(np.degrees(tilt).mean())
    assert measure(NORMAL_CERTAINTY_METRICS, blind)["aurg_mean"] == pytest.approx(mean * 0.01)


@pytest.mark.parametrize("bad", [1.5, -0.1, np.nan])
def test_a_confidence_that_is_no_share_is_refused(bad: float) -> None:
    one = pair()
    assert one.confidence is not None
    confidence = one.confidence.copy()
    confidence[np.nonzero(one.valid)[0][0], np.nonzero(one.valid)[1][0]] = bad
    broken = DepthPair(
        predicted=one.predicted, true=one.true, valid=one.valid, confidence=confidence
    )
    with pytest.raises(InputError, match="NaN or outside this range at 1 of"):
        value(CERTAINTY_METRICS["ece"], broken)


def test_without_a_confidence_there_is_nothing_to_judge() -> None:
    one = pair()
    bare = DepthPair(predicted=one.predicted, true=one.true, valid=one.valid)
    with pytest.raises(InputError, match="has no confidence"):
        value(CERTAINTY_METRICS["ece"], bare)


@pytest.mark.parametrize("levels", [None, 5])
def test_the_area_under_risk_and_coverage_is_the_mean_over_every_share(levels: int | None) -> None:
    one = pair(6, levels=levels)
    order = np.random.default_rng(1)
    risks = []
    # Equally sure pixels in any order: the mean over many orders is what is said.
    for _ in range(1 if levels is None else 300):
        places = np.lexsort((order.random(one.count), -one.valid_confidence))
        errors = np.abs(one.relative)[places]
        risks.append(np.mean([errors[: k + 1].mean() for k in range(one.count)]))
    found = value(CERTAINTY_METRICS["aurc_abs_rel"], one)
    assert found == pytest.approx(np.mean(risks), rel=1e-9 if levels is None else 5e-3)


def test_the_likelihood_is_that_of_laplace_and_least_where_the_spread_is_right() -> None:
    chance = np.random.default_rng(2)
    true = chance.uniform(1, 9, (200, 200))
    spread = 0.2
    said = 1 - math.exp(-math.log(1.25) / spread)
    predicted = true * np.exp(chance.laplace(0, spread, true.shape))

    def nll(confidence: float) -> float:
        full = np.full(true.shape, confidence)
        one = DepthPair(
            predicted=predicted, true=true, valid=np.ones(true.shape, bool), confidence=full
        )
        return value(CERTAINTY_METRICS["nll"], one)

    errors = np.abs(np.log(predicted / true))
    expected = -scipy.stats.laplace.logpdf(errors, scale=spread).mean()
    assert nll(said) == pytest.approx(expected, rel=1e-6)
    # The entropy of the distribution, and no other confidence does better.
    assert nll(said) == pytest.approx(1 + math.log(2 * spread), abs=0.02)
    assert nll(said) < min(nll(said - 0.1), nll(said + 0.1))
    assert math.isfinite(nll(0.0))
    assert math.isfinite(nll(1.0))
