"""Least absolute deviations find what an exhaustive search and a linear program find."""

import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import linprog

from rilievo.alignment.fit import least_absolute_line, least_absolute_scale
from rilievo.alignment.ground_truth import AlignMethod, align
from rilievo.alignment.subsample import subsample_by_grid
from rilievo.errors import CalibrationError
from rilievo.records.depth_map import DepthKind, DepthMap

seeds = st.integers(0, 2**32 - 1)


def draw(seed: int, n: int, *, steps: int | None = None) -> tuple[np.ndarray, ...]:
    """A rising, noisy line with outliers; with ``steps``, on a coarse grid with many ties."""
    rng = np.random.default_rng(seed)
    x = rng.uniform(1, 5, n)
    y = 0.7 * x + 1.0 + rng.normal(0, 0.2, n) + (rng.random(n) < 0.2) * rng.uniform(0, 9, n)
    if steps is not None:
        x, y = np.ceil(x * steps) / steps, np.ceil(y * steps) / steps
    x[:2], y[:2] = (1.0, 5.0), (2.0, 5.0)
    return x, y, rng.uniform(0.1, 2, n)


def loss_of(scale: float, shift: float, x: np.ndarray, y: np.ndarray, w: np.ndarray) -> float:
    return float((w * np.abs(scale * x + shift - y)).sum())


def least_loss_through_two_points(x: np.ndarray, y: np.ndarray, w: np.ndarray) -> float:
    losses = []
    for i, j in itertools.combinations(range(x.size), 2):
        if x[i] != x[j]:
            scale = (y[j] - y[i]) / (x[j] - x[i])
            losses.append(loss_of(scale, y[i] - scale * x[i], x, y, w))
    return min(losses)


def test_the_lower_of_two_middle_values_is_the_scale() -> None:
    x, weights = np.array([1.0, 2.0, 1.0, 0.0]), np.array([1.0, 0.5, 2.0, 9.0])
    assert least_absolute_scale(x, np.array([3.0, 2.0, 7.0, 5.0]), weights) == 3.0
    assert least_absolute_scale(-x, np.array([3.0, 2.0, 7.0, 5.0]), weights) == -7.0


@given(seed=seeds, n=st.integers(3, 25), steps=st.sampled_from([None, 1, 3, 10]))
def test_no_line_through_two_points_is_better(seed: int, n: int, steps: int | None) -> None:
    x, y, w = draw(seed, n, steps=steps)
    try:
        scale, shift = least_absolute_line(x, y, w)
    except CalibrationError:
        return
    # Where a line goes through all points, either loss is rounding.
    rounding = 1e-13 * float((w * np.abs(y)).sum())
    least = least_loss_through_two_points(x, y, w)
    assert loss_of(scale, shift, x, y, w) <= least * (1 + 1e-9) + rounding


@pytest.mark.parametrize("steps", [None, 2, 10])
def test_a_linear_program_finds_no_better_line(steps: int | None) -> None:
    """Minimise w·(a + b) with s x + t - y = a - b and a, b >= 0."""
    x, y, w = draw(7, 300, steps=steps)
    n = x.size
    equal = np.hstack([x[:, None], np.ones((n, 1)), -np.eye(n), np.eye(n)])
    bounds = [(None, None)] * 2 + [(0, None)] * (2 * n)
    best = linprog(np.concatenate([[0, 0], w, w]), A_eq=equal, b_eq=y, bounds=bounds)
    line = least_absolute_line(x, y, w)
    assert loss_of(*line, x, y, w) == pytest.approx(best.fun, rel=1e-9)
    if steps is None:
        assert line == pytest.approx(best.x[:2], rel=1e-7)


@given(seed=seeds, n=st.integers(1, 30))
@settings(deadline=None)
def test_no_ratio_of_a_pixel_is_a_better_scale(seed: int, n: int) -> None:
    x, y, w = draw(seed, max(n, 2))
    least = min(loss_of(ratio, 0.0, x, y, w) for ratio in y / x)
    assert loss_of(least_absolute_scale(x, y, w), 0.0, x, y, w) == pytest.approx(least, rel=1e-12)


def test_a_weighted_median_worked_out_by_hand() -> None:
    """Ratios 2, 3 and 10 weigh 1, 2 and 4, and x · weight decides: the last has the majority."""
    x, y = np.array([1.0, 2.0, 4.0]), np.array([2.0, 6.0, 40.0])
    assert least_absolute_scale(x, y, np.ones(3)) == 10.0
    assert least_absolute_scale(x, y, np.array([1.0, 1.0, 0.5])) == 3.0


def nearest_by_loops(valid: np.ndarray, side: int) -> list[int]:
    """The published rule, cell by cell; squares of halves are exact where sizes are powers of 2."""
    height, width = valid.shape
    chosen = []
    for i, j in itertools.product(range(side), range(side)):
        v, u = (i + 0.5) * height / side, (j + 0.5) * width / side
        tall, wide = max(1.0, height / side), max(1.0, width / side)
        top, left = round(v - tall / 2), round(u - wide / 2)
        best, place = np.inf, None
        for r in range(top, top + int(np.ceil(tall))):
            for c in range(left, left + int(np.ceil(wide))):
                if 0 <= r < height and 0 <= c < width and valid[r, c]:
                    apart = (r + 0.5 - v) ** 2 + (c + 0.5 - u) ** 2
                    if apart < best:
                        best, place = apart, r * width + c
        if place is not None:
            chosen.append(place)
    return chosen


@pytest.mark.parametrize("shape", [(6, 9), (8, 8), (16, 24), (37, 21), (3, 50)])
@given(seed=seeds, share=st.floats(0.05, 1.0))
def test_the_subsample_is_the_nearest_valid_pixel_of_each_cell(
    shape: tuple[int, int], seed: int, share: float
) -> None:
    valid = np.random.default_rng(seed).random(shape) < share
    valid.flat[0] = True
    result = subsample_by_grid(valid, side=8)
    expected, times = np.unique(nearest_by_loops(valid, 8), return_counts=True)
    np.testing.assert_array_equal(result.indices, expected)
    np.testing.assert_array_equal(result.counts, times)


@pytest.mark.parametrize("method", [AlignMethod.ROBUST_SCALE, AlignMethod.ROBUST_SCALE_SHIFT])
@given(seed=seeds, scale=st.floats(0.01, 100), shift=st.floats(0, 5))
def test_a_third_of_wild_truth_does_not_move_a_robust_fit(
    method: AlignMethod, seed: int, scale: float, shift: float
) -> None:
    rng = np.random.default_rng(seed)
    values = rng.uniform(0.5, 8.0, (40, 56)).astype(np.float32)
    shift = 0.0 if method is AlignMethod.ROBUST_SCALE else shift
    true = scale * values.astype(float) + shift
    wild = rng.random(values.shape) < 0.3
    true[wild] *= rng.uniform(3.0, 9.0, wild.sum())
    predicted = DepthMap(values=values, kind=DepthKind.UP_TO_SCALE)
    fit = align(predicted, true, np.ones(values.shape, bool), method=method).fit
    assert fit.scale == pytest.approx(scale, rel=1e-9)
    assert fit.shift == pytest.approx(shift, abs=1e-9 * true.max())


def test_a_robust_fit_rests_on_its_subsample_and_ignores_what_is_not_valid() -> None:
    rng = np.random.default_rng(2)
    values = rng.uniform(1.0, 4.0, (480, 640)).astype(np.float32)
    true, valid = 2.0 * values + 1.0, rng.random(values.shape) < 0.5
    true[~valid] = np.nan
    predicted = DepthMap(values=values, kind=DepthKind.AFFINE)
    aligned = align(predicted, true, valid, method=AlignMethod.ROBUST_SCALE_SHIFT)
    assert aligned.fit.pixels == 64 * 64
    assert (aligned.fit.scale, aligned.fit.shift) == pytest.approx((2.0, 1.0), rel=1e-6)


def test_a_robust_shift_below_zero_is_clamped_and_counted() -> None:
    values = np.linspace(2.0, 8.0, 24, dtype=np.float32).reshape(4, 6)
    true, valid = values.astype(float) - 1.0, np.ones((4, 6), bool)
    values[3, 3], valid[3, 3] = 0.5, False
    aligned = align(
        DepthMap(values=values, kind=DepthKind.AFFINE),
        true,
        valid,
        method=AlignMethod.ROBUST_SCALE_SHIFT,
        min_depth=0.01,
    )
    assert aligned.clamped == 1
    assert aligned.depth.values[3, 3] == np.float32(0.01)
