"""Depth of neighbouring frames, and the way between them."""

from dataclasses import replace

import pytest
import torch
from torch import Tensor

from rilievo.training.losses.video_options import VideoLosses
from rilievo.training.losses.view_synthesis import consistency_loss, depth_disagreement, video_loss
from rilievo.training.losses.warped_frames import Views, warp
from support.painted_walls import HEIGHT, WIDTH, wall_views

K = torch.tensor([[[30.0, 0, 8], [0, 30.0, 6], [0, 0, 1]]], dtype=torch.float64)


def moved(x: float, z: float) -> Tensor:
    T = torch.eye(4, dtype=torch.float64)[None].clone()
    T[0, 0, 3], T[0, 2, 3] = x, z
    return T


def depths(value: float) -> Tensor:
    return torch.full((1, 13, 17), value, dtype=torch.float64)


def test_a_wall_seen_from_half_a_metre_nearer() -> None:
    """A wall 2 m away is 1.5 m away then; a map that says 3 m is off by 1.5 / 4.5."""
    right = depth_disagreement(warp(depths(1.5)[:, None], depths(2.0), K, moved(0, -0.5)))
    wrong = depth_disagreement(warp(depths(3.0)[:, None], depths(2.0), K, moved(0, -0.5)))
    seen = warp(depths(3.0)[:, None], depths(2.0), K, moved(0, -0.5)).in_view
    assert 0.4 < seen.double().mean() < 0.8
    assert right.abs().max() < 1e-12
    torch.testing.assert_close(wrong, torch.where(seen, 1.5 / 4.5, 0.0).double())
    assert consistency_loss(wrong, seen).item() == pytest.approx(1 / 3)


def test_nothing_in_view_costs_nothing() -> None:
    away = depth_disagreement(warp(depths(1.0)[:, None], depths(2.0), K, moved(100, 0)))
    assert (away == 0).all()
    assert consistency_loss(away, torch.zeros_like(away, dtype=torch.bool)).item() == 0


def loss_of(views: Views, options: VideoLosses, *, depth: float, source_depth: float) -> Tensor:
    def sigmoid(value: float) -> Tensor:
        return torch.full(
            (1, 1, HEIGHT, WIDTH), (1 / value - 0.01) / 9.99, dtype=torch.float64
        ).requires_grad_()

    motion = tuple(T for T in views.source_T_target if T is not None)
    found = video_loss(
        replace(views, source_T_target=(None, None)),
        (sigmoid(depth),),
        motion,
        min_depth=0.1,
        max_depth=100.0,
        scales=(0,),
        options=options,
        generator=None,
        source_sigmoids=(sigmoid(source_depth), sigmoid(source_depth)),
    )
    return found.total


def test_consistency_adds_its_weight_times_the_disagreement() -> None:
    views = wall_views(depth=2.0, steps=(-0.1, 0.1))
    plain = loss_of(views, VideoLosses(), depth=2.0, source_depth=4.0)
    given = loss_of(views, VideoLosses(consistency=0.5), depth=2.0, source_depth=4.0)
    assert (given - plain).item() == pytest.approx(0.5 * 2 / 6, abs=1e-9)


def test_a_motion_mask_weighs_pixels_by_how_well_depths_agree() -> None:
    """All points are in view of a camera that goes sideways little; those that are not keep 1."""
    views = wall_views(depth=2.0, steps=(0.0, 0.0))
    options = VideoLosses(automask=False, smoothness=0.0)
    darker = replace(views, target=views.target * 0.5)
    plain = loss_of(darker, options, depth=2.0, source_depth=4.0)
    masked = loss_of(darker, replace(options, motion_mask=True), depth=2.0, source_depth=4.0)
    assert (masked / plain).item() == pytest.approx(1 - 2 / 6, abs=1e-9)
