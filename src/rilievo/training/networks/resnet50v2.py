"""The ResNet-50 V2 encoder in Gluon's arrangement and names."""

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

_RESNET_STEM = 64
"""Output channels of the first convolution."""
_STAGES = ((3, 256, 1), (4, 512, 2), (6, 1024, 2))
"""Number of blocks, output channels and stride of each stage."""
_PATTERN = "resnet50v2_*.npz"
"""Names of the files that Gluon's weights come in."""


class PreActivation(nn.Module):
    """Block of three convolutions plus the input, with each norm before its convolution."""

    def __init__(self, inputs: int, outputs: int, *, stride: int) -> None:
        super().__init__()
        hidden = outputs // 4
        self.norms = nn.ModuleList(nn.BatchNorm2d(width) for width in (inputs, hidden, hidden))
        self.convs = nn.ModuleList(
            (
                nn.Conv2d(inputs, hidden, 1, bias=False),
                nn.Conv2d(hidden, hidden, 3, stride, 1, bias=False),
                nn.Conv2d(hidden, outputs, 1, bias=False),
            )
        )
        self.is_first = inputs != outputs
        if self.is_first:
            self.convs.append(nn.Conv2d(inputs, outputs, 1, stride, bias=False))

    def forward(self, x: Channels) -> Strided:
        """Compute the output of the block."""
        normalised = torch.relu(self.norms[0](x))
        y = torch.relu(self.norms[1](self.convs[0](normalised)))
        y = torch.relu(self.norms[2](self.convs[1](y)))
        shortcut = self.convs[3](normalised) if self.is_first else x
        return self.convs[2](y) + shortcut


class ResNet50V2(nn.Module):
    """Encoder with features at 1/2 to 1/16 of the image's size; without the last stage."""

    def __init__(self) -> None:
        super().__init__()
        self.batchnorm0 = nn.BatchNorm2d(3)
        self.conv0 = nn.Conv2d(3, _RESNET_STEM, 7, 2, 3, bias=False)
        self.batchnorm1 = nn.BatchNorm2d(_RESNET_STEM)
        self.stages = nn.ModuleList()
        inputs = _RESNET_STEM
        for blocks, outputs, stride in _STAGES:
            stage = [PreActivation(inputs, outputs, stride=stride)]
            stage += [PreActivation(outputs, outputs, stride=1) for _ in range(blocks - 1)]
            self.stages.append(nn.Sequential(*stage))
            inputs = outputs
        self.channels = (_RESNET_STEM, _RESNET_STEM, *(outputs for _, outputs, _ in _STAGES))

    def forward(self, image: Images) -> FeatureMaps:
        """Compute features of RGB normalised as on ImageNet; the map at 1/2 comes twice."""
        x = torch.relu(self.batchnorm1(self.conv0(self.batchnorm0(image))))
        levels = [x, x]
        x = F.max_pool2d(x, 3, 2, 1)
        for stage in self.stages:
            x = stage(x)
            levels.append(torch.relu(x))
        return tuple(levels)


def load_gluon_resnet(encoder: ResNet50V2, folder: Path) -> None:
    """Fill an encoder from all files ``resnet50v2_*.npz``; ``ModelError`` if they lack an array."""
    arrays = read_gluon_arrays(folder, sorted(folder.glob(_PATTERN)))
    where = f"{printable(folder)} ({_PATTERN}, ResNet50 v2 of Gluon)"
    fill_from_arrays(encoder, dict(_resnet_gluon_names(encoder)), arrays, where)


def _resnet_gluon_names(encoder: ResNet50V2) -> Iterator[tuple[str, str]]:
    """Yield the name of each parameter, and the name that Gluon has for it."""
    layer_names = {"conv0": "conv0", "batchnorm0": "batchnorm0", "batchnorm1": "batchnorm1"}
    for number, stage in enumerate(encoder.stages):
        # Gluon counts the layers of a stage through all of its blocks.
        counts = {"norms": 0, "convs": 0}
        for block_number, block in enumerate(stage):  # pyright: ignore[reportArgumentType]
            for kind, gluon_kind in (("norms", "batchnorm"), ("convs", "conv")):
                for index in range(len(getattr(block, kind))):
                    layer = f"stages.{number}.{block_number}.{kind}.{index}"
                    layer_names[layer] = f"stage{number + 1}_{gluon_kind}{counts[kind]}"
                    counts[kind] += 1
    for parameter in encoder.state_dict():
        layer, _, leaf = parameter.rpartition(".")
        if not is_batch_counter(parameter):
            is_norm = "norm" in layer_names[layer]
            yield parameter, f"{layer_names[layer]}_{BATCH_NORM_NAMES[leaf] if is_norm else leaf}"
