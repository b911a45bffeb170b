"""Encoders: their base class, and those of timm (``timm/NAME`` of any model with feature maps)."""

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
import torch.nn.functional as F
from torch import nn

from rilievo.errors import MissingExtraError, ModelError, OptionError, suggest
from rilievo.io.files.limits import reason
from rilievo.training.networks.backbones.weights import why_not_fetched
from rilievo.training.tensors import Channels, FeatureMap

_MEAN, _DEVIATION = 0.45, 0.225
PREFIX = "timm/"
# Options by which families of timm take the size; a family refuses those that are not its own.
_SIZES: Sequence[str] = ("img_size", "dynamic_img_size", "")
_WIDTHS = (64, 128, 256, 512)


class Encoder(nn.Module, ABC):
    """A pyramid of features.

    Attributes:
        channels: Number of channels of each map that ``forward`` returns.
        reductions: Factor by which each map is smaller than the image along a side; powers of 2.
    """

    channels: tuple[int, ...]
    reductions: tuple[int, ...]

    def forward(self, image: Channels) -> tuple[FeatureMap, ...]:
        """Compute features of RGB in 0..1, the finest first.

        All colours are normalised by one mean and deviation (Godard et al. 2019), near those of
        ImageNet. Several frames are stacked as channels.
        """
        return self.maps((image - _MEAN) / _DEVIATION)

    @abstractmethod
    def maps(self, image: Channels) -> tuple[FeatureMap, ...]:
        """Compute features of normalised images."""


class TimmEncoder(Encoder):
    """Feature maps of a model of timm, unchanged but for the order of axes."""

    channels_last: bool = False

    def __init__(self, name: str, size: tuple[int, int], *, pretrained: bool = False) -> None:
        """Make one with random weights, or with those that its authors published.

        Raises ``ModelError`` if timm has no such model or weights, ``OptionError`` if it does not
        take images of that size.
        """
        super().__init__()
        self.body = _make(name, size, pretrained=pretrained)
        self.channels = tuple(self.body.feature_info.channels())
        self.reductions = tuple(self.body.feature_info.reduction())
        self._check(name, size)

    def maps(self, image: Channels) -> tuple[FeatureMap, ...]:
        """Compute features of normalised images, channels first."""
        found = self.body(image)
        return tuple(each.permute(0, 3, 1, 2) if self.channels_last else each for each in found)

    def _check(self, name: str, size: tuple[int, int]) -> None:
        """Run the model once: its ``feature_info`` is not always right."""
        training = self.training
        try:
            with torch.no_grad():
                found = [
                    tuple(each.shape[1:]) for each in self.eval().body(torch.zeros(1, 3, *size))
                ]
        except (AssertionError, RuntimeError, ValueError) as error:
            raise OptionError(
                f"encoder '{name}' at {size[0]}x{size[1]}: {reason(error)}"
            ) from error
        finally:
            self.train(training)
        expected = [
            (channels, size[0] // each, size[1] // each)
            for channels, each in zip(self.channels, self.reductions, strict=True)
        ]
        if found == expected:
            return
        self.channels_last = found == [(height, width, c) for c, height, width in expected]
        if not self.channels_last:
            raise OptionError(
                f"encoder '{name}' gives features {found} of {size[0]}x{size[1]}, expected "
                f"{expected}: it is no pyramid of halvings"
            )


def _make(name: str, size: tuple[int, int], *, pretrained: bool) -> Any:
    try:
        import timm
    except ModuleNotFoundError as error:
        raise MissingExtraError(f"encoder '{name}'", "train") from error
    model = name.removeprefix(PREFIX)
    if not timm.is_model(model):
        raise ModelError(f"no model '{model}' in timm; {suggest(model, timm.list_models())}")
    if pretrained and not timm.models.is_model_pretrained(model):
        raise ModelError(f"encoder '{name}' has no published weights: start without 'imagenet'")
    values: Mapping[str, Any] = {"img_size": size, "dynamic_img_size": True}
    for word in _SIZES:
        options = {word: values[word]} if word else {}
        try:
            return timm.create_model(model, features_only=True, pretrained=pretrained, **options)
        except (TypeError, KeyError):
            if not word:
                raise
        except (AttributeError, RuntimeError) as error:
            if pretrained:
                raise why_not_fetched(name, error) from error
            raise ModelError(f"encoder '{name}' gives no feature maps: {reason(error)}") from error
        except Exception as error:  # errors of the hub, its client or the file fetched
            raise why_not_fetched(name, error) from error
    raise AssertionError("the last attempt has no option that could be refused")


@dataclass(frozen=True, slots=True, kw_only=True)
class Depths:
    """Numbers of blocks in the four layers of a ResNet, and whether these are bottlenecks."""

    blocks: tuple[int, int, int, int]
    bottleneck: bool


RESNETS: Mapping[str, Depths] = {
    "resnet18": Depths(blocks=(2, 2, 2, 2), bottleneck=False),
    "resnet34": Depths(blocks=(3, 4, 6, 3), bottleneck=False),
    "resnet50": Depths(blocks=(3, 4, 6, 3), bottleneck=True),
}


class ResNetEncoder(Encoder):
    """Features at half the image's size (before pooling) and after each of the four layers.

    Its state is named as that of an official ``encoder.pth``. ``colours`` are 3 for each frame.
    """

    reductions = (2, 4, 8, 16, 32)

    def __init__(self, name: str, *, colours: int = 3) -> None:
        super().__init__()
        self.encoder = ResNet(RESNETS[name], colours)
        grown = StridedBottleneck.growth if RESNETS[name].bottleneck else BasicBlock.growth
        self.channels = (_WIDTHS[0], *(width * grown for width in _WIDTHS))

    def maps(self, image: Channels) -> tuple[FeatureMap, ...]:
        """Compute features of normalised images."""
        return self.encoder(image)


class ResNet(nn.Module):
    """The convolutions of a ResNet, without the classifier."""

    def __init__(self, depths: Depths, colours: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(colours, _WIDTHS[0], 7, 2, 3, bias=False)
        self.bn1 = nn.BatchNorm2d(_WIDTHS[0])
        block = StridedBottleneck if depths.bottleneck else BasicBlock
        inputs = _WIDTHS[0]
        layers = []
        for index, (width, count) in enumerate(zip(_WIDTHS, depths.blocks, strict=True)):
            first = block(inputs, width, stride=2 if index else 1)
            inputs = width * block.growth
            layers.append(nn.Sequential(first, *(block(inputs, width) for _ in range(count - 1))))
        self.layer1, self.layer2, self.layer3, self.layer4 = layers
        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")

    def forward(self, image: Channels) -> tuple[FeatureMap, ...]:
        """Return five maps of features."""
        maps = [F.relu(self.bn1(self.conv1(image)))]
        x = F.max_pool2d(maps[0], 3, 2, 1)
        for layer in (self.layer1, self.layer2, self.layer3, self.layer4):
            x = layer(x)
            maps.append(x)
        return tuple(maps)


class BasicBlock(nn.Module):
    """Two 3×3 convolutions with a shortcut."""

    growth = 1

    def __init__(self, inputs: int, width: int, *, stride: int = 1) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(inputs, width, 3, stride, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(width)
        self.conv2 = nn.Conv2d(width, width, 3, 1, 1, bias=False)
        self.bn2 = nn.BatchNorm2d(width)
        self.downsample = _short_cut(inputs, width, stride)

    def forward(self, x: FeatureMap) -> FeatureMap:
        """Add the convolutions' output and the shortcut."""
        y = F.relu(self.bn1(self.conv1(x)))
        return F.relu(self.bn2(self.conv2(y)) + self.downsample(x))


class StridedBottleneck(nn.Module):
    """1×1, 3×3 (strided) and 1×1 convolutions with a shortcut."""

    growth = 4

    def __init__(self, inputs: int, width: int, *, stride: int = 1) -> None:
        super().__init__()
        outputs = width * self.growth
        self.conv1 = nn.Conv2d(inputs, width, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(width)
        self.conv2 = nn.Conv2d(width, width, 3, stride, 1, bias=False)
        self.bn2 = nn.BatchNorm2d(width)
        self.conv3 = nn.Conv2d(width, outputs, 1, bias=False)
        self.bn3 = nn.BatchNorm2d(outputs)
        self.downsample = _short_cut(inputs, outputs, stride)

    def forward(self, x: FeatureMap) -> FeatureMap:
        """Add the convolutions' output and the shortcut."""
        y = F.relu(self.bn1(self.conv1(x)))
        y = F.relu(self.bn2(self.conv2(y)))
        return F.relu(self.bn3(self.conv3(y)) + self.downsample(x))


def _short_cut(inputs: int, outputs: int, stride: int) -> nn.Module:
    """Make the shortcut that gives a block's input the shape of its output."""
    if stride == 1 and inputs == outputs:
        return nn.Identity()
    convolution = nn.Conv2d(inputs, outputs, 1, stride, bias=False)
    return nn.Sequential(convolution, nn.BatchNorm2d(outputs))
