"""Layout networks and decoder of normals of a file such as ``rilievo/base``, to train further.

The file holds convolutions with their norms multiplied in, in 8 bits a weight. Here every norm
becomes the identity and a term a channel, so that the networks answer as the file does and can be
trained with frozen norms.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import onnx
import torch
from jaxtyping import Float32
from onnx import numpy_helper
from torch import Tensor, nn

from lab.making.gating import ungate
from lab.making.layout_network import CELL, LayoutNet, NormalsDecoder
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
    part = _Part.read(path, f"layout./networks.{member}/")
    network = LayoutNet()
    part.copy_convolutions(_layers(network, torch.zeros(1, *_SMALLEST, 3, dtype=torch.uint8)))
    for number, level in enumerate(network.levels):
        for name, kind in (("mean", "Sub"), ("scale", "Mul")):
            node = next(
                node
                for node in part.nodes
                if node.op_type == kind and f"levels.{number}/" in node.name
            )
            level.get_buffer(name).copy_(part.value(node.input[1]).reshape(-1))
    return network.eval()


def shipped_normals(path: Path) -> NormalsDecoder | None:
    """Read the decoder of normals; None of a file whose layout networks predict the normals.

    Raises:
        ModelError: If the file holds another decoder.
    """
    part = _Part.read(path, "layout./normals/")
    if not part.nodes:
        return None
    decoder = NormalsDecoder()
    height, width = (side // CELL for side in _SMALLEST)
    levels = tuple(
        torch.zeros(1, channels, height >> halvings, width >> halvings)
        for halvings, channels in enumerate(LayoutNet().encoder.channels[-3:])
    )
    part.copy_convolutions(_layers(decoder, levels))
    return decoder.eval()


@dataclass(frozen=True, slots=True, kw_only=True)
class _Part:
    """Nodes of a file whose names have a prefix."""

    path: Path
    prefix: str
    model: onnx.ModelProto
    nodes: list[onnx.NodeProto]

    @classmethod
    def read(cls, path: Path, prefix: str) -> "_Part":
        model = ungate(onnx.load(path))
        replace_dequantize_nodes(model)
        nodes = [node for node in model.graph.node if node.name.startswith(prefix)]
        return cls(path=path, prefix=prefix, model=model, nodes=nodes)

    def value(self, name: str) -> Tensor:
        return torch.from_numpy(_constant(self.model, name).copy())

    @torch.no_grad()
    def copy_convolutions(self, layers: Sequence[tuple[nn.Conv2d, nn.BatchNorm2d | None]]) -> None:
        """Copy the weights of the part's convolutions into layers in the same order."""
        convolutions = [node for node in self.nodes if node.op_type == "Conv"]
        if len(layers) != len(convolutions):
            raise ModelError(
                f"{printable(self.path)}: {len(convolutions)} convolutions in {self.prefix}, "
                f"expected {len(layers)}: it holds another layout network"
            )
        for (conv, norm), node in zip(layers, convolutions, strict=True):
            weight, bias = (self.value(name) for name in node.input[1:3])
            conv.weight.copy_(weight)
            if norm is None:
                assert conv.bias is not None, "a layer without a norm has a bias"
                conv.bias.copy_(bias)
            else:
                _make_identity(norm, bias)


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


def _constant(model: onnx.ModelProto, name: str) -> Float32[np.ndarray, "..."]:
    """Value of a weight: stored as it is, or as whole steps that a node multiplies by their size.

    Raises:
        ModelError: If it is made in another way.
    """
    for each in model.graph.initializer:
        if each.name == name:
            return numpy_helper.to_array(each).astype(np.float32)
    maker = next(node for node in model.graph.node if name in node.output)
    parts = [_constant(model, each) for each in maker.input]
    if maker.op_type == "Cast":
        return parts[0]
    if maker.op_type == "Mul":
        return parts[0] * parts[1]
    raise ModelError(f"{printable(name)} is made by {maker.op_type}, which no weight is")


def _layers(
    network: nn.Module, example: Tensor | tuple[Tensor, ...]
) -> list[tuple[nn.Conv2d, nn.BatchNorm2d | None]]:
    """Convolutions in the order of the forward pass of an example, with the norms after them."""
    order: list[nn.Module] = []
    handles = [
        module.register_forward_hook(lambda module, _, __: order.append(module))
        for module in network.modules()
        if isinstance(module, nn.Conv2d | nn.BatchNorm2d)
    ]
    network.eval()
    with torch.no_grad():
        network(example)
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
