"""All networks that are trained together on video: for depth, for pose and for masks."""

from collections.abc import Sequence
from typing import NamedTuple

import torch
from jaxtyping import Float
from torch import Tensor, nn

from rilievo.geometry.transforms import scale_translation
from rilievo.networks.backbones.weights import seeded
from rilievo.networks.video.blueprint import PoseKind, VideoBlueprint
from rilievo.networks.video.depth import DepthNet, make_decoder, scaled_disparity
from rilievo.networks.video.pose import SharedPoseNet, make_pose_net, source_T_target
from rilievo.networks.video.start import fill


class VideoAnswer(NamedTuple):
    """Output of the networks for a batch of target frames and their sources.

    Attributes:
        disparities: Sigmoids, one for each scale, the finest first.
        source_T_target: Motion, one for each source, with its translation in the unit of the finest
            scale's depth; None for the other eye of a stereo pair or if there is no pose network.
        masks: Share by which each source counts in each pixel, one map for each scale; None
            without a mask decoder.
        unscaled: ``source_T_target`` before its translation is multiplied by mean inverse depth,
            which the published program does separately at every scale. None if there is no
            such factor.
    """

    disparities: tuple[Float[Tensor, "b 1 _ _"], ...]
    source_T_target: tuple[Float[Tensor, "b 4 4"] | None, ...]
    masks: tuple[Float[Tensor, "b n _ _"], ...] | None
    unscaled: tuple[Float[Tensor, "b 4 4"] | None, ...] | None = None


class VideoNetworks(nn.Module):
    """The networks of a run; a run's ``weights.safetensors`` holds their state.

    Attributes:
        offsets: Offsets of the sources in time: -1 for the frame before, 1 for the one after, 0
            for the other eye.
        depth: Network from one frame to its disparity.
        pose: Network from two frames to the motion between them; None if motion is known.
        mask: Decoder from a frame's features to the pixels of each source that count; None if all
            count.
    """

    notes: tuple[str, ...] = ()

    def __init__(self, blueprint: VideoBlueprint, offsets: Sequence[int]) -> None:
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
        """Compute disparity, motion and masks of target frames and their sources, RGB in 0..1."""
        views = (target, *sources)
        if isinstance(self.pose, SharedPoseNet):
            # One pass over all frames, so that batch statistics cover all of them.
            seen = self.depth.encoder(torch.cat(views))
            split = zip(*(each.chunk(len(views)) for each in seen), strict=True)
            features, *others = (tuple(each) for each in split)
        else:
            features, others = self.depth.encoder(target), []
        disparities = self.depth.decoder(features)
        motions = self._motions(views, features, others)
        unscaled = None
        if self.blueprint.pose is PoseKind.CNN:
            unit = _unit(disparities[0], self.blueprint)
            unscaled = None if self.blueprint.cancels_scale else motions
            motions = tuple(
                None if each is None else scale_translation(each, unit.to(each.dtype))
                for each in motions
            )
        return VideoAnswer(
            disparities=disparities,
            source_T_target=motions,
            masks=None if self.mask is None else self.mask(features),
            unscaled=unscaled,
        )

    def _motions(
        self,
        views: tuple[Float[Tensor, "b 3 h w"], ...],
        features: tuple[Float[Tensor, "b _ _ _"], ...],
        others: list[tuple[Float[Tensor, "b _ _ _"], ...]],
    ) -> tuple[Float[Tensor, "b 4 4"] | None, ...]:
        """Predict ``source_T_target`` of each source by the pose network.

        ``views`` are the target, then its sources; ``others`` are the features of each source, if
        the encoder is shared.
        """
        target, *sources = views
        found: list[Tensor | None] = []
        for place, (source, offset) in enumerate(zip(sources, self.offsets, strict=True)):
            if self.pose is None or offset == 0:
                found.append(None)
                continue
            is_earlier = offset < 0
            if isinstance(self.pose, SharedPoseNet):
                both = (others[place], features) if is_earlier else (features, others[place])
                motion = self.pose.of_features(*both)
            else:
                motion = self.pose(*((source, target) if is_earlier else (target, source)))
            found.append(source_T_target(*motion, source_is_earlier=is_earlier))
        return tuple(found)


def _unit(sigmoid: Float[Tensor, "b 1 h w"], blueprint: VideoBlueprint) -> Float[Tensor, "b"]:
    """Factor for the translation from the pose network 'cnn'.

    Wang et al., "Learning Depth from Monocular Videos using Direct Methods", CVPR 2018, divide
    inverse depth by its mean. Translation would have to be divided by that mean too; the published
    program multiplies.
    """
    mean = scaled_disparity(sigmoid, blueprint).mean(dim=(1, 2, 3))
    return 1 / mean.detach() if blueprint.cancels_scale else mean


def make_networks(
    blueprint: VideoBlueprint, *, offsets: Sequence[int], seed: int, start: str | None = None
) -> VideoNetworks:
    """Make the networks of a blueprint, with the weights that training starts from.

    ``start`` is 'imagenet' for the encoders' weights, the folder of a run or of an official
    checkpoint, or None for random weights.
    """
    with seeded(seed):
        networks = VideoNetworks(blueprint, offsets)
    networks.notes = () if start is None else fill(networks, start)
    return networks
