"""Configurations that lie: refused in one line, before memory is taken or anything is fetched."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

from rilievo.errors import ModelError
from rilievo.models import load_model
from rilievo.training.adapters.checkpoint_config import check_network_size
from support.tiny_checkpoints import Checkpoints, checkpoint

__all__ = ["checkpoint"]


@pytest.fixture
def altered(checkpoint: Checkpoints, tmp_path: Path) -> Callable[[dict[str, Any]], Path]:
    """A checkpoint of DPT whose configuration says something else."""

    def alter(entries: dict[str, Any]) -> Path:
        folder = tmp_path / "model"
        shutil.copytree(checkpoint("dpt"), folder)
        path = folder / "config.json"
        path.write_text(json.dumps({**json.loads(path.read_text()), **entries}))
        return folder

    return alter


@pytest.mark.parametrize(
    ("entries", "words"),
    [
        (
            {"hidden_size": 2_000_000, "num_attention_heads": 1},
            "the configuration describes a network",
        ),
        ({"image_size": 10**6}, "the configuration describes a network of 250"),
        ({"num_hidden_layers": 10**9}, "num_hidden_layers is 1000000000; expected at most"),
        ({"backbone_config": {"depths": [1, 10**9]}}, "depths is 1000000000"),
        ({"hidden_size": "many"}, "'hidden_size' expected int, got str"),
        ({"model_type": ["dpt"]}, "states no architecture"),
        ({"architectures": 3}, "states no architecture"),
    ],
)
def test_a_network_out_of_proportion_is_refused_before_it_is_made(
    altered: Callable[[dict[str, Any]], Path], entries: dict[str, Any], words: str
) -> None:
    with pytest.raises(ModelError, match=words) as caught:
        load_model(altered(entries), kind="affine_inverse", engine="torch")
    assert "\n" not in str(caught.value)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("entries", "words"),
    [
        ({"use_pretrained_backbone": True}, "downloaded separately"),
        ({"backbone_config": {"use_pretrained_backbone": True}}, "downloaded separately"),
        (
            {"backbone": "resnet50", "backbone_config": None},
            "names the backbone 'resnet50' without describing it",
        ),
        ({"_attn_implementation": "org/kernel"}, "never runs such code"),
        ({"text_config": {"attn_implementation": "org/kernel"}}, "never runs such code"),
    ],
)
def test_a_configuration_that_would_fetch_something_is_refused(
    altered: Callable[[dict[str, Any]], Path], entries: dict[str, Any], words: str
) -> None:
    with pytest.raises(ModelError, match=words):
        load_model(altered(entries), kind="affine_inverse", engine="torch")


def test_code_beside_a_checkpoint_is_not_run(
    altered: Callable[[dict[str, Any]], Path], tmp_path: Path
) -> None:
    folder = altered({"auto_map": {"AutoModelForDepthEstimation": "evil.Evil"}})
    (folder / "evil.py").write_text(f"open({str(tmp_path / 'ran')!r}, 'w')\nclass Evil: pass\n")
    load_model(folder, kind="affine_inverse", engine="torch")
    assert not (tmp_path / "ran").exists()


def test_a_network_may_be_eight_times_its_file_and_two_gigabytes_more() -> None:
    made = []

    def network(numbers: int) -> nn.Module:
        made.append(nn.Linear(numbers, 1, bias=False))
        return made[-1]

    # 2 GiB are 2^29 numbers of four bytes; 100 more bytes in the file allow 200 more of them.
    check_network_size(lambda: network(2**29 + 200), 100, Path("x"))
    with pytest.raises(ModelError, match=r"a network of 2\.1 GB, but the weights take 0\.000 GB"):
        check_network_size(lambda: network(2**29 + 201), 100, Path("x"))
    assert all(each.weight.device == torch.device("meta") for each in made)
