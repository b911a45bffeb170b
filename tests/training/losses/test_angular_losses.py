"""Angular losses: angles worked out by hand, Bae's likelihood by the formula, exact cases."""

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from rilievo.errors import InputError
from rilievo.training.losses.supervised import (
    angular_loss,
    angular_von_mises_fisher_loss,
    normals_mse_loss,
)


def one(vector: tuple[float, float, float]) -> Tensor:
    return torch.tensor(vector, dtype=torch.float64).view(1, 3, 1, 1)


HERE = torch.ones(1, 1, 1, dtype=torch.bool)
WALL = one((0, 0, -1))


def test_right_and_half_right_angles() -> None:
    assert angular_loss(one((0, 5, 0)), WALL, HERE).item() == pytest.approx(math.pi / 2)
    assert angular_loss(one((0, -2, -2)), WALL, HERE).item() == pytest.approx(math.pi / 4)


@given(angle=st.floats(0.1, 3.0), kappa=st.floats(0.02, 30), length=st.floats(0.1, 10))
def test_the_likelihood_is_that_of_the_formula(angle: float, kappa: float, length: float) -> None:
    predicted = one((0, length * math.sin(angle), -length * math.cos(angle)))
    loss = angular_von_mises_fisher_loss(
        predicted, torch.full((1, 1, 1), kappa, dtype=torch.float64), WALL, HERE
    )
    density = (kappa**2 + 1) * math.exp(-kappa * angle) / (1 + math.exp(-kappa * math.pi))
    assert loss.item() == pytest.approx(-math.log(density), abs=1e-6)


def test_the_squared_error_counts_components_of_valid_pixels() -> None:
    predicted = torch.cat([one((1, 0, 0)), one((9, 9, 9))], dim=3)
    valid = torch.tensor([[[True, False]]])
    loss = normals_mse_loss(predicted, WALL.expand(1, 3, 1, 2), valid)
    assert loss.item() == pytest.approx(2 / 3)
    with pytest.raises(InputError, match="has a valid pixel"):
        normals_mse_loss(predicted, WALL.expand(1, 3, 1, 2), ~valid & False)


def test_the_density_behind_the_likelihood_has_all_its_mass_on_the_sphere() -> None:
    angles = (torch.arange(2000, dtype=torch.float64) + 0.5) * math.pi / 2000
    kappa = torch.full_like(angles, 3.0)
    predicted = torch.stack([torch.zeros_like(angles), angles.sin(), -angles.cos()])
    losses = [
        angular_von_mises_fisher_loss(
            predicted[:, i].view(1, 3, 1, 1), kappa[i].view(1, 1, 1), WALL, HERE
        )
        for i in range(0, 2000, 10)
    ]
    density = torch.exp(-torch.stack(losses)) / (2 * math.pi)
    mass = (density * 2 * math.pi * angles[::10].sin()).sum() * math.pi / 200
    assert mass.item() == pytest.approx(1, abs=0.01)


def test_clamped_pixels_still_teach_kappa() -> None:
    predicted, kappa = WALL.clone().requires_grad_(), torch.ones(1, 1, 1).double()
    kappa.requires_grad_()
    angular_von_mises_fisher_loss(predicted, kappa, WALL, HERE).backward()
    assert predicted.grad is not None
    assert kappa.grad is not None
    assert torch.isfinite(predicted.grad).all()
    assert (kappa.grad != 0).all()


def test_gradients_are_finite_for_exact_opposite_and_zero_directions() -> None:
    for start in (WALL, -WALL, WALL * 0):
        predicted = start.clone().requires_grad_()
        angular_loss(predicted, WALL, HERE).backward()
        assert predicted.grad is not None
        assert torch.isfinite(predicted.grad).all()


def test_a_batch_without_ground_truth_is_refused_as_well() -> None:
    with pytest.raises(InputError, match="has a valid pixel"):
        angular_loss(WALL, WALL, ~HERE)
