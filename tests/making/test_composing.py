"""One network of a layout and a detail network."""

from pathlib import Path

import numpy as np
import onnxruntime
import pytest
import torch
from torch import nn

from making.composing import Composed, write_composed
from rilievo.training.distil.small_export import OUTPUTS
from rilievo.training.networks.layout import LayoutNet
from rilievo.training.networks.small import SmallNet
from rilievo.training.networks.widths import TINY


def settled(network: nn.Module) -> nn.Module:
    """Give norms other statistics than those of their start, as training does."""
    for layer in network.modules():
        if isinstance(layer, nn.BatchNorm2d):
            nn.init.normal_(layer.running_mean, 0, 0.1)
            nn.init.uniform_(layer.running_var, 0.5, 2.0)
            nn.init.normal_(layer.bias, 0, 0.1)
    return network.eval()


@pytest.fixture
def network() -> Composed:
    torch.manual_seed(1)
    composed = Composed(LayoutNet(), SmallNet(TINY))
    nn.init.normal_(composed.layout.head.weight, std=0.1)
    settled(composed)
    return composed


def image_of(height: int, width: int) -> torch.Tensor:
    return torch.randint(0, 255, (1, height, width, 3), dtype=torch.uint8)


def test_layout_decides_what_is_coarse_and_detail_nothing_of_it(network: Composed) -> None:
    image = image_of(128, 192)
    with torch.no_grad():
        before = network(image)[0].log()
        network.detail.head.bias[0] += 3
        torch.testing.assert_close(network(image)[0].log(), before, atol=1e-4, rtol=0)
        network.layout.head.weight *= 2
        assert (network(image)[0].log() - before).abs().max() > 0.01
    cells = torch.nn.functional.avg_pool2d(before[None], 32)
    assert cells.shape[-2:] == (4, 6)


def test_the_file_computes_what_the_network_does_at_any_size(
    network: Composed, tmp_path: Path
) -> None:
    import onnx

    path = tmp_path / "both.onnx"
    write_composed(network, path, factor=2, name="both", origin="nothing")
    strided = [node.name for node in onnx.load(str(path)).graph.node if node.op_type == "Pad"]
    assert all("upsample" in name for name in strided), "convolutions pad for themselves"
    session = onnxruntime.InferenceSession(str(path))
    for size in ((128, 192), (192, 128)):
        image = image_of(*size)
        with torch.no_grad():
            expected = network(image)
        found = session.run(None, {"image": image.numpy()})
        for name, one, other in zip(OUTPUTS, expected, found, strict=True):
            np.testing.assert_allclose(other, one.numpy(), rtol=2e-3, atol=2e-4, err_msg=name)
