"""Plain regression losses and AdaBins' chamfer distance: values by hand, tables of all pairs."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from rilievo.errors import InputError
from rilievo.training.losses.supervised import berhu_loss, bins_chamfer_loss, l1_loss, mse_loss

TRUE = torch.tensor([[[1.0, 2.0, 3.0, 4.0]]], dtype=torch.float64)
PREDICTED = torch.tensor([[[1.1, 2.0, 2.5, 99.0]]], dtype=torch.float64)
VALID = torch.tensor([[[True, True, True, False]]])


def test_values_worked_out_by_hand_of_the_valid_pixels() -> None:
    assert l1_loss(PREDICTED, TRUE, VALID).item() == pytest.approx(0.6 / 3)
    assert mse_loss(PREDICTED, TRUE, VALID).item() == pytest.approx(0.26 / 3)
    # The limit is a fifth of 0.5: 0.1 is not beyond it; (0.25 + 0.01) / 0.2 = 1.3.
    assert berhu_loss(PREDICTED, TRUE, VALID).item() == pytest.approx((0.1 + 1.3) / 3)


@pytest.mark.parametrize("loss", [l1_loss, mse_loss, berhu_loss])
def test_regression_is_smooth_at_exact_predictions_and_refuses_no_truth(loss) -> None:
    predicted = TRUE.clone().requires_grad_()
    loss(predicted, TRUE, VALID).backward()
    assert predicted.grad is not None
    assert torch.isfinite(predicted.grad).all()
    with pytest.raises(InputError, match="without a valid pixel"):
        loss(predicted, TRUE, ~VALID & VALID)


def all_pairs(centres: Tensor, depths: Tensor) -> Tensor:
    table = (centres[:, None] - depths[None, :]) ** 2
    return table.min(dim=1).values.mean() + table.min(dim=0).values.mean()


@given(seed=st.integers(0, 10_000), bins=st.integers(1, 9), pixels=st.integers(1, 12))
def test_sorting_finds_the_same_neighbours_as_a_table_of_all_pairs(
    seed: int, bins: int, pixels: int
) -> None:
    generator = torch.Generator().manual_seed(seed)
    centres = torch.rand(2, bins, generator=generator, dtype=torch.float64).requires_grad_()
    true = torch.rand(2, 1, pixels, generator=generator, dtype=torch.float64)
    valid = torch.rand(2, 1, pixels, generator=generator) > 0.3
    valid[0, 0, 0] = True
    known = [image for image in range(2) if valid[image].any()]
    expected = torch.stack([all_pairs(centres[i], true[i][valid[i]]) for i in known]).mean()
    ours = bins_chamfer_loss(centres, true, valid)
    torch.testing.assert_close(ours, expected)
    gradients = [torch.autograd.grad(loss, centres)[0] for loss in (ours, expected)]
    torch.testing.assert_close(*gradients)


def test_bins_on_the_depths_cost_nothing_and_no_truth_is_refused() -> None:
    centres = TRUE[0].flip(1).clone().requires_grad_()
    loss = bins_chamfer_loss(centres, TRUE, VALID | True)
    loss.backward()
    assert loss.item() == 0
    assert centres.grad is not None
    assert torch.isfinite(centres.grad).all()
    with pytest.raises(InputError, match="without a valid pixel"):
        bins_chamfer_loss(centres, TRUE, ~VALID & VALID)
