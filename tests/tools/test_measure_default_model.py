"""The scores on the model's card: values worked out by hand, and the card they end in."""

import sys
from pathlib import Path

import numpy as np
import pytest
import torch

sys.path.insert(0, str(Path(__file__).parents[2] / "tools"))

from measure_default_model import Row, depth_scores, score, table
from real_sets import Truth
from write_default_card import as_text, read_card

from rilievo.networks.small import SmallNet
from rilievo.train.export import export_small


def test_a_depth_right_but_for_its_scale_has_no_error() -> None:
    true = np.array([1.0, 2.0, 4.0, 8.0], np.float32)
    assert depth_scores(7 * true, true) == pytest.approx((0, 1, 0, 1), abs=1e-6)


def test_a_power_of_depth_is_charged_by_the_median_and_not_by_the_line() -> None:
    """True 1, 2, 4 for predicted 1, 4, 16: scaled by 2/4, ratios are 1/2, 1 and 2."""
    true, predicted = np.array([1.0, 2.0, 4.0]), np.array([1.0, 4.0, 16.0])
    scores = depth_scores(predicted.astype(np.float32), true.astype(np.float32))
    assert scores == pytest.approx((0.5, 1 / 3, 0, 1), abs=1e-6)


def test_a_depth_upside_down_scores_as_a_constant() -> None:
    true, predicted = np.array([1.0, 4.0], np.float32), np.array([4.0, 1.0], np.float32)
    _, _, abs_rel, delta1 = depth_scores(predicted, true)
    assert (abs_rel, delta1) == pytest.approx((0.75, 0.0))


def truth_of_a_wall() -> Truth:
    normals = np.zeros((3, 60, 80), np.float32)
    normals[2] = -1
    return Truth(
        image=np.zeros((60, 80, 3), np.uint8),
        depth=np.full((60, 80), 2.0, np.float32),
        valid=np.ones((60, 80), bool),
        normals=normals,
    )


def test_normals_are_scored_in_degrees() -> None:
    tilt = np.radians(40)
    directions = np.zeros((3, 60, 80), np.float32)
    directions[0], directions[2] = np.sin(tilt), -np.cos(tilt)
    answer = (np.full((60, 80), 5.0, np.float32), directions)
    row = score("walls", "tilted", [truth_of_a_wall()] * 2, lambda image: answer)
    assert row.normals_mean == pytest.approx(40, abs=1e-3)
    assert row.normals_below_30 == 0
    assert (row.frames, row.abs_rel, row.delta1) == (2, 0, 1)
    assert "| walls | tilted | 2 | 0.000 / 1.000 | 0.000 / 1.000 | 40.0°, 0% |" in table([row])


def test_the_card_says_what_the_file_is(tmp_path: Path) -> None:
    network = SmallNet().eval()
    export_small(network, tmp_path / "small.onnx")
    row = Row(
        set="rooms",
        model="rilievo/small",
        frames=3,
        abs_rel=0.1,
        delta1=0.9,
        abs_rel_log_affine=0.05,
        delta1_log_affine=0.95,
        normals_mean=None,
        normals_below_30=None,
    )
    card = read_card(tmp_path / "small.onnx", [row])
    assert card.name == "rilievo/small"
    assert card.size_bytes == (tmp_path / "small.onnx").stat().st_size
    trained = sum(parameter.numel() for parameter in network.parameters())
    assert 0.98 * trained < card.parameters < trained  # batch normalisation is folded in
    text = as_text(card)
    assert "NYU Depth V2" in text
    assert "| rooms | rilievo/small | 3 | 0.100 / 0.900 |" in text


@pytest.fixture(autouse=True)
def _seeded() -> None:
    torch.manual_seed(0)
