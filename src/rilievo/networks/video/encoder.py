"""The base class of encoders: feature maps, from fine to coarse, of one frame or of several."""

from abc import ABC, abstractmethod

from jaxtyping import Float
from torch import Tensor, nn

_MEAN, _DEVIATION = 0.45, 0.225


class Encoder(nn.Module, ABC):
    """A pyramid of features.

    Attributes:
        channels: Number of channels of each map that ``forward`` returns.
        reductions: Factor by which each map is smaller than the image along a side; powers of 2.
    """

    channels: tuple[int, ...]
    reductions: tuple[int, ...]

    def forward(self, image: Float[Tensor, "b c h w"]) -> tuple[Float[Tensor, "b _ _ _"], ...]:
        """Compute features of RGB in 0..1, the finest first.

        All colours are normalised by one mean and deviation (Godard et al. 2019), near those of
        ImageNet. Several frames are stacked as channels.
        """
        return self.maps((image - _MEAN) / _DEVIATION)

    @abstractmethod
    def maps(self, image: Float[Tensor, "b c h w"]) -> tuple[Float[Tensor, "b _ _ _"], ...]:
        """Compute features of normalised images."""
