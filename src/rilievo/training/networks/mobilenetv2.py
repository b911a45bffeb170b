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
_OUTPUTS = (16, 24, 24, 32, 32, 32, 64, 64, 64, 64, 96, 96, 96, 160, 160, 160, 320)
_STRIDED = (1, 3, 10, 13)
_LAST_OF_SIZE = (0, 2, 9, 12, 16)

_STEM = 32
CHANNELS = (_STEM, *(_OUTPUTS[index] for index in _LAST_OF_SIZE))


class Bottleneck(nn.Module):
    """Block: 1×1, 3×3 depthwise, linear 1×1, perhaps plus the input."""

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
        """Compute features."""
        y = convolve_and_norm(self.conv0, self.batchnorm0, x, relu=True)
        y = convolve_and_norm(self.conv1, self.batchnorm1, y, relu=True)
        y = convolve_and_norm(self.conv2, self.batchnorm2, y)
        return x + y if self.is_residual else y


class MobileNetV2(nn.Module):
    """Features at 1/2 to 1/32, without the classifier."""

    def __init__(self, *, blocks: int = len(_OUTPUTS)) -> None:
        super().__init__()
        self.conv0 = nn.Conv2d(3, _STEM, 3, 2, 1, bias=False)
        self.batchnorm0 = nn.BatchNorm2d(_STEM)
        self.linearbottleneck = nn.ModuleList()
        inputs = _STEM
        for index, outputs in enumerate(_OUTPUTS[:blocks]):
            stride, expansion = (2 if index in _STRIDED else 1), (6 if index else 1)
            self.linearbottleneck.append(
                Bottleneck(inputs, outputs, stride=stride, expansion=expansion)
            )
            inputs = outputs
        self.channels = CHANNELS[: 1 + sum(index < blocks for index in _LAST_OF_SIZE)]

    def forward(self, image: Images) -> FeatureMaps:
        """Encode RGB normalised as ImageNet: the stem, then each size from 1/2."""
        levels = [convolve_and_norm(self.conv0, self.batchnorm0, image, relu=True)]
        x = levels[0]
        for index, block in enumerate(self.linearbottleneck):
            x = block(x)
            if index in _LAST_OF_SIZE:
                levels.append(x)
        return tuple(levels)


def gluon_name(parameter: str) -> str:
    """Convert a parameter's name to Gluon's."""
    *modules, layer, leaf = parameter.split(".")
    if layer.startswith("batchnorm"):
        leaf = BATCH_NORM_NAMES[leaf]
    scope = "".join(modules) + "_" if modules else ""
    return f"{_PREFIX}{scope}{layer}_{leaf}"


def load_gluon_mobilenet(encoder: MobileNetV2, path: Path) -> None:
    """Fill ``encoder`` from Gluon's ``.npz``, without the classifier."""
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
