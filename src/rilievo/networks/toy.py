"""Two small networks to begin with: convolutions down to a sixteenth and up again to a quarter.

They are the simplest complete networks that give dense maps. They take photographs of any size,
and a linear probe enlarges their output to the photograph's size.
"""

from collections.abc import Sequence
from typing import ClassVar

import torch
from jaxtyping import Float
from torch import Tensor, nn

from rilievo.networks.backbones import Layer, OwnBackbone

_STEPS_DOWN, _STEPS_UP = 4, 2


class DepthCNN(OwnBackbone):
    """Four convolutions down, two up; 0.2 million weights."""

    patch: ClassVar[int] = 16
    available: ClassVar[tuple[Layer, ...]] = (Layer(channels=64, stride=4),)
    widths: ClassVar[tuple[int, ...]] = (16, 32, 64, 128)

    def __init__(self) -> None:
        super().__init__()
        inputs = (3, *self.widths[:-1])
        self.down = nn.ModuleList(
            _Step(before, after, stride=2)
            for before, after in zip(inputs, self.widths, strict=True)
        )
        last, middle, first = self.widths[-1], self.widths[-2], self.available[0].channels
        self.up = nn.ModuleList((_Step(last, middle), _Step(middle, first)))

    def maps(self, pixels: Float[Tensor, "b 3 h w"]) -> Sequence[Tensor]:
        """Return the only map, at a quarter of the image's size."""
        for step in self.down:
            pixels = step(pixels)
        for step in self.up:
            pixels = step(nn.functional.interpolate(pixels, scale_factor=2.0, mode="nearest"))
        return (pixels,)


class NormalCNN(DepthCNN):
    """A wider ``DepthCNN`` for three outputs per pixel; 0.4 million weights."""

    widths: ClassVar[tuple[int, ...]] = (24, 48, 96, 192)


class _Step(nn.Sequential):
    """A 3×3 convolution, batch normalisation, ReLU."""

    def __init__(self, inputs: int, outputs: int, *, stride: int = 1) -> None:
        super().__init__(
            nn.Conv2d(inputs, outputs, 3, stride, 1, bias=False),
            nn.BatchNorm2d(outputs),
            nn.ReLU(),
        )


def count_parameters(network: nn.Module) -> int:
    """Count the weights of a network, including those that are not trained."""
    return sum(torch.numel(each) for each in network.parameters())
