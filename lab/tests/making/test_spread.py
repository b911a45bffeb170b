"""Loss of a network's estimate of its own error."""

import math

import pytest
import torch

from lab.making.distil.depth_losses import confidence_of, spread_loss

VALID = torch.ones(1, 4, 6, dtype=torch.bool)


def test_the_least_loss_says_the_mean_error() -> None:
    torch.manual_seed(0)
    error = 0.2 * torch.randn(1, 4, 6)
    best = error.abs().mean().log()
    at_best = spread_loss(torch.full((1, 4, 6), float(best)), error, VALID)
    for off in (-0.3, 0.3):
        assert spread_loss(torch.full((1, 4, 6), float(best) + off), error, VALID) > at_best


def test_only_the_spread_learns() -> None:
    error = torch.ones(1, 4, 6, requires_grad=True)
    log_spread = torch.zeros(1, 4, 6, requires_grad=True)
    spread_loss(log_spread, error, VALID).sum().backward()
    assert error.grad is None
    assert log_spread.grad is not None


def test_pixels_without_truth_do_not_count() -> None:
    error = torch.zeros(1, 4, 6)
    valid = VALID.clone()
    error[0, 0, 0], valid[0, 0, 0] = 1e6, False
    assert spread_loss(torch.zeros(1, 4, 6), error, valid).item() == 0


def test_confidence_is_the_share_of_laplaces_errors_within_a_quarter() -> None:
    torch.manual_seed(1)
    for spread in (0.05, 0.2, 1.0):
        errors = torch.distributions.Laplace(0.0, spread).sample((200_000,))
        share = (errors.abs() < math.log(1.25)).float().mean().item()
        told = confidence_of(torch.full((1, 1, 1), math.log(spread))).item()
        assert told == pytest.approx(share, abs=0.005)
