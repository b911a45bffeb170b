"""The pose network: of two frames how the camera moved between them."""

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

from rilievo.errors import OptionError, suggest
from rilievo.geometry.transforms import invert, rigid, rotation_from_axis_angle
from rilievo.networks.video.blueprint import PoseKind, VideoBlueprint
from rilievo.networks.video.decoder import exact
from rilievo.networks.video.encoder import Encoder
from rilievo.networks.video.resnet import RESNETS, ResNetEncoder

_SMALL = 0.01
"""What a network's answer is multiplied by: motion between frames is small next to depth."""
_CNN_WIDTHS = (6, 16, 32, 64, 128, 256, 256, 256)
_CNN_SIDES = (7, 5, 3, 3, 3, 3, 3)

Motion = tuple[Float[Tensor, "b 3"], Float[Tensor, "b 3"]]
"""Axis times angle [rad], and translation, from the earlier camera's frame to the later one's."""


class PoseNet(nn.Module):
    """An encoder over both frames, the earlier one first, and a decoder.

    Attributes:
        encoder: Of six colours; its state is an official ``pose_encoder.pth``.
        decoder: Its state is an official ``pose.pth``.
    """

    def __init__(self, encoder: str = "resnet18") -> None:
        super().__init__()
        self.encoder = ResNetEncoder(encoder, colours=6)
        # The published program's says two motions, of which the first alone is ever used.
        self.decoder = PoseDecoder(self.encoder.channels[-1], inputs=1, motions=2)

    def forward(self, earlier: Float[Tensor, "b 3 h w"], later: Float[Tensor, "b 3 h w"]) -> Motion:
        """The camera's motion between two frames, RGB in 0..1."""
        return self.decoder(self.encoder(torch.cat((earlier, later), dim=1))[-1])


class SharedPoseNet(nn.Module):
    """A decoder over the features that the depth network's encoder has of each frame.

    Attributes:
        decoder: Its state is an official ``pose.pth``; the encoder is none of this network's.
    """

    def __init__(self, encoder: Encoder) -> None:
        super().__init__()
        # In a list, where torch does not look: its weights are those of the depth network.
        self._encoder = [encoder]
        self.decoder = PoseDecoder(encoder.channels[-1], inputs=2, motions=1)

    def forward(self, earlier: Float[Tensor, "b 3 h w"], later: Float[Tensor, "b 3 h w"]) -> Motion:
        """The camera's motion between two frames, RGB in 0..1."""
        [encoder] = self._encoder
        return self.of_features(encoder(earlier), encoder(later))

    def of_features(
        self,
        earlier: tuple[Float[Tensor, "b _ _ _"], ...],
        later: tuple[Float[Tensor, "b _ _ _"], ...],
    ) -> Motion:
        """The same, of what the encoder says of each frame."""
        return self.decoder(earlier[-1], later[-1])


class PoseDecoder(nn.Module):
    """Each frame's coarsest features narrowed, put together, and convolved to six numbers."""

    def __init__(self, channels: int, *, inputs: int, motions: int) -> None:
        """Make one with random weights.

        Args:
            channels: Of each map of features.
            inputs: Maps of features put together.
            motions: How many it says.
        """
        super().__init__()
        layers = (
            nn.Conv2d(channels, 256, 1),
            nn.Conv2d(inputs * 256, 256, 3, 1, 1),
            nn.Conv2d(256, 256, 3, 1, 1),
            nn.Conv2d(256, 6 * motions, 1),
        )
        self.net = nn.ModuleList(layers)

    def forward(self, *features: Float[Tensor, "b _ _ _"]) -> Motion:
        """The first motion that it says, the mean over the image."""
        narrow, first, second, last = self.net
        x = torch.cat([F.relu(narrow(each)) for each in features], dim=1)
        return _motion(last(F.relu(second(F.relu(first(x))))))


class PoseCNN(nn.Module):
    """Seven strided convolutions over both frames (Zhou et al., CVPR 2017); sees RGB in 0..1."""

    def __init__(self) -> None:
        super().__init__()
        shapes = zip(_CNN_WIDTHS[:-1], _CNN_WIDTHS[1:], _CNN_SIDES, strict=True)
        layers = (nn.Conv2d(before, after, side, 2, side // 2) for before, after, side in shapes)
        self.net = nn.ModuleList(layers)
        self.pose_conv = nn.Conv2d(256, 6, 1)

    def forward(self, earlier: Float[Tensor, "b 3 h w"], later: Float[Tensor, "b 3 h w"]) -> Motion:
        """The camera's motion between two frames, RGB in 0..1."""
        x = torch.cat((earlier, later), dim=1)
        for each in self.net:
            x = F.relu(each(x))
        return _motion(self.pose_conv(x))


AnyPoseNet = PoseNet | SharedPoseNet | PoseCNN


def make_pose_net(
    blueprint: VideoBlueprint, offsets: Sequence[int], *, encoder: Encoder | None = None
) -> AnyPoseNet | None:
    """The pose network of a blueprint with random weights.

    Args:
        blueprint: What kind it is.
        offsets: Of the sources in time; where all are 0, there is no motion to say.
        encoder: The depth network's, for a shared one.

    Returns:
        None where motion is known.

    Raises:
        OptionError: If there is no such encoder.
    """
    if blueprint.pose is PoseKind.NONE or not any(offsets):
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
    """What takes points of the target camera's frame to the source's.

    Args:
        axis_angle: Axis times angle of the motion from the earlier frame to the later [rad].
        translation: After the rotation; in the unit of depth.
        source_is_earlier: Whether the source is the earlier of the two; the motion is inverted
            then.
    """
    # Products of small matrices are cheap, and half precision would cost them three digits.
    with torch.autocast(axis_angle.device.type, enabled=False):
        R = rotation_from_axis_angle(exact(axis_angle))
        later_T_earlier = rigid(R, exact(translation))
        return invert(later_T_earlier) if source_is_earlier else later_T_earlier


def _motion(answer: Float[Tensor, "b six _ _"]) -> Motion:
    mean = _SMALL * exact(answer).mean(dim=(2, 3))
    return mean[:, :3], mean[:, 3:6]
