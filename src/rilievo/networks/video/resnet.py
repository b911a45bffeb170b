"""ResNets (He et al., "Deep residual learning", CVPR 2016) as encoders, named as torchvision's.

The first layer takes any number of channels, so that one network can see two frames at once.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

from rilievo.networks.video.pyramid import Encoder

_WIDTHS = (64, 128, 256, 512)


@dataclass(frozen=True, slots=True, kw_only=True)
class Depths:
    """Numbers and kind of blocks of a ResNet.

    Attributes:
        blocks: Number of blocks in each of the four layers.
        bottleneck: Whether a block has three convolutions with a narrow one in the middle, not two.
    """

    blocks: tuple[int, int, int, int]
    bottleneck: bool


RESNETS: Mapping[str, Depths] = {
    "resnet18": Depths(blocks=(2, 2, 2, 2), bottleneck=False),
    "resnet34": Depths(blocks=(3, 4, 6, 3), bottleneck=False),
    "resnet50": Depths(blocks=(3, 4, 6, 3), bottleneck=True),
}


class ResNetEncoder(Encoder):
    """Features at half the image's size (before pooling) and after each of the four layers.

    Its state is named as that of an official ``encoder.pth``.
    """

    reductions = (2, 4, 8, 16, 32)

    def __init__(self, name: str, *, colours: int = 3) -> None:
        """Make one with random weights.

        Args:
            name: One of ``RESNETS``.
            colours: Channels of the image: 3 for each frame.
        """
        super().__init__()
        self.encoder = ResNet(RESNETS[name], colours)
        grown = Bottleneck.growth if RESNETS[name].bottleneck else BasicBlock.growth
        self.channels = (_WIDTHS[0], *(width * grown for width in _WIDTHS))

    def maps(self, image: Float[Tensor, "b c h w"]) -> tuple[Float[Tensor, "b _ _ _"], ...]:
        """Compute features of normalised images."""
        return self.encoder(image)


class ResNet(nn.Module):
    """The convolutions of a ResNet, without the classifier."""

    def __init__(self, depths: Depths, colours: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(colours, _WIDTHS[0], 7, 2, 3, bias=False)
        self.bn1 = nn.BatchNorm2d(_WIDTHS[0])
        block = Bottleneck if depths.bottleneck else BasicBlock
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

    def forward(self, image: Float[Tensor, "b c h w"]) -> tuple[Float[Tensor, "b _ _ _"], ...]:
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

    def forward(self, x: Float[Tensor, "b _ _ _"]) -> Float[Tensor, "b _ _ _"]:
        """Add the convolutions' output and the shortcut."""
        y = F.relu(self.bn1(self.conv1(x)))
        return F.relu(self.bn2(self.conv2(y)) + self.downsample(x))


class Bottleneck(nn.Module):
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

    def forward(self, x: Float[Tensor, "b _ _ _"]) -> Float[Tensor, "b _ _ _"]:
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
