"""Linear probes: one convolution, without and with batch normalisation."""

from collections.abc import Sequence

import torch
from jaxtyping import Float
from torch import Tensor, nn

from rilievo.errors import ModelError
from rilievo.networks.probes.base import Probe, with_tokens
from rilievo.networks.probes.enlarge import Enlargement
from rilievo.networks.probes.lift import Lifting, lift_conv

_SCALE = 4


class LinearProbe(Probe):
    """One convolution of all layers' maps, enlarged four times (Probe3D's linear probe).

    A 1×1 convolution is done before the enlargement with the same result: both are linear, and
    the weights of an enlargement sum to one.
    """

    def __init__(
        self,
        channels: Sequence[int],
        token_channels: int,
        outputs: int,
        *,
        kernel: int = 1,
        enlargement: Enlargement = "centres",
        crop: bool = True,
    ) -> None:
        super().__init__(channels, token_channels, outputs, enlargement=enlargement, crop=crop)
        if kernel < 1 or kernel % 2 == 0:
            raise ModelError(f"a linear probe of kernel {kernel}: expected an odd one from 1")
        inputs = sum(channels) + token_channels * len(channels)
        self.answer = nn.Conv2d(inputs, outputs, kernel, padding=kernel // 2)
        self.last_scale = _SCALE if kernel == 1 else 1

    def decode(
        self, maps: tuple[Tensor, ...], tokens: tuple[Tensor, ...] | None
    ) -> Float[Tensor, "b o h w"]:
        """Compute the outputs before (kernel 1) or after the enlargement."""
        x = with_tokens(maps, tokens)
        if self.last_scale == _SCALE:
            return self.answer(x)
        return lift_conv(x, self.answer, Lifting(_SCALE, self.enlargement))


class BatchNormProbe(Probe):
    """Batch normalisation and one 1×1 convolution: the linear probe of DINOv2 and DINOv3.

    Features are normalised on their own grid, as in DINOv3, then enlarged four times, as in DINOv2.
    M. Oquab et al., "DINOv2", TMLR 2024; O. Siméoni et al., "DINOv3", 2025.
    """

    last_scale = _SCALE

    def __init__(
        self,
        channels: Sequence[int],
        token_channels: int,
        outputs: int,
        *,
        enlargement: Enlargement = "centres",
        crop: bool = True,
    ) -> None:
        super().__init__(channels, token_channels, outputs, enlargement=enlargement, crop=crop)
        inputs = sum(channels) + token_channels * len(channels)
        self.normalise = nn.BatchNorm2d(inputs)
        self.answer = nn.Conv2d(inputs, outputs, 1)
        nn.init.normal_(self.answer.weight, std=0.01)
        assert self.answer.bias is not None, "made with one"
        nn.init.zeros_(self.answer.bias)

    def decode(
        self, maps: tuple[Tensor, ...], tokens: tuple[Tensor, ...] | None
    ) -> Float[Tensor, "b o h w"]:
        """Compute the outputs at the features' size."""
        x = with_tokens(maps, tokens).contiguous(memory_format=torch.channels_last)
        return self.answer(self.normalise(x))
