"""Plain regression losses: values by hand."""

import pytest
import torch

from rilievo.errors import InputError
from rilievo.training.losses.supervised import berhu_loss, l1_loss, mse_loss

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
    with pytest.raises(InputError, match="has a valid pixel"):
        loss(predicted, TRUE, ~VALID & VALID)
