"""The depth network: disparity of one frame at several scales, and depth from disparity."""

from typing import Any

from jaxtyping import Float
from torch import Tensor, nn

from rilievo.errors import OptionError, suggest
from rilievo.networks.video.blueprint import VideoBlueprint
from rilievo.networks.video.decoder import DepthDecoder
from rilievo.networks.video.embedded import EMBEDDED, SmallDecoder, SmallEncoder, small_decoder
from rilievo.networks.video.lite import LiteDecoder, LiteEncoder
from rilievo.networks.video.pyramid import PREFIX, Encoder, TimmEncoder
from rilievo.networks.video.resnet import RESNETS, ResNetEncoder

LITE = "lite"

Decoder = DepthDecoder | LiteDecoder | SmallDecoder


class DepthNet(nn.Module):
    """An encoder and a decoder (Godard et al., "Digging into self-supervised depth", ICCV 2019).

    Attributes:
        encoder: Network from a frame to features.
        decoder: Network from features to disparity.
    """

    def __init__(self, blueprint: VideoBlueprint) -> None:
        """Make one with random weights.

        Raises:
            OptionError: If there is no such encoder, or it does not go with the size or scales.
            ModelError: If timm has no such model.
            MissingExtraError: If the encoder is timm's and it is not installed.
        """
        super().__init__()
        self.encoder = make_encoder(blueprint)
        self.decoder = make_decoder(self.encoder, blueprint)

    def forward(self, image: Float[Tensor, "b 3 h w"]) -> tuple[Float[Tensor, "b 1 _ _"], ...]:
        """Return the sigmoid at each scale (see ``depth_of``) for RGB in 0..1, the finest first."""
        return self.decoder(self.encoder(image))


def make_encoder(blueprint: VideoBlueprint) -> Encoder:
    """Make the encoder of a blueprint with random weights.

    Raises:
        OptionError: If there is none of that name, or it does not take the size.
        ModelError: If timm has no such model.
        MissingExtraError: If it is timm's, which is not installed.
    """
    name = blueprint.encoder
    if name in RESNETS:
        return ResNetEncoder(name)
    if name == LITE:
        return LiteEncoder()
    if name in EMBEDDED:
        return SmallEncoder(EMBEDDED[name])
    if name.startswith(PREFIX):
        return TimmEncoder(name, blueprint.size)
    known = [*RESNETS, LITE, *EMBEDDED, f"{PREFIX}NAME"]
    raise OptionError(f"no encoder '{name}'; {suggest(name, known)}")


def make_decoder(encoder: Encoder, blueprint: VideoBlueprint, *, outputs: int = 1) -> Decoder:
    """Make the decoder that goes with an encoder, with random weights.

    Args:
        encoder: Encoder whose features it reads.
        blueprint: Settings, whose scales are used.
        outputs: Number of channels of a head.

    Raises:
        OptionError: If the encoder's features do not go with the scales.
    """
    if isinstance(encoder, LiteEncoder):
        return LiteDecoder(blueprint.scales, outputs=outputs)
    if isinstance(encoder, SmallEncoder):
        return small_decoder(blueprint, outputs=outputs)
    return DepthDecoder(encoder.channels, encoder.reductions, blueprint.scales, outputs=outputs)


def scaled_disparity(sigmoid: Float[Any, "*b"], blueprint: VideoBlueprint) -> Float[Any, "*b"]:
    """Inverse depth of a sigmoid, linear between 1 / ``max_depth`` (0) and 1 / ``min_depth`` (1).

    Its unit is 1 over the network's unit of depth.
    """
    least, most = 1 / blueprint.max_depth, 1 / blueprint.min_depth
    return least + (most - least) * sigmoid


def depth_of(sigmoid: Float[Any, "*b"], blueprint: VideoBlueprint) -> Float[Any, "*b"]:
    """Depth of a sigmoid, in the network's unit of depth.

    0 is the largest depth, 1 the least; in between, inverse depth is linear.
    """
    return 1 / scaled_disparity(sigmoid, blueprint)
