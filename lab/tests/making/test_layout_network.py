"""The EfficientNet-Lite2 encoder, and the layout network with it."""

from pathlib import Path

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import nn

from lab.making.efficientnet_lite import EfficientNetLite2, load_published_lite
from lab.making.layout_network import LayoutNet, measure_levels
from rilievo.errors import ModelError


def settled(network: nn.Module) -> nn.Module:
    """Give norms other statistics than those of their start, as training does."""
    for layer in network.modules():
        if isinstance(layer, nn.BatchNorm2d):
            nn.init.normal_(layer.running_mean, 0, 0.1)
            nn.init.uniform_(layer.running_var, 0.5, 2.0)
            nn.init.normal_(layer.bias, 0, 0.1)
    return network.eval()


def test_features_halve_and_have_the_published_widths() -> None:
    features = EfficientNetLite2().eval()(torch.zeros(1, 3, 64, 96))
    assert [each.shape[1] for each in features] == [32, 16, 24, 48, 120, 352]
    assert [64 // each.shape[2] for each in features] == [2, 2, 4, 8, 16, 32]


def test_strided_convolutions_pad_below_and_to_the_right() -> None:
    stem = EfficientNetLite2()._conv_stem
    image = torch.rand(1, 3, 32, 64)
    padded = F.pad(image, (0, 1, 0, 1))
    assert torch.equal(stem(image), F.conv2d(padded, stem.weight, stride=2))


def test_published_weights_load_by_name(tmp_path: Path) -> None:
    torch.manual_seed(1)
    theirs, mine = EfficientNetLite2(), EfficientNetLite2()
    arrays = {k: v.numpy() for k, v in theirs.state_dict().items() if not k.endswith("tracked")}
    names = sorted(arrays)
    np.savez(tmp_path / "efficientnet_lite2_a.npz", **{k: arrays[k] for k in names[:99]})
    with pytest.raises(ModelError, match="no array"):
        load_published_lite(mine, tmp_path)
    np.savez(tmp_path / "efficientnet_lite2_b.npz", **{k: arrays[k] for k in names[99:]})
    load_published_lite(mine, tmp_path)
    assert all(torch.equal(mine.state_dict()[k], theirs.state_dict()[k]) for k in arrays)


def test_frozen_norms_compute_the_same() -> None:
    torch.manual_seed(2)
    encoder = settled(EfficientNetLite2())
    image = torch.rand(1, 3, 64, 64)
    found = encoder(image)
    with torch.no_grad():
        expected = encoder(image)
    for one, other in zip(found, expected, strict=True):
        torch.testing.assert_close(one, other, rtol=1e-4, atol=1e-4)


def test_every_cell_of_eight_pixels_has_an_answer() -> None:
    network = LayoutNet().eval()
    images = torch.randint(0, 255, (2, 64, 96, 3), dtype=torch.uint8)
    measure_levels(network, [images])
    with torch.no_grad():
        layout = network(images)
    assert layout.log_depth.shape == layout.sky.shape == layout.log_spread.shape == (2, 8, 12)
    assert layout.normals.shape == (2, 3, 8, 12)


def test_levels_have_mean_zero_and_deviation_one_after_they_are_measured() -> None:
    torch.manual_seed(3)
    network = settled(LayoutNet())
    images = [torch.randint(0, 255, (1, *size, 3), dtype=torch.uint8)
              for size in ((64, 96), (96, 64))]  # fmt: skip
    measure_levels(network, images)
    with torch.no_grad():
        parts = [network.levels[0](network.features(each)[0]) for each in images]
    rows = torch.cat([each.transpose(0, 1).flatten(1) for each in parts], dim=1)
    torch.testing.assert_close(rows.mean(dim=1), torch.zeros(48), atol=1e-4, rtol=0)
    assert (rows.std(dim=1) < 1.01).all()


@pytest.mark.parametrize("share", [0.0, 0.25])
def test_guests_pass_on_a_share_of_their_gradient(share: float) -> None:
    torch.manual_seed(4)
    network = settled(LayoutNet())
    images = torch.randint(0, 255, (1, 64, 64, 3), dtype=torch.uint8)
    shared = network.context.narrow[0].weight
    gradients = []
    for each in (share, 1.0):
        network.guests_gradient = each
        network.zero_grad()
        network(images).normals.square().sum().backward()
        gradients.append(torch.zeros_like(shared) if shared.grad is None else shared.grad.clone())
    torch.testing.assert_close(gradients[0], share * gradients[1], rtol=1e-3, atol=1e-6)


def test_an_encoder_that_does_not_learn_gets_no_gradient() -> None:
    network = LayoutNet()
    network.learns_encoder = False
    network(torch.zeros(2, 64, 64, 3, dtype=torch.uint8)).log_depth.sum().backward()
    assert all(each.grad is None for each in network.encoder.parameters())
    assert network.head.weight.grad is not None
