"""The depth network: disparity of one frame at several scales."""

from typing import Any

import torch
from torch import Tensor, nn

from rilievo.arrays.shapes import Float
from rilievo.errors import OptionError
from rilievo.training.networks.blueprint import ENCODERS, TIMM_ENCODER, VideoBlueprint
from rilievo.training.networks.mobilenetv2 import MobileNetV2
from rilievo.training.networks.small import SmallNet
from rilievo.training.networks.video.decoder import DepthDecoder
from rilievo.training.networks.video.encoders import Encoder, import_network_class
from rilievo.training.tensors import FeatureMaps, Images, Maps, OneChannel, Sigmoids


class _FrozenNorms(nn.Module):
    def train(self, mode: bool = True) -> "_FrozenNorms":
        super().train(mode)
        for layer in self.modules():
            if isinstance(layer, nn.BatchNorm2d):
                layer.eval()
        return self


class SmallEncoder(_FrozenNorms, Encoder):
    """MobileNetV2 with ImageNet's normalisation."""

    mean: Tensor
    deviation: Tensor

    def __init__(self) -> None:
        super().__init__()
        self.encoder = MobileNetV2()
        whole = SmallNet()
        self.register_buffer("mean", whole.mean / 255, persistent=False)
        self.register_buffer("deviation", whole.deviation / 255, persistent=False)
        # Features at half the size come twice: of the first convolution and of the first stage.
        self.channels = self.encoder.channels
        self.reductions = (2, *(2 << place for place in range(len(self.channels) - 1)))

    def forward(self, image: Images) -> FeatureMaps:
        """Compute features of RGB in 0..1."""
        return self.maps((image - self.mean) / self.deviation)

    def maps(self, image: Images) -> FeatureMaps:
        """Compute features."""
        return self.encoder(image)

    def make_own_decoder(self, blueprint: VideoBlueprint, *, outputs: int) -> nn.Module:
        """Make its decoder."""
        return make_small_decoder(blueprint, outputs=outputs)


class SmallDecoder(_FrozenNorms):
    """Decoder of ``SmallNet``, with a sigmoid."""

    def __init__(self, blueprint: VideoBlueprint) -> None:
        super().__init__()
        whole = SmallNet()
        self.context, self.merges = whole.context, whole.merges
        self.head, self.upsample = whole.head, whole.upsample
        self._least, self._most = 1 / blueprint.max_depth, 1 / blueprint.min_depth

    def forward(self, features: FeatureMaps) -> tuple[OneChannel, ...]:
        """Compute the sigmoid."""
        stem, *fine, coarsest = features
        x = self.context(coarsest)
        for merge, lateral in zip(self.merges, reversed(fine), strict=True):
            x = merge(x, lateral)
        log_depth = self.upsample(self.head(x)[:, :1].float(), torch.cat([stem, x], dim=1))
        # Exponents beyond the range of depth would overflow before they are clamped.
        inverse = torch.exp(-log_depth.clamp(-30.0, 30.0))
        return (((inverse - self._least) / (self._most - self._least)).clamp(0, 1),)


def make_small_decoder(blueprint: VideoBlueprint, *, outputs: int) -> SmallDecoder:
    """Make the decoder; ``OptionError`` for masks or several scales."""
    name = blueprint.encoder
    if outputs != 1:
        raise OptionError(f"the encoder '{name}' has no mask: choose lite or a ResNet")
    if blueprint.scales != (0,):
        raise OptionError(
            f"the encoder '{name}' predicts depth at the frames' own size alone, got scales "
            f"{','.join(map(str, blueprint.scales))}: set blueprint.scales=[0]"
        )
    return SmallDecoder(blueprint)


def copy_small_weights(encoder: nn.Module, decoder: nn.Module, network: SmallNet) -> None:
    """Copy ``network`` into both; the head's normals stay unused."""
    state = network.state_dict()
    own = {key: tensor for key, tensor in state.items() if key.startswith("encoder.")}
    encoder.load_state_dict(own)
    decoder.load_state_dict({key: state[key] for key in decoder.state_dict()})


class DepthNet(nn.Module):
    """Encoder and decoder of disparity (Godard et al., ICCV 2019)."""

    def __init__(self, blueprint: VideoBlueprint) -> None:
        super().__init__()
        self.encoder = make_encoder(blueprint)
        self.decoder = make_decoder(self.encoder, blueprint)
        self._least, self._most = 1 / blueprint.max_depth, 1 / blueprint.min_depth

    def forward(self, image: Images) -> tuple[Sigmoids, ...]:
        """Compute sigmoids of RGB in 0..1, the finest first."""
        return self.decoder(self.encoder(image))

    def depth(self, image: Images) -> Maps:
        """Depth at the finest scale for RGB in 0..1, in the network's unit."""
        return 1 / _interpolate(self._least, self._most, self(image)[0][:, 0].float())


def make_encoder(blueprint: VideoBlueprint) -> Encoder:
    """Make a blueprint's encoder, or raise ``OptionError`` for its size."""
    kind: type[Encoder] = import_network_class(ENCODERS.get(blueprint.encoder, TIMM_ENCODER))
    return kind.from_blueprint(blueprint)


def make_decoder(encoder: Encoder, blueprint: VideoBlueprint, *, outputs: int = 1) -> nn.Module:
    """Make an encoder's decoder."""
    own = encoder.make_own_decoder(blueprint, outputs=outputs)
    if own is not None:
        return own
    return DepthDecoder(encoder.channels, encoder.reductions, blueprint.scales, outputs=outputs)


def sigmoid_to_inverse_depth(
    sigmoid: Float[Any, "*b"], blueprint: VideoBlueprint
) -> Float[Any, "*b"]:
    """Convert a sigmoid to inverse depth, 1 / ``max_depth`` to 1 / ``min_depth``."""
    return _interpolate(1 / blueprint.max_depth, 1 / blueprint.min_depth, sigmoid)


def _interpolate(least: float, most: float, sigmoid: Float[Any, "*b"]) -> Float[Any, "*b"]:
    return least + (most - least) * sigmoid


def sigmoid_to_depth(sigmoid: Float[Any, "*b"], blueprint: VideoBlueprint) -> Float[Any, "*b"]:
    """Convert a sigmoid to depth; 0 is the largest."""
    return 1 / sigmoid_to_inverse_depth(sigmoid, blueprint)
