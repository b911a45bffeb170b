"""Frozen networks of ``rilievo/base`` in torch: what an outline head reads of a photograph.

They are the pair of layout networks and the detail network. Weights come out of the model's ONNX
file. A machine without the package onnx reads them from an archive that ``python -m
lab.making.outline_frozen BASE.onnx OUT.npz`` writes.
"""

from collections import deque
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn.utils.fusion import fuse_conv_bn_eval

from lab.making.layout_network import LayoutNet, Level
from lab.making.program import run_program
from rilievo.errors import InputError, OptionError
from rilievo.io.files.atomic import replacing
from rilievo.io.files.limits import reason
from rilievo.io.files.names import printable
from rilievo.training.networks.small import SMALL, ConvexUpsample, SmallNet
from rilievo.training.networks.small_weights import temporary_forward_hooks

SIZE = (384, 512)
"""Size at which the model sees a photograph of 3:4 [px]."""
FEATURES, QUARTER = 64, 80
"""Channels of the features at a half and at a quarter of the picture's size."""
_LAYOUT, _DETAIL = "layout./networks.", "detail./network/"
_LARGEST_LOG_DEPTH = 6.9


class Views(NamedTuple):
    """Answers of the frozen networks for a batch of pictures.

    Attributes:
        features: Features at half the size: those of the stem and of the last merge.
        quarter: Features at a quarter of the size.
        coarse: Log depth of the layout networks, at the picture's size.
        fine: Log depth of the detail network.
        sky: Chance of sky.
    """

    features: Float[Tensor, "b 64 h2 w2"]
    quarter: Float[Tensor, "b 80 h4 w4"]
    coarse: Float[Tensor, "b 1 h w"]
    fine: Float[Tensor, "b 1 h w"]
    sky: Float[Tensor, "b 1 h w"]


class Unread(nn.Module):
    """Part of a network whose answer nothing reads."""

    def forward(self, features: Tensor, *more: Tensor) -> Tensor:
        """Return an empty answer."""
        return features.new_zeros(())


class Frozen(nn.Module):
    """Detail and layout networks of ``rilievo/base``, which do not learn."""

    def __init__(self, detail: SmallNet, *layout: LayoutNet) -> None:
        super().__init__()
        for name in ("spread", "sky"):
            setattr(detail, name, Unread())
        self.detail = detail
        self.layout = nn.ModuleList(layout)
        self.requires_grad_(False).eval()
        self._inner: list[Tensor] = []
        detail.merges[-2].register_forward_hook(self._keep)
        detail.upsample.register_forward_pre_hook(self._keep_features)

    def quicken(self) -> "Frozen":
        """Fold norms into the convolutions before them, and compute in half precision."""
        for network in (self.detail, *self.layout):
            _fold_norms(network)
        for layer in self.modules():
            if isinstance(layer, nn.Conv2d):
                layer.half()
        return self.to(memory_format=torch.channels_last)

    def _keep(self, layer: nn.Module, inputs: tuple[Tensor, ...], output: Tensor) -> None:
        self._inner.append(output)

    def _keep_features(self, layer: nn.Module, inputs: tuple[Tensor, ...]) -> None:
        self._inner.append(inputs[1])

    @torch.no_grad()
    def forward(self, image: Float[Tensor, "b 3 h w"]) -> Views:
        """Look at RGB pictures of 0..255, whose sides are multiples of 64."""
        half = image.is_cuda
        with torch.autocast(image.device.type, torch.float16, enabled=half):
            self._inner.clear()
            picture = image.contiguous(memory_format=torch.channels_last)
            surface = self.detail(picture.permute(0, 2, 3, 1))
            quarter, features = self._inner
            fine = _centred(surface.log_depth)[:, None]
            small = F.avg_pool2d(image, 2).round().permute(0, 2, 3, 1)
            layout = self.layout[0](small)
            mirrored = self.layout[1](small.flip(2))
        # The file's layout part writes depth, which its fused part takes the logarithm of.
        logs = (_centred(layout.log_depth) + _centred(mirrored.log_depth.flip(-1))) / 2
        chance = (layout.sky.float().sigmoid() + mirrored.sky.flip(-1).float().sigmoid()) / 2
        maps = torch.stack([logs.clamp(-_LARGEST_LOG_DEPTH, _LARGEST_LOG_DEPTH), chance], 1)
        maps = F.interpolate(maps, size=image.shape[-2:], mode="bilinear", align_corners=False)
        coarse, there = maps.split(1, 1)
        return Views(features, quarter, coarse, fine, there)


def _centred(logs: Float[Tensor, "b h w"]) -> Float[Tensor, "b h w"]:
    logs = logs.float()
    logs = logs - logs.mean(dim=(1, 2), keepdim=True)
    return logs.clamp(-_LARGEST_LOG_DEPTH, _LARGEST_LOG_DEPTH)


def read_frozen(path: Path) -> Frozen:
    """Read the networks of an ONNX file, or of an archive that ``write_frozen`` wrote.

    Raises:
        InputError: If the file holds no such networks.
    """
    frozen = Frozen(SmallNet(SMALL), LayoutNet(), LayoutNet())
    try:
        if path.suffix == ".npz":
            with np.load(path) as arrays:
                state = {name: torch.from_numpy(arrays[name]) for name in arrays.files}
            frozen.load_state_dict(state)
        else:
            _fill(frozen, path)
    except Exception as error:  # zipfile, numpy, torch and onnx raise errors of many kinds
        raise InputError(
            f"{printable(path)}: no layout and detail networks ({reason(error)})"
        ) from error
    return frozen


def write_frozen(frozen: Frozen, path: Path) -> None:
    """Write the weights as an archive, which needs no package to read."""
    arrays = {name: value.cpu().numpy() for name, value in frozen.state_dict().items()}
    with replacing(path) as part, part.open("wb") as file:
        np.savez(file, **arrays)


def _fill(frozen: Frozen, path: Path) -> None:
    import onnx

    from lab.making.gating import ungate
    from lab.making.quick_upsampling import slow_upsampling
    from rilievo.models.onnx_files.file_writing import replace_dequantize_nodes

    model = ungate(onnx.load(str(path)))
    replace_dequantize_nodes(model)
    slow_upsampling(model)
    values = _values(model)
    _fill_network(frozen.detail, model, _detail_prefix(model), values)
    for number, network in enumerate(frozen.layout):
        assert isinstance(network, LayoutNet)
        _fill_network(network, model, f"{_LAYOUT}{number}/", values)
        _fill_levels(network, model, f"{_LAYOUT}{number}/levels.", values)


def _detail_prefix(model: Any) -> str:
    """Prefix of the detail network's nodes, which a file that was written anew has shortened."""
    names = [node.name for node in model.graph.node if node.op_type == "Conv"]
    longer = any(name.startswith(f"detail.{_DETAIL}") for name in names)
    return f"detail.{_DETAIL}" if longer else _DETAIL


def _values(model: Any) -> dict[str, np.ndarray]:
    """Constants by name; weights in 8 bits are multiplied by their steps."""
    from onnx import numpy_helper

    values = {each.name: numpy_helper.to_array(each) for each in model.graph.initializer}
    for node in model.graph.node:
        operands, name = [values.get(each) for each in node.input], node.output[0]
        if node.op_type == "Constant" and node.attribute[0].name == "value":
            values[name] = numpy_helper.to_array(node.attribute[0].t)
        elif node.op_type == "Cast" and operands[0] is not None:
            values[name] = operands[0].astype(np.float32)
        elif node.op_type == "Mul":
            factors = [each for each in operands if each is not None]
            if len(factors) == 2:
                values[name] = factors[0] * factors[1]
    return values


@torch.no_grad()
def _fill_network(
    network: nn.Module, model: Any, prefix: str, values: Mapping[str, np.ndarray]
) -> None:
    """Fill convolutions in the order of execution; those after the last of the file stay.

    Of a norm after a convolution a file has only the bias that it adds.
    """
    fixed = {each.shape for each in ConvexUpsample(1).buffers() if each.dim() == 4}
    stored = deque(
        [values[name] for name in node.input[1:]]
        for node in model.graph.node
        if node.op_type == "Conv"
        and node.name.startswith(prefix)
        and not node.name.startswith(f"{prefix}spread/")
        and values[node.input[1]].shape not in fixed
    )
    if not stored:
        raise ValueError(f"no convolution '{prefix}...'")
    bias: Tensor | None = None
    for layer in _in_order(network):
        if isinstance(layer, nn.BatchNorm2d):
            if bias is not None:
                layer.weight.fill_(1)
                layer.bias.copy_(bias)
                mean, variance = layer.running_mean, layer.running_var
                assert mean is not None
                assert variance is not None
                mean.zero_()
                variance.fill_(1 - layer.eps)
            bias = None
        elif stored:
            weight, *rest = (torch.from_numpy(np.array(each)) for each in stored.popleft())
            assert isinstance(layer, nn.Conv2d)
            if layer.weight.shape != weight.shape:
                raise ValueError(f"a layer of {tuple(weight.shape)} in another place")
            layer.weight.copy_(weight)
            if layer.bias is not None:
                layer.bias.copy_(rest[0])
            bias = rest[0] if rest and layer.bias is None else None
    if stored:
        raise ValueError(f"{len(stored)} layers more than those of this network")


def _in_order(network: nn.Module) -> list[nn.Module]:
    order: list[nn.Module] = []
    layers = [m for m in network.modules() if isinstance(m, nn.Conv2d | nn.BatchNorm2d)]
    with (
        temporary_forward_hooks(layers, lambda layer, inputs, output: order.append(layer)),
        torch.no_grad(),
    ):
        network.eval()(torch.zeros(1, 64, 64, 3, dtype=torch.uint8))
    return order


def _fold_norms(network: nn.Module) -> None:
    owners = {
        each: (owner, name) for owner in network.modules() for name, each in owner.named_children()
    }
    conv: nn.Conv2d | None = None
    for layer in _in_order(network):
        if isinstance(layer, nn.Conv2d):
            conv = layer
        elif isinstance(layer, nn.BatchNorm2d) and conv is not None:
            folded = fuse_conv_bn_eval(conv, layer)
            conv.weight, conv.bias = folded.weight, folded.bias
            owner, name = owners[layer]
            setattr(owner, name, nn.Identity())
            conv = None


@torch.no_grad()
def _fill_levels(
    network: LayoutNet, model: Any, prefix: str, values: Mapping[str, np.ndarray]
) -> None:
    nodes = {node.name: node for node in model.graph.node if node.name.startswith(prefix)}
    for number, level in enumerate(network.levels):
        assert isinstance(level, Level)
        for kind, constant in (("Sub", level.mean), ("Mul", level.scale)):
            name = nodes[f"{prefix}{number}/{kind}"].input[1]
            constant.copy_(torch.from_numpy(values[name].reshape(-1).copy()))


def main(arguments: Sequence[str]) -> None:
    """Write the frozen networks of an ONNX file as an archive."""
    if len(arguments) != 2:
        raise OptionError("give BASE.onnx OUT.npz")
    source, target = arguments
    write_frozen(read_frozen(Path(source)), Path(target))


if __name__ == "__main__":
    run_program(main)
