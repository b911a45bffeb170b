"""The normals' loss: angles worked out by hand, lengths, masks."""

import pytest
import torch

from lab.making.distil.normals_losses import cosine_loss

WALL = torch.tensor([0.0, 0.0, -1.0]).view(1, 3, 1, 1).expand(1, 3, 2, 2)
EVERYWHERE = torch.ones(1, 2, 2, dtype=torch.bool)


@pytest.mark.parametrize(
    ("direction", "expected"),
    [((0, 0, -3), 0.0), ((0, -1, -1), 1 - 0.5**0.5), ((0.2, 0, 0), 1.0), ((0, 0, 5), 2.0)],
)
def test_angles_worked_out_by_hand_at_any_length(
    direction: tuple[float, float, float], expected: float
) -> None:
    predicted = torch.tensor(direction, dtype=torch.float32).view(1, 3, 1, 1).expand(1, 3, 2, 2)
    assert cosine_loss(predicted, WALL, EVERYWHERE).item() == pytest.approx(expected, abs=1e-6)


def test_only_valid_pixels_count_and_each_image_by_itself() -> None:
    predicted = torch.cat([WALL, -WALL]).clone()
    predicted[0, :, 0, 0] *= -1
    valid = EVERYWHERE.repeat(2, 1, 1)
    valid[0, 0, 0] = False
    loss = cosine_loss(predicted, torch.cat([WALL, WALL]), valid)
    torch.testing.assert_close(loss, torch.tensor([0.0, 2.0]))


def test_gradients_stay_finite_at_length_zero_and_without_ground_truth() -> None:
    predicted = torch.zeros(1, 3, 2, 2, requires_grad=True)
    for valid in (EVERYWHERE, ~EVERYWHERE):
        cosine_loss(predicted, WALL, valid).sum().backward()
        assert predicted.grad is not None
        assert torch.isfinite(predicted.grad).all()
    assert cosine_loss(predicted, WALL, ~EVERYWHERE).item() == 0
