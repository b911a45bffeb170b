"""Depth metrics agree with loops written from their formulas, and obey their laws."""

import math
import statistics
import subprocess
import sys

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from rilievo.errors import InputError, NoGroundTruthError, OptionError
from rilievo.evaluation.metrics import (
    DEPTH_METRICS,
    NORMAL_METRICS,
    PICTURE_METRICS,
    Better,
    DepthPair,
    measure,
    pooled,
    value,
)
from rilievo.geometry.cameras.camera import Camera

SHAPE = (13, 17)
K = np.array([[15.0, 0.0, 8.0], [0.0, 14.0, 6.0], [0.0, 0.0, 1.0]])
CAMERA = Camera(K=K)
# Whatever has a formula over pixels alone.
PIXEL = {name: m for name, m in DEPTH_METRICS.items() if name != "boundary_f1"}
SCALE_FREE = ("silog", "silog_unbiased", "boundary_f1")

seeds = st.integers(0, 2**32 - 1)


def depth(seed: int) -> np.ndarray:
    return np.random.default_rng(seed).uniform(0.5, 9.0, SHAPE)


def pair(predicted: np.ndarray, true: np.ndarray, valid: np.ndarray | None = None) -> DepthPair:
    valid = np.ones(true.shape, bool) if valid is None else valid
    return DepthPair(predicted=predicted, true=true, valid=valid, camera=CAMERA)


def random_pair(seed: int) -> DepthPair:
    rng = np.random.default_rng(seed)
    true = depth(seed)
    return pair(true * np.exp(rng.normal(0.1, 0.3, SHAPE)), true, rng.random(SHAPE) < 0.7)


def by_loops(p: DepthPair) -> dict[str, float]:
    """Every metric in plain Python, pixel by pixel."""
    true, predicted, e, points = [], [], [], []
    for v, u in zip(*np.nonzero(p.valid), strict=True):
        t, q = float(p.true[v, u]), float(p.predicted[v, u])
        true.append(t)
        predicted.append(q)
        e.append(math.log(q) - math.log(t))
        ray = [(u - 8.0) / 15.0, (v - 6.0) / 14.0, 1.0]
        points.append(([t * r for r in ray], [q * r for r in ray]))
    both = list(zip(predicted, true, strict=True))
    n, mean = len(both), statistics.fmean
    square = mean(x * x for x in e)
    apart = [math.dist(a, b) for a, b in points]
    lengths = [(math.hypot(*a), math.hypot(*b)) for a, b in points]
    return {
        "abs_rel": mean(abs(q - t) / t for q, t in both),
        "sq_rel": mean((q - t) ** 2 / t for q, t in both),
        "rmse": math.sqrt(mean((q - t) ** 2 for q, t in both)),
        "rmse_log": math.sqrt(square),
        "log10": mean(abs(math.log10(q) - math.log10(t)) for q, t in both),
        "silog": 100 * math.sqrt(square - mean(e) ** 2),
        "silog_unbiased": 100 * statistics.stdev(e),
        "silog_half": math.sqrt(square - 0.5 * mean(e) ** 2),
        **{f"delta{k}": sum(max(q / t, t / q) < 1.25**k for q, t in both) / n for k in (1, 2, 3)},
        "irmse": math.sqrt(mean((1 / q - 1 / t) ** 2 for q, t in both)),
        "mae": mean(abs(q - t) for q, t in both),
        "bias": mean((q - t) / t for q, t in both),
        "point_rel": mean(d / (a + 1e-6) for d, (a, _) in zip(apart, lengths, strict=True)),
        "point_delta1": mean(d < 0.25 * min(ab) for d, ab in zip(apart, lengths, strict=True)),
        "point_distance": mean(apart),
    }


@given(seed=seeds)
def test_every_metric_is_what_loops_over_its_formula_give(seed: int) -> None:
    given_pair = random_pair(seed)
    expected = by_loops(given_pair)
    found = measure({name: PIXEL[name] for name in expected}, given_pair)
    assert found == pytest.approx(expected, rel=1e-9)


def test_the_tables_have_every_metric_under_its_own_name() -> None:
    for table in (DEPTH_METRICS, NORMAL_METRICS, PICTURE_METRICS):
        assert all(name == metric.name for name, metric in table.items())
        labels = [metric.label for metric in table.values()]
        assert len(set(labels)) == len(labels)


def test_two_pixels_worked_out_by_hand() -> None:
    """True 1 and 4, predicted 2 and 4: one pixel right, one wrong by a factor of two."""
    scores = measure(PIXEL, pair(np.array([[2.0, 4.0]]), np.array([[1.0, 4.0]])))
    e = math.log(2)
    assert scores["abs_rel"] == scores["bias"] == scores["mae"] == scores["sq_rel"] == 0.5
    assert scores["rmse"] == pytest.approx(math.sqrt(1 / 2))
    assert scores["irmse"] == pytest.approx(math.sqrt(1 / 8))
    assert scores["silog"] == pytest.approx(100 * e / 2)
    assert scores["silog_unbiased"] == pytest.approx(100 * e / math.sqrt(2))
    assert scores["silog_half"] == pytest.approx(e * math.sqrt(1 / 2 - 1 / 8))
    assert scores["delta1"] == scores["delta2"] == scores["delta3"] == 0.5


@pytest.mark.parametrize(("power", "predicted"), [(1, 1.25), (2, 1.5625), (3, 1.953125)])
def test_a_delta_is_strict_at_its_bound(power: int, predicted: float) -> None:
    p, t = np.array([[predicted, 1.0, 1.0]]), np.array([[1.0, predicted, 1.0]])
    assert value(DEPTH_METRICS[f"delta{power}"], pair(p, t)) == pytest.approx(1 / 3)


def test_too_large_a_depth_is_a_positive_bias() -> None:
    assert value(DEPTH_METRICS["bias"], pair(1.1 * depth(0), depth(0))) == pytest.approx(0.1)
    assert value(DEPTH_METRICS["bias"], pair(0.9 * depth(0), depth(0))) == pytest.approx(-0.1)


@given(seed=seeds)
def test_a_perfect_prediction_scores_best(seed: int) -> None:
    for name, score in measure(PIXEL, pair(depth(seed), depth(seed))).items():
        assert score == (1.0 if DEPTH_METRICS[name].better is Better.HIGHER else 0.0), name


@given(seed=seeds, factor=st.floats(0.01, 100))
def test_a_factor_on_the_prediction_changes_no_scale_invariant_error(
    seed: int, factor: float
) -> None:
    p = random_pair(seed)
    scaled = pair(factor * p.predicted, p.true, p.valid)
    for name in SCALE_FREE:
        metric = DEPTH_METRICS[name]
        assert value(metric, scaled) == pytest.approx(value(metric, p), rel=1e-9), name


@given(seed=seeds, factor=st.floats(0.01, 100))
def test_a_prediction_right_up_to_scale_has_no_scale_invariant_error(
    seed: int, factor: float
) -> None:
    """The difference of the mean square and the squared mean would leave 1e-5 of rounding."""
    p = pair(factor * depth(seed), depth(seed))
    assert value(DEPTH_METRICS["silog"], p) <= 1e-12
    assert value(DEPTH_METRICS["silog_unbiased"], p) <= 1e-12


@given(seed=seeds)
def test_prediction_and_truth_may_change_places_in_what_is_symmetric(seed: int) -> None:
    p = random_pair(seed)
    swapped = pair(p.true, p.predicted, p.valid)
    for name in ("delta1", "delta2", "delta3", "point_delta1", "mae", "rmse", "log10", "rmse_log"):
        metric = DEPTH_METRICS[name]
        assert value(metric, swapped) == pytest.approx(value(metric, p), rel=1e-12), name


@given(seed=seeds)
def test_the_order_of_pixels_does_not_matter_to_what_sums_over_them(seed: int) -> None:
    p = random_pair(seed)
    order = np.random.default_rng(seed).permutation(p.true.size)
    maps = [array.ravel()[order].reshape(SHAPE) for array in (p.predicted, p.true, p.valid)]
    names = [name for name in PIXEL if not name.startswith("point")]
    metrics = {name: DEPTH_METRICS[name] for name in names}
    assert measure(metrics, pair(*maps)) == pytest.approx(measure(metrics, p), rel=1e-9)


@given(seed=seeds)
def test_pooling_two_images_is_scoring_them_side_by_side(seed: int) -> None:
    """Apart in the mean of e, so that the variance between the images counts."""
    first, second = random_pair(seed), random_pair(seed + 1)
    second = pair(3.0 * second.predicted, second.true, second.valid)
    names = [name for name in PIXEL if not name.startswith("point")]
    for name in names:
        metric = DEPTH_METRICS[name]
        sums = metric.sums(first) + metric.sums(second)
        whole = pair(
            *(
                np.hstack([getattr(first, part), getattr(second, part)])
                for part in ("predicted", "true", "valid")
            )
        )
        count = first.count + second.count
        assert pooled(metric, sums, count) == pytest.approx(value(metric, whole), rel=1e-9), name


@given(seed=seeds)
def test_pooling_an_image_with_itself_changes_nothing(seed: int) -> None:
    p = random_pair(seed)
    for name, metric in DEPTH_METRICS.items():
        sums = metric.sums(p)
        if name != "silog_unbiased":
            whole = pooled(DEPTH_METRICS[name], 3 * sums, 3 * p.count)
            assert whole == pytest.approx(value(DEPTH_METRICS[name], p), rel=1e-9), name


def test_one_pixel_has_a_score_and_does_not_vary() -> None:
    scores = measure(PIXEL, pair(np.array([[2.0]]), np.array([[1.0]])))
    assert scores["silog"] == scores["silog_unbiased"] == 0.0
    assert all(math.isfinite(score) for score in scores.values())


def test_what_does_not_count_is_not_read() -> None:
    p = random_pair(5)
    predicted = np.where(p.valid, p.predicted, np.nan)
    true = np.where(p.valid, p.true, -1.0)
    assert measure(DEPTH_METRICS, pair(predicted, true, p.valid)) == measure(DEPTH_METRICS, p)


def test_single_precision_maps_give_the_same_to_six_digits() -> None:
    p = random_pair(6)
    narrow = pair(p.predicted.astype(np.float32), p.true.astype(np.float32), p.valid)
    assert measure(PIXEL, narrow) == pytest.approx(measure(PIXEL, p), rel=2e-6)


@pytest.mark.parametrize("bad", [0.0, -1.0, math.nan, math.inf])
@pytest.mark.parametrize("part", ["predicted", "true"])
def test_depth_that_is_no_depth_is_refused(part: str, bad: float) -> None:
    maps = {"predicted": depth(0), "true": depth(1)}
    maps[part][2, 3] = bad
    with pytest.raises(InputError, match=f"^{part} depth is zero.* at 1 of 221 valid pixels"):
        pair(**maps)


def test_an_image_without_a_valid_pixel_has_no_score() -> None:
    with pytest.raises(NoGroundTruthError, match="no valid pixel"):
        pair(depth(0), depth(1), np.zeros(SHAPE, bool))


def test_points_need_a_camera() -> None:
    bare = DepthPair(predicted=depth(0), true=depth(1), valid=np.ones(SHAPE, bool))
    with pytest.raises(InputError, match="need a camera"):
        value(DEPTH_METRICS["point_rel"], bare)


def test_what_sees_a_picture_as_a_whole_is_not_pooled() -> None:
    with pytest.raises(OptionError, match="'ssim' cannot be pooled"):
        pooled(PICTURE_METRICS["ssim"], np.array([1.0]), 4)


@pytest.mark.parametrize(
    ("call", "words"),
    [
        ("DepthPair(predicted=depth[:2], true=depth, valid=valid)", r"prediction \(2, 4\), ground"),
        ("DepthPair(predicted=depth, true=depth, valid=valid[0])", r"and mask \(4,\) do not match"),
        ("DepthPair(predicted=depth, true=depth, valid=valid * 1)", "the mask is int64"),
        ("DepthPair(predicted=depth, true=depth.astype(int), valid=valid)", "the true depth is in"),
        (
            "DepthPair(predicted=normals, true=normals, valid=valid)",
            "maps must have the shape .height, width.",
        ),
        (
            "NormalsPair(predicted=depth, true=depth, valid=valid)",
            "normals must have the shape .3, height, width.",
        ),
        ("NormalsPair(predicted=normals, true=depth, valid=valid)", r"truth \(3, 4\)"),
        (
            "PicturePair(predicted=depth, true=depth)",
            "the shape .3, 4. and the type float64, .* uint8",
        ),
        (
            "PicturePair(predicted=bytes[:2], true=bytes)",
            r"the same shape, got \(2, 4\) and \(3, 4\)",
        ),
    ],
)
def test_arrays_of_other_sizes_and_types_are_refused_in_words(call: str, words: str) -> None:
    """Run in a separate process, without the type checks of the tests."""
    code = f"""
import re
import numpy as np
from rilievo.errors import InputError
from rilievo.evaluation.metrics.pairs import DepthPair, NormalsPair, PicturePair
depth, valid, normals = np.ones((3, 4)), np.ones((3, 4), bool), np.ones((3, 3, 4))
bytes = np.ones((3, 4), np.uint8)
try:
    {call}
except InputError as error:
    assert re.search(r"{words}", str(error)), error
else:
    raise SystemExit("not refused")
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
