"""Files of a layout and a detail network from their runs."""

from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest
import torch
from torch import nn

from lab.making.fused_graph import main
from lab.making.lasting_task import AVERAGE
from lab.making.layout_network import LayoutNet
from lab.making.run_export import OUTPUTS, DeployedLayout, export_layout
from rilievo.training.networks.small import SMALL, SmallNet
from support.network_numbers import assert_networks_agree


def settled(network: nn.Module) -> nn.Module:
    """Give norms other statistics than those of their start, as training does."""
    for layer in network.modules():
        if isinstance(layer, nn.BatchNorm2d):
            nn.init.normal_(layer.running_mean, 0, 0.1)
            nn.init.uniform_(layer.running_var, 0.5, 2.0)
            nn.init.normal_(layer.bias, 0, 0.1)
    return network.eval()


@pytest.fixture
def layout() -> LayoutNet:
    torch.manual_seed(1)
    network = LayoutNet()
    nn.init.normal_(network.head.weight, std=0.1)
    settled(network)
    return network


def image_of(height: int, width: int) -> torch.Tensor:
    return torch.randint(0, 255, (1, height, width, 3), dtype=torch.uint8)


@pytest.mark.slow
def test_the_file_computes_what_the_layout_network_does_at_any_size(
    layout: LayoutNet, tmp_path: Path
) -> None:
    path = tmp_path / "layout.onnx"
    export_layout(path, layout)
    kinds = {node.op_type for node in onnx.load(str(path)).graph.node}
    assert "Pad" not in kinds, "convolutions pad for themselves"
    session = onnxruntime.InferenceSession(str(path))
    for count, height, width in ((1, 64, 96), (2, 96, 64)):
        image = torch.cat([image_of(height, width) for _ in range(count)])
        with torch.no_grad():
            expected = DeployedLayout(layout)(image)
        found = session.run(None, {"image": image.numpy()})
        assert found[0].shape == (count, height // 8, width // 8)
        for one, other in zip(expected, found, strict=True):
            assert_networks_agree(other, one, median=1e-6, tolerance=1e-5, limit=1e-3)


def test_the_answer_for_a_mirror_image_is_the_mirror_image_of_the_answer(layout: LayoutNet) -> None:
    image, deployed = image_of(64, 96), DeployedLayout(layout)
    with torch.no_grad():
        answers, mirrored = deployed(image), deployed(image.flip(2))
        alone, other = layout(image), layout(image.flip(2))
    answers[1][:, 0] *= -1
    for name, one, two in zip(OUTPUTS, mirrored, answers, strict=True):
        torch.testing.assert_close(one, two.flip(-1), rtol=1e-4, atol=1e-5, msg=name)
    depth, other_depth = (
        torch.exp(each - each.mean()) for each in (alone.log_depth, other.log_depth.flip(-1))
    )
    torch.testing.assert_close(mirrored[0].flip(-1), (depth * other_depth).sqrt())


def test_a_second_network_sees_the_mirror_image(layout: LayoutNet) -> None:
    torch.manual_seed(5)
    other, image = settled(LayoutNet()), image_of(64, 96)
    nn.init.normal_(other.head.weight, std=0.1)
    with torch.no_grad():
        depth, _, confidence, sky = DeployedLayout(layout, other)(image)
        one, two = layout(image), other(image.flip(2))
    logs = [each - each.mean() for each in (one.log_depth, two.log_depth.flip(-1))]
    torch.testing.assert_close(depth.log(), sum(logs) / 2, rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(sky, (one.sky.sigmoid() + two.sky.flip(-1).sigmoid()) / 2)
    own = (one.log_spread.exp() + two.log_spread.flip(-1).exp()) / 2
    expected = own + (logs[0] - logs[1]).abs() / 2
    torch.testing.assert_close(confidence, 1 - torch.exp(-np.log(1.25) / expected))


@pytest.mark.slow
def test_runs_are_fused_from_their_averaged_weights(layout: LayoutNet, tmp_path: Path) -> None:
    torch.manual_seed(2)
    networks = {"layout": layout, "detail": settled(SmallNet(SMALL))}
    for name, network in networks.items():
        (tmp_path / name).mkdir()
        stored = {"step": 3, "network": network.state_dict()}
        torch.save(stored, tmp_path / name / AVERAGE)
    out = tmp_path / "both.onnx"
    assert main([str(tmp_path / "layout"), str(tmp_path / "detail"), str(out)]) == 0
    session = onnxruntime.InferenceSession(str(out))
    depth, normals, *chances = session.run(None, {"image": image_of(128, 192).numpy()})
    assert depth.shape == (1, 128, 192)
    np.testing.assert_allclose(np.linalg.norm(normals, axis=1), 1, atol=1e-5)
    assert all(0 <= each.min() <= each.max() <= 1 for each in chances)
