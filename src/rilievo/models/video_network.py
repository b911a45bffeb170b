"""A depth network that learned from video as a ``Network``: photographs in, depth out."""

import torch
from jaxtyping import Float
from torch import Tensor

from rilievo.models.card import ModelCard
from rilievo.models.engines import LoadOptions
from rilievo.models.preparation import Preparation, Resampling, Rule, Sizing
from rilievo.models.torch_model import Network, TorchModel
from rilievo.models.video_run import VideoSettings
from rilievo.networks.video.blueprint import VideoBlueprint
from rilievo.networks.video.depth import DepthNet, scaled_disparity
from rilievo.networks.video.embedded import EMBEDDED

_MULTIPLE = 32
_BORDER = 0.05
"""Share of the width over which the one answer's weight falls to nothing."""


class VideoNetwork(Network):
    """Depth in metres, or up to scale."""

    def __init__(
        self, blueprint: VideoBlueprint, depth: DepthNet, *, post_process: bool = False
    ) -> None:
        """Wrap a depth network.

        Args:
            blueprint: What it is made of.
            depth: With its weights.
            post_process: Whether the mirrored photograph is asked too.
        """
        super().__init__(preparation_of(blueprint))
        self.blueprint, self.depth, self.post_process = blueprint, depth, post_process

    def answer(self, pixels: Float[Tensor, "b 3 h w"]) -> tuple[Tensor, ...]:
        """Depth of RGB in 0..1; the network normalises it itself."""
        inverse = self._inverse(pixels)
        if self.post_process:
            mirrored = self._inverse(pixels.flip(-1)).flip(-1)
            inverse = without_borders(inverse, mirrored)
        return (self.blueprint.unit / inverse,)

    def _inverse(self, pixels: Float[Tensor, "b 3 h w"]) -> Float[Tensor, "b _ _"]:
        """Inverse depth, at the finest scale there is."""
        return scaled_disparity(self.depth(pixels)[0][:, 0].float(), self.blueprint)


def without_borders(
    plain: Float[Tensor, "b h w"], mirrored: Float[Tensor, "b h w"]
) -> Float[Tensor, "b h w"]:
    """Two answers for one photograph put together (Godard et al., CVPR 2017, post-processing).

    What learned from stereo pairs knows little of the photograph's left border, where the other
    eye never looked; in a mirrored photograph that is the right one. At the left border the
    mirrored answer counts alone, at the right the plain one, and between their mean; weights
    change linearly over the second twentieth of the width.

    Args:
        plain: Inverse depth of the photograph.
        mirrored: Of the mirrored photograph, mirrored back.
    """
    place = torch.linspace(0, 1, plain.shape[-1], dtype=plain.dtype, device=plain.device)
    left = 1 - ((place - _BORDER) / _BORDER).clamp(0, 1)
    right = left.flip(-1)
    return right * plain + left * mirrored + (1 - left - right) * (plain + mirrored) / 2


def preparation_of(blueprint: VideoBlueprint) -> Preparation:
    """How photographs come to the size that a blueprint sees.

    Most networks see one size, as the published program's do. Those of the embedded models see
    every shape, at about as many pixels as in training.
    """
    height, width = blueprint.size
    if blueprint.encoder in EMBEDDED:
        return Preparation(
            sizing=Sizing(rule=Rule.AREA, area=height * width, multiple=_MULTIPLE),
            resampling=Resampling.TRIANGLE,
            inverse=True,
        )
    return Preparation(
        sizing=Sizing(rule=Rule.FIXED, height=height, width=width, multiple=_MULTIPLE),
        resampling=Resampling.LANCZOS,
        inverse=True,
    )


def video_model(
    card: ModelCard,
    blueprint: VideoBlueprint,
    depth: DepthNet,
    options: LoadOptions,
    settings: VideoSettings,
    *,
    weights_sha256: str,
) -> TorchModel:
    """A depth network behind ``predict``.

    Args:
        card: What it is.
        blueprint: What it is made of.
        depth: With its weights.
        options: How to run it.
        settings: What was set of it.
        weights_sha256: Of its files.

    Raises:
        OptionError: If the device, engine or precision is not available.
    """
    network = VideoNetwork(blueprint, depth, post_process=settings.post_process)
    return TorchModel(
        card,
        network,
        options,
        weights_sha256=weights_sha256,
        settings={
            "encoder": blueprint.encoder,
            "unit": blueprint.unit,
            "post_process": settings.post_process,
        },
    )
