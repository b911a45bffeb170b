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
_OUTPUTS = (16, 24, 24, 32, 32, 32, 64, 64, 64, 64, 96, 96, 96, 160, 160, 160, 320)
"""Output channels of each block."""
_STRIDED_BLOCKS = (1, 3, 10, 13)
"""Indices of the blocks that halve the size."""
_LAST_BLOCKS_OF_SIZES = (0, 2, 9, 12, 16)
"""Index of the last block of each size, whose output is a map of features."""

_STEM = 32
"""Output channels of the first convolution."""
CHANNELS = (_STEM, *(_OUTPUTS[index] for index in _LAST_BLOCKS_OF_SIZES))
"""Channels of the maps of features, the finest first."""


class Bottleneck(nn.Module):
    """Block of a 1×1, a 3×3 depthwise and a linear 1×1 convolution, plus the input if it fits."""

    def __init__(self, inputs: int, outputs: int, *, stride: int, expansion: int) -> None:
        super().__init__()
        hidden = inputs * expansion
        self.conv0 = nn.Conv2d(inputs, hidden, 1, bias=False)
        self.batchnorm0 = nn.BatchNorm2d(hidden)
        self.conv1 = DepthwiseConv(hidden, 3, stride=stride)
        self.batchnorm1 = nn.BatchNorm2d(hidden)
        self.conv2 = nn.Conv2d(hidden, outputs, 1, bias=False)
        self.batchnorm2 = nn.BatchNorm2d(outputs)
        self.is_residual = stride == 1 and inputs == outputs

    def forward(self, x: Channels) -> Strided:
        """Compute the output of the block."""
        y = convolve_and_norm(self.conv0, self.batchnorm0, x, relu=True)
        y = convolve_and_norm(self.conv1, self.batchnorm1, y, relu=True)
        y = convolve_and_norm(self.conv2, self.batchnorm2, y)
        return x + y if self.is_residual else y


class MobileNetV2(nn.Module):
    """Encoder with features at 1/2 to 1/32 of the image's size; without the classifier."""

    def __init__(self, *, blocks: int = len(_OUTPUTS)) -> None:
        super().__init__()
        self.conv0 = nn.Conv2d(3, _STEM, 3, 2, 1, bias=False)
        self.batchnorm0 = nn.BatchNorm2d(_STEM)
        self.linearbottleneck = nn.ModuleList()
        inputs = _STEM
        for index, outputs in enumerate(_OUTPUTS[:blocks]):
            stride = 2 if index in _STRIDED_BLOCKS else 1
            expansion = 6 if index else 1
            self.linearbottleneck.append(
                Bottleneck(inputs, outputs, stride=stride, expansion=expansion)
            )
            inputs = outputs
        self.channels = CHANNELS[: 1 + sum(index < blocks for index in _LAST_BLOCKS_OF_SIZES)]

    def forward(self, image: Images) -> FeatureMaps:
        """Compute features of RGB normalised as on ImageNet: the stem, then each size from 1/2."""
        levels = [convolve_and_norm(self.conv0, self.batchnorm0, image, relu=True)]
        x = levels[0]
        for index, block in enumerate(self.linearbottleneck):
            x = block(x)
            if index in _LAST_BLOCKS_OF_SIZES:
                levels.append(x)
        return tuple(levels)


def gluon_name(parameter: str) -> str:
    """Name that Gluon has for a parameter of ``MobileNetV2``."""
    *modules, layer, leaf = parameter.split(".")
    if layer.startswith("batchnorm"):
        leaf = BATCH_NORM_NAMES[leaf]
    scope = "".join(modules) + "_" if modules else ""
    return f"{_PREFIX}{scope}{layer}_{leaf}"


def load_gluon_mobilenet(encoder: MobileNetV2, path: Path) -> None:
    """Fill an encoder from Gluon's ``.npz``; ``ModelError`` if it lacks an array."""
    names = {
        entry: gluon_name(entry) for entry in encoder.state_dict() if not is_batch_counter(entry)
    }
    fill_from_arrays(
        encoder, names, read_gluon_arrays(path, [path]), f"{printable(path)} (MobileNetV2 of Gluon)"
    )


class DepthwiseConv(nn.Conv2d):
    """Depthwise convolution in float32 under CPU autocast, as bfloat16 is 4 to 17 times slower."""

    def __init__(self, channels: int, kernel: int, *, stride: int = 1) -> None:
        super().__init__(
            channels, channels, kernel, stride, kernel // 2, groups=channels, bias=False
        )
        self._is_slow = kernel > 3 or stride > 1

    def _conv_forward(self, input: Channels, weight: Tensor, bias: Tensor | None) -> Resized:
        if not (self._is_slow and input.device.type == "cpu" and torch.is_autocast_enabled("cpu")):
            return super()._conv_forward(input, weight, bias)
        with torch.autocast("cpu", enabled=False):
            return super()._conv_forward(input.float(), weight, bias).to(input.dtype)
