"""The MobileNetV2 encoder (M. Sandler et al., CVPR 2018) in Gluon's arrangement and names.

Gluon strides one step later than torchvision and uses ReLU, not ReLU6.
"""

from pathlib import Path

import torch
from torch import Tensor, nn

from rilievo.io.files.names import printable
from rilievo.training.networks.frozen_norms import convolve_and_norm
from rilievo.training.networks.gluon_weights import (
    BATCH_NORM_NAMES,
    fill_from_arrays,
    is_batch_counter,
    read_gluon_arrays,
)
from rilievo.training.tensors import Channels, FeatureMaps, Images, Resized, Strided

_PREFIX = "mobilenetv20_features_"
"""Beginning of the names of Gluon's arrays."""
_BLOCK_CHANNELS = (16, 24, 24, 32, 32, 32, 64, 64, 64, 64, 96, 96, 96, 160, 160, 160, 320)
"""Output channels of each block."""
_STRIDED_BLOCKS = (1, 3, 10, 13)
"""Indices of the blocks that halve the size."""
_LAST_BLOCKS_OF_SIZES = (0, 2, 9, 12, 16)
"""Index of the last block of each size, whose output is a map of features."""

_STEM_CHANNELS = 32
"""Output channels of the first convolution."""
CHANNELS = (_STEM_CHANNELS, *(_BLOCK_CHANNELS[index] for index in _LAST_BLOCKS_OF_SIZES))
"""Channels of the maps of features, the finest first."""


class Bottleneck(nn.Module):
    """Inverted residual block: 1×1, depthwise 3×3 and linear 1×1 convolution.

    It has a residual connection if its output has the shape of its input.
    """

    def __init__(self, in_channels: int, out_channels: int, *, stride: int, expansion: int) -> None:
        super().__init__()
        hidden = in_channels * expansion
        self.conv0 = nn.Conv2d(in_channels, hidden, 1, bias=False)
        self.batchnorm0 = nn.BatchNorm2d(hidden)
        self.conv1 = DepthwiseConv(hidden, 3, stride=stride)
        self.batchnorm1 = nn.BatchNorm2d(hidden)
        self.conv2 = nn.Conv2d(hidden, out_channels, 1, bias=False)
        self.batchnorm2 = nn.BatchNorm2d(out_channels)
        self.is_residual = stride == 1 and in_channels == out_channels

    def forward(self, x: Channels) -> Strided:
        """Compute the block."""
        y = convolve_and_norm(self.conv0, self.batchnorm0, x, relu=True)
        y = convolve_and_norm(self.conv1, self.batchnorm1, y, relu=True)
        y = convolve_and_norm(self.conv2, self.batchnorm2, y)
        return x + y if self.is_residual else y


class MobileNetV2(nn.Module):
    """Encoder with features at 1/2 to 1/32 of the image's size; without the classifier."""

    def __init__(self, *, blocks: int = len(_BLOCK_CHANNELS)) -> None:
        """Create the stem and the first ``blocks`` blocks, with random weights."""
        super().__init__()
        # The attributes have Gluon's names, under which weights are stored.
        self.conv0 = nn.Conv2d(3, _STEM_CHANNELS, 3, stride=2, padding=1, bias=False)
        self.batchnorm0 = nn.BatchNorm2d(_STEM_CHANNELS)
        self.linearbottleneck = nn.ModuleList()
        in_channels = _STEM_CHANNELS
        for index, out_channels in enumerate(_BLOCK_CHANNELS[:blocks]):
            stride = 2 if index in _STRIDED_BLOCKS else 1
            expansion = 1 if index == 0 else 6
            self.linearbottleneck.append(
                Bottleneck(in_channels, out_channels, stride=stride, expansion=expansion)
            )
            in_channels = out_channels
        # The stem, and each size whose last block is there.
        size_count = sum(index < blocks for index in _LAST_BLOCKS_OF_SIZES)
        self.channels = CHANNELS[: 1 + size_count]

    def forward(self, image: Images) -> FeatureMaps:
        """Compute features of RGB normalised as on ImageNet: the stem, then each size from 1/2."""
        x = convolve_and_norm(self.conv0, self.batchnorm0, image, relu=True)
        features = [x]
        for index, block in enumerate(self.linearbottleneck):
            x = block(x)
            if index in _LAST_BLOCKS_OF_SIZES:
                features.append(x)
        return tuple(features)


def gluon_name(parameter: str) -> str:
    """Name that Gluon has for a parameter of ``MobileNetV2``."""
    *modules, layer, leaf = parameter.split(".")
    if layer.startswith("batchnorm"):
        leaf = BATCH_NORM_NAMES[leaf]
    scope = "".join(modules) + "_" if modules else ""
    return f"{_PREFIX}{scope}{layer}_{leaf}"


def load_gluon_mobilenet(encoder: MobileNetV2, path: Path) -> None:
    """Fill an encoder from Gluon's ``.npz``; ``ModelError`` if it lacks an array."""
    parameters = [name for name in encoder.state_dict() if not is_batch_counter(name)]
    array_names = {parameter: gluon_name(parameter) for parameter in parameters}
    arrays = read_gluon_arrays(path, [path])
    fill_from_arrays(encoder, array_names, arrays, f"{printable(path)} (MobileNetV2 from Gluon)")


class DepthwiseConv(nn.Conv2d):
    """Depthwise convolution in float32 under CPU autocast, as bfloat16 is 4 to 17 times slower."""

    def __init__(self, channels: int, kernel: int, *, stride: int = 1) -> None:
        super().__init__(
            channels, channels, kernel, stride, kernel // 2, groups=channels, bias=False
        )
        self._is_slow_in_bfloat16 = kernel > 3 or stride > 1

    def _conv_forward(self, input: Channels, weight: Tensor, bias: Tensor | None) -> Resized:
        is_cpu_autocast = input.device.type == "cpu" and torch.is_autocast_enabled("cpu")
        if not (is_cpu_autocast and self._is_slow_in_bfloat16):
            return super()._conv_forward(input, weight, bias)
        with torch.autocast("cpu", enabled=False):
            return super()._conv_forward(input.float(), weight, bias).to(input.dtype)
