"""A training run's folder as a model: predict, export, and what is refused."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import load_file, save_file

from rilievo.errors import ModelError, RilievoError
from rilievo.models import load_model
from rilievo.records.depth_map import DepthKind
from rilievo.records.sample import Photo
from rilievo.training.conversion.onnx_export import ExportOptions, export_model
from rilievo.training.networks.blueprint import BackboneChoice, ProbeChoice, ProbeTarget, Readout
from rilievo.training.networks.probe_network import (
    BackboneWithProbe,
    backbone_from_blueprint,
    probe_from_blueprint,
)
from rilievo.training.probe.probe_config import ProbeConfig, RunOptions
from rilievo.training.probe.probe_run import train_probe
from support.network_numbers import assert_networks_agree
from support.probed_scenes import scenes, small_config

CPU = RunOptions(device="cpu")


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return scenes(tmp_path_factory.mktemp("scenes"))


@pytest.fixture(scope="module")
def run(root: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("runs") / "run"
    train_probe(small_config(root), folder, CPU)
    return folder


def photograph(height: int = 48, width: int = 64) -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, (height, width, 3), dtype=np.uint8)


def test_a_run_says_what_it_is_and_predicts_at_the_photographs_size(run: Path) -> None:
    model = load_model(run, device="cpu")
    assert (model.card.kind, model.card.normals, model.card.confidence) == (
        DepthKind.METRIC,
        True,
        True,
    )
    (prediction,) = model.predict_raw([photograph()])
    assert prediction.normals is not None
    assert prediction.depth.shape == (48, 64)
    assert 0.001 <= prediction.depth.values.min() <= prediction.depth.values.max() <= 10
    np.testing.assert_allclose(np.linalg.norm(prediction.normals, axis=0), 1, atol=1e-5)


def test_a_run_says_at_its_own_size_what_its_parts_say(run: Path, root: Path) -> None:
    """Backbone, probe and heads called by hand, from the weights of the file."""
    blueprint = small_config(root).blueprint
    backbone = backbone_from_blueprint(blueprint)
    probe = probe_from_blueprint(blueprint, backbone, seed=7)
    probe.load_state_dict(load_file(run / "weights.safetensors"))
    probed = BackboneWithProbe(blueprint, backbone, probe).eval()
    photo = photograph()
    small = np.array(Image.fromarray(photo).resize((32, 24), Image.Resampling.BILINEAR))
    with torch.no_grad():
        said = probed(torch.from_numpy(small).permute(2, 0, 1)[None].float() / 255)
    (inference,) = load_model(run, device="cpu").infer([Photo(pixels=photo)])
    assert inference.confidence is not None
    np.testing.assert_allclose(inference.depth, said.depth[0].numpy(), rtol=1e-5)
    kappa = said.kappa[0].numpy()
    np.testing.assert_allclose(inference.confidence, kappa / (1 + kappa), rtol=1e-4)


@pytest.mark.parametrize("task", [ProbeTarget.DEPTH, ProbeTarget.NORMALS])
def test_a_run_of_one_task_gives_that_alone(root: Path, tmp_path: Path, task: ProbeTarget) -> None:
    train_probe(small_config(root, task=task), tmp_path, CPU)
    (prediction,) = load_model(tmp_path, device="cpu").predict_raw([photograph()])
    assert (prediction.depth_or_none is not None) == (task is ProbeTarget.DEPTH)
    assert (prediction.normals is not None) == (task is ProbeTarget.NORMALS)


def of_backbone(root: Path, name: str, kind: str) -> ProbeConfig:
    config = small_config(root)
    blueprint = replace(
        config.blueprint,
        backbone=BackboneChoice(name=name, weights="random"),
        probe=ProbeChoice(kind=kind, hidden=16 if kind in ("dpt", "light") else None),
        size=(48, 64),
    )
    # Directions that are hardly any yet would turn with the last digit.
    return replace(config, blueprint=blueprint, epochs=10)


def with_live_weights(config: ProbeConfig, path: Path) -> ProbeConfig:
    """Torch's own random weights let features die away on their 53 layers' way."""
    state = backbone_from_blueprint(config.blueprint).body.state_dict()
    save_file({key: each * 6**0.5 if each.ndim == 4 else each for key, each in state.items()}, path)
    backbone = replace(config.blueprint.backbone, weights=str(path))
    return replace(config, blueprint=replace(config.blueprint, backbone=backbone))


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "kind"),
    [("timm/test_vit", "dpt"), ("mobilenetv2", "linear"), ("timm/test_vit", "light")],
)
def test_backbone_and_probe_become_one_onnx_file_that_says_the_same(
    root: Path, tmp_path: Path, name: str, kind: str
) -> None:
    run, file = tmp_path / "run", tmp_path / "run.onnx"
    config = of_backbone(root, name, kind)
    if name == "mobilenetv2":
        config = with_live_weights(config, tmp_path / "live.safetensors")
    train_probe(config, run, CPU)
    export_model(run, file, ExportOptions())
    (ours,) = load_model(run, device="cpu", engine="torch").predict_raw([photograph(60, 90)])
    (theirs,) = load_model(file, device="cpu").predict_raw([photograph(60, 90)])
    assert ours.depth is not None
    assert theirs.depth is not None
    assert ours.normals is not None
    assert theirs.normals is not None
    assert_networks_agree(
        theirs.depth.values, ours.depth.values, median=2e-4, tolerance=1e-3, limit=0.1
    )
    assert_networks_agree(theirs.normals, ours.normals, median=2e-4, tolerance=1e-3, limit=0.1)


def test_the_most_probable_bin_is_read_from_a_run_in_torch_and_from_its_file(
    root: Path, tmp_path: Path
) -> None:
    """Most pixels are centres of bins; a kernel of 3 is in the graph too."""
    plain = of_backbone(root, "timm/test_vit", "linear")
    depth = replace(plain.blueprint.depth, readout=Readout.MOST_PROBABLE)
    probe = ProbeChoice(kind="linear", kernel=3)
    blueprint = replace(plain.blueprint, depth=depth, probe=probe, task=ProbeTarget.DEPTH)
    train_probe(replace(plain, blueprint=blueprint), tmp_path / "run", CPU)
    photo = Photo(pixels=photograph())
    (said,) = load_model(tmp_path / "run", device="cpu", engine="torch").infer([photo])
    written = export_model(tmp_path / "run", tmp_path / "run.onnx")
    (ours,) = load_model(written.path).infer([photo])
    assert np.mean(np.abs(ours.depth - said.depth) < 1e-5) > 0.99  # ties of bins at a pixel
    centres = np.linspace(depth.least, depth.largest, depth.bins)
    nearest = np.abs(said.depth[..., None] - centres).min(axis=-1)
    assert np.median(nearest) < 1e-5


@pytest.mark.slow
@pytest.mark.parametrize("precision", ["fp32", "fp16"])
def test_a_probe_of_normals_alone_becomes_an_onnx_file(
    root: Path, tmp_path: Path, precision: str
) -> None:
    run, file = tmp_path / "run", tmp_path / "run.onnx"
    config = of_backbone(root, "timm/test_vit", "linear")
    config = replace(config, blueprint=replace(config.blueprint, task=ProbeTarget.NORMALS))
    train_probe(config, run, CPU)
    export_model(run, file, ExportOptions(precision=precision))
    (ours,) = load_model(run, device="cpu", engine="torch").predict_raw([photograph(60, 90)])
    model = load_model(file, device="cpu")
    assert (model.card.kind, model.card.normals, model.card.confidence) == (None, True, True)
    (theirs,) = model.predict_raw([photograph(60, 90)])
    assert theirs.depth_or_none is None
    assert ours.normals is not None
    assert theirs.normals is not None
    within = 1e-3 if precision == "fp32" else 2e-2
    assert_networks_agree(
        theirs.normals, ours.normals, median=within / 5, tolerance=within, limit=10 * within
    )


def test_a_tuned_backbone_travels_with_the_run(root: Path, tmp_path: Path) -> None:
    config = replace(small_config(root), backbone_rate=1e-2)
    train_probe(config, tmp_path, CPU)
    model = load_model(tmp_path, device="cpu")
    fresh = backbone_from_blueprint(config.blueprint).state_dict()["first.weight"]
    assert not torch.equal(model.network.probed.backbone.state_dict()["first.weight"], fresh)


def test_a_run_that_was_stopped_is_a_model_once_it_has_a_checkpoint(
    root: Path, tmp_path: Path
) -> None:
    train_probe(small_config(root), tmp_path, RunOptions(device="cpu", stop_at=1))
    assert load_model(tmp_path, device="cpu").predict([np.zeros((40, 50, 3), np.uint8)])
    (tmp_path / "weights.safetensors").unlink()
    with pytest.raises(ModelError, match=r"no weights\.safetensors yet"):
        load_model(tmp_path, device="cpu")


def test_a_backbone_with_other_weights_than_then_is_refused(root: Path, tmp_path: Path) -> None:
    train_probe(small_config(root), tmp_path, CPU)
    path = tmp_path / "config.json"
    path.write_text(path.read_text().replace('"seed": 0', '"seed": 1', 1))
    with pytest.raises(ModelError, match="that differ from its current ones"):
        load_model(tmp_path, device="cpu")


@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        ("rilievo-probe/1", "rilievo-probe/9", "another version"),
        ('"kind": "linear"', '"kind": "liner"', "did you mean 'linear'"),
    ],
)
def test_a_config_that_was_changed_is_refused_in_a_line(
    run: Path, tmp_path: Path, old: str, new: str, words: str
) -> None:
    for name in ("config.json", "weights.safetensors"):
        (tmp_path / name).write_bytes((run / name).read_bytes())
    path = tmp_path / "config.json"
    path.write_text(path.read_text().replace(old, new))
    with pytest.raises(RilievoError, match=words) as caught:
        load_model(tmp_path, device="cpu")
    assert "\n" not in str(caught.value)


def test_weights_that_are_cut_off_are_refused(run: Path, tmp_path: Path) -> None:
    for name in ("config.json", "weights.safetensors"):
        (tmp_path / name).write_bytes((run / name).read_bytes()[:3000])
    (tmp_path / "weights.safetensors").write_bytes((run / "weights.safetensors").read_bytes()[:100])
    with pytest.raises(ModelError, match="cannot be read"):
        load_model(tmp_path, device="cpu")
