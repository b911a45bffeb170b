"""The depth network, whose encoder and decoder predict depth of one frame at several scales."""

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
    """Module whose batch normalisations keep their statistics in training."""

    def train(self, mode: bool = True) -> "_FrozenNorms":
        super().train(mode)
        for layer in self.modules():
            if isinstance(layer, nn.BatchNorm2d):
                layer.eval()
        return self


class SmallEncoder(_FrozenNorms, Encoder):
    """Encoder of the embedded model: MobileNetV2."""

    mean: Tensor
    deviation: Tensor

    def __init__(self) -> None:
        super().__init__()
        self.encoder = MobileNetV2()
        embedded = SmallNet()
        self.register_buffer("mean", embedded.mean / 255, persistent=False)
        self.register_buffer("deviation", embedded.deviation / 255, persistent=False)
        self.channels = self.encoder.channels
        num_stages = len(self.channels) - 1
        # Features at half the size come twice: of the first convolution and of the first stage.
        self.reductions = (2, *(2 ** (stage + 1) for stage in range(num_stages)))

    def forward(self, image: Images) -> FeatureMaps:
        """Compute features of RGB in 0..1, normalised as on ImageNet."""
        return self.maps((image - self.mean) / self.deviation)

    def maps(self, image: Images) -> FeatureMaps:
        """Compute features of a normalised image."""
        return self.encoder(image)

    def make_own_decoder(self, blueprint: VideoBlueprint, *, outputs: int) -> nn.Module:
        """Make the decoder of the embedded model."""
        return make_small_decoder(blueprint, outputs=outputs)


class SmallDecoder(_FrozenNorms):
    """Decoder of the embedded model, whose depth is converted to the sigmoid of ``DepthNet``."""

    def __init__(self, blueprint: VideoBlueprint) -> None:
        super().__init__()
        embedded = SmallNet()
        self.context = embedded.context
        self.merges = embedded.merges
        self.head = embedded.head
        self.upsample = embedded.upsample
        self._blueprint = blueprint

    def forward(self, features: FeatureMaps) -> tuple[OneChannel, ...]:
        """Predict inverse depth in 0..1, from the largest depth to the least, at one scale.

        ``features`` are those of the encoder, the finest first. The embedded decoder predicts log
        depth, which is converted to the values that a ``DepthNet`` has after its sigmoid.
        """
        stem, *finer_features, coarsest = features
        merged = self.context(coarsest)
        for merge, skip_features in zip(self.merges, reversed(finer_features), strict=True):
            merged = merge(merged, skip_features)
        coarse_log_depth = self.head(merged)[:, :1].float()  # The head's first channel is depth.
        log_depth = self.upsample(coarse_log_depth, torch.cat([stem, merged], dim=1))

        # No depth reaches these limits; without them, the exponential might overflow.
        inverse_depth = torch.exp(-log_depth.clamp(-30.0, 30.0))
        min_inverse_depth = 1 / self._blueprint.max_depth
        max_inverse_depth = 1 / self._blueprint.min_depth
        scaled = (inverse_depth - min_inverse_depth) / (max_inverse_depth - min_inverse_depth)
        return (scaled.clamp(0, 1),)


def make_small_decoder(blueprint: VideoBlueprint, *, outputs: int) -> SmallDecoder:
    """Make the decoder of the embedded model."""
    encoder_name = blueprint.encoder
    if outputs != 1:
        raise OptionError(f"the encoder '{encoder_name}' has no mask head: choose lite or a ResNet")
    if blueprint.scales != (0,):
        raise OptionError(
            f"the encoder '{encoder_name}' only predicts depth at the frames' own size, got scales "
            f"{','.join(map(str, blueprint.scales))}: set blueprint.scales=[0]"
        )
    return SmallDecoder(blueprint)


def copy_small_weights(encoder: nn.Module, decoder: nn.Module, network: SmallNet) -> None:
    """Copy the weights of the embedded model, without those of normals, error and sky."""
    state = network.state_dict()
    encoder.load_state_dict(
        {key: tensor for key, tensor in state.items() if key.startswith("encoder.")}
    )
    decoder.load_state_dict({key: state[key] for key in decoder.state_dict()})


class DepthNet(nn.Module):
    """Encoder and decoder of inverse depth (Godard et al., ICCV 2019).

    Its outputs are sigmoids, which stand for inverse depth: 0 is the largest depth of the
    blueprint, and 1 the least.
    """

    def __init__(self, blueprint: VideoBlueprint) -> None:
        super().__init__()
        self.encoder = make_encoder(blueprint)
        self.decoder = make_decoder(self.encoder, blueprint)
        self._blueprint = blueprint

    def forward(self, image: Images) -> tuple[Sigmoids, ...]:
        """Compute the sigmoids of RGB in 0..1, the finest scale first."""
        return self.decoder(self.encoder(image))

    def depth(self, image: Images) -> Maps:
        """Predict depth at the finest scale for RGB in 0..1, in the network's unit."""
        return sigmoid_to_depth(self(image)[0][:, 0].float(), self._blueprint)


def make_encoder(blueprint: VideoBlueprint) -> Encoder:
    """Make a blueprint's encoder; ``OptionError`` if it does not take the size."""
    import_path = ENCODERS.get(blueprint.encoder, TIMM_ENCODER)
    encoder_class: type[Encoder] = import_network_class(import_path)
    return encoder_class.from_blueprint(blueprint)


def make_decoder(encoder: Encoder, blueprint: VideoBlueprint, *, outputs: int = 1) -> nn.Module:
    """Make the decoder of an encoder: its own, or a ``DepthDecoder``."""
    own_decoder = encoder.make_own_decoder(blueprint, outputs=outputs)
    if own_decoder is not None:
        return own_decoder
    return DepthDecoder(encoder.channels, encoder.reductions, blueprint.scales, outputs=outputs)


def sigmoid_to_inverse_depth(
    sigmoid: Float[Any, "*b"], blueprint: VideoBlueprint
) -> Float[Any, "*b"]:
    """Convert sigmoids to inverse depth, from 1 / ``max_depth`` to 1 / ``min_depth``."""
    min_inverse = 1 / blueprint.max_depth
    max_inverse = 1 / blueprint.min_depth
    return min_inverse + (max_inverse - min_inverse) * sigmoid


def sigmoid_to_depth(sigmoid: Float[Any, "*b"], blueprint: VideoBlueprint) -> Float[Any, "*b"]:
    """Convert sigmoids to depth, from ``max_depth`` to ``min_depth``."""
    return 1 / sigmoid_to_inverse_depth(sigmoid, blueprint)
