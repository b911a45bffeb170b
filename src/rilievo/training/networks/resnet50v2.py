"""The ResNet-50 V2 encoder in Gluon's arrangement and names."""

import itertools
from collections.abc import Iterator
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import nn

from rilievo.io.files.names import printable
from rilievo.training.networks.gluon_weights import (
    BATCH_NORM_NAMES,
    fill_from_arrays,
    is_batch_counter,
    read_gluon_arrays,
)
from rilievo.training.tensors import Channels, FeatureMaps, Images, Strided

_STEM_CHANNELS = 64
"""Output channels of the first convolution."""
_STAGES = ((3, 256, 1), (4, 512, 2), (6, 1024, 2))
"""Number of blocks, output channels and stride of each stage."""
_PATTERN = "resnet50v2_*.npz"
"""Names of the files that Gluon's weights come in."""


class PreActivation(nn.Module):
    """Residual bottleneck of ResNet V2, with each norm and ReLU before its convolution.

    The shortcut is a strided 1×1 convolution if the number of channels changes.
    """

    def __init__(self, in_channels: int, out_channels: int, *, stride: int) -> None:
        super().__init__()
        hidden = out_channels // 4  # a bottleneck's expansion is 4
        # Lists, in the order in which Gluon counts the layers.
        self.norms = nn.ModuleList(nn.BatchNorm2d(width) for width in (in_channels, hidden, hidden))
        self.convs = nn.ModuleList(
            (
                nn.Conv2d(in_channels, hidden, 1, bias=False),
                nn.Conv2d(hidden, hidden, 3, stride=stride, padding=1, bias=False),
                nn.Conv2d(hidden, out_channels, 1, bias=False),
            )
        )
        self.has_projection = in_channels != out_channels
        assert self.has_projection or stride == 1, "an identity shortcut has no stride"
        if self.has_projection:
            self.convs.append(nn.Conv2d(in_channels, out_channels, 1, stride=stride, bias=False))

    def forward(self, x: Channels) -> Strided:
        """Compute the block."""
        norm1, norm2, norm3 = self.norms
        conv1, conv2, conv3, *projection = self.convs
        normalised = torch.relu(norm1(x))
        y = torch.relu(norm2(conv1(normalised)))
        y = torch.relu(norm3(conv2(y)))
        shortcut = projection[0](normalised) if self.has_projection else x
        return conv3(y) + shortcut


class ResNet50V2(nn.Module):
    """Encoder with features at 1/2 to 1/16 of the image's size; without the last stage."""

    def __init__(self) -> None:
        super().__init__()
        self.batchnorm0 = nn.BatchNorm2d(3)
        self.conv0 = nn.Conv2d(3, _STEM_CHANNELS, 7, stride=2, padding=3, bias=False)
        self.batchnorm1 = nn.BatchNorm2d(_STEM_CHANNELS)
        self.stages = nn.ModuleList()
        in_channels = _STEM_CHANNELS
        for block_count, out_channels, stride in _STAGES:
            stage = [PreActivation(in_channels, out_channels, stride=stride)]
            for _ in range(block_count - 1):
                stage.append(PreActivation(out_channels, out_channels, stride=1))
            self.stages.append(nn.Sequential(*stage))
            in_channels = out_channels
        stage_channels = [out_channels for _, out_channels, _ in _STAGES]
        self.channels = (_STEM_CHANNELS, _STEM_CHANNELS, *stage_channels)

    def forward(self, image: Images) -> FeatureMaps:
        """Compute features of RGB normalised as on ImageNet.

        The map at 1/2 comes twice, as in ``MobileNetV2``: as the stem, and as the finest features.
        """
        stem = torch.relu(self.batchnorm1(self.conv0(self.batchnorm0(image))))
        features = [stem, stem]
        x = F.max_pool2d(stem, 3, stride=2, padding=1)
        for stage in self.stages:
            x = stage(x)
            features.append(torch.relu(x))
        return tuple(features)


def load_gluon_resnet(encoder: ResNet50V2, folder: Path) -> None:
    """Fill an encoder from all files ``resnet50v2_*.npz``; ``ModelError`` if they lack an array."""
    arrays = read_gluon_arrays(folder, sorted(folder.glob(_PATTERN)))
    source = f"{printable(folder)} ({_PATTERN}, ResNet50 v2 from Gluon)"
    fill_from_arrays(encoder, dict(_gluon_parameter_names(encoder)), arrays, source)


def _gluon_parameter_names(encoder: ResNet50V2) -> Iterator[tuple[str, str]]:
    """Yield the name of each parameter, and the name that Gluon has for it."""
    gluon_layers = _gluon_layer_names(encoder)
    for parameter in encoder.state_dict():
        if is_batch_counter(parameter):
            continue
        layer, _, leaf = parameter.rpartition(".")
        gluon_layer = gluon_layers[layer]
        gluon_leaf = BATCH_NORM_NAMES[leaf] if "norm" in gluon_layer else leaf
        yield parameter, f"{gluon_layer}_{gluon_leaf}"


def _gluon_layer_names(encoder: ResNet50V2) -> dict[str, str]:
    """Names that Gluon has for the layers; it counts those of a stage through all blocks."""
    names = {"conv0": "conv0", "batchnorm0": "batchnorm0", "batchnorm1": "batchnorm1"}
    for stage_index, stage in enumerate(encoder.stages):
        gluon_stage = f"stage{stage_index + 1}"
        norm_numbers = itertools.count()
        conv_numbers = itertools.count()
        for block_index, block in enumerate(stage):  # pyright: ignore[reportArgumentType]
            block_name = f"stages.{stage_index}.{block_index}"
            for index in range(len(block.norms)):
                gluon_norm = f"{gluon_stage}_batchnorm{next(norm_numbers)}"
                names[f"{block_name}.norms.{index}"] = gluon_norm
            for index in range(len(block.convs)):
                names[f"{block_name}.convs.{index}"] = f"{gluon_stage}_conv{next(conv_numbers)}"
    return names
