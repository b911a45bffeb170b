"""Anchoring finds the two numbers of affine depth, whatever they are, and says how well it fits."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from rilievo.alignment.anchor import (
    GRID_COLUMNS,
    GRID_ROWS,
    LEAST_CORRELATION,
    LEAST_LISTED_CORRELATION,
    Anchor,
    anchor,
    anchor_values,
    anchored_depth,
    paired_values,
    rank_correlation,
)
from rilievo.errors import CalibrationError
from rilievo.records.depth_map import DepthKind, DepthMap

seeds = st.integers(0, 2**32 - 1)
scales = st.floats(-3, 3).map(np.exp)
shifts = st.floats(-5, 5)
kinds = st.sampled_from([DepthKind.AFFINE, DepthKind.AFFINE_INVERSE])


def room(seed: int, shape: tuple[int, int] = (60, 80)) -> np.ndarray:
    """Depth of planes at random angles, as in a room: 1 to some 10 units."""
    chance = np.random.default_rng(seed)
    v, u = np.mgrid[-1 : 1 : shape[0] * 1j, -1 : 1 : shape[1] * 1j]
    # A far wall that leans, as no fit is possible where most of a picture has one depth.
    inverse = 0.1 + 0.04 * v + 0.01 * u
    for _ in range(5):
        level, down, across = chance.uniform(-0.3, 0.3, 3)
        inverse = np.maximum(inverse, level + down * v + across * u)
    return 1 / (inverse / inverse.max())


def up_to_scale(depth: np.ndarray, valid: np.ndarray | None = None) -> DepthMap:
    return DepthMap(
        values=depth.astype(np.float32),
        kind=DepthKind.UP_TO_SCALE,
        valid=np.ones(depth.shape, bool) if valid is None else valid,
    )


def affine_values(depth: np.ndarray, kind: DepthKind, scale: float, shift: float) -> np.ndarray:
    """Values of an affine map whose depth is given: the fit is their inverse line."""
    return scale * (1 / depth if kind is DepthKind.AFFINE_INVERSE else depth) + shift


def fitted(depth: np.ndarray, reference: np.ndarray, kind: DepthKind, scale: float, shift: float):
    x = affine_values(depth, kind, scale, shift)
    return anchor_values(x.ravel(), reference.ravel(), is_inverse=kind is DepthKind.AFFINE_INVERSE)


def depth_of(found: Anchor, x: np.ndarray, kind: DepthKind) -> np.ndarray:
    y = found.fit.scale * x + found.fit.shift
    return 1 / y if kind is DepthKind.AFFINE_INVERSE else y


@given(seed=seeds, kind=kinds, scale=scales, shift=shifts, factor=scales)
@settings(deadline=None, max_examples=25)
def test_any_scale_and_shift_of_exact_depth_are_found(
    seed: int, kind: DepthKind, scale: float, shift: float, factor: float
) -> None:
    depth = room(seed)
    found = fitted(depth, factor * depth, kind, scale, shift)
    x = affine_values(depth, kind, scale, shift)
    np.testing.assert_allclose(depth_of(found, x, kind), factor * depth, rtol=1e-4)
    assert found.fit.residual < 1e-4
    assert found.rank_correlation == pytest.approx(1)
    assert found.agrees(is_listed=False)


@given(seed=seeds, kind=kinds)
@settings(deadline=None, max_examples=25)
def test_wrong_pixels_in_both_answers_do_not_bend_the_fit(seed: int, kind: DepthKind) -> None:
    depth, chance = room(seed), np.random.default_rng(seed)
    reference, values = depth.copy(), affine_values(depth, kind, 2, 3)
    wrong = chance.random(depth.shape) < 0.08
    reference[wrong] *= np.exp(chance.uniform(-1, 1, wrong.sum()))
    wild = chance.random(depth.shape) < 0.03
    low, high = values.min(), values.max()
    values[wild] = chance.uniform(2 * low - high, 2 * high - low, wild.sum())
    found = anchor_values(
        values.ravel(), reference.ravel(), is_inverse=kind is DepthKind.AFFINE_INVERSE
    )
    good = ~wild
    np.testing.assert_allclose(
        depth_of(found, values[good], kind), depth[good], rtol=1e-3, err_msg=str(found)
    )


@given(seed=seeds, kind=kinds, scale=scales, shift=shifts, factor=scales)
@settings(deadline=None, max_examples=25)
def test_the_answers_own_scale_and_shift_change_nothing_and_the_references_scales(
    seed: int, kind: DepthKind, scale: float, shift: float, factor: float
) -> None:
    depth, chance = room(seed), np.random.default_rng(seed)
    reference = depth * np.exp(chance.normal(0, 0.2, depth.shape))
    one = fitted(depth, reference, kind, 1, 0)
    other = fitted(depth, factor * reference, kind, scale, shift)
    np.testing.assert_allclose(
        depth_of(other, affine_values(depth, kind, scale, shift), kind),
        factor * depth_of(one, affine_values(depth, kind, 1, 0), kind),
        rtol=1e-4,
    )
    assert other.fit.residual == pytest.approx(one.fit.residual, abs=1e-4)
    assert other.rank_correlation == pytest.approx(one.rank_correlation, abs=1e-4)


@given(seed=seeds, kind=kinds)
@settings(deadline=None, max_examples=25)
def test_anchored_depth_is_positive_and_keeps_the_order_of_the_answer(
    seed: int, kind: DepthKind
) -> None:
    chance = np.random.default_rng(seed)
    reference = room(seed)
    values = affine_values(room(seed) * np.exp(chance.normal(0, 0.5, reference.shape)), kind, 1, -1)
    depth = DepthMap(values=values.astype(np.float32), kind=kind)
    anchored = anchored_depth(depth, anchor(depth, up_to_scale(reference)).fit)
    assert anchored.kind is DepthKind.UP_TO_SCALE
    inside = anchored.values[anchored.valid]
    assert (inside > 0).all()
    assert np.isfinite(inside).all()
    order = depth.values[anchored.valid].argsort()
    steps = np.diff(inside[order])
    assert (steps <= 0 if kind is DepthKind.AFFINE_INVERSE else steps >= 0).all()


def test_a_sky_at_zero_inverse_depth_is_far_and_bends_nothing() -> None:
    depth = room(3)
    ground, sky = depth.copy(), np.zeros(depth.shape, bool)
    sky[:18] = True
    reference = np.where(sky, 2 * depth.max(), depth)
    values = np.where(sky, 0, 1 / ground) * 40 + 7
    answer = DepthMap(values=values.astype(np.float32), kind=DepthKind.AFFINE_INVERSE)
    anchored = anchored_depth(answer, anchor(answer, up_to_scale(reference)).fit)
    seen = anchored.valid & ~sky
    assert seen.sum() == (~sky).sum()
    ratio = anchored.values[seen] / depth[seen]
    assert np.abs(np.log(ratio / np.median(ratio))).mean() < 0.1
    assert anchored.values[sky & anchored.valid].min(initial=np.inf) > anchored.values[seen].max()


def test_invalid_pixels_of_either_answer_are_not_read() -> None:
    depth = room(4)
    valid = np.random.default_rng(4).random(depth.shape) > 0.3
    values = np.where(valid, 1 / depth, -50).astype(np.float32)
    answer = DepthMap(values=values, kind=DepthKind.AFFINE_INVERSE, valid=valid)
    other = np.random.default_rng(5).random(depth.shape) > 0.3
    reference = up_to_scale(np.where(other, depth, 1e6), other)
    anchored = anchored_depth(answer, anchor(answer, reference).fit)
    np.testing.assert_array_equal(anchored.valid, valid)
    np.testing.assert_allclose(anchored.values[valid], depth[valid], rtol=1e-3)


@pytest.mark.parametrize("size", [(300, 420), (48, 64), (37, 91)])
def test_samples_lie_in_the_middles_of_equal_cells(size: tuple[int, int]) -> None:
    v, u = np.mgrid[: size[0], : size[1]]
    columns = DepthMap(values=(u + 1).astype(np.float32), kind=DepthKind.UP_TO_SCALE)
    rows = DepthMap(values=(v + 1).astype(np.float32), kind=DepthKind.UP_TO_SCALE)
    found_u, found_v = paired_values(columns, rows)
    middles = [
        np.floor((np.arange(count) + 0.5) * side / count) + 1
        for count, side in zip((GRID_ROWS, GRID_COLUMNS), size, strict=True)
    ]
    expected_v, expected_u = np.meshgrid(*middles, indexing="ij")
    np.testing.assert_array_equal(found_u, expected_u.ravel())
    np.testing.assert_array_equal(found_v, expected_v.ravel())


def test_both_maps_may_have_any_size() -> None:
    fine, coarse = room(6, (300, 420)), room(6, (48, 64))
    answer = DepthMap(values=(1 / fine).astype(np.float32), kind=DepthKind.AFFINE_INVERSE)
    anchored = anchored_depth(answer, anchor(answer, up_to_scale(coarse)).fit)
    np.testing.assert_allclose(anchored.values, fine, rtol=0.05)


def test_a_reference_of_low_contrast_does_not_flatten_the_scene() -> None:
    """A network's depth errs and is pulled towards the mean; plain least errors follow it."""
    depth, chance = room(7), np.random.default_rng(7)
    wide = np.exp(1.5 * np.log(depth))
    reference = depth * np.exp(chance.normal(0, 0.15, depth.shape))
    found = fitted(wide, reference, DepthKind.AFFINE_INVERSE, 1, 0)
    anchored = depth_of(found, 1 / wide, DepthKind.AFFINE_INVERSE)
    assert np.log(anchored).std() > np.log(reference).std()


def test_answers_that_disagree_in_order_are_told_apart() -> None:
    depth, chance = room(8), np.random.default_rng(8)
    random = np.exp(chance.normal(0, 0.3, depth.shape))
    assert not fitted(random, depth, DepthKind.AFFINE_INVERSE, 1, 0).agrees(is_listed=True)
    turned = fitted(1 / depth, depth, DepthKind.AFFINE_INVERSE, 1, 0)
    assert turned.rank_correlation == pytest.approx(-1)
    assert not turned.agrees(is_listed=True)
    assert 0 < LEAST_LISTED_CORRELATION < LEAST_CORRELATION < 1


@given(seed=seeds, levels=st.integers(2, 300))
@settings(deadline=None, max_examples=25)
def test_rank_correlation_is_spearmans_with_ties(seed: int, levels: int) -> None:
    chance = np.random.default_rng(seed)
    x = chance.integers(0, levels, 500).astype(float)
    y = x + chance.integers(0, levels, 500)
    assert rank_correlation(x, y) == pytest.approx(stats.spearmanr(x, y).statistic)


def test_what_cannot_be_fitted_is_refused_in_words() -> None:
    depth = room(9)
    flat = DepthMap(values=np.ones(depth.shape, np.float32), kind=DepthKind.AFFINE_INVERSE)
    with pytest.raises(CalibrationError, match="constant"):
        anchor(flat, up_to_scale(depth))
    few = np.zeros(depth.shape, bool)
    few[:5, :5] = True
    with pytest.raises(CalibrationError, match="too few"):
        anchor(flat, up_to_scale(depth, few))
