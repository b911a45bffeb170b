"""What sees one frame, or several behind each other: maps of features, from fine to coarse."""

from abc import ABC, abstractmethod

from jaxtyping import Float
from torch import Tensor, nn

_MEAN, _DEVIATION = 0.45, 0.225


class Encoder(nn.Module, ABC):
    """A pyramid of features.

    Attributes:
        channels: Of each map that ``forward`` gives.
        reductions: How many times smaller than the image each is along a side; powers of 2.
    """

    channels: tuple[int, ...]
    reductions: tuple[int, ...]

    def forward(self, image: Float[Tensor, "b c h w"]) -> tuple[Float[Tensor, "b _ _ _"], ...]:
        """Features of RGB in 0..1, the finest first.

        All colours are normalised by one mean and deviation (Godard et al. 2019), near those of
        ImageNet. Frames behind each other are channels.
        """
        return self.maps((image - _MEAN) / _DEVIATION)

    @abstractmethod
    def maps(self, image: Float[Tensor, "b c h w"]) -> tuple[Float[Tensor, "b _ _ _"], ...]:
        """Features of normalised images."""
