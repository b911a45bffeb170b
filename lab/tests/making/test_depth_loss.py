"""The depth loss: values worked out by hand, what it does not mind, and what it must not read."""

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from lab.making.distil.depth_losses import (
    centred_error,
    error_size,
    gradient_error,
    taught_depth_loss,
)


def everywhere(like: Tensor) -> Tensor:
    return torch.ones_like(like, dtype=torch.bool)


def log_depth_loss(predicted: Tensor, true: Tensor, valid: Tensor) -> Tensor:
    return taught_depth_loss(predicted, true, valid, torch.zeros(len(true)))


def test_a_two_by_two_image_worked_out_by_hand() -> None:
    """Errors ±1 in two columns: |e| = 1, std = 1, two across pairs of 2 and two down pairs of 0."""
    predicted = torch.tensor([[[1.0, 3.0], [1.0, 3.0]]])
    valid = everywhere(predicted)
    loss = error_size(centred_error(predicted, torch.zeros(1, 2, 2), valid), valid, scales=1)
    spread = math.sqrt(1 + 1e-4) - 1e-2
    assert loss.item() == pytest.approx(1 + 0.3 * spread + 0.5 * 2, abs=1e-6)


def test_scales_skip_pixels() -> None:
    """A ramp of 1 a pixel differs by 1 at full size and by 2 between every second pixel."""
    error = torch.arange(4.0).expand(1, 4, 4)
    across = gradient_error(error, everywhere(error), scales=2)
    assert across.item() == pytest.approx(1 + 2)


@settings(deadline=None)
@given(shift=st.floats(-5, 5), seed=st.integers(0, 99))
def test_one_factor_of_depth_costs_nothing(shift: float, seed: int) -> None:
    generator = torch.Generator().manual_seed(seed)
    true = torch.rand(2, 6, 8, generator=generator)
    predicted = torch.rand(2, 6, 8, generator=generator)
    valid = torch.rand(2, 6, 8, generator=generator) < 0.7
    expected = log_depth_loss(predicted, true, valid)
    moved = log_depth_loss(predicted + shift, true, valid)
    torch.testing.assert_close(moved, expected, rtol=1e-4, atol=1e-5)


def test_the_right_answer_costs_nothing() -> None:
    true = torch.rand(2, 8, 8)
    assert log_depth_loss(true + 0.5, true, everywhere(true)).item() == pytest.approx(0, abs=1e-6)


def test_what_is_masked_is_not_read() -> None:
    torch.manual_seed(0)
    predicted, true = torch.rand(1, 8, 8), torch.rand(1, 8, 8)
    valid = torch.rand(1, 8, 8) < 0.6
    spoilt = torch.where(valid, true, torch.tensor(float("inf")))
    expected = log_depth_loss(predicted, true, valid)
    torch.testing.assert_close(log_depth_loss(predicted, spoilt, valid), expected)
    changed = torch.where(valid, predicted, torch.tensor(9.0))
    torch.testing.assert_close(log_depth_loss(changed, true, valid), expected)


def test_the_error_is_centred_on_each_image_of_its_own() -> None:
    predicted = torch.stack([torch.full((2, 2), 1.0), torch.full((2, 2), 7.0)])
    error = centred_error(predicted, torch.zeros(2, 2, 2), everywhere(predicted))
    torch.testing.assert_close(error, torch.zeros(2, 2, 2))


@pytest.mark.parametrize("exact", [False, True])
def test_gradients_stay_finite_without_ground_truth_and_without_error(exact: bool) -> None:
    predicted = torch.zeros(2, 8, 8, requires_grad=True)
    valid = torch.full((2, 8, 8), exact)
    true = torch.zeros(2, 8, 8) if exact else torch.full((2, 8, 8), float("inf"))
    loss = log_depth_loss(predicted, true, valid)
    loss.backward()
    assert loss.item() == 0
    assert predicted.grad is not None
    assert torch.isfinite(predicted.grad).all()
