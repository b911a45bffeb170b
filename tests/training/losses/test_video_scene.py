"""Motion of a scale: predicted translations in the unit of its depth, known ones as they are."""

from types import SimpleNamespace
from typing import Any

import torch

from rilievo.training.losses.view_synthesis import VideoScene


def scene(*, scale_translations: bool) -> VideoScene:
    predicted, known = torch.eye(4).repeat(2, 1, 1), torch.eye(4).repeat(2, 1, 1)
    predicted[:, :3, 3] = torch.tensor([1.0, 2.0, 3.0])
    known[:, :3, 3] = torch.tensor([4.0, 5.0, 6.0])
    rest: Any = dict.fromkeys(("options", "generator", "full", "sigmoid"))
    views: Any = SimpleNamespace(source_T_target=(None, known))
    return VideoScene(
        views=views,
        motion=(predicted, known),
        scale_translations=scale_translations,
        min_depth=0.1,
        max_depth=100,
        **rest,
    )


def test_predicted_translations_are_multiplied_by_mean_inverse_depth() -> None:
    # Mean inverse depth 0.5 · (1/2 + 1/8) of the first of two images, 1/4 of the second.
    depth = torch.tensor([[[2.0, 8.0]], [[4.0, 4.0]]])
    predicted, known = scene(scale_translations=True).motion_at(depth)
    factors = torch.tensor([[0.3125], [0.25]])
    torch.testing.assert_close(predicted[:, :3, 3], factors * torch.tensor([1.0, 2.0, 3.0]))
    torch.testing.assert_close(known[:, :3, 3], torch.tensor([[4.0, 5.0, 6.0]] * 2))
    torch.testing.assert_close(predicted[:, :3, :3], torch.eye(3).repeat(2, 1, 1))


def test_motion_stays_where_it_is_not_multiplied() -> None:
    plain = scene(scale_translations=False)
    assert plain.motion_at(torch.full((2, 1, 2), 4.0)) is plain.motion
