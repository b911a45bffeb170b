"""Losses of the user's own, by their place, in supervised training, probes and distillation."""

from pathlib import Path

import pytest
import torch

from lab.making.distil.distil_config import Stage, TrainConfig
from lab.making.distil.distil_learner import DistilLearner
from lab.making.distil.frames.frame_batches import Batch
from rilievo.errors import OptionError
from rilievo.training.losses.supervised import depth_objective, load_own_loss, normals_objective
from rilievo.training.losses.supervised_options import Losses
from rilievo.training.networks.small import SmallNet
from support.light_networks import LIGHT


def test_supervised_training_takes_the_guides_loss(lab: Path) -> None:
    true = torch.rand(2, 6, 8) + 1
    true[:, 0] = 0
    losses = Losses(depth=f"{lab / 'lab_losses.py'}:relative")
    assert depth_objective(1.1 * true, true, losses).item() == pytest.approx(0.1)


def test_normals_take_a_loss_too(lab: Path) -> None:
    code = "def apart(x, y, valid):\n    return (x - y).abs().sum(dim=1)[valid].mean()\n"
    (lab / "lab_normals.py").write_text(code)
    true = torch.tensor([0.0, 0.0, -1.0]).view(1, 3, 1, 1).expand(1, 3, 4, 5)
    losses = Losses(normals=f"{lab / 'lab_normals.py'}:apart")
    found = normals_objective(-true, None, true, losses, depth=torch.ones(1, 4, 5))
    assert found.item() == pytest.approx(2.0)


def test_a_recipe_takes_the_guides_loss_in_place_of_its_own(lab: Path) -> None:
    stage = Stage(until=1.0, areas=(2048,))
    place = f"{lab / 'lab_losses.py'}:shape"
    config = TrainConfig(steps=1, stages=(stage,), normals_weight=0, agreement_weight=0)
    batch = Batch(
        image=torch.randint(0, 255, (1, 32, 32, 3), dtype=torch.uint8),
        log_depth=torch.rand(1, 32, 32),
        valid=torch.ones(1, 32, 32, dtype=torch.bool),
        normals=torch.ones(1, 3, 32, 32),
        normals_valid=torch.zeros(1, 32, 32, dtype=torch.bool),
        camera=torch.full((1, 4), torch.nan),
        sign=torch.zeros(1),
        **dict.fromkeys(("sky", "marked"), torch.zeros(1, 32, 32, dtype=torch.bool)),
    )
    network = SmallNet(LIGHT).eval()
    usual, own = (
        DistilLearner(network, TrainConfig(**{**_fields(config), "depth_loss": each}))(batch)
        for each in (None, place)
    )
    error = network(batch.image).log_depth - batch.log_depth
    assert own["loss"].item() == pytest.approx((error - error.mean()).abs().mean().item(), rel=1e-4)
    assert own["loss"] != usual["loss"]


def _fields(config: TrainConfig) -> dict[str, object]:
    return {name: getattr(config, name) for name in TrainConfig.__dataclass_fields__}


@pytest.mark.parametrize("name", ["relativ", "nowhere.at_all:relative"])
def test_a_loss_that_is_not_there_is_refused(name: str) -> None:
    with pytest.raises(OptionError, match=name):
        load_own_loss(Losses(depth=name).depth)


def test_a_loss_returns_one_number(lab: Path) -> None:
    (lab / "lab_shapes.py").write_text("def whole(x, y, valid):\n    return x - y\n")
    with pytest.raises(OptionError, match="a scalar tensor"):
        load_own_loss(f"{lab / 'lab_shapes.py'}:whole")(*torch.ones(3, 4))
