"""Probes that fuse layers as DPT: Probe3D's (El Banani et al., CVPR 2024), and a light one."""

from abc import abstractmethod

import torch
from torch import nn

from rilievo.training.networks.probes.enlargement import enlarge
from rilievo.training.networks.probes.lift import Lifting, lift_conv, lift_relu_conv, wide_conv
from rilievo.training.networks.probes.probe import Probe, TokenConv
from rilievo.training.tensors import Channels, Outputs, Resized, Tensors


class ResidualUnit(nn.Module):
    """Residual unit x + ReLU(conv(ReLU(conv(x)))), which can only add."""

    def __init__(self, channels: int, kernel: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(channels, channels, kernel, padding=kernel // 2)
        self.conv2 = nn.Conv2d(channels, channels, kernel, padding=kernel // 2)

    def forward(self, x: Channels) -> Channels:
        """Compute the unit."""
        return x + wide_conv(wide_conv(x, self.conv1).relu_(), self.conv2).relu_()

    def forward_enlarged(self, x: Channels, lifting: Lifting) -> Resized:
        """Compute the unit of the enlarged ``x``."""
        if lifting.scale == 1:
            return self(x)
        hidden = lift_conv(x, self.conv1, lifting).relu_()
        return enlarge(x, *lifting) + wide_conv(hidden, self.conv2).relu_()


class Level(nn.Module):
    """Enlargement of one layer's features, and their fusion with those of deeper layers."""

    def __init__(self, channels: int, kernel: int, *, deepest: bool) -> None:
        super().__init__()
        self.first = None if deepest else ResidualUnit(channels, kernel)
        self.second = ResidualUnit(channels, kernel)

    def forward(
        self,
        x: Channels,
        deeper: Resized | None,
        lifting: Lifting,
    ) -> Resized:
        """Enlarge and refine ``x``, add the features of deeper layers, and refine the sum."""
        if self.first is None or deeper is None:
            return self.second.forward_enlarged(x, lifting)
        return self.second(self.first.forward_enlarged(x, lifting) + deeper)


class _FusionProbe(Probe):
    """Probe that fuses layers from the deepest to the shallowest."""

    def build(self, hidden: int) -> None:
        """Make the layers of the fusion, and those after it."""
        self.project = nn.ModuleList(
            TokenConv(channels, self.token_channels, hidden) for channels in self.channels
        )
        deepest = len(self.channels) - 1
        self.levels = nn.ModuleList(
            Level(hidden, self.kernel or 3, deepest=layer == deepest)
            for layer in range(len(self.channels))
        )
        self._add_layers_after_fusion(hidden)
        self.to(memory_format=torch.channels_last)

    @abstractmethod
    def _add_layers_after_fusion(self, hidden: int) -> None:
        """Make the layers that follow the fusion."""

    def fuse_layers_at_scale(self, maps: Tensors, tokens: Tensors | None, scale: int) -> Channels:
        """Fuse all layers, each enlarged by ``scale``, from the deepest one on."""
        lifting = Lifting(scale, self.enlargement)
        fused = None
        for layer in reversed(range(len(maps))):
            token = None if tokens is None else tokens[layer]
            projected = self.project[layer](maps[layer], token)
            fused = self.levels[layer](projected, fused, lifting)
        assert fused is not None, "features have a map"
        return fused


class DptProbe(_FusionProbe):
    """Probe3D's dense DPT probe, whose outputs have sixteen times the size of the features."""

    last_scale = 2
    usual_hidden = 512
    usual_kernel = 3

    def _add_layers_after_fusion(self, hidden: int) -> None:
        self.widen = nn.Conv2d(hidden, hidden, 3, padding=1)
        self.answer = nn.Conv2d(hidden, self.outputs, 3, padding=1)

    def decode(self, maps: Tensors, tokens: Tensors | None) -> Outputs:
        """Compute outputs at eight times the size of the features."""
        fused = self.fuse_layers_at_scale(maps, tokens, 2)
        return lift_relu_conv(fused, self.widen, self.answer, Lifting(4, self.enlargement))


class LightProbe(_FusionProbe):
    """Narrow ``DptProbe`` with a hundredth of its multiplications."""

    usual_hidden = 160

    def _add_layers_after_fusion(self, hidden: int) -> None:
        middle, last = max(1, hidden * 4 // 5), max(1, hidden * 2 // 5)
        self.twice = nn.Conv2d(hidden, middle, 3, padding=1)
        self.again = nn.Conv2d(middle, last, 3, padding=1)
        self.answer = nn.Conv2d(last, self.outputs, 1)

    def decode(self, maps: Tensors, tokens: Tensors | None) -> Outputs:
        """Compute outputs at four times the size of the features."""
        lifting = Lifting(2, self.enlargement)
        fused = self.fuse_layers_at_scale(maps, tokens, 1)
        x = lift_conv(fused, self.twice, lifting).relu_()
        return self.answer(lift_conv(x, self.again, lifting).relu_())
