"""A probe that rilievo does not have: one convolution, gated by another."""

import torch
from torch import nn

from rilievo.training.networks.probes.probe import Probe
from rilievo.training.tensors import Outputs, Tensors


class Gated(Probe):
    """A convolution of the last map, times the sigmoid of another."""

    def build(self, hidden: int) -> None:
        self.answer = nn.Conv2d(self.channels[-1], self.outputs, 1)
        self.gate = nn.Conv2d(self.channels[-1], self.outputs, 1)

    def decode(self, maps: Tensors, tokens: Tensors | None) -> Outputs:
        x = maps[-1]
        return self.answer(x) * torch.sigmoid(self.gate(x))


class Broken(Probe):
    """A probe whose layers cannot be made."""

    def build(self, hidden: int) -> None:
        raise KeyError("layers")

    def decode(self, maps: Tensors, tokens: Tensors | None) -> Outputs:
        return maps[-1]
