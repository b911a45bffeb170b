"""The loss of sky, against sums by hand."""

import math

import pytest
import torch

from lab.making.distil.depth_losses import sky_loss


def test_it_is_the_mean_over_known_pixels_then_over_images_that_have_any() -> None:
    log_odds = torch.tensor([[[0.0, 2.0]], [[-1.0, 5.0]], [[9.0, 9.0]]])
    true = torch.tensor([[[True, False]], [[False, True]], [[False, False]]])
    known = torch.tensor([[[True, True]], [[True, False]], [[False, False]]])
    first = (-math.log(0.5) - math.log(1 - 1 / (1 + math.exp(-2.0)))) / 2
    second = -math.log(1 - 1 / (1 + math.exp(1.0)))
    assert float(sky_loss(log_odds, true, known)) == pytest.approx((first + second) / 2)


def test_nothing_known_costs_nothing_and_unknown_pixels_have_no_gradient() -> None:
    log_odds = torch.zeros(1, 2, 2, requires_grad=True)
    true, known = torch.ones(1, 2, 2, dtype=torch.bool), torch.zeros(1, 2, 2, dtype=torch.bool)
    sky_loss(log_odds, true, known).backward()
    assert log_odds.grad is not None
    assert not log_odds.grad.any()
    known[0, 0, 1] = True
    sky_loss(log_odds, true, known).backward()
    assert log_odds.grad.nonzero().tolist() == [[0, 0, 1]]
