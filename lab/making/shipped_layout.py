"""Both layout networks of a file such as ``rilievo/base``, as networks that train further.

The file holds convolutions with their norms multiplied in, in 8 bits a weight. Here every norm
becomes the identity and a term a channel, so that the networks answer as the file does and can be
trained with frozen norms.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import onnx
import torch
from jaxtyping import Float32
from onnx import numpy_helper
from torch import Tensor, nn

from lab.making.gating import ungate
from lab.making.layout_network import LayoutNet
from rilievo.errors import ModelError
from rilievo.io.files.atomic import replacing
from rilievo.io.files.names import printable
from rilievo.models.onnx_files.file_writing import replace_dequantize_nodes

_SMALLEST = (64, 96)

Weights = Mapping[str, Tensor]
"""State of a ``LayoutNet`` by the names of its tensors."""


def shipped_layout(path: Path, member: int) -> LayoutNet:
    """Read one network of the pair: 0 sees the photograph, 1 its mirror image.

    Raises:
        ModelError: If the file holds no such network.
    """
    model = ungate(onnx.load(path))
    replace_dequantize_nodes(model)
    values, prefix = _values(model), f"layout./networks.{member}/"
    nodes = [node for node in model.graph.node if node.name.startswith(prefix)]
    convolutions = [node for node in nodes if node.op_type == "Conv"]
    network = LayoutNet()
    layers = _layers(network)
    if len(layers) != len(convolutions):
        raise ModelError(
            f"{printable(path)}: {len(convolutions)} convolutions in {prefix}, expected "
            f"{len(layers)}: it holds another layout network"
        )
    with torch.no_grad():
        for (conv, norm), node in zip(layers, convolutions, strict=True):
            weight, bias = (torch.from_numpy(values[name].copy()) for name in node.input[1:3])
            conv.weight.copy_(weight)
            if norm is None:
                assert conv.bias is not None, "a layer without a norm has a bias"
                conv.bias.copy_(bias)
            else:
                _make_identity(norm, bias)
        for number, level in enumerate(network.levels):
            for name, kind in (("mean", "Sub"), ("scale", "Mul")):
                node = next(
                    node
                    for node in nodes
                    if node.op_type == kind and f"levels.{number}/" in node.name
                )
                constant = torch.from_numpy(values[node.input[1]].reshape(-1).copy())
                level.get_buffer(name).copy_(constant)
    return network.eval()


def write_weights(path: Path, weights: Weights) -> None:
    """Write a network's state as npz."""
    arrays = {name: value.detach().cpu().numpy() for name, value in weights.items()}
    with replacing(path) as part, part.open("wb") as file:
        np.savez(file, **arrays)  # pyright: ignore[reportArgumentType]


def read_weights(path: Path) -> dict[str, Tensor]:
    """Read what ``write_weights`` wrote."""
    with np.load(path) as arrays:
        return {name: torch.from_numpy(array) for name, array in arrays.items()}


def mixture(parts: Sequence[tuple[float, Weights]]) -> dict[str, Tensor]:
    """Weighted mean of networks that started from the same weights.

    M. Wortsman et al., "Model soups", ICML 2022.
    """
    first = parts[0][1]
    mean = {name: torch.zeros_like(value, dtype=torch.float64) for name, value in first.items()}
    for share, weights in parts:
        for name in mean:
            mean[name] += share * weights[name].double()
    return {name: mean[name].to(value.dtype) for name, value in first.items()}


def _values(model: onnx.ModelProto) -> dict[str, Float32[np.ndarray, "..."]]:
    """Constants by the names that nodes use, those in 8 bits multiplied out."""
    stored = {each.name: numpy_helper.to_array(each) for each in model.graph.initializer}
    values = dict(stored)
    for name, array in stored.items():
        if name.endswith("/int8"):
            plain = name.removesuffix("/int8")
            values[plain] = array.astype(np.float32) * stored[f"{plain}/step"]
    return values


def _layers(network: LayoutNet) -> list[tuple[nn.Conv2d, nn.BatchNorm2d | None]]:
    """Convolutions in the order of the forward pass, with the norms after them."""
    order: list[nn.Module] = []
    handles = [
        module.register_forward_hook(lambda module, _, __: order.append(module))
        for module in network.modules()
        if isinstance(module, nn.Conv2d | nn.BatchNorm2d)
    ]
    network.eval()
    with torch.no_grad():
        network(torch.zeros(1, *_SMALLEST, 3, dtype=torch.uint8))
    for handle in handles:
        handle.remove()
    layers: list[tuple[nn.Conv2d, nn.BatchNorm2d | None]] = []
    for module in order:
        if isinstance(module, nn.Conv2d):
            layers.append((module, None))
        elif isinstance(module, nn.BatchNorm2d):
            layers[-1] = (layers[-1][0], module)
    return layers


def _make_identity(norm: nn.BatchNorm2d, bias: Tensor) -> None:
    assert norm.running_mean is not None, "its statistics are kept"
    assert norm.running_var is not None, "its statistics are kept"
    norm.weight.fill_(1.0)
    norm.bias.copy_(bias)
    norm.running_mean.zero_()
    norm.running_var.fill_(1.0 - norm.eps)
