"""A depth network trained on video, as an exportable ``Network``."""

import hashlib
from pathlib import Path

import torch
from jaxtyping import Float
from torch import Tensor

from rilievo.models.card import ModelCard
from rilievo.models.engines import LoadOptions
from rilievo.models.preparation import Preparation, Resampling, Rule, Sizing
from rilievo.models.runs import WEIGHTS, VideoSettings, read_video_run
from rilievo.models.settings import read_settings
from rilievo.models.torch_model import Network, TorchModel
from rilievo.networks.backbones.weights import read_state
from rilievo.networks.video.blueprint import VideoBlueprint
from rilievo.networks.video.depth import EMBEDDED, DepthNet, scaled_disparity
from rilievo.networks.video.official import fitting

_MULTIPLE = 32
_BORDER = 0.05
"""Share of the width over which one prediction's weight falls to zero."""


class VideoNetwork(Network):
    """Depth in metres, or up to scale."""

    def __init__(
        self, blueprint: VideoBlueprint, depth: DepthNet, *, post_process: bool = False
    ) -> None:
        super().__init__(preparation_of(blueprint))
        self.blueprint, self.depth, self.post_process = blueprint, depth, post_process

    def answer(self, pixels: Float[Tensor, "b 3 h w"]) -> tuple[Tensor, ...]:
        """Depth for RGB in 0..1; the network normalises it itself."""
        inverse = self._inverse(pixels)
        if self.post_process:
            mirrored = self._inverse(pixels.flip(-1)).flip(-1)
            inverse = without_borders(inverse, mirrored)
        return (self.blueprint.unit / inverse,)

    def _inverse(self, pixels: Float[Tensor, "b 3 h w"]) -> Float[Tensor, "b _ _"]:
        """Inverse depth at the finest scale."""
        return scaled_disparity(self.depth(pixels)[0][:, 0].float(), self.blueprint)


def without_borders(
    plain: Float[Tensor, "b h w"], mirrored: Float[Tensor, "b h w"]
) -> Float[Tensor, "b h w"]:
    """Combine two predictions of one photograph (Godard et al., CVPR 2017, post-processing).

    A network trained on stereo pairs is inaccurate at the photograph's left border, which the other
    camera never saw; in a mirrored photograph that is the right border. The left border is taken
    from the mirrored prediction, the right one from the plain prediction, and the rest is their
    mean; weights change linearly over the second twentieth of the width.
    """
    place = torch.linspace(0, 1, plain.shape[-1], dtype=plain.dtype, device=plain.device)
    left = 1 - ((place - _BORDER) / _BORDER).clamp(0, 1)
    right = left.flip(-1)
    return right * plain + left * mirrored + (1 - left - right) * (plain + mirrored) / 2


def preparation_of(blueprint: VideoBlueprint) -> Preparation:
    """Preparation that resizes photographs to the size that a blueprint sees.

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
    """Make a model from a depth network."""
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


def load(card: ModelCard, options: LoadOptions) -> TorchModel:
    """Load a run (``ModelCard.loader``)."""
    assert card.source is not None, "the card of a run has its folder"
    settings = read_settings(VideoSettings, options.settings, card.name)
    path = Path(card.source) / WEIGHTS
    blueprint = read_video_run(path.parent).blueprint
    depth = DepthNet(blueprint)
    depth.load_state_dict(fitting(depth, read_state(path), path, "depth."))
    return video_model(
        card,
        blueprint,
        depth,
        options,
        settings,
        weights_sha256=hashlib.sha256(path.read_bytes()).hexdigest(),
    )
