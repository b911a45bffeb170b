"""Alignment recovers what was done to a depth map, and refuses what it cannot know."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rilievo.alignment import fit as fit_module
from rilievo.alignment.fit import Fit, FitSpace, to_depth
from rilievo.alignment.ground_truth import AlignMethod, align
from rilievo.records.depth_map import DepthKind, DepthMap
from support.maps_to_align import ALL, CASES, SHAPE, depth_map, numbers

scales = st.floats(0.01, 100)


seeds = st.integers(0, 2**32 - 1)


@given(seed=seeds, scale=scales, shift=st.floats(0, 5))
@settings(deadline=None)
def test_a_known_scale_and_shift_in_depth_is_recovered(
    seed: int, scale: float, shift: float
) -> None:
    values = numbers(seed)
    true = scale * values.astype(float) + shift
    fit = align(depth_map(values, DepthKind.AFFINE), true, ALL).fit
    assert fit.space is FitSpace.DEPTH
    assert fit.scale == pytest.approx(scale, rel=1e-9)
    assert fit.shift == pytest.approx(shift, abs=1e-9 * true.max())
    assert fit.residual <= 1e-9 * true.max()


@given(seed=seeds, scale=scales, shift=st.floats(0, 5))
@settings(deadline=None)
def test_a_known_scale_and_shift_in_inverse_depth_is_recovered(
    seed: int, scale: float, shift: float
) -> None:
    values = numbers(seed)
    inverse = scale * values.astype(float) + shift
    aligned = align(depth_map(values, DepthKind.AFFINE_INVERSE), 1 / inverse, ALL)
    assert aligned.fit.space is FitSpace.INVERSE
    assert aligned.fit.scale == pytest.approx(scale, rel=1e-9)
    assert aligned.fit.shift == pytest.approx(shift, abs=1e-9 * inverse.max())
    np.testing.assert_allclose(aligned.depth.values, 1 / inverse, rtol=1e-6)


@given(seed=seeds, power=st.floats(0.2, 3), factor=scales)
@settings(deadline=None)
def test_a_known_power_and_factor_is_recovered(seed: int, power: float, factor: float) -> None:
    values = numbers(seed)
    true = factor * values.astype(float) ** power
    aligned = align(depth_map(values, DepthKind.UP_TO_SCALE), true, ALL, method=AlignMethod.LOG)
    assert aligned.fit.scale == pytest.approx(power, rel=1e-9)
    assert aligned.fit.shift == pytest.approx(np.log(factor), abs=1e-9)
    np.testing.assert_allclose(aligned.depth.values, true, rtol=1e-6)


@pytest.mark.parametrize("method", [AlignMethod.MEDIAN, AlignMethod.SCALE])
@given(seed=seeds, scale=scales)
@settings(deadline=None)
def test_a_known_scale_is_recovered(method: AlignMethod, seed: int, scale: float) -> None:
    values = numbers(seed)
    true = scale * values.astype(float)
    fit = align(depth_map(values, DepthKind.UP_TO_SCALE), true, ALL, method=method).fit
    assert fit.scale == pytest.approx(scale, rel=1e-9)
    assert fit.shift == 0


# The robust methods look at a subsample that depends on where a pixel is.
ON_ALL_PIXELS = [case for case in CASES if not case[1].startswith("robust")]


@pytest.mark.parametrize(("kind", "method"), ON_ALL_PIXELS)
@given(seed=seeds)
def test_the_order_of_pixels_changes_nothing(
    kind: DepthKind, method: AlignMethod, seed: int
) -> None:
    values, true = numbers(seed), noisy_truth(kind, seed)
    order = np.random.default_rng(seed).permutation(values.size)
    shuffled = align(
        depth_map(values.ravel()[order].reshape(SHAPE), kind),
        true.ravel()[order].reshape(SHAPE),
        ALL,
        method=method,
    )
    plain = align(depth_map(values, kind), true, ALL, method=method)
    np.testing.assert_allclose(
        shuffled.depth.values.ravel(), plain.depth.values.ravel()[order], rtol=1e-6
    )


@pytest.mark.parametrize(("kind", "method"), CASES)
@given(seed=seeds, exponent=st.integers(-6, 6))
def test_what_the_kind_leaves_unknown_does_not_change_the_result(
    kind: DepthKind, method: AlignMethod, seed: int, exponent: int
) -> None:
    """A power of two is exact in float32; a shift of one rounds."""
    if method is AlignMethod.NONE:
        return
    values, true = numbers(seed), noisy_truth(kind, seed)
    other = values * np.float32(2.0**exponent)
    if kind in (DepthKind.AFFINE, DepthKind.AFFINE_INVERSE):
        other = other + np.float32(1.0)
    first = align(depth_map(values, kind), true, ALL, method=method).depth.values
    second = align(depth_map(other, kind), true, ALL, method=method).depth.values
    np.testing.assert_allclose(first, second, rtol=2e-3)


def noisy_truth(kind: DepthKind, seed: int) -> np.ndarray:
    noise = np.random.default_rng(seed + 1).normal(0, 0.05, SHAPE)
    straight = 0.7 * numbers(seed).astype(float) + 1.0 + noise
    return 1 / straight if kind is DepthKind.AFFINE_INVERSE else straight


def test_least_squares_is_what_numpy_solves() -> None:
    values, true = numbers(3), noisy_truth(DepthKind.AFFINE, 3)
    A = np.stack([values.ravel().astype(float), np.ones(values.size)], axis=1)
    (scale, shift), *_ = np.linalg.lstsq(A, true.ravel(), rcond=None)
    fit = align(depth_map(values, DepthKind.AFFINE), true, ALL).fit
    assert (fit.scale, fit.shift) == pytest.approx((scale, shift), rel=1e-10)
    (scale,), *_ = np.linalg.lstsq(A[:, :1], true.ravel(), rcond=None)
    fit = align(depth_map(values, DepthKind.METRIC), true, ALL, method=AlignMethod.SCALE).fit
    assert fit.scale == pytest.approx(scale, rel=1e-10)


def test_median_scaling_worked_out_by_hand() -> None:
    """Medians 2 and 6 make a scale of 3; residuals 0, 0 and -1 a root of 1/3."""
    values = np.array([[1.0, 2.0, 9.0]], np.float32)
    predicted = DepthMap(values=values, kind=DepthKind.UP_TO_SCALE)
    aligned = align(predicted, np.array([[3.0, 6.0, 28.0]]), np.ones((1, 3), bool))
    assert aligned.method is AlignMethod.MEDIAN
    assert aligned.fit == Fit(
        space=FitSpace.DEPTH, scale=3.0, shift=0.0, residual=np.sqrt(1 / 3), pixels=3
    )
    np.testing.assert_array_equal(aligned.depth.values, [[3.0, 6.0, 27.0]])


def test_metres_stay_as_they_are_by_default() -> None:
    values = numbers(4)
    aligned = align(depth_map(values, DepthKind.METRIC), numbers(5).astype(float), ALL)
    assert aligned.method is AlignMethod.NONE
    np.testing.assert_array_equal(aligned.depth.values, values)


def test_pixels_outside_either_mask_take_no_part() -> None:
    values, true = numbers(6), 2.0 * numbers(6).astype(float)
    predicted_valid, true_valid = ALL.copy(), ALL.copy()
    predicted_valid[0], true_valid[:, 0] = False, False
    values[0], true[:, 0] = np.nan, -np.inf
    predicted = depth_map(values, DepthKind.UP_TO_SCALE, predicted_valid)
    aligned = align(predicted, true, true_valid, method=AlignMethod.SCALE)
    assert aligned.fit.scale == pytest.approx(2.0, rel=1e-12)
    assert aligned.fit.pixels == 11 * 15
    np.testing.assert_array_equal(aligned.depth.valid, predicted_valid)


def test_depth_that_a_shift_takes_below_zero_is_clamped_and_counted() -> None:
    """Fitted on 2..8, where depth is x - 1; the pixel at 0.5 comes out at -0.5."""
    values = numbers(7, 2.0, 8.0)
    true, valid = values.astype(float) - 1.0, ALL.copy()
    values[3, 3], true[3, 3], valid[3, 3] = 0.5, 0.0, False
    aligned = align(depth_map(values, DepthKind.AFFINE), true, valid, min_depth=0.01)
    assert aligned.clamped == 1
    assert aligned.depth.values[3, 3] == np.float32(0.01)


@pytest.mark.parametrize("far", [0.5, 1.0, 1.0001])
def test_inverse_depth_is_clamped_from_below_and_counted(far: float) -> None:
    """Inverse depth is x - 1: negative, zero and tiny at the odd pixel, all farther than 100 m."""
    values = numbers(8, 2.0, 8.0)
    true, valid = 1 / (values.astype(float) - 1.0), ALL.copy()
    values[3, 3], valid[3, 3] = far, False
    predicted = depth_map(values, DepthKind.AFFINE_INVERSE)
    aligned = align(predicted, true, valid, min_inverse=0.01)
    assert aligned.clamped == 1
    assert aligned.depth.values[3, 3] == np.float32(100.0)
    assert aligned.depth.values[aligned.depth.values != 100].max() <= 1.01


def test_without_a_least_inverse_the_farthest_truth_is_the_bound() -> None:
    """Inverse depth is x - 1, from 1 to 7; at the odd pixel it would be 0.5, twice as far."""
    values = numbers(8, 2.0, 8.0)
    true, valid = 1 / (values.astype(float) - 1.0), ALL.copy()
    values[3, 3], valid[3, 3], true[3, 3] = 1.5, False, 1e6
    predicted = depth_map(values, DepthKind.AFFINE_INVERSE)
    aligned = align(predicted, true, valid, min_inverse=None)
    assert aligned.clamped == 1
    assert aligned.depth.values[3, 3] == np.float32(1.0)


def test_converting_in_bands_changes_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    predicted = depth_map(numbers(9), DepthKind.UP_TO_SCALE, numbers(1) > 3)
    fit = Fit(space=FitSpace.INVERSE, scale=2.0, shift=0.1, residual=0.0, pixels=2)
    whole = to_depth(predicted, fit)
    monkeypatch.setattr(fit_module, "BAND_PIXELS", 5 * SHAPE[1])
    np.testing.assert_array_equal(to_depth(predicted, fit), whole)
    assert not whole[~predicted.valid].any()
