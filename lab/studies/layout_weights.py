"""Weights of the layout networks in a fused file, and mixtures of weights.

The file's weights are int8 with a step a channel, and its norms are folded into the convolutions.
Here each norm has weight 1, mean 0, variance ``1 - eps`` and the bias of the file, so it is the
identity plus a bias: the network is that of the file, as long as its norms are frozen.
"""

import glob
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import onnx
import onnx.numpy_helper
import torch
from torch import nn

from lab.making.layout_network import LayoutNet, Level
from rilievo.errors import InputError, OptionError

Weights = Mapping[str, np.ndarray]
"""Arrays of a network by the names of ``state_dict``."""
START = "-"
"""Name of the file's own weights in a mixture."""


def file_weights(path: Path, number: int) -> Weights:
    """Read the layout network of a fused file.

    Args:
        path: A fused file with a pair of layout networks.
        number: 0 for the network that sees the picture, 1 for that of its mirror image.

    Raises:
        InputError: If the file holds no such network.
    """
    model = onnx.load(path)
    values, head = _values(model), f"layout./networks.{number}/"
    nodes = [node for node in model.graph.node if node.name.startswith(head)]
    written = [node for node in nodes if node.op_type == "Conv"]
    network = LayoutNet()
    order = _convolutions(network)
    if len(written) != len(order):
        raise InputError(
            f"{path} has {len(written)} convolutions of layout network {number}, expected "
            f"{len(order)}"
        )
    with torch.no_grad():
        for (convolution, norm), node in zip(order, written, strict=True):
            weight, bias = (torch.from_numpy(values[name].copy()) for name in node.input[1:3])
            convolution.weight.copy_(weight)
            if norm is None:
                assert convolution.bias is not None
                convolution.bias.copy_(bias)
            else:
                _make_bias(norm, bias)
        for place, level in enumerate(network.levels):
            assert isinstance(level, Level)
            for buffer, kind in ((level.mean, "Sub"), (level.scale, "Mul")):
                start = f"{head}levels.{place}/{kind}"
                node = next(node for node in nodes if node.name.startswith(start))
                buffer.copy_(torch.from_numpy(values[node.input[1]].reshape(-1).copy()))
    return {name: value.numpy().copy() for name, value in network.state_dict().items()}


def _values(model: onnx.ModelProto) -> dict[str, np.ndarray]:
    """Constants by the names that nodes use; int8 ones are multiplied by their steps."""
    values = {each.name: onnx.numpy_helper.to_array(each) for each in model.graph.initializer}
    whole = {
        name.removesuffix("/int8"): value.astype(np.float32)
        * values[f"{name.removesuffix('/int8')}/step"]
        for name, value in values.items()
        if name.endswith("/int8")
    }
    return values | whole


def _convolutions(network: LayoutNet) -> list[tuple[nn.Conv2d, nn.BatchNorm2d | None]]:
    """Convolutions in the order of the forward pass, each with the norm after it."""
    order: list[tuple[nn.Conv2d, nn.BatchNorm2d | None]] = []

    def note(module: nn.Module, *_: object) -> None:
        if isinstance(module, nn.Conv2d):
            order.append((module, None))
        elif isinstance(module, nn.BatchNorm2d):
            order[-1] = order[-1][0], module

    hooks = [
        module.register_forward_hook(note)
        for module in network.modules()
        if isinstance(module, nn.Conv2d | nn.BatchNorm2d)
    ]
    with torch.no_grad():
        network.eval()(torch.zeros(1, 64, 96, 3, dtype=torch.uint8))
    for hook in hooks:
        hook.remove()
    return order


def _make_bias(norm: nn.BatchNorm2d, bias: torch.Tensor) -> None:
    assert norm.running_mean is not None
    assert norm.running_var is not None
    norm.weight.fill_(1)
    norm.bias.copy_(bias)
    norm.running_mean.zero_()
    norm.running_var.fill_(1 - norm.eps)


def mixture(text: str, start: Weights) -> Weights:
    """Mix weights as a text says: terms ``[SHARE*]FILE`` with ``+`` between them.

    ``-`` is the start. A pattern such as ``runs/*.npz`` is the mean of its files. Shares add up
    to 1; a term without a share has 1.

    Raises:
        OptionError: If a share is no number, or the shares do not add up to 1.
        InputError: If a file is missing, or holds other arrays than the network.
    """
    total, mixed = 0.0, {name: np.zeros(value.shape) for name, value in start.items()}
    for term in text.split("+"):
        share, star, name = term.strip().partition("*")
        if not star or not _is_number(share):
            share, name = "1", term.strip()
        total += float(share)
        members = [start] if name == START else [_read(Path(file), start) for file in _files(name)]
        for member in members:
            for key, value in mixed.items():
                value += float(share) / len(members) * member[key].astype(np.float64)
    if abs(total - 1) > 1e-6:
        raise OptionError(f"shares of {text!r} add up to {total:g}, expected 1")
    return {key: value.astype(start[key].dtype) for key, value in mixed.items()}


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True


def _files(pattern: str) -> list[str]:
    files = sorted(glob.glob(pattern))
    if not files:
        raise InputError(f"no file {pattern}")
    return files


def _read(path: Path, start: Weights) -> Weights:
    with np.load(path) as file:
        weights = {name: file[name] for name in file.files}
    # A training may keep more beside the weights; what the network has must be there.
    for name, value in start.items():
        if name not in weights or weights[name].shape != value.shape:
            raise InputError(f"{path} has no {name} of shape {value.shape}")
    return weights
