"""Training of probes: what comes out is a function of the configuration alone."""

import csv
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from rilievo.cli import main
from rilievo.errors import InputError, OptionError, OutputError
from rilievo.io.json_record import from_json
from rilievo.training.engine.run_folder import hold_run_folder
from rilievo.training.losses.supervised_options import DEPTH_LOSSES, Losses
from rilievo.training.networks.blueprint import ProbeChoice, ProbeTarget
from rilievo.training.networks.probe_network import backbone_from_blueprint
from rilievo.training.probe.feature_cache import FeatureCache
from rilievo.training.probe.probe_config import (
    Augmentation,
    ProbeConfig,
    RunOptions,
)
from rilievo.training.probe.probe_presets import preset_config
from rilievo.training.probe.probe_record import ProbeRecord
from rilievo.training.probe.probe_run import probe_run_folder, train_probe
from support.probed_scenes import DATASET, scenes, small_config, with_seed

CPU = RunOptions(device="cpu")


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return scenes(tmp_path_factory.mktemp("scenes"))


def weights(config: ProbeConfig, run: Path, options: RunOptions = CPU) -> dict[str, torch.Tensor]:
    train_probe(config, run, options)
    return load_file(run / "weights.safetensors")


def same(one: dict[str, torch.Tensor], other: dict[str, torch.Tensor]) -> bool:
    return one.keys() == other.keys() and all(torch.equal(one[key], other[key]) for key in one)


def test_a_run_tells_its_steps_and_loss_unless_told_not_to(
    root: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    config = small_config(root)
    record = train_probe(config, tmp_path / "run", CPU)
    assert record is not None
    first, *_, last = capsys.readouterr().err.splitlines()
    assert f"step 0 of {record.steps}" in first
    assert f"step {record.steps} of {record.steps}, loss" in last
    train_probe(config, tmp_path / "silent", replace(CPU, shown=False))
    assert capsys.readouterr().err == ""


def test_a_start_that_is_refused_leaves_nothing_behind(root: Path, tmp_path: Path) -> None:
    with pytest.raises(OptionError, match="cuda"):
        train_probe(small_config(root), tmp_path / "run", RunOptions(device="cuda:77"))
    assert not (tmp_path / "run").exists()


@pytest.mark.slow
@pytest.mark.parametrize("stop", [1, 5])
@pytest.mark.parametrize("rate", [0.0, 1e-3])
def test_a_run_that_was_stopped_ends_with_the_same_weights_bit_for_bit(
    root: Path, tmp_path: Path, stop: int, rate: float
) -> None:
    """The dropout of a tuned backbone has to draw the same numbers too."""
    config = replace(
        small_config(root), backbone_rate=rate, augmentation=Augmentation(flip=0.5, jitter=0.8)
    )
    whole = weights(config, tmp_path / "whole")
    assert train_probe(config, tmp_path / "cut", RunOptions(device="cpu", stop_at=stop)) is None
    assert not (tmp_path / "cut/record.json").exists()
    assert same(whole, weights(config, tmp_path / "cut", RunOptions(device="cpu", resume=True)))
    assert losses_logged(tmp_path / "cut") == losses_logged(tmp_path / "whole")


def losses_logged(run: Path) -> list[dict[str, str]]:
    """Rows of the log without what the machine's speed decides."""
    with (run / "log.csv").open() as file:
        rows = [*csv.DictReader(file)]
    assert rows
    return [{name: text for name, text in row.items() if "second" not in name} for row in rows]


@pytest.mark.slow
def test_a_run_killed_at_any_of_its_last_steps_ends_as_if_it_were_not(
    root: Path, tmp_path: Path
) -> None:
    config, go_on = small_config(root), RunOptions(device="cpu", resume=True)
    whole = train_probe(config, tmp_path / "whole", CPU)
    assert whole is not None
    for stop in (5, 6):
        run = tmp_path / str(stop)
        assert train_probe(config, run, RunOptions(device="cpu", stop_at=stop)) is None
        # As a kill leaves it that comes between opening a file and writing to it.
        (run / "log.csv").write_text("")
        ended = train_probe(config, run, go_on)
        assert ended is not None
        assert ended.loss == whole.loss
    written = (run / "weights.safetensors").stat().st_mtime_ns
    assert train_probe(config, run, go_on) == ended
    assert (run / "weights.safetensors").stat().st_mtime_ns == written
    (run / "record.json").write_text("{")
    with pytest.raises(InputError, match=r"record\.json: is not the record of a run"):
        train_probe(config, run, go_on)


@pytest.mark.slow
def test_the_seed_is_used_and_another_one_gives_another_probe(root: Path, tmp_path: Path) -> None:
    config = small_config(root)
    first, again = weights(config, tmp_path / "a"), weights(config, tmp_path / "b")
    assert same(first, again)
    assert not same(first, weights(with_seed(config, 1), tmp_path / "c"))


@pytest.mark.slow
def test_a_frozen_backbone_stays_and_a_tuned_one_learns(root: Path, tmp_path: Path) -> None:
    frozen = weights(small_config(root), tmp_path / "frozen")
    assert not any(key.startswith("backbone") for key in frozen)
    config = replace(small_config(root), backbone_rate=1e-3)
    tuned = weights(config, tmp_path / "tuned")
    fresh = backbone_from_blueprint(config.blueprint).state_dict()
    assert not torch.equal(tuned["backbone.first.weight"], fresh["first.weight"])


@pytest.mark.slow
def test_kept_features_teach_the_same_within_their_rounding(root: Path, tmp_path: Path) -> None:
    config = small_config(root)
    plain = weights(config, tmp_path / "plain")
    backbone = backbone_from_blueprint(config.blueprint)
    cache = FeatureCache.open(tmp_path / "features", backbone)
    train_probe(config, tmp_path / "kept", CPU, backbone=backbone, feature_cache=cache)
    kept = load_file(tmp_path / "kept/weights.safetensors")
    assert (cache.computed_count, cache.hit_count) == (6, 12)
    for key in plain:
        torch.testing.assert_close(kept[key], plain[key], rtol=0, atol=3e-3)


def test_features_of_a_backbone_that_is_tuned_are_not_kept(root: Path, tmp_path: Path) -> None:
    config = small_config(root)
    cache = FeatureCache.open(tmp_path / "features", backbone_from_blueprint(config.blueprint))
    with pytest.raises(OptionError, match="for a frozen backbone"):
        train_probe(replace(config, backbone_rate=1e-3), tmp_path / "run", CPU, feature_cache=cache)


def test_an_image_without_a_valid_pixel_is_passed_over_and_counted(tmp_path: Path) -> None:
    blind = scenes(tmp_path / "scenes", blind=2)
    record = train_probe(small_config(blind), tmp_path / "run", CPU)
    assert record is not None
    assert (record.skipped, record.skipped_ids) == (1, ("room0/002",))
    text = (tmp_path / "run/record.json").read_text()
    assert from_json(ProbeRecord, text) == record


def test_nothing_but_blind_images_is_refused(tmp_path: Path) -> None:
    blind = scenes(tmp_path / "scenes", blind=0)
    config = small_config(blind)
    config = replace(config, data=replace(config.data, limit=1))
    with pytest.raises(InputError, match="none of its images has a valid pixel to learn from"):
        train_probe(config, tmp_path / "run", CPU)


def test_a_run_that_failed_before_its_first_checkpoint_does_not_refuse_the_next(
    tmp_path: Path,
) -> None:
    blind = scenes(tmp_path / "scenes", blind=0)
    config, run = small_config(blind), tmp_path / "run"
    with pytest.raises(InputError, match="a valid pixel to learn from"):
        train_probe(replace(config, data=replace(config.data, limit=1)), run, CPU)
    assert (run / "config.json").exists()
    train_probe(config, run, replace(CPU, stop_at=1))
    assert from_json(ProbeConfig, (run / "config.json").read_text()).data.limit is None
    with pytest.raises(OutputError, match="already contains a run"):
        train_probe(config, run, CPU)


def test_another_process_at_its_first_step_keeps_its_configuration(
    root: Path, tmp_path: Path
) -> None:
    config = small_config(root)
    folder = probe_run_folder(tmp_path)
    folder.write_config(config)
    before = (tmp_path / "config.json").read_bytes()
    with hold_run_folder(tmp_path), pytest.raises(OutputError, match="another process is training"):
        train_probe(with_seed(config, 3), tmp_path, CPU)
    assert (tmp_path / "config.json").read_bytes() == before


def test_features_that_are_no_numbers_are_refused(root: Path, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"Broken.*selected layer 1 .*NaN"):
        train_probe(small_config(root, backbone="Broken"), tmp_path / "run", CPU)


def test_too_little_memory_for_a_step_is_said_with_what_helps(root: Path, tmp_path: Path) -> None:
    with pytest.raises(
        OptionError, match=r"step with 3 images of 32x24 pixels .*: use a smaller batch_size"
    ):
        train_probe(small_config(root, backbone="Greedy"), tmp_path, CPU)


def test_a_task_that_the_data_has_no_truth_for_is_refused(root: Path, tmp_path: Path) -> None:
    config = small_config(root, task=ProbeTarget.NORMALS)
    config = replace(config, data=replace(config.data, dataset="support.toy_dataset:Toy"))
    from support.toy_dataset import write_toy

    write_toy(tmp_path / "toy")
    config = replace(config, data=replace(config.data, root=str(tmp_path / "toy"), split="test"))
    with pytest.raises(InputError, match="has no ground-truth normals"):
        train_probe(config, tmp_path / "run", CPU)


def test_a_folder_with_another_run_is_not_written_over(root: Path, tmp_path: Path) -> None:
    train_probe(small_config(root), tmp_path, CPU)
    with pytest.raises(OutputError, match="resume"):
        train_probe(small_config(root), tmp_path, CPU)
    with pytest.raises(OutputError, match=r"different options \(seed was 0, is now 3\)"):
        train_probe(
            with_seed(small_config(root), 3), tmp_path, RunOptions(device="cpu", resume=True)
        )


@pytest.mark.slow
def test_a_folder_of_data_spelled_otherwise_is_the_same_run(
    root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    train_probe(small_config(root), tmp_path / "run", RunOptions(device="cpu", stop_at=2))
    monkeypatch.chdir(root.parent)
    again = small_config(Path(root.name))
    assert train_probe(again, tmp_path / "run", RunOptions(device="cpu", resume=True)) is not None


@pytest.mark.slow
@pytest.mark.parametrize(
    "damage", [lambda data: b"", lambda data: data[:100], lambda data: bytes(9)]
)
def test_weights_that_a_power_cut_took_are_no_finished_run(
    root: Path, tmp_path: Path, damage: Callable[[bytes], bytes]
) -> None:
    train_probe(small_config(root), tmp_path, RunOptions(device="cpu", stop_at=2))
    checkpoint = (tmp_path / "checkpoint.pt").read_bytes()
    again = RunOptions(device="cpu", resume=True)
    train_probe(small_config(root), tmp_path, again)
    weights = tmp_path / "weights.safetensors"
    whole = weights.read_bytes()
    weights.write_bytes(damage(whole))
    with pytest.raises(
        InputError, match=r"weights\.safetensors: .*delete record\.json to restart training"
    ):
        train_probe(small_config(root), tmp_path, again)
    (tmp_path / "checkpoint.pt").write_bytes(checkpoint)
    train_probe(small_config(root), tmp_path, again)
    assert weights.read_bytes() == whole


def test_a_checkpoint_without_content_says_what_to_do(root: Path, tmp_path: Path) -> None:
    train_probe(small_config(root), tmp_path, RunOptions(device="cpu", stop_at=2))
    (tmp_path / "checkpoint.pt").write_bytes(b"")
    with pytest.raises(InputError, match=r"checkpoint\.pt: is empty.*restart training"):
        train_probe(small_config(root), tmp_path, RunOptions(device="cpu", resume=True))


@pytest.mark.slow
@pytest.mark.parametrize(
    ("loss", "normals"),
    [*((loss, "angular") for loss in DEPTH_LOSSES), ("l1", "uncertain"), ("l1", "mse")],
)
def test_every_loss_falls_while_it_is_learned(
    root: Path, tmp_path: Path, loss: str, normals: str
) -> None:
    config = replace(
        small_config(root),
        losses=Losses(depth=loss, normals=normals),
        epochs=12,
        batch_size=6,
        warm_up=0.0,
        data=replace(small_config(root).data, held_out=1),
    )
    short = train_probe(replace(config, epochs=1), tmp_path / "short", CPU)
    long = train_probe(config, tmp_path / "long", CPU)
    assert short is not None
    assert long is not None
    assert short.loss is not None
    assert long.loss is not None
    assert long.loss < short.loss
    assert len((tmp_path / "long/validation.csv").read_text().splitlines()) == 13


@pytest.mark.slow
@pytest.mark.parametrize("preset", ["probe3d", "probe3d-old"])
@pytest.mark.parametrize("precision", ["fp32", "bf16"])
def test_the_program_behind_probe3d_is_trained_as_it_is(
    root: Path, tmp_path: Path, preset: str, precision: str
) -> None:
    plain = small_config(root)
    blueprint = replace(plain.blueprint, probe=ProbeChoice(kind="dpt", hidden=8))
    config = replace(
        preset_config(preset, blueprint, plain.data), epochs=2, precision=precision, batch_size=3
    )
    record = train_probe(config, tmp_path, CPU)
    assert record is not None
    assert record.loss is not None
    assert {"schedule", "shuffle", "losses.gradient_form"} - {
        difference.field for difference in record.differences
    } <= {"losses.gradient_form"}


def test_a_dry_run_of_a_probe_counts_what_the_run_learns_and_leaves_nothing(
    root: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = "train probe --backbone timm/test_resnet --weights random"
    words += f" --dataset {DATASET} --root {root} --size 32,64 --probe linear --epochs 1"
    words += f" --batch-size 2 --held-out 1 --device cpu -o {tmp_path / 'run'}"
    assert main([*words.split(), "--dry-run"]) == 0
    plan = capsys.readouterr().out
    assert not (tmp_path / "run").exists()
    main(words.split())
    record = probe_run_folder(tmp_path / "run").read_record()
    learned = load_file(tmp_path / "run" / "weights.safetensors").values()
    for line in (
        f"weights: {sum(tensor.numel() for tensor in learned):,} in the probe 'linear' are trained",
        f"images: {record.images} for training, {record.held_out} held out, resized to 32 x 64",
        f"steps: {record.steps}, each with up to 2 images",
        "nothing was trained",
    ):
        assert line in plan
