"""Probes that fuse layers as DPT: Probe3D's (El Banani et al., CVPR 2024), and a light one."""

from abc import abstractmethod

import torch
from torch import nn

from rilievo.training.networks.probes.probe import Probe, TokenConv
from rilievo.training.networks.probes.upsampled_convolution import (
    Upsampling,
    upsample_conv,
    upsample_conv_relu_conv,
    wide_conv,
)
from rilievo.training.networks.probes.upsampling import upsample
from rilievo.training.tensors import Channels, Outputs, Resized, Tensors


class ResidualUnit(nn.Module):
    """Residual unit x + ReLU(conv2(ReLU(conv1(x)))); its last ReLU makes the residual positive."""

    def __init__(self, channels: int, kernel: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(channels, channels, kernel, padding=kernel // 2)
        self.conv2 = nn.Conv2d(channels, channels, kernel, padding=kernel // 2)

    def forward(self, x: Channels) -> Channels:
        """Compute the unit."""
        # wide_conv is a convolution, with a faster backward pass on a CPU.
        return x + wide_conv(wide_conv(x, self.conv1).relu_(), self.conv2).relu_()

    def forward_upsampled(self, x: Channels, upsampling: Upsampling) -> Resized:
        """Compute ``self(upsample(x))``, with fewer multiplications in the first convolution."""
        if upsampling.scale == 1:
            return self(x)
        hidden = upsample_conv(x, self.conv1, upsampling).relu_()
        return upsample(x, *upsampling) + wide_conv(hidden, self.conv2).relu_()


class FusionLevel(nn.Module):
    """Upsampling of one layer's features, and their fusion with those of deeper layers."""

    def __init__(self, channels: int, kernel: int, *, is_deepest: bool) -> None:
        super().__init__()
        self.first = None if is_deepest else ResidualUnit(channels, kernel)
        self.second = ResidualUnit(channels, kernel)

    def forward(
        self,
        x: Channels,
        deeper: Resized | None,
        upsampling: Upsampling,
    ) -> Resized:
        """Upsample and refine ``x``, add the features of deeper layers, and refine the sum.

        In the deepest layer there is nothing to add, so it is refined only once.
        """
        if self.first is None or deeper is None:
            return self.second.forward_upsampled(x, upsampling)
        return self.second(self.first.forward_upsampled(x, upsampling) + deeper)


class _FusionProbe(Probe):
    """Probe that fuses layers from the deepest to the shallowest."""

    def build(self, hidden: int) -> None:
        """Create the layers of the fusion, and the output layers of the subclass.

        ``project`` brings each map of the backbone to ``hidden`` channels, and ``levels`` fuse the
        results. Both are in the order of the backbone's layers, the shallowest first.
        """
        self.project = nn.ModuleList(
            TokenConv(channels, self.token_channels, hidden) for channels in self.channels
        )
        num_layers = len(self.channels)
        # Kinds of probes that always use kernels of 3×3 pixels have a ``kernel`` of 0.
        kernel_size = self.kernel or 3
        self.levels = nn.ModuleList(
            FusionLevel(hidden, kernel_size, is_deepest=index == num_layers - 1)
            for index in range(num_layers)
        )
        self._add_layers_after_fusion(hidden)
        self.to(memory_format=torch.channels_last)

    @abstractmethod
    def _add_layers_after_fusion(self, hidden: int) -> None:
        """Create the layers that follow the fusion, which has ``hidden`` channels."""

    def fuse_layers_at_scale(self, maps: Tensors, tokens: Tensors | None, scale: int) -> Channels:
        """Fuse all layers, each upsampled by ``scale``, from the deepest one on."""
        upsampling = Upsampling(scale, self.upsampling_mode)
        fused = None
        for layer in reversed(range(len(maps))):
            token = None if tokens is None else tokens[layer]
            projected = self.project[layer](maps[layer], token)
            fused = self.levels[layer](projected, fused, upsampling)
        assert fused is not None, "features have a map"
        return fused


class DptProbe(_FusionProbe):
    """Probe3D's dense DPT probe, whose outputs have sixteen times the size of the features.

    The fusion upsamples by 2, ``decode`` by another 4, and the base class by ``last_scale``.
    """

    last_scale = 2
    default_hidden = 512
    default_kernel = 3

    def _add_layers_after_fusion(self, hidden: int) -> None:
        # Stored weights have these names.
        self.widen = nn.Conv2d(hidden, hidden, 3, padding=1)  # follows the upsampling by 4
        self.answer = nn.Conv2d(hidden, self.outputs, 3, padding=1)

    def decode(self, maps: Tensors, tokens: Tensors | None) -> Outputs:
        """Compute outputs at eight times the size of the features."""
        fused = self.fuse_layers_at_scale(maps, tokens, scale=2)
        upsampling = Upsampling(scale=4, mode=self.upsampling_mode)
        return upsample_conv_relu_conv(fused, self.widen, self.answer, upsampling)


class LightProbe(_FusionProbe):
    """Narrow ``DptProbe`` with 1/100 of its multiplications."""

    default_hidden = 160

    def _add_layers_after_fusion(self, hidden: int) -> None:
        middle_channels = max(1, hidden * 4 // 5)
        last_channels = max(1, hidden * 2 // 5)
        # Stored weights have these names.
        self.twice = nn.Conv2d(hidden, middle_channels, 3, padding=1)  # after upsampling by 2
        self.again = nn.Conv2d(middle_channels, last_channels, 3, padding=1)  # after another by 2
        self.answer = nn.Conv2d(last_channels, self.outputs, 1)

    def decode(self, maps: Tensors, tokens: Tensors | None) -> Outputs:
        """Compute outputs at four times the size of the features."""
        upsampling = Upsampling(scale=2, mode=self.upsampling_mode)
        fused = self.fuse_layers_at_scale(maps, tokens, scale=1)
        x = upsample_conv(fused, self.twice, upsampling).relu_()
        return self.answer(upsample_conv(x, self.again, upsampling).relu_())
