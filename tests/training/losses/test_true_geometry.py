"""True depth and true motion explain the pictures; wrong ones do not."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import Tensor

from lab.scenes import Kind, make_textures, render_clip
from rilievo.training.losses.video_options import VideoLosses
from rilievo.training.losses.warped_frames import (
    Explanation,
    Views,
    compare_warped_sources,
    frames_at_scale,
)
from support.painted_walls import wall_views

OPTIONS = VideoLosses()


def explained(views: Views, depth: Tensor, options: VideoLosses = OPTIONS) -> Explanation:
    motion = tuple(T for T in views.source_T_target if T is not None)
    return compare_warped_sources(frames_at_scale(views, options, None), depth, motion, options)


def everywhere(views: Views, depth: float) -> Tensor:
    return torch.full_like(views.target[:, 0], depth)


def test_a_step_of_whole_pixels_has_no_error_where_a_source_sees_the_pixel() -> None:
    """5 pixels either way: every pixel is in view of one of the two sources."""
    views = wall_views(depth=2.0, steps=(-0.25, 0.25))
    # The window of a pixel at the border of what is in view reaches beyond it.
    found = explained(views, everywhere(views, 2.0))
    assert found.warped_error[..., 1:-1].max() < 1e-12
    assert found.automask.double().mean() > 0.99


def test_true_geometry_leaves_the_error_of_interpolation_which_falls_with_the_pixel() -> None:
    """Half a pixel off, at any of these sizes: linear interpolation errs by the pixel's square."""
    errors = []
    for refined in (1, 3):
        views = wall_views(depth=2.0, steps=(-0.125, 0.125), refined=refined)
        error = explained(views, everywhere(views, 2.0)).warped_error
        inner = 8 * refined
        errors.append(error[..., inner:-inner].mean().item())
    assert errors[0] < 1e-3
    assert errors[1] < errors[0] / 8


def test_the_published_mistake_moves_even_the_true_warp() -> None:
    views = wall_views(depth=2.0, steps=(-0.25, 0.25))
    mistaken = replace(OPTIONS, align_corners=False)
    right = explained(views, everywhere(views, 2.0)).warped_error.mean()
    wrong = explained(views, everywhere(views, 2.0), mistaken).warped_error.mean()
    assert wrong > 10 * right


@pytest.mark.parametrize("factor", [0.7, 1.4])
def test_the_true_depth_has_the_least_error(factor: float) -> None:
    views = wall_views(depth=2.0, steps=(-0.25, 0.25))
    right = explained(views, everywhere(views, 2.0)).error.mean()
    assert explained(views, everywhere(views, 2.0 * factor)).error.mean() > 10 * right


@pytest.mark.slow
def test_rendered_frames_are_explained_by_their_true_depth_and_poses() -> None:
    """Grain, gloss and what is hidden stay; the rest of what a moving camera changes goes."""
    textures = make_textures([], share=0.01)
    clip = render_clip(3, frames=3, size=(96, 128), textures=textures, kind=Kind.ROOMS)
    before, target, after = clip.frames
    assert target.depth is not None
    assert target.camera is not None
    sources = (before, after)

    def picture(image: np.ndarray) -> Tensor:
        return torch.tensor(image / 255.0).permute(2, 0, 1)[None]

    motion = [np.linalg.inv(source.world_T_cam) @ target.world_T_cam for source in sources]
    views = Views(
        target=picture(target.image),
        sources=tuple(picture(source.image) for source in sources),
        target_seen=picture(target.image),
        sources_seen=tuple(picture(source.image) for source in sources),
        pyramid=(picture(target.image),),
        K=torch.tensor(target.camera.K)[None],
        source_T_target=tuple(torch.tensor(T)[None] for T in motion),
    )
    true = torch.tensor(target.depth, dtype=torch.float64)[None]
    depth = torch.where(torch.isfinite(true) & (true > 0), true, 1e3)
    frames = frames_at_scale(views, OPTIONS, None)
    right = explained(views, depth).warped_error
    assert right.mean() < 0.6 * frames.identity_error.mean()
    for factor in (0.5, 2.0):
        assert right.mean() < explained(views, depth * factor).warped_error.mean()
