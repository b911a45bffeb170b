"""The layout network."""

from pathlib import Path

import pytest
import torch
from torch import nn

from lab.making.distil.small_export import export_small
from lab.making.layout_network import LayoutNet
from lab.making.provenances import provenance_of
from lab.making.run_export import export_layout
from rilievo.training.networks.small import SmallNet
from rilievo.training.networks.widths import BASE


def settled(network: nn.Module) -> nn.Module:
    """Give norms other statistics than those of their start, as training does."""
    for layer in network.modules():
        if isinstance(layer, nn.BatchNorm2d):
            nn.init.normal_(layer.running_mean, 0, 0.1)
            nn.init.uniform_(layer.running_var, 0.5, 2.0)
            nn.init.normal_(layer.bias, 0, 0.1)
            nn.init.uniform_(layer.weight, 0.5, 1.5)
    return network.eval()


def test_the_trunk_is_that_of_base(tmp_path: Path) -> None:
    torch.manual_seed(1)
    base = settled(SmallNet(BASE))
    export_small(base, tmp_path / "base.onnx", provenance_of("base", photographs=True))
    network = LayoutNet(tmp_path / "base.onnx").eval()
    normalised = torch.rand(1, 3, 64, 96)
    with torch.no_grad():
        *_, eighth, coarsest = base.encoder(normalised)
        expected = base.merges[0](base.context(coarsest), eighth)
        found = network.encoder(normalised)
    torch.testing.assert_close(found, expected, rtol=1e-3, atol=1e-4)


def test_a_run_starts_from_the_file_of_another(tmp_path: Path) -> None:
    torch.manual_seed(5)
    network = settled(LayoutNet())
    export_layout(network, tmp_path / "layout.onnx")
    image = torch.randint(0, 255, (1, 64, 96, 3), dtype=torch.uint8)
    with torch.no_grad():
        found, expected = LayoutNet(tmp_path / "layout.onnx").eval()(image), network(image)
    for one, other in zip(found, expected, strict=True):
        torch.testing.assert_close(one, other, rtol=1e-3, atol=1e-3)


def test_every_cell_of_eight_pixels_has_an_answer() -> None:
    network = LayoutNet().eval()
    images = torch.randint(0, 255, (2, 64, 96, 3), dtype=torch.uint8)
    with torch.no_grad():
        layout = network(images)
    assert layout.log_depth.shape == layout.sky.shape == layout.log_spread.shape == (2, 8, 12)
    assert layout.normals.shape == (2, 3, 8, 12)


@pytest.mark.parametrize("share", [0.0, 0.25])
def test_guests_pass_on_a_share_of_their_gradient(share: float) -> None:
    torch.manual_seed(4)
    network = settled(LayoutNet())
    images = torch.randint(0, 255, (1, 64, 64, 3), dtype=torch.uint8)
    shared = network.encoder.context.narrow[0].weight
    gradients = []
    for each in (share, 1.0):
        network.guests_gradient = each
        network.zero_grad()
        network(images).normals.square().sum().backward()
        gradients.append(torch.zeros_like(shared) if shared.grad is None else shared.grad.clone())
    torch.testing.assert_close(gradients[0], share * gradients[1], rtol=1e-3, atol=1e-6)


def test_only_the_last_stage_of_the_encoder_learns() -> None:
    network = settled(LayoutNet())
    network(torch.zeros(2, 64, 64, 3, dtype=torch.uint8)).log_depth.sum().backward()
    learning = {name.split(".")[1] for name, each in network.encoder.encoder.named_parameters()
                if each.grad is not None}  # fmt: skip
    assert learning == {"2"}
    assert network.encoder.merge.reduce.weight.grad is not None


def test_a_trunk_that_does_not_learn_gets_no_gradient() -> None:
    network = LayoutNet()
    network.learns_encoder = False
    network(torch.zeros(2, 64, 64, 3, dtype=torch.uint8)).log_depth.sum().backward()
    assert all(each.grad is None for each in network.encoder.parameters())
    assert network.head.weight.grad is not None
