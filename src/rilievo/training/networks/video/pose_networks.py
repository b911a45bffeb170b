"""Networks of the camera's motion between two frames."""

from abc import ABC, abstractmethod
from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from rilievo.arrays.shapes import Float
from rilievo.errors import OptionError, suggest
from rilievo.geometry.transforms import invert, rigid, rotation_from_axis_angle
from rilievo.training.networks.blueprint import POSE_NETWORKS, VideoBlueprint
from rilievo.training.networks.video.encoders import (
    RESNETS,
    Encoder,
    ResNetEncoder,
    import_network_class,
)
from rilievo.training.tensors import (
    FeatureMap,
    FeatureMaps,
    Images,
    Transforms,
    Vectors,
    at_least_float32,
)

_MOTION_FACTOR = 0.01
"""Factor of the outputs, as motion between frames is small."""
_MOTION_NUMBERS = 6
"""Numbers of a motion: three of axis times angle, and three of the translation."""
_TWO_FRAMES = 6
"""Channels of two frames in RGB."""
_DECODER_CHANNELS = 256
_CNN_CHANNELS_AND_KERNELS = ((16, 7), (32, 5), (64, 3), (128, 3), (256, 3), (256, 3), (256, 3))
"""Output channels of each layer of ``PoseCNN``, and the side of its kernel."""

Motion = tuple[Vectors, Vectors]
"""Axis times angle [rad], and translation, from the earlier to the later camera."""


class PoseNetwork(nn.Module, ABC):
    """Network that predicts the motion of the camera between two frames."""

    @classmethod
    @abstractmethod
    def from_blueprint(cls, blueprint: VideoBlueprint, encoder: Encoder | None) -> "PoseNetwork":
        """Make a network with random weights; ``encoder`` is that of the depth network."""

    @abstractmethod
    def forward(self, earlier: Images, later: Images) -> Motion:
        """Predict the motion from the earlier to the later frame, which are RGB in 0..1."""


class PoseNet(PoseNetwork):
    """Pose network with an encoder of its own, which sees both frames at once."""

    def __init__(self, encoder: str = "resnet18") -> None:
        super().__init__()
        self.encoder = ResNetEncoder(encoder, colours=_TWO_FRAMES)
        # ReLU and max pooling commute. After the pooling, the ReLU has a smaller map to rectify.
        resnet = self.encoder.encoder
        resnet.maxpool = nn.Sequential(resnet.maxpool, resnet.act1)
        resnet.act1 = nn.Identity()
        # The published program's decoder has two motions, of which only the first is used.
        self.decoder = PoseDecoder(self.encoder.channels[-1], num_maps=1, num_motions=2)

    @classmethod
    def from_blueprint(cls, blueprint: VideoBlueprint, encoder: Encoder | None) -> PoseNetwork:
        """Make a network with the blueprint's ``pose_encoder``."""
        name = blueprint.pose_encoder
        if name not in RESNETS:
            raise OptionError(f"no pose encoder '{name}'; {suggest(name, RESNETS)}")
        return cls(name)

    def forward(self, earlier: Images, later: Images) -> Motion:
        """Predict the motion from the earlier to the later frame, which are RGB in 0..1."""
        both_frames = torch.cat((earlier, later), dim=1)
        coarsest_features = self.encoder(both_frames)[-1]
        return self.decoder(coarsest_features)


class SharedPoseNet(PoseNetwork):
    """Pose network on the features that the depth network's encoder computes of each frame."""

    def __init__(self, encoder: Encoder) -> None:
        super().__init__()
        # In a list, torch does not register it, since its weights belong to the depth network.
        self._encoder = [encoder]
        self.decoder = PoseDecoder(encoder.channels[-1], num_maps=2, num_motions=1)

    @classmethod
    def from_blueprint(cls, blueprint: VideoBlueprint, encoder: Encoder | None) -> PoseNetwork:
        """Make a network on the depth network's encoder."""
        assert encoder is not None, "make_pose_net gets the depth network's encoder"
        return cls(encoder)

    def forward(self, earlier: Images, later: Images) -> Motion:
        """Predict the motion from the earlier to the later frame, which are RGB in 0..1."""
        [encoder] = self._encoder
        return self.predict_from_features(encoder(earlier), encoder(later))

    def predict_from_features(
        self,
        earlier: FeatureMaps,
        later: FeatureMaps,
    ) -> Motion:
        """Predict the motion from the earlier to the later frame, from their features."""
        return self.decoder(earlier[-1], later[-1])


class PoseDecoder(nn.Module):
    """Convolutions from features to motion, whose weights are named as in ``pose.pth``."""

    def __init__(self, channels: int, *, num_maps: int, num_motions: int) -> None:
        """Make a decoder of ``num_maps`` feature maps, which have ``channels`` channels each."""
        super().__init__()
        squeeze = nn.Conv2d(channels, _DECODER_CHANNELS, 1)
        first = nn.Conv2d(num_maps * _DECODER_CHANNELS, _DECODER_CHANNELS, 3, padding=1)
        second = nn.Conv2d(_DECODER_CHANNELS, _DECODER_CHANNELS, 3, padding=1)
        last = nn.Conv2d(_DECODER_CHANNELS, _MOTION_NUMBERS * num_motions, 1)
        self.net = nn.ModuleList([squeeze, first, second, last])

    def forward(self, *maps: FeatureMap) -> Motion:
        """Predict the first of the motions from feature maps of one size."""
        squeeze, first, second, last = self.net
        x = torch.cat([F.relu(squeeze(feature_map)) for feature_map in maps], dim=1)
        x = F.relu(first(x))
        x = F.relu(second(x))
        return _mean_small_motion(last(x))


class PoseCNN(PoseNetwork):
    """Pose network of seven strided convolutions (Zhou et al., CVPR 2017)."""

    def __init__(self) -> None:
        super().__init__()
        self.net = nn.ModuleList()
        channels = _TWO_FRAMES
        for outputs, kernel in _CNN_CHANNELS_AND_KERNELS:
            self.net.append(nn.Conv2d(channels, outputs, kernel, stride=2, padding=kernel // 2))
            channels = outputs
        self.pose_conv = nn.Conv2d(channels, _MOTION_NUMBERS, 1)

    @classmethod
    def from_blueprint(cls, blueprint: VideoBlueprint, encoder: Encoder | None) -> PoseNetwork:
        """Make the network, which has no settings."""
        return cls()

    def forward(self, earlier: Images, later: Images) -> Motion:
        """Predict the motion from the earlier to the later frame, which are RGB in 0..1."""
        x = torch.cat((earlier, later), dim=1)
        for layer in self.net:
            x = F.relu(layer(x))
        return _mean_small_motion(self.pose_conv(x))


def make_pose_net(
    blueprint: VideoBlueprint, offsets: Sequence[int], *, encoder: Encoder | None = None
) -> PoseNetwork | None:
    """Make a blueprint's pose network; None if it has none, or all ``offsets`` are 0.

    ``encoder`` is that of the depth network, which a shared pose network uses.
    """
    import_path = POSE_NETWORKS.get(blueprint.pose)
    if import_path is None or not any(offsets):
        return None
    network_class: type[PoseNetwork] = import_network_class(import_path)
    return network_class.from_blueprint(blueprint, encoder)


def source_T_target(
    axis_angle: Vectors, translation: Vectors, *, source_is_earlier: bool
) -> Transforms:
    """Convert a predicted motion to a transform from the target's to the source's camera.

    ``axis_angle`` [rad] and ``translation`` take points from the earlier to the later camera.
    """
    # Half precision would lose three digits, and is not needed for such small matrices.
    with torch.autocast(axis_angle.device.type, enabled=False):
        R = rotation_from_axis_angle(at_least_float32(axis_angle))
        later_T_earlier = rigid(R, at_least_float32(translation))
        # An earlier source belongs to a later target, so the transform is that of the way back.
        return invert(later_T_earlier) if source_is_earlier else later_T_earlier


def _mean_small_motion(output: Float[Tensor, "b six _ _"]) -> Motion:
    """First motion of the output, averaged over all pixels and scaled to the usual small size."""
    mean = _MOTION_FACTOR * at_least_float32(output).mean(dim=(2, 3))
    return mean[:, :3], mean[:, 3:6]
