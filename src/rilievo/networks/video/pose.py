"""The pose network: motion of the camera between two frames."""

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

from rilievo.errors import OptionError, suggest
from rilievo.geometry.transforms import invert, rigid, rotation_from_axis_angle
from rilievo.networks.video.blueprint import PoseKind, VideoBlueprint
from rilievo.networks.video.decoder import exact
from rilievo.networks.video.encoders import RESNETS, Encoder, ResNetEncoder

_SMALL = 0.01
"""Factor of a network's output: motion between frames is small compared with depth."""
_CNN_WIDTHS = (6, 16, 32, 64, 128, 256, 256, 256)
_CNN_SIDES = (7, 5, 3, 3, 3, 3, 3)

Motion = tuple[Float[Tensor, "b 3"], Float[Tensor, "b 3"]]
"""Axis times angle [rad], and translation, from the earlier camera's frame to the later one's."""


class PoseNet(nn.Module):
    """An encoder over both frames, the earlier one first, and a decoder."""

    def __init__(self, encoder: str = "resnet18") -> None:
        super().__init__()
        self.encoder = ResNetEncoder(encoder, colours=6)
        # The published program's decoder has two motions, of which only the first is used.
        self.decoder = PoseDecoder(self.encoder.channels[-1], inputs=1, motions=2)

    def forward(self, earlier: Float[Tensor, "b 3 h w"], later: Float[Tensor, "b 3 h w"]) -> Motion:
        """Predict the camera's motion between two frames, RGB in 0..1."""
        return self.decoder(self.encoder(torch.cat((earlier, later), dim=1))[-1])


class SharedPoseNet(nn.Module):
    """A decoder of each frame's features from the depth network's encoder.

    The encoder is no part of this network's state.
    """

    def __init__(self, encoder: Encoder) -> None:
        super().__init__()
        # A list hides it from torch: its weights belong to the depth network.
        self._encoder = [encoder]
        self.decoder = PoseDecoder(encoder.channels[-1], inputs=2, motions=1)

    def forward(self, earlier: Float[Tensor, "b 3 h w"], later: Float[Tensor, "b 3 h w"]) -> Motion:
        """Predict the camera's motion between two frames, RGB in 0..1."""
        [encoder] = self._encoder
        return self.of_features(encoder(earlier), encoder(later))

    def of_features(
        self,
        earlier: tuple[Float[Tensor, "b _ _ _"], ...],
        later: tuple[Float[Tensor, "b _ _ _"], ...],
    ) -> Motion:
        """Predict the same motion from the encoder's features of each frame."""
        return self.decoder(earlier[-1], later[-1])


class PoseDecoder(nn.Module):
    """Convolutions of the frames' coarsest features, narrowed and concatenated, to a motion.

    Its state is named as that of an official ``pose.pth``.
    """

    def __init__(self, channels: int, *, inputs: int, motions: int) -> None:
        super().__init__()
        layers = (
            nn.Conv2d(channels, 256, 1),
            nn.Conv2d(inputs * 256, 256, 3, 1, 1),
            nn.Conv2d(256, 256, 3, 1, 1),
            nn.Conv2d(256, 6 * motions, 1),
        )
        self.net = nn.ModuleList(layers)

    def forward(self, *features: Float[Tensor, "b _ _ _"]) -> Motion:
        """Return the first motion of the output, averaged over the image."""
        narrow, first, second, last = self.net
        x = torch.cat([F.relu(narrow(each)) for each in features], dim=1)
        return _motion(last(F.relu(second(F.relu(first(x))))))


class PoseCNN(nn.Module):
    """Seven strided convolutions over both frames, RGB in 0..1 (Zhou et al., CVPR 2017)."""

    def __init__(self) -> None:
        super().__init__()
        shapes = zip(_CNN_WIDTHS[:-1], _CNN_WIDTHS[1:], _CNN_SIDES, strict=True)
        layers = (nn.Conv2d(before, after, side, 2, side // 2) for before, after, side in shapes)
        self.net = nn.ModuleList(layers)
        self.pose_conv = nn.Conv2d(256, 6, 1)

    def forward(self, earlier: Float[Tensor, "b 3 h w"], later: Float[Tensor, "b 3 h w"]) -> Motion:
        """Predict the camera's motion between two frames, RGB in 0..1."""
        x = torch.cat((earlier, later), dim=1)
        for each in self.net:
            x = F.relu(each(x))
        return _motion(self.pose_conv(x))


AnyPoseNet = PoseNet | SharedPoseNet | PoseCNN


def make_pose_net(
    blueprint: VideoBlueprint, offsets: Sequence[int], *, encoder: Encoder | None = None
) -> AnyPoseNet | None:
    """Make the pose network of a blueprint with random weights; None if motion is known.

    If all ``offsets`` in time are 0, there is no motion to predict. The shared kind needs
    ``encoder``, that of the depth network.
    """
    if not blueprint.pose.is_network or not any(offsets):
        return None
    if blueprint.pose is PoseKind.CNN:
        return PoseCNN()
    if blueprint.pose is PoseKind.SHARED:
        assert encoder is not None, "a shared encoder is handed over"
        return SharedPoseNet(encoder)
    if blueprint.pose_encoder not in RESNETS:
        known = suggest(blueprint.pose_encoder, RESNETS)
        raise OptionError(f"no encoder '{blueprint.pose_encoder}' of a pose network; {known}")
    return PoseNet(blueprint.pose_encoder)


def source_T_target(
    axis_angle: Float[Tensor, "b 3"], translation: Float[Tensor, "b 3"], *, source_is_earlier: bool
) -> Float[Tensor, "b 4 4"]:
    """Transform from points of the target camera's frame to the source's.

    Axis times angle [rad] and translation are those from the earlier frame to the later.
    """
    # Products of small matrices are cheap, and half precision would lose three digits.
    with torch.autocast(axis_angle.device.type, enabled=False):
        R = rotation_from_axis_angle(exact(axis_angle))
        later_T_earlier = rigid(R, exact(translation))
        return invert(later_T_earlier) if source_is_earlier else later_T_earlier


def _motion(answer: Float[Tensor, "b six _ _"]) -> Motion:
    mean = _SMALL * exact(answer).mean(dim=(2, 3))
    return mean[:, :3], mean[:, 3:6]
