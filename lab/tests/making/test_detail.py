"""The recipe of the detail network: its loss is taken after layout has been put right."""

import pytest
import torch

from lab.making.detail_learner import DetailLearner, corrected
from lab.making.detail_recipe import detail
from lab.making.distil.frames.frame_batches import Batch
from rilievo.training.networks.small import SmallNet
from support.light_networks import LIGHT


def fields(seed: int, *size: int) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    torch.manual_seed(seed)
    return torch.rand(2, *size), torch.rand(2, *size), torch.ones(2, *size, dtype=torch.bool)


def test_a_layout_of_any_slope_is_put_right() -> None:
    detail_, _, valid = fields(1, 64, 96)
    rows, columns = torch.meshgrid(torch.arange(64.0), torch.arange(96.0), indexing="ij")
    tilted = detail_ + 0.1 * rows - 0.2 * columns + 3
    found = corrected(tilted, detail_, valid, side=16)
    # Beyond the middles of the outer cells the slope cannot be known.
    inner = (slice(None), slice(8, -8), slice(8, -8))
    torch.testing.assert_close(found[inner], detail_[inner], atol=1e-4, rtol=0)


def test_what_is_finer_than_the_cells_stays() -> None:
    _, true, valid = fields(2, 64, 64)
    checks = (torch.arange(64) // 4 % 2).float()[None, None].expand(2, 64, 64)
    found = corrected(checks, true, valid, side=16)
    plain = corrected(torch.zeros_like(checks), true, valid, side=16)
    torch.testing.assert_close(found - plain, checks - checks.mean(), atol=1e-4, rtol=0)


def test_cells_without_truth_are_passed_over() -> None:
    values, true, valid = fields(3, 64, 64)
    valid[:, :, 32:] = False
    changed = torch.where(valid, true, 1e3)
    one, other = (corrected(values, each, valid, side=16) for each in (true, changed))
    torch.testing.assert_close(one, other)
    assert corrected(values, true, valid, side=24).shape == values.shape, "with a last part"


@pytest.mark.parametrize("rendered", [True, False])
def test_the_loss_does_not_know_of_layout(rendered: bool) -> None:
    torch.manual_seed(4)
    learner = DetailLearner(SmallNet(LIGHT), detail()).train()
    true, _, valid = fields(5, 64, 64)
    normals = torch.nn.functional.normalize(torch.rand(2, 3, 64, 64) - 0.5, dim=1)
    batch = Batch(
        image=torch.randint(0, 255, (2, 64, 64, 3), dtype=torch.uint8),
        log_depth=true, valid=valid, normals=normals, normals_valid=valid,
        camera=torch.tensor([[60.0, 60.0, 31.5, 31.5]] * 2), sign=torch.zeros(2),
        sky=~valid, marked=valid & rendered,
    )  # fmt: skip
    losses = learner(batch)
    with torch.no_grad():
        learner.network.head.bias[0] += 5
    torch.testing.assert_close(learner(batch)["depth_loss"], losses["depth_loss"], rtol=1e-3,
                               atol=1e-3)  # fmt: skip
    losses["loss"].backward()
    assert learner.network.head.weight.grad is not None
