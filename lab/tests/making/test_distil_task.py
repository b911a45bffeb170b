"""The loop on a toy: it learns, goes on where it was killed, and refuses what makes no sense."""

import csv
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
import pytest
import torch

from lab.making.distil import distil_task
from lab.making.distil.distil_config import Stage, TrainConfig
from lab.making.distil.distil_run import affordable
from lab.making.distil.distil_task import (
    DistilTask,
    learning_rate_factor,
    train,
    update_average,
)
from lab.making.distil.frames.distil_frames import LessonFrames
from lab.making.distil.frames.shard_pool import ShardPool
from lab.making.distil.small_export import OUTPUTS, Deployed, Provenance, export_small
from rilievo.errors import InputError, OptionError, OutputError
from rilievo.training.engine import loop
from rilievo.training.networks.small import SmallNet
from support.light_networks import LIGHT
from support.network_numbers import assert_networks_agree

PROVENANCE = Provenance(name="of the test", trained_on="planes", area=64512)


def toy(steps: int, **changes: float) -> TrainConfig:
    return TrainConfig(
        steps=steps,
        stages=(
            Stage(until=0.5, areas=(2048,)),
            Stage(until=1.0, areas=(2048,)),
        ),
        batch_size=2,
        warm_up_steps=2,
        confidence_steps=2,
        **changes,  # pyright: ignore[reportArgumentType]
    )


def run(
    config: TrainConfig,
    shards: Path,
    folder: Path,
    *,
    resume: bool = False,
    stop_at: int | None = None,
) -> SmallNet:
    torch.manual_seed(config.seed)
    frames = LessonFrames(ShardPool(shards, outdoors=0.0))
    network = SmallNet()
    return train(
        config,
        network,
        frames,
        folder,
        provenance=PROVENANCE,
        resume=resume,
        device="cpu",
        stop_at=stop_at,
    )


@pytest.mark.slow
def test_the_loss_falls_and_the_run_leaves_its_files(
    shards: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(loop, "STEPS_PER_ROW", 1)
    run(toy(12), shards, tmp_path / "run")
    with (tmp_path / "run" / "log.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert [int(row["step"]) for row in rows] == list(range(1, 13))
    assert float(rows[-1]["normals_loss"]) < 0.5 * float(rows[0]["normals_loss"])
    names = {path.name for path in (tmp_path / "run").iterdir()}
    assert names == {"log.csv", "validation.csv", "checkpoint.pt", "small.onnx"}


@pytest.mark.slow
def test_a_killed_and_resumed_run_ends_with_the_same_weights(
    shards: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(distil_task, "export_small", lambda network, path, provenance: path.touch())
    whole = run(toy(5), shards, tmp_path / "whole")
    run(toy(5), shards, tmp_path / "killed", stop_at=3)
    resumed = run(toy(5), shards, tmp_path / "killed", resume=True)
    for name, value in whole.state_dict().items():
        torch.testing.assert_close(resumed.state_dict()[name], value, rtol=0, atol=0, msg=name)


@pytest.mark.slow
@pytest.mark.parametrize("length", [{"steps": 1}, {"steps": None, "minutes": 1e-6}])
def test_a_run_that_has_ended_learns_its_confidence_once(
    shards: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, length: dict[str, Any]
) -> None:
    lengths = []
    learn = distil_task.learn_confidence

    def note(*given: Any, steps: int, **more: Any) -> None:
        lengths.append(steps)
        assert (tmp_path / "run" / "small.onnx").exists(), "whoever stops here has a network"
        learn(*given, steps=steps, **more)

    monkeypatch.setattr(distil_task, "export_small", lambda network, path, provenance: path.touch())
    monkeypatch.setattr(distil_task, "learn_confidence", note)
    config = replace(toy(1), **length)
    before = run(config, shards, tmp_path / "run").state_dict()
    after = run(config, shards, tmp_path / "run", resume=True).state_dict()
    assert all(torch.equal(value, after[name]) for name, value in before.items())
    assert lengths == [1], "no more steps than the run has"
    run(toy(3), shards, tmp_path / "run", resume=True)
    assert lengths == [1, 2], "and anew where the run goes on"


@pytest.mark.parametrize(("has_bf16", "usual"), [(True, "bf16"), (False, "fp32"), (None, "fp32")])
def test_a_processor_without_bf16_trains_in_fp32(
    monkeypatch: pytest.MonkeyPatch, has_bf16: bool | None, usual: str
) -> None:
    if has_bf16 is None:  # an older torch does not say
        monkeypatch.delattr(torch.cpu, "_is_avx512_bf16_supported", raising=False)
    else:
        monkeypatch.setattr(torch.cpu, "_is_avx512_bf16_supported", lambda: has_bf16, raising=False)
    assert affordable("bf16", torch.device("cpu")) == usual
    assert affordable("bf16", torch.device("cuda")) == "bf16"
    assert affordable("fp32", torch.device("cpu")) == "fp32", "as the recipe says"


@pytest.mark.slow
def test_a_run_is_not_resumed_by_another_recipe(shards: Path, tmp_path: Path) -> None:
    frames = LessonFrames(ShardPool(shards, outdoors=0.0))
    train(toy(1), SmallNet(LIGHT), frames, tmp_path / "run", provenance=PROVENANCE)
    with pytest.raises(InputError, match=r"written with a different configuration"):
        run(toy(2), shards, tmp_path / "run", resume=True)


def test_a_run_that_is_stopped_says_which_step_is_kept(
    shards: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    config = toy(4)
    run(config, shards, tmp_path / "run", stop_at=1)

    def stop(*values: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(DistilTask, "after_step", stop)
    with pytest.raises(KeyboardInterrupt, match="stopped at step 2; resume continues from step 1"):
        run(config, shards, tmp_path / "run", resume=True)


def test_a_folder_that_holds_a_run_is_not_overwritten(shards: Path, tmp_path: Path) -> None:
    (tmp_path / "checkpoint.pt").write_bytes(b"someone's work")
    with pytest.raises(OutputError, match="--resume"):
        run(toy(2), shards, tmp_path)
    with pytest.raises(InputError, match="is not a valid checkpoint"):
        run(toy(2), shards, tmp_path, resume=True)
    assert (tmp_path / "checkpoint.pt").read_bytes() == b"someone's work"


def test_the_learning_rate_climbs_then_falls_by_half_a_cosine() -> None:
    config = toy(100, final_factor=0.0)
    assert learning_rate_factor(config, step=0, progress=0.0) == pytest.approx(0.5)
    assert learning_rate_factor(config, step=2, progress=0.0) == pytest.approx(1.0)
    assert learning_rate_factor(config, step=50, progress=0.5) == pytest.approx(0.5)
    assert learning_rate_factor(config, step=100, progress=1.0) == pytest.approx(0.0)


def test_the_average_moves_by_what_the_decay_leaves() -> None:
    average, network = torch.nn.BatchNorm2d(1), torch.nn.BatchNorm2d(1)
    network.weight.data.fill_(3.0)
    network.num_batches_tracked += 7  # pyright: ignore[reportOperatorIssue]
    update_average(average, network, 0.75)
    assert average.weight.item() == pytest.approx(1.5)
    assert average.num_batches_tracked == 7


@pytest.mark.parametrize(
    "wrong",
    [
        {"steps": 5, "minutes": 1.0},
        {},
        {"minutes": -1.0},
        {"steps": 5, "stages": (Stage(until=0.5, areas=(1,)),)},
    ],
)
def test_impossible_runs_are_refused(wrong: dict[str, object]) -> None:
    stages = (Stage(until=1.0, areas=(2048,)),)
    with pytest.raises(OptionError):
        TrainConfig(**{"stages": stages} | wrong)  # pyright: ignore[reportArgumentType]


@pytest.mark.parametrize("size", [(1, 64, 96), (3, 96, 32), (2, 192, 256)])
def test_the_exported_network_says_what_torch_says(
    size: tuple[int, int, int], exported: tuple[SmallNet, onnxruntime.InferenceSession]
) -> None:
    network, session = exported
    image = np.random.default_rng(0).integers(0, 256, (*size, 3), dtype=np.uint8)
    depth, normals, *chances = (np.asarray(each) for each in session.run(OUTPUTS, {"image": image}))
    with torch.no_grad():
        expected_depth, expected_normals, *expected_chances = Deployed(network).eval()(
            torch.from_numpy(image)
        )
    assert depth.shape == size
    assert_networks_agree(
        np.log(depth), expected_depth.log(), median=2e-5, tolerance=1e-4, limit=0.01
    )
    assert_networks_agree(normals, expected_normals, median=2e-5, tolerance=1e-4, limit=0.01)
    np.testing.assert_allclose(np.linalg.norm(normals, axis=1), 1, atol=1e-4)
    for chance, expected in zip(chances, expected_chances, strict=True):
        assert_networks_agree(chance, expected, median=2e-5, tolerance=1e-4, limit=0.01)
        assert chance.shape == size
        assert ((chance >= 0) & (chance <= 1)).all()
    assert (depth >= 0.99e-3).all()
    assert (depth <= 1.01e3).all()


@pytest.fixture(scope="module")
def exported(
    tmp_path_factory: pytest.TempPathFactory,
) -> tuple[SmallNet, onnxruntime.InferenceSession]:
    torch.manual_seed(0)
    network = SmallNet().eval()
    path = tmp_path_factory.mktemp("export") / "small.onnx"
    export_small(network, path, PROVENANCE)
    return network, onnxruntime.InferenceSession(path)


def test_the_exported_file_says_what_it_is(
    exported: tuple[SmallNet, onnxruntime.InferenceSession],
) -> None:
    facts = exported[1].get_modelmeta().custom_metadata_map
    assert facts["rilievo.name"] == "of the test"
    assert facts["rilievo.kind"] == "up_to_scale"
    assert facts["rilievo.area"] == "64512"
    assert facts["rilievo.multiple"] == "32"
    assert facts["rilievo.licence"] == "Apache-2.0"
    assert facts["rilievo.format"] == "1"
    assert facts["rilievo.trained_on"] == "planes"


@pytest.mark.slow
def test_depth_is_bounded_however_wild_the_network(
    exported: tuple[SmallNet, onnxruntime.InferenceSession],
) -> None:
    network = SmallNet().eval()
    network.head.weight.data *= 1e4
    with torch.no_grad():
        depth, *_ = Deployed(network)(torch.randint(0, 256, (1, 64, 64, 3), dtype=torch.uint8))
    assert depth.min() >= 0.99e-3
    assert depth.max() <= 1.01e3


@pytest.mark.slow
def test_without_steps_of_confidence_that_of_the_start_is_kept(
    shards: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(distil_task, "export_small", lambda network, path, provenance: path.touch())
    config = replace(toy(2), confidence_steps=0)
    torch.manual_seed(config.seed)
    before = SmallNet().spread.state_dict()
    after = run(config, shards, tmp_path / "run").spread.state_dict()
    for name, value in before.items():
        if name.endswith("weight") and value.dim() == 4:
            assert torch.equal(value, after[name]), name
