"""Scores against truth beside the frames, worked out by hand."""

import math

import numpy as np
import pytest
import torch

from rilievo.training.video.batch_numbers import (
    VideoTruth,
    depth_scores,
    motion_scores,
    rotation_angle,
)


def turned(degrees: float, *, shift: tuple[float, float, float] = (0, 0, 0)) -> np.ndarray:
    """A turn about y, then a shift."""
    c, s = math.cos(math.radians(degrees)), math.sin(math.radians(degrees))
    matrix = np.eye(4)
    matrix[:3, :3] = [[c, 0, s], [0, 1, 0], [-s, 0, c]]
    matrix[:3, 3] = shift
    return matrix


def test_depth_that_is_right_up_to_its_scale_has_no_error() -> None:
    true = np.random.default_rng(0).uniform(1, 9, (6, 8)).astype(np.float32)
    scores = depth_scores(torch.from_numpy(true) * 7, VideoTruth(depth=true))
    assert scores.abs_rel == pytest.approx(0, abs=1e-6)
    assert scores.delta1 == 1


def test_a_constant_is_scored_as_the_constant_beside_it() -> None:
    true = np.float32([[1, 2], [2, 4]])
    scores = depth_scores(torch.full((2, 2), 5.0), VideoTruth(depth=true))
    # |2 - 1| / 1, twice 0, |2 - 4| / 4.
    assert scores.abs_rel == pytest.approx((1 + 0.5) / 4)
    assert scores.constant_abs_rel == scores.abs_rel
    assert scores.delta1 == 0.5


def test_pixels_without_truth_do_not_count() -> None:
    true = np.float32([[1, 0], [0, 2]])
    predicted = torch.tensor([[1.0, 900.0], [0.001, 2.0]])
    assert depth_scores(predicted, VideoTruth(depth=true)).abs_rel == pytest.approx(0, abs=1e-6)
    nothing = depth_scores(predicted, VideoTruth(depth=np.zeros((2, 2), np.float32)))
    assert all(math.isnan(each) for each in nothing)


def test_inverse_depth_is_what_is_brought_to_the_size_of_the_truth() -> None:
    """A plane that leans has inverse depth linear in the image, at any size."""
    small, large = (1 / (0.1 + 0.05 * ((np.arange(n) + 0.5) * 8 / n)) for n in (8, 32))
    predicted = torch.from_numpy(np.tile(small, (4, 1)))
    true = np.tile(large, (16, 1)).astype(np.float32)
    inner = np.where((np.arange(32) > 2) & (np.arange(32) < 29), true, 0).astype(np.float32)
    assert depth_scores(predicted, VideoTruth(depth=inner)).abs_rel == pytest.approx(0, abs=1e-6)


def test_motion_is_scored_by_its_direction_and_its_turn() -> None:
    found = torch.from_numpy(turned(3, shift=(0, 0, 5.0)))[None].float()
    known = (turned(1, shift=(0.1, 0, 0.1)), None)
    scores = motion_scores((found, found), VideoTruth(source_T_target=known))
    assert scores.translation_angle == pytest.approx(45, abs=1e-4)
    assert scores.rotation_error == pytest.approx(2, abs=1e-4)
    still = motion_scores((found,), VideoTruth(source_T_target=(turned(1),)))
    assert math.isnan(still.translation_angle)
    assert math.isnan(motion_scores((found,), VideoTruth()).rotation_error)


@pytest.mark.parametrize("degrees", [0, 1e-4, 1, 90, 179.9])
def test_the_angle_of_a_turn_is_exact_when_small_and_when_large(degrees: float) -> None:
    angle = math.degrees(rotation_angle(torch.from_numpy(turned(degrees)[:3, :3])))
    assert angle == pytest.approx(degrees, abs=1e-9, rel=1e-6)
