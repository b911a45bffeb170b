"""Edge-aware smoothness."""

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from rilievo.training.losses.view_synthesis import edge_aware_smoothness
from support.video_loss_by_hand import smoothness_of


def test_a_step_worked_out_by_hand() -> None:
    """Disparities 1 1 3 3 have mean 2 and one step of 1 in three; the picture is flat."""
    disparity = torch.tensor([1.0, 1, 3, 3]).expand(1, 1, 2, 4)
    flat = torch.zeros(1, 3, 2, 4)
    assert edge_aware_smoothness(disparity, flat).item() == pytest.approx(1 / 3, abs=1e-6)


def test_a_step_costs_less_at_an_edge_of_the_picture() -> None:
    disparity = torch.tensor([1.0, 1, 3, 3]).expand(1, 1, 2, 4)
    edge = torch.tensor([0.0, 0, 1, 1]).expand(1, 3, 2, 4)
    found = edge_aware_smoothness(disparity, edge).item()
    assert found == pytest.approx(np.exp(-1) / 3, abs=1e-6)


@given(seed=st.integers(0, 999), factor=st.floats(0.1, 10))
def test_numpy_computes_the_same_and_a_factor_costs_nothing(seed: int, factor: float) -> None:
    dice = np.random.default_rng(seed)
    disparity, image = dice.uniform(0.1, 1, (6, 7)), dice.uniform(0, 1, (6, 7, 3))
    given = torch.tensor(image).permute(2, 0, 1)[None]
    found = edge_aware_smoothness(torch.tensor(disparity)[None, None], given).item()
    assert found == pytest.approx(smoothness_of(disparity, image), abs=1e-12)
    scaled = edge_aware_smoothness(torch.tensor(factor * disparity)[None, None], given).item()
    assert scaled == pytest.approx(found, rel=1e-5)
