"""Views brought to agree: scale of a clip, of each view, smooth errors, what is left out."""

import math
from dataclasses import replace

import numpy as np
import pytest

from rilievo.data.fuse.clip_scale import clip_scale
from rilievo.data.fuse.clip_views import ClipView, neighbour_indices
from rilievo.data.fuse.depth_agreement import (
    DepthCorrection,
    _is_worse,
    _median_ratio,
    _smallest_finite,
    average_views,
    compare_depth,
    make_depth_agree,
)
from rilievo.data.fuse.plane_sweep import correlation_peaks, correlations, grey_view
from support.box_rooms import SIZE, pose, room_view, walk

STEP = 0.12


def wrong(view: ClipView, scale: float, bend: float) -> ClipView:
    """Depth with a factor, and an error that grows from the left to the right."""
    across = np.linspace(-1, 1, SIZE[1], dtype=np.float32)[None, :]
    return replace(view, depth=(view.depth * scale * np.exp(bend * across)).astype(np.float32))


def error(view: ClipView, true: ClipView) -> float:
    apart = np.abs(np.log(view.depth / true.depth))[view.valid]
    return float(np.median(apart))


@pytest.fixture(scope="module")
def true() -> list[ClipView]:
    return walk(7, STEP)


def test_true_depth_correlates_most(true: list[ClipView]) -> None:
    logs = np.linspace(-0.2, 0.2, 9)
    scores = correlations(grey_view(true[3]), [grey_view(true[1])], true[3].depth, logs, best=1)
    assert scores.shape == (9, *SIZE)
    assert int(scores.mean(axis=(1, 2)).argmax()) == 4
    assert scores[4][:, 12:-12].mean() > 0.8


def test_a_peak_is_that_of_the_parabola() -> None:
    logs = np.linspace(-0.4, 0.4, 9)
    scores = (1 - 4 * (logs - 0.13) ** 2)[:, None, None].astype(np.float32)
    peaks = correlation_peaks(scores, logs)
    assert peaks.log_factors[0, 0] == pytest.approx(0.13, abs=1e-4)
    assert peaks.clarity[0, 0] > 0.05
    at_the_end = correlation_peaks(np.linspace(0, 1, 9, dtype=np.float32)[:, None, None], logs)
    assert at_the_end.clarity[0, 0] == 0


@pytest.mark.slow
@pytest.mark.parametrize("factor", [0.02, 1.0, 40.0])
def test_the_unit_of_the_poses_is_found(true: list[ClipView], factor: float) -> None:
    views = [replace(view, depth=view.depth / np.float32(factor)) for view in true]
    assert clip_scale(views) == pytest.approx(factor, rel=0.08)


def test_scales_and_smooth_errors_of_views_are_removed(true: list[ClipView]) -> None:
    scales = [1.0, 1.15, 0.9, 1.05, 0.92, 1.1, 0.95]
    views = [wrong(view, scale, 0.1) for view, scale in zip(true, scales, strict=True)]
    agreement = make_depth_agree(views, 1.0)
    before = np.mean([error(view, each) for view, each in zip(views, true, strict=True)])
    after = np.mean([error(view, each) for view, each in zip(agreement.views, true, strict=True)])
    assert before > 0.07
    assert after < before / 4
    assert agreement.difference_after < agreement.difference_before / 3
    np.testing.assert_allclose(agreement.scales[1:-1] * scales[1:-1], 1, atol=0.06)


def test_true_depth_stays_as_it_is(true: list[ClipView]) -> None:
    agreement = make_depth_agree(true, 1.0)
    assert (
        np.mean([error(view, each) for view, each in zip(agreement.views, true, strict=True)])
        < 0.01
    )
    assert np.mean([view.valid.mean() for view in agreement.views]) > 0.7


def test_what_moves_by_itself_is_left_out(true: list[ClipView]) -> None:
    views = list(true)
    depth, pixels = views[3].depth.copy(), views[3].pixels.copy()
    depth[25:50, 30:60], pixels[25:50, 30:60] = 1.2, (250, 250, 250)
    views[3] = replace(views[3], depth=depth, pixels=pixels)
    agreement = make_depth_agree(views, 1.0)
    assert agreement.views[3].valid[28:47, 33:57].mean() < 0.1
    assert agreement.views[3].valid.mean() > 0.6


def test_cameras_that_stand_still_or_only_turn_have_no_neighbours() -> None:
    turning = [room_view(pose((0, 0, 0), 0.02 * k)) for k in range(4)]
    assert clip_scale(turning) is None
    assert neighbour_indices(turning, 1) == []
    agreement = make_depth_agree(turning, 1.0)
    assert np.isnan(agreement.difference_after)
    assert all(view.valid.all() for view in agreement.views)


def test_views_without_valid_depth_are_no_help_and_no_harm(true: list[ClipView]) -> None:
    blind = replace(true[2], valid=np.zeros(SIZE, bool))
    assert clip_scale([blind] * 3) is None
    agreement = make_depth_agree([*true[:2], blind, *true[3:]], 1.0)
    assert not agreement.views[2].valid.any()
    assert agreement.views[3].valid.mean() > 0.6


def test_the_neighbour_at_a_fitting_distance_comes_first(true: list[ClipView]) -> None:
    agreement = neighbour_indices(true, 3)
    assert set(agreement) == {0, 1, 2, 4, 5, 6}
    # 5% of 96 px at a depth of 3.5 m are 0.21 m: one or two steps.
    assert agreement[0] in (1, 2, 4, 5)


def test_agreement_counts_who_sees_the_same(true: list[ClipView]) -> None:
    other = replace(true[5], depth=true[5].depth * np.float32(1.1))
    agreement = compare_depth(true[3], [true[2], true[4], other])
    middle = np.s_[20:50, 30:60]
    assert (agreement.num_seeing[middle] == 3).all()
    assert (agreement.num_agreeing[middle] == 2).all()
    assert agreement.difference < 0.01


def test_wrong_poses_make_nothing_worse() -> None:
    views = walk(7, STEP)
    turns = [0.0, 0.05, -0.04, 0.05, -0.05, 0.04, 0.0]
    moved = []
    for view, turn in zip(views, turns, strict=True):
        moved.append(replace(view, world_T_cam=view.world_T_cam @ pose((0, 0, 0), turn)))
    agreement = make_depth_agree(moved, 1.0)
    assert agreement.correction is DepthCorrection.NONE
    assert agreement.difference_after <= agreement.difference_before
    assert max(view.valid.mean() for view in agreement.views) > 0.3


def test_differences_of_chance_are_levelled_out(true: list[ClipView]) -> None:
    """Blank parts have no say in pictures: there the neighbours' depth counts."""
    factors = np.exp(np.random.default_rng(1).normal(0, 0.05, len(true)))
    views = [wrong(view, factor, 0.0) for view, factor in zip(true, factors, strict=True)]
    around = [neighbour_indices(views, index) for index in range(len(views))]
    blank = [np.zeros(SIZE, np.float32) for _ in views]
    levels = average_views(views, blank, around)
    scales = [np.median(level.depth / view.depth) for level, view in zip(levels, true, strict=True)]
    assert np.std(np.log(scales)) < np.std(np.log(factors)) / 3
    assert np.log(scales).mean() == pytest.approx(np.log(factors).mean(), abs=0.015)


def test_clear_depth_pulls_unclear_depth_to_itself(true: list[ClipView]) -> None:
    views = [wrong(true[3], 1.06, 0.0), *true[4:6]]
    clear = [np.full(SIZE, value, np.float32) for value in (0.0, 0.8, 0.8)]
    levels = average_views(views, clear, [[1, 2], [0, 2], [0, 1]])
    middle = np.s_[15:-15, 20:-20]
    assert np.median(levels[0].depth[middle] / true[3].depth[middle]) == pytest.approx(1, abs=0.01)
    for level, view in zip(levels[1:], true[4:6], strict=True):
        assert np.median(level.depth[middle] / view.depth[middle]) == pytest.approx(1, abs=0.01)


def test_a_view_keeps_what_its_neighbours_do_not_see(true: list[ClipView]) -> None:
    nearer = replace(true[3], depth=true[3].depth * np.float32(0.4))
    clear = [np.zeros(SIZE, np.float32)] * 3
    levels = average_views([nearer, *true[4:6]], clear, [[1, 2], [], []])
    np.testing.assert_allclose(levels[0].depth, nearer.depth, rtol=0.02)


@pytest.mark.parametrize("other", [0.1, 0.02])
def test_a_disagreement_that_is_unknown_hides_no_other(other: float) -> None:
    for numbers in ((math.nan, other), (other, math.nan)):
        assert _smallest_finite(*numbers) == other
    assert math.isnan(_smallest_finite(math.nan, math.nan))
    assert _is_worse(math.nan, other)
    assert not _is_worse(other, math.nan)
    assert not _is_worse(math.nan, math.nan)
    assert _is_worse(3 * other, other)


def test_the_factor_of_a_view_is_that_of_its_depth(true: list[ClipView]) -> None:
    first = replace(true[0], valid=true[0].valid & (np.arange(SIZE[1]) < SIZE[1] // 4)[None])
    doubled = replace(first, depth=np.where(first.valid, 2 * first.depth, first.depth))
    assert _median_ratio(doubled, first) == 2
    hidden = replace(doubled, valid=np.zeros_like(first.valid))
    assert _median_ratio(hidden, first) == 1
