"""The loss that keeps depth near a prior's, up to one factor an image."""

import pytest
import torch

from rilievo.training.losses.view_synthesis import anchor_loss


def test_one_factor_an_image_costs_nothing() -> None:
    prior = 1 + torch.rand(2, 6, 8, generator=torch.Generator().manual_seed(0))
    factors = torch.tensor([3.0, 0.2])[:, None, None]
    assert float(anchor_loss(factors * prior, prior)) == pytest.approx(0, abs=1e-6)


def test_the_rest_is_the_mean_log_difference_from_the_median() -> None:
    """Three of twelve pixels are off by a factor e, the others agree: 3 / 12."""
    prior = torch.ones(1, 3, 4)
    depth = torch.ones(1, 3, 4)
    depth[0, 0, :3] = torch.e
    depth.requires_grad_()
    loss = anchor_loss(depth, prior)
    assert float(loss.detach()) == pytest.approx(0.25)
    loss.backward()
    assert depth.grad is not None
    assert float(depth.grad[0, 0, 0]) == pytest.approx(1 / 12 / torch.e)


def test_pixels_without_a_prior_do_not_count() -> None:
    prior = torch.ones(1, 2, 4)
    prior[0, 1] = 0
    depth = torch.ones(1, 2, 4)
    depth[0, 1] = 50.0
    assert float(anchor_loss(depth, prior)) == 0
    nothing = anchor_loss(depth.requires_grad_(), torch.zeros(1, 2, 4))
    nothing.backward()
    assert float(nothing.detach()) == 0
    assert depth.grad is not None
    assert torch.isfinite(depth.grad).all()
