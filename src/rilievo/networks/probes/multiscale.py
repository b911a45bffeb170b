"""The multiscale probe of Probe3D: all layers side by side, then five convolutions."""

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

from rilievo.errors import ModelError
from rilievo.networks.probes.base import Probe, TokenConv
from rilievo.networks.probes.enlarge import Enlargement, enlarge, resize


class MultiscaleProbe(Probe):
    """Layers projected, concatenated, and refined twice while they grow to eight times their size.

    Its convolutions are not padded: with a kernel above 1 the map shrinks at each convolution and
    is no longer aligned exactly with the image, as in the original.
    """

    def __init__(
        self,
        channels: Sequence[int],
        token_channels: int,
        outputs: int,
        *,
        hidden: int = 512,
        kernel: int = 1,
        enlargement: Enlargement = "centres",
        crop: bool = True,
    ) -> None:
        super().__init__(channels, token_channels, outputs, enlargement=enlargement, crop=crop)
        if hidden < 1 or kernel < 1:
            raise ModelError(f"a probe of width {hidden} and kernel {kernel}: expected both from 1")
        self.project = nn.ModuleList(TokenConv(c, token_channels, hidden, kernel) for c in channels)
        self.middle = nn.ModuleList(
            nn.Conv2d(inputs, hidden, kernel) for inputs in (hidden * len(channels), hidden, hidden)
        )
        self.widen = nn.Conv2d(hidden, hidden, kernel)
        self.answer = nn.Conv2d(hidden, outputs, kernel)
        self.to(memory_format=torch.channels_last)

    def decode(
        self, maps: tuple[Tensor, ...], tokens: tuple[Tensor, ...] | None
    ) -> Float[Tensor, "b o h w"]:
        """Compute the outputs at eight times the size of the features."""
        levels = [
            project(x, None if tokens is None else tokens[layer])
            for layer, (project, x) in enumerate(zip(self.project, maps, strict=True))
        ]
        height, width = levels[-1].shape[2:]
        x = torch.cat([resize(x, (height, width), self.enlargement) for x in levels], dim=1)
        first, second, third = self.middle
        x = self._grow(first, F.relu(x, inplace=True), 2).relu_()
        x = third(second(x).relu_()).relu_()
        return self.answer(self._grow(self.widen, x, 4).relu_())

    def _grow(self, convolution: nn.Module, x: Tensor, scale: int) -> Float[Tensor, "b c h w"]:
        """Enlarge and convolve; a 1×1 convolution comes first, which is cheaper and equal."""
        if self.widen.kernel_size == (1, 1):
            return enlarge(convolution(x), scale, self.enlargement)
        return convolution(enlarge(x, scale, self.enlargement))
