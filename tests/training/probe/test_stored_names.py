"""A run stores its backbone under names that the next release of a library reads too."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors import safe_open
from safetensors.torch import load_file, save_file

import rilievo
from rilievo.errors import ModelError
from rilievo.training.adapters import trained
from rilievo.training.adapters.run_models import WEIGHTS
from rilievo.training.adapters.trained import (
    BACKBONE_SHA256_KEY,
    fill_from_file,
    make_tuned_network,
)
from rilievo.training.networks.backbones import make_backbone, weights_sha256
from rilievo.training.networks.blueprint import BackboneChoice
from rilievo.training.probe.probe_config import ProbeConfig, RunOptions
from rilievo.training.probe.probe_run import train_probe
from rilievo.training.tuning.library_folders import write_run_weights
from rilievo.training.tuning.start_models import open_start_model
from support.probed_scenes import scenes, small_config
from support.tiny_backbones import CONFIGS, save_model
from support.tiny_diffusion import save_text_to_image

CPU = RunOptions(device="cpu", shown=False)
TOWERS = ("CLIPConfig", "SamVisionConfig")
RELEASED = {
    "Dinov2Config": "body.encoder.layer.0.attention.attention.query.weight",
    "ViTConfig": "body.encoder.layer.0.attention.attention.query.weight",
    "SegformerConfig": "body.encoder.block.0.0.attention.self.query.weight",
}
"""As they stand in the authors' files on the hub, which every release of transformers reads."""


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return scenes(tmp_path_factory.mktemp("scenes"))


@pytest.mark.parametrize(
    "kind",
    [
        kind if kind in (*RELEASED, "CLIPConfig") else pytest.param(kind, marks=pytest.mark.slow)
        for kind in CONFIGS
    ],
)
def test_names_and_values_are_those_of_the_file_of_the_start(kind: str, tmp_path: Path) -> None:
    backbone = make_backbone(save_model(tmp_path / "start", kind))
    stored = backbone.stored_weights()
    if kind not in TOWERS:  # of which the file has more
        expected = load_file(tmp_path / "start/model.safetensors")
        assert stored.keys() == {f"body.{name}" for name in expected}
        assert all(torch.equal(stored[f"body.{name}"], expected[name]) for name in expected)
    if kind in RELEASED:
        assert RELEASED[kind] in stored
    named = backbone.rename_stored_weights(stored, tmp_path)
    own = backbone.state_dict()
    assert named.keys() == own.keys()
    assert all(torch.equal(named[name], own[name]) for name in own)


def test_other_libraries_name_modules_as_their_files_do(tmp_path: Path) -> None:
    folder = save_text_to_image(tmp_path / "start")
    stored = make_backbone(f"diffusers/{folder}").stored_weights()
    [file] = (tmp_path / "start/unet").glob("*.safetensors")
    unet = {f"unet.{key}" for key in load_file(file)}
    assert {key for key in stored if key.startswith("unet.")} == unet


def config_of(backbone: str, root: Path, **changes: object) -> ProbeConfig:
    config = small_config(root)
    choice = BackboneChoice(name=backbone)
    blueprint = replace(config.blueprint, backbone=choice, size=(32, 32))
    return replace(config, blueprint=blueprint, epochs=1, **changes)


def predicted(run: Path) -> torch.Tensor:
    photo = np.random.default_rng(2).integers(0, 256, (48, 64, 3)).astype(np.uint8)
    model = rilievo.load_model(run, engine="torch")
    return torch.tensor(model.predict(photo).depth.values)


@pytest.mark.slow
def test_a_tuned_backbone_is_stored_and_read_under_released_names(
    root: Path, tmp_path: Path
) -> None:
    name = save_model(tmp_path / "start", "Dinov2Config")
    train_probe(config_of(name, root, backbone_rate=1e-3), tmp_path / "run", CPU)
    stored = load_file(tmp_path / "run" / WEIGHTS)
    released = load_file(tmp_path / "start/model.safetensors")
    assert {key for key in stored if key.startswith("backbone.")} == {
        f"backbone.body.{key}" for key in released
    }
    query = f"backbone.{RELEASED['Dinov2Config']}"
    start = released[query.removeprefix("backbone.body.")]
    assert not torch.equal(stored[query], start), "it has learned"
    expected = predicted(tmp_path / "run")
    # Runs of rilievo before 0.3 have the names that the modules had in their transformers.
    probed = trained.load_probed_network(tmp_path / "run", trained.read_probe_run(tmp_path / "run"))
    save_file(
        {key: value.contiguous() for key, value in probed.state_dict().items()},
        tmp_path / "run" / WEIGHTS,
    )
    assert query not in load_file(tmp_path / "run" / WEIGHTS)
    torch.testing.assert_close(predicted(tmp_path / "run"), expected, rtol=0, atol=0)


def test_a_tuned_backbone_with_a_missing_tensor_is_refused(root: Path, tmp_path: Path) -> None:
    name = save_model(tmp_path / "start", "Dinov2Config")
    train_probe(config_of(name, root, backbone_rate=1e-3), tmp_path / "run", CPU)
    path = tmp_path / "run" / WEIGHTS
    tensors = load_file(path)
    query = f"backbone.{RELEASED['Dinov2Config']}"
    save_file({key: value for key, value in tensors.items() if key != query}, path)
    with pytest.raises(ModelError, match="missing"):
        predicted(tmp_path / "run")


def test_a_frozen_backbone_is_known_again_whatever_its_modules_are_called(
    root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    name = save_model(tmp_path / "start", "Dinov2Config")
    train_probe(config_of(name, root), tmp_path / "run", CPU)
    expected = predicted(tmp_path / "run")
    path = tmp_path / "run" / WEIGHTS
    with safe_open(path, framework="pt") as file:
        facts = file.metadata()
    # Another release of transformers has other names of modules, and so another hash of them.
    with monkeypatch.context() as patches:
        patches.setattr(trained, "weights_sha256", lambda backbone: "of other names")
        torch.testing.assert_close(predicted(tmp_path / "run"), expected, rtol=0, atol=0)
    # Runs of rilievo before 0.3 have the hash of the names of modules.
    earlier = {**facts, BACKBONE_SHA256_KEY: weights_sha256(make_backbone(name))}
    assert earlier != facts
    save_file(load_file(path), path, earlier)
    torch.testing.assert_close(predicted(tmp_path / "run"), expected, rtol=0, atol=0)
    torch.manual_seed(8)
    save_file(
        {key: value + 1 for key, value in load_file(tmp_path / "start/model.safetensors").items()},
        tmp_path / "start/model.safetensors",
        {"format": "pt"},
    )
    with pytest.raises(ModelError, match="that differ from its current ones"):
        predicted(tmp_path / "run")


def test_a_probe_that_is_trained_further_stores_released_names_too(
    root: Path, tmp_path: Path
) -> None:
    name = save_model(tmp_path / "start", "Dinov2Config")
    train_probe(config_of(name, root), tmp_path / "run", CPU)
    start = open_start_model(str(tmp_path / "run"))
    write_run_weights(start.network, tmp_path)
    assert f"probed.backbone.{RELEASED['Dinov2Config']}" in load_file(tmp_path / WEIGHTS)
    fresh = make_tuned_network(start.blueprint, tmp_path)
    read = fill_from_file(fresh, tmp_path / WEIGHTS).state_dict()
    expected = start.network.state_dict()
    assert read.keys() == expected.keys()
    assert all(torch.equal(read[key], expected[key]) for key in expected)
