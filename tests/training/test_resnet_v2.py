"""The teacher's encoder, and its published weights."""

from pathlib import Path

import numpy as np
import pytest
import torch

from rilievo.errors import ModelError
from rilievo.training.networks.resnet50v2 import PreActivation, ResNet50V2, load_gluon_resnet


def test_the_features_halve_from_one_half_to_a_sixteenth() -> None:
    encoder = ResNet50V2().eval()
    with torch.no_grad():
        levels = encoder(torch.randn(1, 3, 64, 96))
    assert [tuple(level.shape[1:]) for level in levels] == [
        (64, 32, 48), (64, 32, 48), (256, 16, 24), (512, 8, 12), (1024, 4, 6)
    ]  # fmt: skip
    assert encoder.channels == (64, 64, 256, 512, 1024)


def test_the_shortcut_is_the_input_or_a_convolution_of_the_activated_one() -> None:
    for block in (PreActivation(8, 8, stride=1), PreActivation(8, 16, stride=2)):
        torch.nn.init.zeros_(block.convs[2].weight)
        x = torch.randn(1, 8, 6, 6)
        first = torch.relu(block.eval().norms[0](x))
        expected = block.convs[3](first) if block.has_projection else x
        torch.testing.assert_close(block(x), expected)


def test_weights_in_parts_are_found_by_their_published_names(tmp_path: Path) -> None:
    encoder = ResNet50V2()
    small = {"batchnorm0_gamma": np.full(3, 2.0, np.float16)}
    np.savez(tmp_path / "resnet50v2_a.part0.npz", **small)
    with pytest.raises(ModelError, match="no array 'batchnorm0_beta'"):
        load_gluon_resnet(encoder, tmp_path)


def test_the_published_weights_fill_every_array(data_folder: Path) -> None:
    folder = data_folder.parent / "weights"
    if not any(folder.glob("resnet50v2_*.npz")):
        pytest.skip("no weights of ResNet50 v2 beside the data")
    encoder = ResNet50V2()
    load_gluon_resnet(encoder, folder)
    with np.load(sorted(folder.glob("resnet50v2_*.part6.npz"))[0]) as part:
        name = "stage3_conv18_weight"
        if name in part:
            np.testing.assert_allclose(
                encoder.stages[2][5].convs[2].weight.detach().numpy(), part[name]
            )
