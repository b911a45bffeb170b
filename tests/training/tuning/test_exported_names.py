"""What a run writes for transformers has the names that other versions of transformers read."""

from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

from rilievo.errors import ModelError
from rilievo.records.depth_map import DepthKind
from rilievo.training.adapters.run_models import PIPELINE_FOLDER, WEIGHTS
from rilievo.training.adapters.trained import fill_from_file, make_tuned_network
from rilievo.training.engine.checkpoint import save_weights
from rilievo.training.networks.blueprint import TunedBlueprint
from rilievo.training.tuning.library_folders import write_library_config, write_run_weights
from rilievo.training.tuning.low_rank import add_adapters, merge_adapters
from rilievo.training.tuning.network_layers import TunedNetwork, network_layers
from rilievo.training.tuning.start_models import open_start_model
from support.tiny_checkpoints import METRIC, Checkpoints, checkpoint
from support.tiny_pipelines import as_released, save_pipeline

__all__ = ["checkpoint"]

# Those that can be trained further. ZoeDepth is refused, because it sees a reflected border.
TRAINED = (
    "depth_anything",
    "depth_anything_metric",
    "depth_pro",
    "dpt",
    "dpt_dinov2",
    "dpt_hybrid",
    "glpn",
    "tipsv2_dpt",
)


def kind_of(family: str) -> DepthKind:
    return DepthKind.METRIC if family in METRIC else DepthKind.AFFINE_INVERSE


def open_tiny(start: Path, family: str) -> tuple[TunedNetwork, TunedBlueprint]:
    opened = open_start_model(str(start), kind_of(family))
    return opened.network, opened.blueprint


def write(network: TunedNetwork, run: Path) -> None:
    run.mkdir(exist_ok=True)
    write_library_config(network, run)
    write_run_weights(network, run)


@pytest.mark.parametrize("family", TRAINED)
def test_exported_tensors_have_the_names_and_values_of_the_file_they_came_from(
    family: str, checkpoint: Checkpoints, tmp_path: Path
) -> None:
    start = checkpoint(family)
    network, _ = open_tiny(start, family)
    write(network, tmp_path / "run")
    expected = load_file(start / "model.safetensors")
    exported = load_file(tmp_path / "run" / "transformers" / "model.safetensors")
    own = load_file(tmp_path / "run" / WEIGHTS)
    assert exported.keys() == expected.keys()
    assert own.keys() == {f"body.{name}" for name in expected}
    for name, tensor in expected.items():
        assert torch.equal(exported[name], tensor), name
        assert torch.equal(own[f"body.{name}"], tensor), name


@pytest.mark.parametrize("family", TRAINED)
def test_a_run_is_read_from_its_own_file_to_the_bit(
    family: str, checkpoint: Checkpoints, tmp_path: Path
) -> None:
    network, blueprint = open_tiny(checkpoint(family), family)
    write(network, tmp_path)
    read = fill_from_file(make_tuned_network(blueprint, tmp_path), tmp_path / WEIGHTS)
    expected = network.state_dict()
    assert read.state_dict().keys() == expected.keys()
    for name, tensor in read.state_dict().items():
        assert torch.equal(tensor, expected[name]), name
    # What was read can be written again, with the processor of the start beside it.
    write(read, tmp_path / "again")
    first, second = (
        {path.name: path.read_bytes() for path in (run / "transformers").iterdir()}
        for run in (tmp_path, tmp_path / "again")
    )
    assert first == second


# As they stand in the authors' files on the hub, which every release of transformers reads.
RELEASED = {
    "depth_anything": "backbone.encoder.layer.0.attention.attention.query.weight",
    "dpt": "dpt.encoder.layer.0.attention.attention.query.weight",
    "depth_pro": (
        "depth_pro.encoder.image_encoder.model.encoder.layer.0.attention.attention.query.bias"
    ),
    "glpn": "glpn.encoder.block.0.0.attention.self.query.weight",
}


@pytest.mark.parametrize(("family", "name"), RELEASED.items())
def test_exported_names_are_those_of_the_authors_files(
    family: str, name: str, checkpoint: Checkpoints, tmp_path: Path
) -> None:
    network, _ = open_tiny(checkpoint(family), family)
    write(network, tmp_path)
    assert name in load_file(tmp_path / "transformers" / "model.safetensors")


def test_merged_adapters_are_exported_under_the_names_of_the_start(
    checkpoint: Checkpoints, tmp_path: Path
) -> None:
    pytest.importorskip("peft")
    start = checkpoint("depth_anything")
    network, _ = open_tiny(start, "depth_anything")
    add_adapters(network, network_layers(network), rank=2, seed=0)
    write(merge_adapters(network), tmp_path)
    exported = load_file(tmp_path / "transformers" / "model.safetensors")
    assert exported.keys() == load_file(start / "model.safetensors").keys()


@pytest.mark.parametrize("family", ["depth_anything", "depth_pro", "dpt_dinov2", "tipsv2_dpt"])
def test_a_run_under_module_names_is_read_and_goes_on_under_released_names(
    family: str, checkpoint: Checkpoints, tmp_path: Path
) -> None:
    """Runs of rilievo before 0.3 have the names that the modules had in their transformers."""
    network, blueprint = open_tiny(checkpoint(family), family)
    write(network, tmp_path)
    save_weights(network, tmp_path / WEIGHTS)
    save_weights(network.body, tmp_path / "transformers" / "model.safetensors", {"format": "pt"})
    read = fill_from_file(make_tuned_network(blueprint, tmp_path), tmp_path / WEIGHTS)
    expected = load_file(checkpoint(family) / "model.safetensors").keys()
    for number, restored in enumerate((read, open_tiny(tmp_path / "transformers", family)[0])):
        write(restored, tmp_path / f"again{number}")
        exported = load_file(tmp_path / f"again{number}" / "transformers" / "model.safetensors")
        assert exported.keys() == expected


def test_weights_that_do_not_fill_the_network_are_refused_by_the_names_of_the_file(
    checkpoint: Checkpoints, tmp_path: Path
) -> None:
    network, blueprint = open_tiny(checkpoint("depth_anything"), "depth_anything")
    write(network, tmp_path)
    tensors = load_file(tmp_path / WEIGHTS)
    name = "body.backbone.encoder.layer.0.attention.attention.query.weight"
    save_file({key: each for key, each in tensors.items() if key != name}, tmp_path / WEIGHTS)
    with pytest.raises(ModelError, match="missing"):
        fill_from_file(make_tuned_network(blueprint, tmp_path), tmp_path / WEIGHTS)


def test_a_pipeline_keeps_the_files_of_its_tokenizer_and_the_names_of_its_tensors(
    tmp_path: Path,
) -> None:
    """transformers 5 saves no vocab.json and merges.txt, which released pipelines have."""
    start = as_released(save_pipeline(tmp_path / "start"))
    network = open_start_model(str(start)).network
    write(network, tmp_path / "run")
    pipeline = tmp_path / "run" / PIPELINE_FOLDER
    for path in (start / "tokenizer").iterdir():
        assert (pipeline / "tokenizer" / path.name).read_bytes() == path.read_bytes(), path.name
    for path in start.glob("*/*.safetensors"):
        exported = load_file(pipeline / path.relative_to(start))
        expected = load_file(path)
        assert exported.keys() == expected.keys()
        assert all(torch.equal(exported[name], expected[name]) for name in expected)
