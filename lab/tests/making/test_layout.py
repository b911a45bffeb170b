"""The recipe of the layout network."""

from dataclasses import fields, replace
from pathlib import Path

import pytest
import torch
from torch import nn

from lab.making.distil.frames.frame_batches import Batch
from lab.making.distil.frames.shard_pool import ShardPool
from lab.making.distil.small_export import export_small
from lab.making.lasting_run import train
from lab.making.lasting_task import AVERAGE, LastingTask, settle
from lab.making.layout_learner import cells_of
from lab.making.layout_recipe import LayoutConfig, layout
from lab.making.provenances import provenance_of
from lab.making.recipe_frames import RecipeFrames
from lab.making.recipe_options import LAYOUT, RecipeOptions
from lab.making.recipe_stage import RecipeStage
from rilievo.errors import OptionError
from rilievo.training.networks.small import SmallNet
from rilievo.training.networks.widths import BASE

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
def base(tmp_path: Path) -> Path:
    """File of a network like base, with random weights."""
    torch.manual_seed(1)
    network, path = SmallNet(BASE), tmp_path / "base.onnx"
    for value in network.state_dict().values():
        # Files store equal arrays once, as those of norms that have not learned.
        if value.dim() == 1:
            value.uniform_(0.5, 1.5)
    export_small(network, path, provenance_of("base", photographs=True))
    return path


def trained(
    shards: Path, base: Path, run: Path, config: LayoutConfig, stop_at: int | None = None
) -> LastingTask:
    options = RecipeOptions(
        recipe=LAYOUT, shards=shards, start=base, output=run, device="cpu", resume=True
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


def test_the_rate_is_constant_until_it_falls(shards: Path, base: Path, tmp_path: Path) -> None:
    task = trained(shards, base, tmp_path / "run", replace(SMALL, steps=1))
    task._config = replace(SMALL, steps=400, falls=100)
    rates = []
    for step in (0, 200, 300, 350, 400):
        task.state.step = step
        rates.append(task.rate())
    assert rates == pytest.approx([0.01, 1.0, 1.0, 0.51, 0.02])


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


@pytest.mark.slow
def test_a_run_that_was_stopped_ends_as_if_it_was_not(
    shards: Path, base: Path, tmp_path: Path
) -> None:
    trained(shards, base, tmp_path / "whole", SMALL)
    trained(shards, base, tmp_path / "stopped", SMALL, stop_at=3)
    # What has been rendered since comes in at a later scan alone, not among the batches before.
    (shards / "shard-00002.npz").write_bytes((shards / "shard-00001.npz").read_bytes())
    task = trained(shards, base, tmp_path / "stopped", SMALL)
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
