"""The decoder from a pyramid of features up to the image's size, with disparity at each scale."""

import math
from collections.abc import Sequence

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

from rilievo.errors import OptionError

_WIDTHS = (16, 32, 64, 128, 256)  # of features at 1, 1/2, ... 1/16 of the image's size


class DepthDecoder(nn.Module):
    """A U-Net's decoder: convolve, double, join the encoder's features of that size, convolve.

    Its state is named as that of an official ``depth.pth``: one list of two convolutions for each
    doubling, the coarsest first, followed by a head for each scale, the finest first.
    """

    def __init__(
        self,
        channels: Sequence[int],
        reductions: Sequence[int],
        scales: Sequence[int],
        *,
        outputs: int = 1,
    ) -> None:
        """Make one with random weights.

        Of maps with the same reduction, the last is used. Raises ``OptionError`` if the encoder's
        maps are not halvings, or too fine for the scales.
        """
        super().__init__()
        self.scales, self.outputs = tuple(scales), outputs
        place = {_halvings(each): index for index, each in enumerate(reductions)}
        self.levels = max(place)
        self.coarsest = place[self.levels]
        if self.levels <= max(scales):
            raise OptionError(
                f"the encoder's coarsest features are at 1/{max(reductions)}, too fine for scale "
                f"{max(scales)}: take scales up to {self.levels - 1}"
            )
        # Level i ends at 1/2^i of the image's size, and begins where the one before ended.
        self.joined = {level: place[level] for level in range(self.levels) if level in place}
        steps, inputs = [], channels[self.coarsest]
        for level in reversed(range(self.levels)):
            width = _WIDTHS[min(level, len(_WIDTHS) - 1)]
            skip = channels[self.joined[level]] if level in self.joined else 0
            steps += [ConvELU(inputs, width), ConvELU(width + skip, width)]
            inputs = width
        heads = [Conv3x3(_WIDTHS[each], outputs) for each in scales]
        self.decoder = nn.ModuleList([*steps, *heads])

    def forward(
        self, features: tuple[Float[Tensor, "b _ _ _"], ...]
    ) -> tuple[Float[Tensor, "b n _ _"], ...]:
        """Return the sigmoid of each head, in 0..1, in the order of ``scales``."""
        x, said = features[self.coarsest], {}
        for step, level in enumerate(reversed(range(self.levels))):
            x = F.interpolate(self.decoder[2 * step](x), scale_factor=2.0, mode="nearest")
            if level in self.joined:
                x = torch.cat((x, features[self.joined[level]]), dim=1)
            x = self.decoder[2 * step + 1](x)
            if level in self.scales:
                head = self.decoder[2 * self.levels + self.scales.index(level)]
                said[level] = torch.sigmoid(exact(head(x)))
        return tuple(said[scale] for scale in self.scales)


class Conv3x3(nn.Module):
    """A 3×3 convolution over an image that is reflected at its borders."""

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__()
        self.conv = nn.Conv2d(inputs, outputs, 3, padding=1, padding_mode="reflect")

    def forward(self, x: Float[Tensor, "b _ h w"]) -> Float[Tensor, "b _ h w"]:
        """Convolve."""
        return self.conv(x)


class ConvELU(nn.Module):
    """A ``Conv3x3`` followed by an exponential linear unit."""

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__()
        self.conv = Conv3x3(inputs, outputs)

    def forward(self, x: Float[Tensor, "b _ h w"]) -> Float[Tensor, "b _ h w"]:
        """Convolve and apply the unit."""
        return F.elu(self.conv(x), inplace=True)


def exact(x: Float[Tensor, "*b"]) -> Float[Tensor, "*b"]:
    """Promote half precision to float32: bfloat16's 8 bits would quantise inverse depth visibly."""
    return x.to(torch.promote_types(x.dtype, torch.float32))


def _halvings(reduction: int) -> int:
    """Number of times that a side is halved for a map of features."""
    halvings = round(math.log2(reduction)) if reduction > 0 else -1
    if not 0 <= halvings <= 5 or 2**halvings != reduction:
        raise OptionError(
            f"the encoder has features at 1/{reduction} of the image; a depth network takes "
            "those at 1, 1/2, 1/4, ... 1/32"
        )
    return halvings
