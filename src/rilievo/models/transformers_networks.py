"""Depth networks of transformers as ``Network``, with outputs in our conventions."""

from typing import Any

from jaxtyping import Float
from torch import Tensor, nn

from rilievo.models.preparation import Preparation
from rilievo.models.torch_model import Network


class DepthHead(Network):
    """An architecture whose ``predicted_depth`` is used unchanged."""

    def __init__(
        self,
        preparation: Preparation,
        body: nn.Module,
        *,
        offset: float = 0.0,
        mixes_batches: bool = False,
        counts_photos: bool = False,
    ) -> None:
        """Wrap a depth estimation model.

        Args:
            preparation: Preparation of photographs for its input.
            body: The model.
            offset: Constant that its authors add to the head's output [m].
            mixes_batches: Whether photographs in one batch affect each other's output.
            counts_photos: Whether it loops over the photographs of a batch.
        """
        super().__init__(preparation)
        self.body, self.offset = body, offset
        self.mixes_batches, self.counts_photos = mixes_batches, counts_photos

    def answer(self, pixels: Float[Tensor, "b 3 h w"]) -> tuple[Tensor, ...]:
        """Depth predicted by the model."""
        depth = self.body(pixel_values=self._filled(pixels)).predicted_depth
        return (depth + self.offset if self.offset else depth,)

    def _filled(self, pixels: Float[Tensor, "b 3 h w"]) -> Float[Tensor, "b 3 H W"]:
        """Pad with zeros, the mean colour, until both sides are multiples of ``fill``."""
        fill = self.preparation.fill
        if fill == 1:
            return pixels
        down, across = -pixels.shape[-2] % fill, -pixels.shape[-1] % fill
        edges = (across // 2, across - across // 2, down // 2, down - down // 2)
        return nn.functional.pad(pixels, edges)


class DepthProHead(Network):
    """Depth Pro (Bochkovskii et al. 2024): canonical inverse depth and the field of view.

    ``depth`` is that of a camera whose focal length is the photograph's width, limited to 0.1 mm to
    10 km as by the authors; ``fov`` is horizontal [degrees].
    """

    NEAREST, FARTHEST = 1e-4, 1e4
    counts_photos = True

    def __init__(self, preparation: Preparation, body: Any) -> None:
        super().__init__(preparation)
        self.body = body
        if body.use_fov_model:
            self.outputs = ("depth", "fov")

    def answer(self, pixels: Float[Tensor, "b 3 h w"]) -> tuple[Tensor, ...]:
        """Canonical depth [m] and, if it has that branch, the field of view [degrees]."""
        said = self.body(pixel_values=pixels)
        depth = 1 / said.predicted_depth.float().clamp(1 / self.FARTHEST, 1 / self.NEAREST)
        return (depth, said.field_of_view) if "fov" in self.outputs else (depth,)
