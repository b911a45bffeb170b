"""The MobileNetV2 encoder (M. Sandler et al., CVPR 2018) in Gluon's arrangement and names.

Gluon strides one step later than torchvision and uses ReLU, not ReLU6.
"""

from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from zipfile import is_zipfile

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from rilievo.errors import InputError, ModelError
from rilievo.io.files.archives import BROKEN_FILE
from rilievo.io.files.limits import check_regular, reason
from rilievo.io.files.names import printable
from rilievo.io.numbers import npz_member
from rilievo.training.networks.frozen_norms import convolve_and_norm
from rilievo.training.tensors import Channels, FeatureMaps, Images, Resized, Strided

_PREFIX = "mobilenetv20_features_"
BATCH_NORM_NAMES = {
    "weight": "gamma",
    "bias": "beta",
    "running_mean": "running_mean",
    "running_var": "running_var",
}
_OUTPUTS = (16, 24, 24, 32, 32, 32, 64, 64, 64, 64, 96, 96, 96, 160, 160, 160, 320)
_STRIDED = (1, 3, 10, 13)
_LAST_OF_SIZE = (0, 2, 9, 12, 16)


_STEM = 32
CHANNELS = (_STEM, *(_OUTPUTS[index] for index in _LAST_OF_SIZE))
_RESNET_STEM = 64
# Blocks, output channels and stride.
_STAGES = ((3, 256, 1), (4, 512, 2), (6, 1024, 2))
_PATTERN = "resnet50v2_*.npz"


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
        entry: gluon_name(entry) for entry in encoder.state_dict() if not _is_batch_counter(entry)
    }
    fill_from_arrays(
        encoder, names, read_gluon_arrays(path, [path]), f"{printable(path)} (MobileNetV2 of Gluon)"
    )


def _is_batch_counter(parameter: str) -> bool:
    return parameter.endswith("num_batches_tracked")


def read_gluon_arrays(where: Path, paths: Iterable[Path]) -> dict[str, np.ndarray]:
    """Read arrays by name; errors name ``where``."""
    arrays: dict[str, np.ndarray] = {}
    try:
        for path in paths:
            check_regular(path)
            if not is_zipfile(path):
                raise ValueError("no .npz archive")
            with path.open("rb") as file, np.load(file, allow_pickle=False) as archive:
                for name in archive.files:
                    arrays[name.rsplit("/", 1)[-1].removesuffix(".npy")] = npz_member(archive, name)
    except (*BROKEN_FILE, InputError) as error:
        raise ModelError(f"{printable(where)}: cannot read weights: {reason(error)}") from error
    return arrays


def fill_from_arrays(
    encoder: nn.Module, names: Mapping[str, str], arrays: Mapping[str, np.ndarray], where: str
) -> None:
    """Fill parameters by ``names`` of arrays, or raise ``ModelError``."""
    state = encoder.state_dict()
    for parameter, name in names.items():
        shape = tuple(state[parameter].shape)
        if name not in arrays or arrays[name].shape != shape:
            other_shape = f", but of {arrays[name].shape}" if name in arrays else ""
            raise ModelError(f"{where}: no array '{name}' of {shape}{other_shape}")
        state[parameter] = torch.from_numpy(arrays[name].astype(np.float32))
    encoder.load_state_dict(state)


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


class PreActivation(nn.Module):
    """Block of three convolutions plus the input."""

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
        """Compute features."""
        first = y = torch.relu(self.norms[0](x))
        y = torch.relu(self.norms[1](self.convs[0](y)))
        y = torch.relu(self.norms[2](self.convs[1](y)))
        return self.convs[2](y) + (self.convs[3](first) if self.is_first else x)


class ResNet50V2(nn.Module):
    """Features at 1/2 to 1/16."""

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
        """Encode RGB normalised as ImageNet; the map at 1/2 comes twice."""
        x = torch.relu(self.batchnorm1(self.conv0(self.batchnorm0(image))))
        levels = [x, x]
        x = F.max_pool2d(x, 3, 2, 1)
        for stage in self.stages:
            x = stage(x)
            levels.append(torch.relu(x))
        return tuple(levels)


def load_gluon_resnet(encoder: ResNet50V2, folder: Path) -> None:
    """Fill ``encoder`` from ``resnet50v2_*.npz``, in any parts."""
    arrays = read_gluon_arrays(folder, sorted(folder.glob(_PATTERN)))
    where = f"{printable(folder)} ({_PATTERN}, ResNet50 v2 of Gluon)"
    fill_from_arrays(encoder, dict(_resnet_gluon_names(encoder)), arrays, where)


def _resnet_gluon_names(encoder: ResNet50V2) -> Iterator[tuple[str, str]]:
    layers = {"conv0": "conv0", "batchnorm0": "batchnorm0", "batchnorm1": "batchnorm1"}
    for number, stage in enumerate(encoder.stages):
        counts = {"norms": 0, "convs": 0}
        for index, block in enumerate(stage):  # pyright: ignore[reportArgumentType]
            for kind, published in (("norms", "batchnorm"), ("convs", "conv")):
                for place in range(len(getattr(block, kind))):
                    name = f"stage{number + 1}_{published}{counts[kind]}"
                    layers[f"stages.{number}.{index}.{kind}.{place}"] = name
                    counts[kind] += 1
    for parameter in encoder.state_dict():
        layer, _, leaf = parameter.rpartition(".")
        if not _is_batch_counter(parameter):
            is_norm = "norm" in layers[layer]
            yield parameter, f"{layers[layer]}_{BATCH_NORM_NAMES[leaf] if is_norm else leaf}"
