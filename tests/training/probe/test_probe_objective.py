"""Loss of normals, compared with plain computations."""

import math

import pytest
import torch
from torch import Tensor

from rilievo.training.losses.supervised import normals_objective
from rilievo.training.losses.supervised_options import Losses

PROGRAM = Losses(zero_normals=True)
OURS = Losses()


class Truth:
    """Normals where some have length zero under known depth, and some lie where depth is none."""

    def __init__(self) -> None:
        dice = torch.Generator().manual_seed(7)
        self.true = _unit(torch.randn(2, 3, 8, 9, generator=dice, dtype=torch.float64))
        self.predicted = _unit(torch.randn(2, 3, 8, 9, generator=dice, dtype=torch.float64))
        self.kappa = torch.rand(2, 8, 9, generator=dice, dtype=torch.float64) + 0.1
        self.depth = torch.rand(2, 8, 9, generator=dice, dtype=torch.float64) + 1
        self.true[:, :, :2] = 0
        self.depth[:, :, 7:] = 0

    def loss(self, losses: Losses) -> float:
        kappa = self.kappa.float() if losses.normals == "uncertain" else None
        found = normals_objective(
            self.predicted.float(), kappa, self.true.float(), losses, depth=self.depth.float()
        )
        return float(found)

    def by_hand(self, valid: Tensor, *, kappa: bool = True) -> float:
        """Mean over pixels of κθ + log(1 + exp(-κπ)) - log(κ² + 1), a zero vector at 90 degrees."""
        total, count = 0.0, 0
        for image, row, column in valid.nonzero().tolist():
            true = self.true[image, :, row, column]
            cosine = float((true * self.predicted[image, :, row, column]).sum())
            angle = math.acos(min(max(cosine, -0.9999), 0.9999))
            k = float(self.kappa[image, row, column])
            total += angle
            if kappa:
                total += k * angle - angle + math.log(1 + math.exp(-k * math.pi))
                total -= math.log(k * k + 1)
            count += 1
        return total / count


def _unit(vectors: Tensor) -> Tensor:
    return vectors / vectors.norm(dim=1, keepdim=True)


@pytest.mark.parametrize("kappa", [True, False])
def test_the_program_counts_normals_of_length_zero_under_known_depth(kappa: bool) -> None:
    truth = Truth()
    kind = "uncertain" if kappa else "angular"
    program = Losses(normals=kind, zero_normals=True)
    expected = truth.by_hand(truth.depth > 0, kappa=kappa)
    assert truth.loss(program) == pytest.approx(expected, rel=1e-5)
    ours = truth.by_hand(truth.true.square().sum(dim=1) > 0.5, kappa=kappa)
    assert truth.loss(Losses(normals=kind)) == pytest.approx(ours, rel=1e-5)
    assert abs(ours / expected - 1) > 1e-3


def test_a_dataset_without_depth_is_learned_where_it_has_normals() -> None:
    truth = Truth()
    truth.depth = torch.zeros_like(truth.depth)
    assert truth.loss(PROGRAM) == truth.loss(OURS)
