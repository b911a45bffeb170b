"""Models of transformers that are trained further: real classes with small weights made here."""

import copy
import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import transformers
import yaml
from safetensors.torch import load_file, save_file

from rilievo.errors import OptionError
from rilievo.models import load_model
from rilievo.records.depth_map import DepthKind
from rilievo.training.probe.probe_config import DataChoice, RunOptions
from rilievo.training.tuning import start_predictions
from rilievo.training.tuning.network_layers import checkpoint_activations, network_layers
from rilievo.training.tuning.start_models import open_start_model
from rilievo.training.tuning.tuning_config import TuningConfig, TuningOptions
from rilievo.training.tuning.tuning_run import fine_tune
from rilievo.training.video.other_places import read_pictures
from support.rooms_with_boxes import HEIGHT, WIDTH, rooms_with_boxes
from support.tiny_checkpoints import Checkpoints, checkpoint, copied

__all__ = ["checkpoint"]

CPU = RunOptions(device="cpu", shown=False)
KINDS = {
    "depth_anything": DepthKind.AFFINE_INVERSE,
    "dpt": DepthKind.AFFINE_INVERSE,
    "dpt_dinov2": DepthKind.AFFINE_INVERSE,
    "depth_pro": DepthKind.METRIC,
}


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = rooms_with_boxes(tmp_path_factory.mktemp("room"))
    camera = {"fx": 80.0, "fy": 80.0, "cx": WIDTH / 2, "cy": HEIGHT / 2}
    layout = {"image": "images/{id}.*", "depth": {"file": "depth/{id}.png"}, "camera": camera}
    (folder / "rilievo.yaml").write_text(yaml.safe_dump(layout))
    return folder


@pytest.fixture(autouse=True)
def few_places(monkeypatch: pytest.MonkeyPatch) -> None:
    """One picture of another place that judges, and one that is learned."""
    few = lambda *, held_out: read_pictures(held_out=held_out)[:1]  # noqa: E731
    monkeypatch.setattr(start_predictions, "read_pictures", few)


def config_of(root: Path, family: str, start: Path) -> TuningConfig:
    tuning = TuningOptions(
        start=str(start),
        kind=KINDS[family],
        layer_rate=1.0,
        average=0.5,
        patience=8,
        replay=0.01,
    )
    return TuningConfig(
        data=DataChoice(root=str(root)), tuning=tuning, epochs=8, batch_size=4, learning_rate=1e-2
    )


def near_the_truth(start: Path, copy: Path) -> Path:
    """Copy a checkpoint; Depth Pro's, which answers centimetres, answers metres there."""
    copied(start, copy)
    tensors = load_file(copy / "model.safetensors")
    for name, weights in tensors.items():
        if name.startswith("head.layers.4."):
            weights.mul_(0.01)
    save_file(tensors, copy / "model.safetensors", metadata={"format": "pt"})
    return copy


@pytest.mark.slow
@pytest.mark.parametrize(
    "family",
    [
        "depth_anything",
        pytest.param("dpt", marks=pytest.mark.slow),
        pytest.param("dpt_dinov2", marks=pytest.mark.slow),
        pytest.param("depth_pro", marks=pytest.mark.slow),
    ],
)
def test_the_error_falls_the_run_resumes_to_the_bit_and_transformers_loads_it(
    family: str, checkpoint: Checkpoints, root: Path, tmp_path: Path
) -> None:
    config = config_of(root, family, near_the_truth(checkpoint(family), tmp_path / family))
    whole, cut = tmp_path / "whole", tmp_path / "cut"
    record = fine_tune(config, whole, CPU)
    assert record is not None
    assert record.best_step > 0
    assert record.kept_out.after < 0.9 * record.kept_out.before
    assert fine_tune(config, cut, replace(CPU, stop_at=5)) is None
    fine_tune(config, cut, replace(CPU, resume=True))
    first, second = (load_file(each / "weights.safetensors") for each in (whole, cut))
    assert first.keys() == second.keys()
    assert all(torch.equal(first[name], second[name]) for name in first)

    theirs, info = transformers.AutoModelForDepthEstimation.from_pretrained(
        whole / "transformers", output_loading_info=True
    )
    assert not info["missing_keys"]
    assert not info["unexpected_keys"]
    trained = open_start_model(str(whole)).network.state_dict()
    for name, weights in theirs.state_dict().items():
        assert torch.equal(weights, trained[f"body.{name}"]), name
    # As a model of ours, by the run and by that folder, it answers alike.
    photo = np.random.default_rng(0).integers(0, 256, (HEIGHT, WIDTH, 3), dtype=np.uint8)
    models = (
        load_model(whole, device="cpu", engine="torch"),
        load_model(whole / "transformers", kind=KINDS[family], device="cpu", engine="torch"),
    )
    one, other = (model.predict_raw([photo])[0].depth for model in models)
    assert one.kind == KINDS[family]
    assert np.array_equal(one.values, other.values)
    further = replace(config_of(root, family, whole), epochs=1)
    again = fine_tune(further, tmp_path / "again", CPU)
    assert again is not None
    assert again.kept_out.before == pytest.approx(record.kept_out.after)


@pytest.mark.parametrize("family", KINDS)
def test_every_weight_but_the_field_of_views_stands_in_one_layer(
    family: str, checkpoint: Checkpoints
) -> None:
    start = open_start_model(str(checkpoint(family)), KINDS[family])
    layers = network_layers(start.network)
    assert len(layers.backbone) >= 4, "the blocks of these networks"
    listed = [id(each) for layer in layers.all for each in layer]
    assert len(listed) == len(set(listed))
    named = {
        id(each)
        for name, each in start.network.named_parameters()
        if not name.startswith("body.fov_model.")
    }
    assert named == set(listed)


def test_each_of_two_encoders_begins_in_the_first_layer(checkpoint: Checkpoints) -> None:
    network = open_start_model(str(checkpoint("depth_pro")), KINDS["depth_pro"]).network
    config: Any = copy.deepcopy(network.body.config)
    for encoder in (config.patch_model_config, config.image_model_config):
        encoder.num_hidden_layers = 6  # the longest rows, as those of the published network
    network.body = transformers.DepthProForDepthEstimation(config)
    names = {id(each): name for name, each in network.body.depth_pro.named_parameters()}
    layers = network_layers(network)
    assert len(layers.backbone) == 6
    others = [
        {names[id(each)] for each in layer if ".layer." not in names[id(each)]}
        for layer in layers.all[:6]
    ]
    assert others[1:-1] == [set()] * 4
    assert {name.split(".model.")[0] for name in others[0]} == {
        "encoder.patch_encoder",
        "encoder.image_encoder",
    }
    assert all(".embeddings." in name for name in others[0])
    assert not [name for name in others[-1] if ".embeddings." in name]


@pytest.mark.parametrize("family", ["depth_anything", "dpt", "depth_pro"])
def test_activations_that_are_computed_anew_give_the_same_gradients(
    family: str, checkpoint: Checkpoints
) -> None:
    network = open_start_model(str(checkpoint(family)), KINDS[family]).network
    network.train().requires_grad_(True)
    height, width = network.preparation.size((HEIGHT, WIDTH))
    image = torch.randint(0, 256, (1, height, width, 3), dtype=torch.uint8)
    found = []
    for anew in (False, True):
        if anew:
            checkpoint_activations(network)
        network.zero_grad()
        sizes: list[int] = []
        pack = lambda saved: sizes.append(saved.numel()) or saved  # noqa: B023, E731
        with torch.autograd.graph.saved_tensors_hooks(pack, lambda saved: saved):
            loss = network(image)[0].sum()
        loss.backward()
        gradients = [each.grad.clone() for each in network.parameters() if each.grad is not None]
        found.append((gradients, sum(sizes)))
    (plain, most), (again, fewest) = found
    assert len(plain) == len(again) > 10
    assert all(torch.equal(*pair) for pair in zip(plain, again, strict=True))
    assert fewest < 0.98 * most, "half of these small networks is a head"


@pytest.mark.slow
def test_adapters_learn_in_place_of_the_backbone_and_are_merged_at_the_end(
    checkpoint: Checkpoints, root: Path, tmp_path: Path
) -> None:
    pytest.importorskip("peft")
    config = config_of(root, "depth_anything", checkpoint("depth_anything"))
    config = replace(config, tuning=replace(config.tuning, lora=2))
    whole, cut = tmp_path / "whole", tmp_path / "cut"
    record = fine_tune(config, whole, CPU)
    assert record is not None
    assert record.kept_out.after < record.kept_out.before
    assert fine_tune(config, cut, replace(CPU, stop_at=5)) is None
    fine_tune(config, cut, replace(CPU, resume=True))
    first, second = (load_file(each / "weights.safetensors") for each in (whole, cut))
    assert all(torch.equal(first[name], second[name]) for name in first)
    # The folder is that of a plain network, and answers as the run was judged.
    theirs = transformers.AutoModelForDepthEstimation.from_pretrained(whole / "transformers")
    trained = open_start_model(str(whole)).network.state_dict()
    assert {f"body.{name}" for name in theirs.state_dict()} == set(trained)
    further = replace(config_of(root, "depth_anything", whole), epochs=1)
    again = fine_tune(further, tmp_path / "again", CPU)
    assert again is not None
    assert again.kept_out.before == pytest.approx(record.kept_out.after, rel=1e-4)
    # What an adapter adds to a layer has its rank; other weights of the backbone stay.
    before = open_start_model(str(checkpoint("depth_anything")), config.tuning.kind).network
    change = {name: trained[name] - weights for name, weights in before.state_dict().items()}
    moved = {name for name, each in change.items() if each.any()}
    assert [name for name in moved if name.startswith("body.head.")]
    inner = {name: change[name] for name in moved if name.startswith("body.backbone.")}
    assert inner
    for name, each in inner.items():
        assert name.endswith(".weight"), name
        assert torch.linalg.matrix_rank(each, rtol=1e-3) <= 2, name


def test_adapters_in_a_frozen_backbone_are_refused(
    checkpoint: Checkpoints, root: Path, tmp_path: Path
) -> None:
    pytest.importorskip("peft")
    config = config_of(root, "depth_anything", checkpoint("depth_anything"))
    config = replace(config, tuning=replace(config.tuning, lora=2, freeze="backbone"))
    with pytest.raises(OptionError, match="no effect"):
        fine_tune(config, tmp_path / "run", CPU)
    assert not (tmp_path / "run").exists()


def test_a_frozen_backbone_stays_as_it_was(
    checkpoint: Checkpoints, root: Path, tmp_path: Path
) -> None:
    config = config_of(root, "dpt", checkpoint("dpt"))
    frozen = replace(config, tuning=replace(config.tuning, freeze="backbone"), epochs=2)
    fine_tune(frozen, tmp_path, CPU)
    before = load_file(checkpoint("dpt") / "model.safetensors")
    after = load_file(tmp_path / "transformers" / "model.safetensors")
    moved = {name for name in before if not torch.equal(before[name], after[name])}
    assert moved
    assert not [name for name in moved if name.startswith("dpt.")]
    learning = json.loads((tmp_path / "record.json").read_text())["learning"]
    assert learning < sum(each.numel() for each in before.values())
