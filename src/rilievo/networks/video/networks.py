"""Everything that is trained at once on video: the depth network, the pose network, the mask's."""

from collections.abc import Sequence
from typing import NamedTuple

from jaxtyping import Float
from torch import Tensor, nn

from rilievo.networks.backbones.weights import seeded
from rilievo.networks.video.blueprint import PoseKind, VideoBlueprint
from rilievo.networks.video.depth import DepthNet, depth_of, make_decoder
from rilievo.networks.video.pose import Motion, SharedPoseNet, make_pose_net, source_T_target
from rilievo.networks.video.start import fill


class VideoAnswer(NamedTuple):
    """What the networks say of a batch of target frames and their sources.

    Attributes:
        disparities: As a sigmoid says them, one for each scale, the finest first.
        source_T_target: Motion, one for each source; None of those that are the other eye's or
            where no network says it.
        masks: Share by which each source counts in each pixel, one map for each scale; None
            without a mask head.
    """

    disparities: tuple[Float[Tensor, "b 1 _ _"], ...]
    source_T_target: tuple[Float[Tensor, "b 4 4"] | None, ...]
    masks: tuple[Float[Tensor, "b n _ _"], ...] | None


class VideoNetworks(nn.Module):
    """The networks of a run; its state is what a run's ``weights.safetensors`` holds.

    Attributes:
        blueprint: What they are made of.
        offsets: Of the sources in time: -1 the frame before, 1 the one after; 0 the other eye.
        depth: Of one frame its disparity.
        pose: Of two frames the motion between them; None where it is known.
        mask: Of one frame what of each source to leave out; None where nothing is.
        notes: What is worth a word about the weights that they started from.
    """

    notes: tuple[str, ...] = ()

    def __init__(self, blueprint: VideoBlueprint, offsets: Sequence[int]) -> None:
        """Make them with random weights.

        Raises:
            OptionError: If parts of the blueprint do not go together.
            ModelError: If timm has no such encoder.
            MissingExtraError: If the encoder is timm's and it is not installed.
        """
        super().__init__()
        self.blueprint, self.offsets = blueprint, tuple(offsets)
        self.depth = DepthNet(blueprint)
        self.pose = make_pose_net(blueprint, offsets, encoder=self.depth.encoder)
        self.mask = (
            make_decoder(self.depth.encoder, blueprint, outputs=len(self.offsets))
            if blueprint.mask
            else None
        )

    def forward(
        self, target: Float[Tensor, "b 3 h w"], sources: tuple[Float[Tensor, "b 3 h w"], ...]
    ) -> VideoAnswer:
        """All that they say of target frames and their sources, RGB in 0..1."""
        features = self.depth.encoder(target)
        disparities = self.depth.decoder(features)
        pairs = zip(sources, self.offsets, strict=True)
        motions = [self._motion(target, source, offset, features) for source, offset in pairs]
        if self.blueprint.pose is PoseKind.CNN:
            # As published, its translation is in units of the scene's mean inverse depth: here
            # that of the finest scale, for all scales, where the published program takes each own.
            inverse = 1 / depth_of(disparities[0].float(), self.blueprint)
            unit = inverse.mean(dim=(1, 2, 3))[:, None]
            motions = [each and (each[0], each[1] * unit) for each in motions]
        return VideoAnswer(
            disparities=disparities,
            source_T_target=tuple(
                motion and source_T_target(*motion, source_is_earlier=offset < 0)
                for motion, offset in zip(motions, self.offsets, strict=True)
            ),
            masks=None if self.mask is None else self.mask(features),
        )

    def _motion(
        self,
        target: Float[Tensor, "b 3 h w"],
        source: Float[Tensor, "b 3 h w"],
        offset: int,
        features: tuple[Float[Tensor, "b _ _ _"], ...],
    ) -> Motion | None:
        """From the earlier of two frames to the later; ``features`` are the target's."""
        if self.pose is None or offset == 0:
            return None
        if isinstance(self.pose, SharedPoseNet):
            other = self.depth.encoder(source)
            both = (other, features) if offset < 0 else (features, other)
            return self.pose.of_features(*both)
        return self.pose(*((source, target) if offset < 0 else (target, source)))


def make_networks(
    blueprint: VideoBlueprint, *, offsets: Sequence[int], seed: int, start: str | None = None
) -> VideoNetworks:
    """The networks of a blueprint, with the weights that they start from.

    Args:
        blueprint: What they are made of.
        offsets: Of the sources in time.
        seed: Of random weights.
        start: 'imagenet' for the encoders; a run's folder; that of an official checkpoint; None
            for random weights.

    Raises:
        RilievoError: If parts of the blueprint do not go together, or weights cannot be had or
            are those of other networks.
    """
    with seeded(seed):
        networks = VideoNetworks(blueprint, offsets)
    networks.notes = () if start is None else fill(networks, start)
    return networks
