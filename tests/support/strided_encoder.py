"""An encoder of networks for video that rilievo does not have: four strided convolutions."""

import torch
from torch import nn

from rilievo.training.networks.video.encoders import Encoder
from rilievo.training.tensors import Channels, FeatureMaps


class Strided(Encoder):
    """Features at 1/2 to 1/16 of the image's size."""

    channels, reductions = (4, 6, 8, 10), (2, 4, 8, 16)

    def __init__(self) -> None:
        super().__init__()
        inputs = (3, *self.channels)
        self.steps = nn.ModuleList(
            nn.Conv2d(before, after, 3, stride=2, padding=1)
            for before, after in zip(inputs, self.channels, strict=False)
        )

    def maps(self, image: Channels) -> FeatureMaps:
        levels = [image]
        for step in self.steps:
            levels.append(torch.relu(step(levels[-1])))
        return tuple(levels[1:])
