"""MobileNetV2 as a backbone, with Gluon's weights from an ``.npz``."""

from pathlib import Path

from jaxtyping import Float
from torch import Tensor

from rilievo.errors import ModelError
from rilievo.networks.backbones.base import Backbone, Looked, Request, facts_of
from rilievo.networks.backbones.facts import IMAGENET, Facts, Layer, no_tokens
from rilievo.networks.backbones.weights import load_weights, seeded
from rilievo.networks.gluon import CHANNELS, MobileNetV2, load_published

NAME = "mobilenetv2"
_STRIDES = (2, 2, 4, 8, 16, 32)


class MobileNetBackbone(Backbone):
    """Levels of the pyramid: stem, 1/2, 1/4, 1/8, 1/16 and 1/32."""

    def __init__(self, facts: Facts) -> None:
        super().__init__(facts)
        self.body = MobileNetV2()

    def look(self, pixels: Float[Tensor, "b 3 h w"]) -> Looked:
        """Return the levels taken."""
        levels = self.body(pixels)
        return Looked(maps=tuple(levels[each] for each in self.facts.layers))


def load(request: Request) -> Backbone:
    """Make the network, with random weights or those of a file."""
    if request.tokens:
        raise no_tokens(NAME)
    if request.pretrained is True:
        raise ModelError(
            f"backbone '{NAME}' has no weights of its own to fetch: name their file (.npz of "
            "Gluon's arrays), or take random ones (pretrained=False)"
        )
    layers = [Layer(channels=c, stride=s) for c, s in zip(CHANNELS, _STRIDES, strict=True)]
    facts = facts_of(request, layers, request.normalisation or IMAGENET, "none")
    with seeded(request.seed):
        backbone = MobileNetBackbone(facts)
    if isinstance(request.pretrained, Path):
        _fill(backbone.body, request.pretrained)
    return backbone


def _fill(body: MobileNetV2, path: Path) -> None:
    if path.suffix == ".npz":
        load_published(body, path)
    else:
        load_weights(body, path)
