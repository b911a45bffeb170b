"""Checkpoints of transformers that are broken, strange or unknown: clear refusals."""

import json
import pickle
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

from rilievo.errors import ModelError, OptionError
from rilievo.models import load_model
from rilievo.training.adapters.checkpoint_config import read_processor
from support.tiny_checkpoints import Checkpoints, checkpoint, copied

__all__ = ["checkpoint"]


def test_missing_extra_and_misshapen_tensors_are_listed(
    checkpoint: Checkpoints, tmp_path: Path
) -> None:
    folder = copied(checkpoint("dpt"), tmp_path / "dpt")
    tensors = load_file(folder / "model.safetensors")
    tensors.pop("head.head.4.weight")
    tensors["head.head.4.bias"] = torch.zeros(7)
    tensors["something.else"] = torch.zeros(2)
    save_file(tensors, folder / "model.safetensors", metadata={"format": "pt"})
    with pytest.raises(ModelError) as caught:
        load_model(folder, kind="affine_inverse")
    message = str(caught.value)
    assert "missing: head.head.4.weight" in message
    assert "wrong shape: head.head.4.bias (7,) instead of (1,)" in message
    assert "extra: something.else" in message


@pytest.mark.slow
def test_extra_tensors_alone_are_told_of(checkpoint: Checkpoints, tmp_path: Path) -> None:
    folder = copied(checkpoint("dpt"), tmp_path / "dpt")
    tensors = load_file(folder / "model.safetensors")
    tensors["something.else"] = torch.zeros(2)
    save_file(tensors, folder / "model.safetensors", metadata={"format": "pt"})
    with pytest.warns(UserWarning, match=r"tensors that the network does not use: something\.else"):
        load_model(folder, kind="affine_inverse")


class Trap:
    """A pickle that would write a file when it is loaded."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[object, tuple[object, ...]]:
        return (Path.write_text, (self.path, "sprung"))


def test_a_pickle_where_weights_are_expected_is_not_run(
    checkpoint: Checkpoints, tmp_path: Path
) -> None:
    folder = copied(checkpoint("glpn"), tmp_path / "glpn")
    (folder / "model.safetensors").unlink()
    (folder / "pytorch_model.bin").write_bytes(pickle.dumps(Trap(tmp_path / "trap")))
    with pytest.raises(ModelError, match="cannot be loaded"):
        load_model(folder, kind="metric")
    assert not (tmp_path / "trap").exists()


@pytest.mark.parametrize("length", [0, 7, 100, 5000])
def test_weights_cut_short_are_one_line(
    checkpoint: Checkpoints, tmp_path: Path, length: int
) -> None:
    folder = copied(checkpoint("glpn"), tmp_path / "glpn")
    weights = folder / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:length])
    with pytest.raises(ModelError, match="cannot be loaded") as caught:
        load_model(folder, kind="metric")
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("entries", "words"),
    [
        ({"model_type": "bert"}, "no depth head: its architecture is 'bert'"),
        ({"architectures": ["DPTForSemanticSegmentation"]}, "no depth head: it is a DPTForSem"),
        ({"model_type": "chmv2"}, "height of trees"),
        ({"model_type": "prompt_depth_anything"}, "needs a measured depth map as its prompt"),
        ({"hidden_size": "wide"}, "cannot be loaded"),
    ],
)
def test_configurations_without_depth_are_refused(
    checkpoint: Checkpoints, tmp_path: Path, entries: dict[str, object], words: str
) -> None:
    folder = copied(checkpoint("dpt"), tmp_path / "dpt")
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps({**config, **entries}))
    with pytest.raises(ModelError, match=words) as caught:
        load_model(folder, kind="affine_inverse")
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("entries", "words"),
    [
        ({"resample": 4}, "resample must be 1"),
        ({"image_std": [0, 1, 1]}, "std must be positive"),
        ({"image_mean": [0.5, 0.5]}, "is not valid"),
        ({"size": {"shortest_edge": 3}}, "the entry 'height' is missing"),
        ({"size": {"height": -5, "width": 5}}, "integers of 1 or more"),
        ({"size": {"height": float("inf"), "width": 5}}, "integers of 1 or more"),
        ({"size": "big"}, "integers of 1 or more, got {'height': 'big'"),
        ({"ensure_multiple_of": 0.3}, "an integer of 1"),
        ({"ensure_multiple_of": 0}, "an integer of 1"),
        ({"rescale_factor": "much"}, "is not valid"),
        ({"image_mean": [10**400, 0, 0]}, "is not valid"),
    ],
)
def test_preparations_that_make_no_sense_are_refused(
    checkpoint: Checkpoints, tmp_path: Path, entries: dict[str, object], words: str
) -> None:
    folder = copied(checkpoint("dpt"), tmp_path / "dpt")
    path = folder / "preprocessor_config.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), **entries}))
    with pytest.raises(ModelError, match=words):
        load_model(folder, kind="affine_inverse")
    path.unlink()
    with pytest.raises(ModelError, match=r"no preprocessor_config\.json"):
        load_model(folder, kind="affine_inverse")


@pytest.mark.parametrize("multiple", [8, 14, 32])
def test_a_multiple_that_transformers_writes_as_its_inverse_is_read(
    checkpoint: Checkpoints, tmp_path: Path, multiple: int
) -> None:
    """``ZoeDepthImageProcessor()`` of transformers 5.24 saves 1/32 where it means 32."""
    folder = copied(checkpoint("zoedepth"), tmp_path / "zoedepth")
    path = folder / "preprocessor_config.json"
    entries = json.loads(path.read_text())
    sizes = []
    for value in (multiple, 1 / multiple, float(multiple)):
        path.write_text(json.dumps({**entries, "ensure_multiple_of": value}))
        sizes.append(read_processor(folder, "zoedepth").sizing)
    assert sizes == [sizes[0]] * 3
    assert sizes[0].multiple == multiple


def test_a_checkpoint_that_nobody_knows_must_be_given_its_kind(checkpoint: Checkpoints) -> None:
    with pytest.raises(
        ModelError, match=r"kind of its depth; give the kind with kind=.*affine_inverse"
    ):
        load_model(checkpoint("dpt"))
    with pytest.raises(ModelError, match=r"no model 'someone/thing'.*kind=KIND"):
        load_model("someone/thing")
    with pytest.raises(OptionError, match="no kind 'inverse'"):
        load_model(checkpoint("dpt"), kind="inverse")
    with pytest.raises(
        OptionError, match="its kind of depth is affine_inverse, but you gave metric"
    ):
        load_model("dpt/large", kind="metric")


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("dpt/larg", "did you mean 'dpt/large'"),
        ("rilievo/small@main", "ships inside the package"),
        ("nonsense", "no model 'nonsense'"),
        ("weights.pth", "a file with weights does not contain"),
        ("model.safetensors", "a file with weights does not contain"),
    ],
)
def test_unknown_names_are_told_the_nearest(name: str, words: str) -> None:
    with pytest.raises(ModelError, match=words):
        load_model(name)


def test_a_folder_that_is_no_checkpoint_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match=r"has no config\.json"):
        load_model(tmp_path, kind="metric")
