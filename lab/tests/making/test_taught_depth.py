"""Losses of a teacher's numbers: what its kind leaves open changes nothing, and the fit is zero."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from lab.making.distil.depth_losses import (
    centred_error,
    error_size,
    log_error,
    taught_depth_loss,
)

SHAPE = (3, 12, 17)
SIGNS = torch.tensor([0.0, 1.0, -1.0], dtype=torch.float64)
"""Log depth, depth and inverse depth."""


def dice(seed: int) -> tuple[Tensor, Tensor, Tensor]:
    """Log depth, a teacher's numbers and where it speaks."""
    generator = torch.Generator().manual_seed(seed)
    log_depth = torch.randn(SHAPE, generator=generator, dtype=torch.float64)
    taught = torch.randn(SHAPE, generator=generator, dtype=torch.float64)
    return log_depth, taught, torch.rand(SHAPE, generator=generator) < 0.7


def moved(taught: Tensor, factor: float, shift: float) -> Tensor:
    """Apply the unknowns of each kind: a shift in log depth, for the others a factor too."""
    factors = torch.where(SIGNS == 0, 1.0, factor)[:, None, None]
    return factors * taught + shift


@given(
    seed=st.integers(0, 99),
    factor=st.floats(0.01, 100),
    shift=st.floats(-50, 50),
    scale=st.floats(-3, 3),
)
def test_what_the_kind_leaves_open_and_the_scale_of_depth_change_nothing(
    seed: int, factor: float, shift: float, scale: float
) -> None:
    log_depth, taught, valid = dice(seed)
    expected = taught_depth_loss(log_depth, taught, valid, SIGNS)
    spoilt = torch.where(valid, moved(taught, factor, shift), torch.inf)
    found = taught_depth_loss(log_depth + scale, spoilt, valid, SIGNS)
    torch.testing.assert_close(found, expected, rtol=1e-7, atol=0.0)


@given(seed=st.integers(0, 99), factor=st.floats(0.01, 100), shift=st.floats(-50, 50))
def test_the_true_fit_is_zero_and_its_log_error_too(seed: int, factor: float, shift: float) -> None:
    log_depth, _, valid = dice(seed)
    said = torch.stack([log_depth[0], log_depth[1].exp(), (-log_depth[2]).exp()])
    said = moved(said, factor, shift)
    assert taught_depth_loss(log_depth, said, valid, SIGNS) < 1e-9
    # Numbers of no depth at all lie where no fit can say how far they are.
    found = log_error(log_depth, said, valid, SIGNS)
    assert found.error.abs().max() < 1e-6
    assert found.counted[0].equal(valid[0])
    assert found.counted.sum() > 0.6 * valid.sum()


def test_what_is_near_for_far_is_no_fit() -> None:
    log_depth, _, valid = dice(1)
    said = torch.stack([-log_depth[0], -log_depth[1].exp(), -(-log_depth[2]).exp()])
    for each in range(3):
        one = slice(each, each + 1)
        loss = taught_depth_loss(log_depth[one], said[one], valid[one], SIGNS[one])
        assert loss > 1


def test_log_depth_alone_is_compared_as_ever() -> None:
    log_depth, taught, valid = dice(2)
    found = taught_depth_loss(log_depth, taught, valid, torch.zeros(3, dtype=torch.float64))
    assert torch.equal(found, error_size(centred_error(log_depth, taught, valid), valid).mean())


def test_gradients_are_those_of_small_differences() -> None:
    log_depth, taught, valid = dice(3)
    assert torch.autograd.gradcheck(
        lambda x: taught_depth_loss(x, taught, valid, SIGNS),
        log_depth.requires_grad_(),
        fast_mode=True,
        atol=1e-5,
    )


@pytest.mark.parametrize("flat", [True, False])
def test_flat_and_empty_images_have_finite_gradients(flat: bool) -> None:
    log_depth = torch.zeros(SHAPE, dtype=torch.float64, requires_grad=True)
    taught = torch.zeros(SHAPE, dtype=torch.float64)
    valid = torch.full(SHAPE, flat)
    taught_depth_loss(log_depth, taught, valid, SIGNS).backward()
    assert log_depth.grad is not None
    assert torch.isfinite(log_depth.grad).all()
