"""The recipe of the layout network."""

from dataclasses import fields, replace
from pathlib import Path

import numpy as np
import onnx
import pytest
import torch
from torch import nn

from lab.making.distil.frames.frame_batches import Batch, make_batch
from lab.making.distil.frames.shard_pool import ShardPool
from lab.making.efficientnet_lite import EfficientNetLite2
from lab.making.lasting_run import train
from lab.making.lasting_task import AVERAGE, LastingTask, settle
from lab.making.layout_learner import LayoutLearner, cells_of
from lab.making.layout_network import LayoutNet
from lab.making.layout_recipe import LayoutConfig, layout
from lab.making.recipe_frames import RecipeFrames
from lab.making.recipe_options import LAYOUT, RecipeOptions
from lab.making.recipe_stage import RecipeStage
from lab.making.write_default_models import PACKAGE, write_base
from rilievo.errors import OptionError

SMALL = LayoutConfig(
    steps=4,
    stage=RecipeStage(until=1.0, areas=(2048,), real=0.0),
    batch_size=2,
    learning_rate=2e-3,
    encoder_factor=0.1,
    encoder_after=1,
    guests_after=1,
    guests_rise=2,
    scan_steps=2,
    precision="fp32",
    seed=81,
)


@pytest.fixture
def encoder(tmp_path: Path) -> Path:
    """Random weights of the encoder, named as the published ones."""
    torch.manual_seed(1)
    state = EfficientNetLite2().state_dict()
    arrays = {name: value.numpy() for name, value in state.items() if "tracked" not in name}
    np.savez(tmp_path / "efficientnet_lite2_a.npz", **arrays)
    return tmp_path


def trained(
    shards: Path, encoder: Path, run: Path, config: LayoutConfig, stop_at: int | None = None
) -> LastingTask:
    options = RecipeOptions(
        recipe=LAYOUT, shards=shards, encoder=encoder, output=run, device="cpu", resume=True
    )
    pool = ShardPool(shards, outdoors=config.outdoors, names=(), holds_out=False)
    return train(config, RecipeFrames(rendered=pool), options, stop_at=stop_at)


def test_cells_hold_means_of_what_is_known() -> None:
    values, valid = torch.zeros(1, 8, 16), torch.ones(1, 8, 16, dtype=torch.bool)
    values[:, :, 8:] = torch.arange(8.0)[:, None]
    valid[:, :2, 8:] = False
    cells = cells_of(values, valid)
    torch.testing.assert_close(cells.mean, torch.tensor([[[0.0, 4.5]]]))
    assert cells.known.all()
    valid[:, :5, 8:] = False
    assert cells_of(values, valid).known.tolist() == [[[True, False]]]


def test_depth_is_learned_before_normals() -> None:
    config = layout()
    assert config.risen(config.guests_after) == 0
    assert config.risen(config.guests_after + config.guests_rise // 2) == pytest.approx(0.5)
    assert config.risen(10**6) == 1
    with pytest.raises(OptionError, match="falls"):
        replace(config, falls=config.steps + 1)


@pytest.mark.slow
def test_the_rate_is_constant_until_it_falls(shards: Path, encoder: Path, tmp_path: Path) -> None:
    task = trained(shards, encoder, tmp_path / "run", replace(SMALL, steps=1))
    task._config = replace(SMALL, steps=400, falls=100)
    rates = []
    for step in (0, 200, 300, 350, 400):
        task.state.step = step
        rates.append(task.learning_rate_factor())
    assert rates == pytest.approx([0.01, 1.0, 1.0, 0.51, 0.02])


@pytest.mark.slow
def test_runs_are_joined_with_the_detail_of_a_file_that_stays(
    shards: Path, encoder: Path, tmp_path: Path
) -> None:
    trained(shards, encoder, tmp_path / "run", replace(SMALL, steps=1))
    base, joined = PACKAGE / "base.onnx", tmp_path / "joined.onnx"
    before = base.read_bytes()
    write_base([tmp_path / "run"], None, base, joined)
    assert base.read_bytes() == before
    names = {node.name.split("/")[0] for node in onnx.load(joined).graph.node}
    assert {"layout.", "detail."} <= names


def test_statistics_are_measured_anew() -> None:
    torch.manual_seed(6)
    norm = nn.BatchNorm2d(2)
    norm.running_mean.fill_(9.0)
    batches = [Batch(**{each.name: None for each in fields(Batch)} | {"image": image})
               for image in torch.randn(3, 4, 2, 8, 8) * 3 + 1]  # fmt: skip
    settle([norm], norm.eval(), batches)
    values = torch.stack([each.image for each in batches]).transpose(1, 2)
    torch.testing.assert_close(norm.running_mean, values.mean(dim=(0, 2, 3, 4)))
    assert norm.momentum == 0.1
    assert not norm.training


def test_what_error_to_expect_is_learned_last_and_alone(shards: Path) -> None:
    torch.manual_seed(3)
    config = replace(SMALL, confidence_steps=2)
    frames = RecipeFrames(rendered=ShardPool(shards, holds_out=False))
    mix = frames.mix(config.stage, size=2, blind=0.25)
    network, image = LayoutNet().eval(), torch.zeros(1, 64, 64, 3, dtype=torch.uint8)
    nn.init.zeros_(network.spread.weight)
    with torch.no_grad():
        before = network(image)
    learner = LayoutLearner(LayoutNet(), config)
    learner.end(network, lambda number: make_batch(mix, seed=1, number=number))
    with torch.no_grad():
        after = network(image)
    for name in ("log_depth", "normals", "sky"):
        assert torch.equal(getattr(after, name), getattr(before, name)), name
    assert before.log_spread.std() < 1e-6 < after.log_spread.std()


@pytest.mark.slow
def test_a_run_that_was_stopped_ends_as_if_it_was_not(
    shards: Path, encoder: Path, tmp_path: Path
) -> None:
    trained(shards, encoder, tmp_path / "whole", SMALL)
    trained(shards, encoder, tmp_path / "stopped", SMALL, stop_at=3)
    # What has been rendered since comes in at a later scan alone, not among the batches before.
    (shards / "shard-00002.npz").write_bytes((shards / "shard-00001.npz").read_bytes())
    task = trained(shards, encoder, tmp_path / "stopped", SMALL)
    assert [*task.state.scans["0"], *task.state.scans["2"]] == [
        "shard-00000.npz",
        "shard-00001.npz",
    ]
    whole, stopped = (
        torch.load(tmp_path / name / "checkpoint.pt", weights_only=True)
        for name in ("whole", "stopped")
    )
    for part in ("network", "average"):
        for name, value in whole[part].items():
            assert torch.equal(stopped[part][name], value), f"{part}: {name}"
    average = torch.load(tmp_path / "stopped" / AVERAGE, weights_only=True)
    assert average["step"] == SMALL.steps
