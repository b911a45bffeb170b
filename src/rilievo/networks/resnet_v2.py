"""The ResNet50 v2 encoder to the end of stage 3, in the arrangement of Gluon's model zoo.

K. He et al., "Identity Mappings in Deep Residual Networks", ECCV 2016. Stage 4 is left out: the
features end at 1/16 of the image. Submodules count as Gluon's weights do, stage by stage.
"""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

from rilievo.errors import InputError, ModelError
from rilievo.io.limits import check_regular, printable, reason
from rilievo.io.readback import BROKEN_FILE
from rilievo.networks.mobilenet_v2 import BATCH_NORM_NAMES

_STEM = 64
_STAGES = ((3, 256, 1), (4, 512, 2), (6, 1024, 2))
"""Blocks, output channels and stride of each stage."""
_PATTERN = "resnet50v2_*.npz"


class PreActivation(nn.Module):
    """1×1, 3×3 and 1×1 convolution, each after batch normalisation and ReLU, plus the input."""

    def __init__(self, inputs: int, outputs: int, *, stride: int) -> None:
        super().__init__()
        hidden = outputs // 4
        self.norms = nn.ModuleList(nn.BatchNorm2d(each) for each in (inputs, hidden, hidden))
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

    def forward(self, x: Float[Tensor, "b c h w"]) -> Float[Tensor, "b d h2 w2"]:
        """Return features of the output width, smaller by the stride."""
        first = y = torch.relu(self.norms[0](x))
        y = torch.relu(self.norms[1](self.convs[0](y)))
        y = torch.relu(self.norms[2](self.convs[1](y)))
        return self.convs[2](y) + (self.convs[3](first) if self.is_first else x)


class ResNet50V2(nn.Module):
    """Features at 1/2 to 1/16 of the image.

    Attributes:
        channels: Number of channels of each map that ``forward`` returns.
    """

    def __init__(self) -> None:
        super().__init__()
        self.batchnorm0 = nn.BatchNorm2d(3)
        self.conv0 = nn.Conv2d(3, _STEM, 7, 2, 3, bias=False)
        self.batchnorm1 = nn.BatchNorm2d(_STEM)
        self.stages = nn.ModuleList()
        inputs = _STEM
        for blocks, outputs, stride in _STAGES:
            stage = [PreActivation(inputs, outputs, stride=stride)]
            stage += [PreActivation(outputs, outputs, stride=1) for _ in range(blocks - 1)]
            self.stages.append(nn.Sequential(*stage))
            inputs = outputs
        self.channels = (_STEM, _STEM, *(outputs for _, outputs, _ in _STAGES))

    def forward(self, image: Float[Tensor, "b 3 h w"]) -> tuple[Float[Tensor, "b _ _ _"], ...]:
        """Encode RGB images normalised by ImageNet's mean and deviation.

        Returns:
            The first convolution's features at 1/2 of the image, twice, as ``MobileNetV2`` has two
            maps of that size; then each stage's at 1/4, 1/8 and 1/16.
        """
        x = torch.relu(self.batchnorm1(self.conv0(self.batchnorm0(image))))
        levels = [x, x]
        x = F.max_pool2d(x, 3, 2, 1)
        for stage in self.stages:
            x = stage(x)
            levels.append(torch.relu(x))
        return tuple(levels)


def load_published_resnet(encoder: ResNet50V2, folder: Path) -> None:
    """Fill ``encoder`` with ImageNet weights, in Gluon's names without their first prefix.

    Args:
        encoder: The encoder.
        folder: Folder with ``resnet50v2_*.npz``, in as many parts as there are.

    Raises:
        ModelError: If a file is unreadable, or an array is missing or of another shape.
    """
    arrays: dict[str, np.ndarray] = {}
    try:
        for path in sorted(folder.glob(_PATTERN)):
            check_regular(path)
            with np.load(path, allow_pickle=False) as part:
                arrays.update(part)
    except (*BROKEN_FILE, InputError) as error:
        raise ModelError(f"{printable(folder)}: cannot read weights: {reason(error)}") from error
    state = encoder.state_dict()
    for parameter, name in _published_names(encoder):
        if name not in arrays or arrays[name].shape != tuple(state[parameter].shape):
            raise ModelError(
                f"{printable(folder)}: no array '{name}' of shape {tuple(state[parameter].shape)} "
                f"in {_PATTERN}; ResNet50 v2 of Gluon is expected"
            )
        state[parameter] = torch.from_numpy(arrays[name].astype(np.float32))
    encoder.load_state_dict(state)


def _published_names(encoder: ResNet50V2) -> Iterator[tuple[str, str]]:
    """Each entry of the encoder's state and its name in Gluon's files."""
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
        if leaf != "num_batches_tracked":
            is_norm = "norm" in layers[layer]
            yield parameter, f"{layers[layer]}_{BATCH_NORM_NAMES[leaf] if is_norm else leaf}"
