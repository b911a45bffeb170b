"""Probe3D's depth losses: against loops over pixels, laws, exact and empty cases."""

import math

import pytest
import torch
from torch import Tensor

from rilievo.errors import InputError
from rilievo.training.losses.supervised import log_gradient_loss, scale_invariant_loss
from rilievo.training.losses.supervised_options import GradientForm
from support.plain_probe3d import plain_gradient, plain_scale_invariant


def depths(seed: int, batch: int = 3) -> tuple[Tensor, Tensor, Tensor]:
    generator = torch.Generator().manual_seed(seed)
    shape = (batch, 9, 14)
    predicted = torch.rand(shape, generator=generator, dtype=torch.float64) * 8 + 0.1
    true = torch.rand(shape, generator=generator, dtype=torch.float64) * 12 + 0.1
    return predicted.requires_grad_(), true, torch.rand(shape, generator=generator) > 0.3


@pytest.mark.parametrize("form", GradientForm)
def test_values_and_gradients_are_those_of_loops_over_pixels(form: GradientForm) -> None:
    predicted, true, valid = depths(0)
    ours = 10 * scale_invariant_loss(predicted, true, valid)
    ours = ours + 0.5 * log_gradient_loss(predicted, true, valid, form=form)
    plain = 10 * plain_scale_invariant(predicted, true, valid)
    plain = plain + 0.5 * plain_gradient(predicted, true, valid, old=form is GradientForm.OLD)
    torch.testing.assert_close(ours, plain, rtol=0, atol=1e-9)
    gradients = [torch.autograd.grad(loss, predicted)[0] for loss in (ours, plain)]
    torch.testing.assert_close(*gradients, rtol=0, atol=1e-9)


def test_the_scale_invariant_loss_is_adabins_over_the_whole_batch_and_not_eigens() -> None:
    # Errors of log(depth + 1 mm): 1 in the first image, 0 in the second.
    true = torch.full((2, 4, 5), 3.0, dtype=torch.float64)
    predicted = true.clone()
    predicted[0] = (true[0] + 0.001) * math.e - 0.001
    loss = scale_invariant_loss(predicted, true, true > 0).item()
    adabins = math.sqrt(0.5 - 0.85 * 0.5**2)
    mean_over_images = math.sqrt(1 - 0.85) / 2
    eigen = (1 - 0.5) / 2
    assert loss == pytest.approx(adabins, abs=1e-12)
    assert min(abs(loss - mean_over_images), abs(loss - eigen)) > 0.2


@pytest.mark.parametrize("batch", [1, 2])
def test_the_old_gradient_loss_is_nothing_in_batches_of_one_or_two(batch: int) -> None:
    assert log_gradient_loss(*depths(2, batch), form=GradientForm.OLD).item() == 0


def test_a_common_factor_counts_by_the_root_of_what_is_not_forgiven() -> None:
    true = torch.full((2, 4, 5), 3.0, dtype=torch.float64)
    loss = scale_invariant_loss((true + 0.001) * 2 - 0.001, true, true > 0)
    assert loss.item() == pytest.approx(math.sqrt(0.15) * math.log(2))


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_an_exact_prediction_has_loss_zero_and_finite_gradients(dtype: torch.dtype) -> None:
    true = (torch.rand(2, 8, 9, generator=torch.Generator().manual_seed(4)) + 1).to(dtype)
    predicted = true.clone().requires_grad_()
    loss = scale_invariant_loss(predicted, true, true > 0)
    (loss + log_gradient_loss(predicted, true, true > 0)).backward()
    assert loss.item() == 0
    assert predicted.grad is not None
    assert torch.isfinite(predicted.grad).all()


def test_gradients_are_finite_for_a_constant_and_where_nothing_is_read() -> None:
    _, true, valid = depths(5)
    predicted = torch.full_like(true, 2.0)
    predicted[~valid] = -1.0  # its logarithm would be NaN
    true[~valid] = 0.0
    predicted.requires_grad_()
    loss = scale_invariant_loss(predicted, true, valid)
    (loss + log_gradient_loss(predicted, true, valid)).backward()
    assert predicted.grad is not None
    assert torch.isfinite(predicted.grad).all()
    assert (predicted.grad[~valid] == 0).all()


def test_a_batch_without_ground_truth_is_refused() -> None:
    predicted, true, valid = depths(6)
    with pytest.raises(InputError, match="has a valid pixel"):
        scale_invariant_loss(predicted, true, ~valid & valid)
