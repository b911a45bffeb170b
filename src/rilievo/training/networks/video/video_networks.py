"""Networks trained on video, and their first weights."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import torch
from torch import Tensor, nn

from rilievo.errors import ModelError, OptionError, needing
from rilievo.geometry.transforms import scale_translation
from rilievo.io.files.limits import printable
from rilievo.models.default.embedded import SMALL, embedded_file
from rilievo.training.networks.backbones.weights import fitting, read_state, seeded
from rilievo.training.networks.blueprint import EMBEDDED, PoseKind, VideoBlueprint, is_official
from rilievo.training.networks.exported_weights import read_exported
from rilievo.training.networks.small import SmallNet
from rilievo.training.networks.video.decoder import (
    PoseNet,
    SharedPoseNet,
    make_pose_net,
    source_T_target,
)
from rilievo.training.networks.video.depth_network import (
    DepthNet,
    make_decoder,
    scaled_disparity,
    take_weights,
)
from rilievo.training.networks.video.official import read_official
from rilievo.training.tensors import (
    FeatureMaps,
    Images,
    Sigmoids,
    StackAtScale,
    Transforms,
)

IMAGENET = "imagenet"
WEIGHTS = "weights.safetensors"
_SCRATCH = "starts from random weights"


class VideoAnswer(NamedTuple):
    """Output for target frames and their sources.

    Attributes:
        disparities: Sigmoids, the finest first.
        source_T_target: Motion in the unit of the finest depth; None for the other eye.
        masks: Share of each source in each pixel, for each scale.
        unscaled: Motion before the factor of mean inverse depth.
    """

    disparities: tuple[Sigmoids, ...]
    source_T_target: tuple[Transforms | None, ...]
    masks: tuple[StackAtScale, ...] | None
    unscaled: tuple[Transforms | None, ...] | None = None


class VideoNetworks(nn.Module):
    """Networks of a run on video.

    Attributes:
        offsets: Offsets of the sources in time; 0 for the other eye.
        pose: Network of the motion; None if known.
        mask: Decoder of the pixels that count.
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

    def forward(self, target: Images, sources: tuple[Images, ...]) -> VideoAnswer:
        """Compute disparity, motion and masks."""
        views = (target, *sources)
        if isinstance(self.pose, SharedPoseNet):
            # One pass over all frames, so that batch statistics cover all of them.
            all_features = self.depth.encoder(torch.cat(views))
            split = zip(*(item.chunk(len(views)) for item in all_features), strict=True)
            features, *others = (tuple(item) for item in split)
        else:
            features, others = self.depth.encoder(target), []
        disparities = self.depth.decoder(features)
        motions = self._predict_motions(views, features, others)
        unscaled = None
        if self.blueprint.pose is PoseKind.CNN:
            # Wang et al., "Learning Depth from Monocular Videos using Direct Methods", CVPR 2018,
            # divide inverse depth by its mean. Translation would have to be divided by that mean
            # too; the published program multiplies.
            unit = scaled_disparity(disparities[0], self.blueprint).mean(dim=(1, 2, 3))
            if self.blueprint.cancels_scale:
                unit = 1 / unit.detach()
            else:
                unscaled = motions
            motions = tuple(
                None if item is None else scale_translation(item, unit.to(item.dtype))
                for item in motions
            )
        return VideoAnswer(
            disparities=disparities,
            source_T_target=motions,
            masks=None if self.mask is None else self.mask(features),
            unscaled=unscaled,
        )

    def _predict_motions(
        self,
        views: tuple[Images, ...],
        features: FeatureMaps,
        others: list[FeatureMaps],
    ) -> tuple[Transforms | None, ...]:
        target, *sources = views
        motions: list[Tensor | None] = []
        for place, (source, offset) in enumerate(zip(sources, self.offsets, strict=True)):
            if self.pose is None or offset == 0:
                motions.append(None)
                continue
            is_earlier = offset < 0
            if isinstance(self.pose, SharedPoseNet):
                both = (others[place], features) if is_earlier else (features, others[place])
                motion = self.pose.of_features(*both)
            else:
                motion = self.pose(*((source, target) if is_earlier else (target, source)))
            motions.append(source_T_target(*motion, source_is_earlier=is_earlier))
        return tuple(motions)


def make_networks(
    blueprint: VideoBlueprint, *, offsets: Sequence[int], seed: int, start: str | None = None
) -> VideoNetworks:
    """Make a blueprint's networks."""
    with seeded(seed):
        networks = VideoNetworks(blueprint, offsets)
    networks.notes = () if start is None else fill(networks, start)
    return networks


def fill(networks: VideoNetworks, start: str) -> tuple[str, ...]:
    """Fill networks from ``imagenet``, ``rilievo/small``, or a run or official checkpoint.

    Returns a sentence for each part that stays.
    """
    if start == IMAGENET:
        return _fill_from_imagenet(networks)
    if start == SMALL:
        start_from_embedded(networks)
        return ()
    folder = Path(start)
    if is_official(folder):
        return _fill_from_official(networks, folder)
    if not (folder / WEIGHTS).is_file():
        raise ModelError(
            f"{folder}: nothing to start from: expected 'imagenet', the folder of a run "
            f"({WEIGHTS}) or of an official checkpoint (encoder.pth and depth.pth)"
        )
    return _fill_from_run(networks, folder / WEIGHTS)


def start_from_embedded(networks: VideoNetworks) -> None:
    """Fill the depth network with the weights of ``rilievo/small``."""
    if (encoder := networks.blueprint.encoder) != EMBEDDED:
        raise OptionError(f"a start from '{SMALL}' needs the encoder '{EMBEDDED}', got '{encoder}'")
    whole = SmallNet()
    with needing(f"a start from '{SMALL}'", "train"):
        import onnx  # noqa: F401
    read_exported(whole, embedded_file(SMALL))
    take_weights(networks.depth.encoder, networks.depth.decoder, whole)


def _fill_from_run(networks: VideoNetworks, path: Path) -> tuple[str, ...]:
    state, notes = read_state(path), []
    for name, part in networks.named_children():
        if any(key.startswith(f"{name}.") for key in state):
            part.load_state_dict(fitting(part, state, path, f"{name}."))
        elif name == "depth":
            raise ModelError(f"{path}: holds no depth network; is it a run on video?")
        else:
            notes.append(f"{printable(path)} holds no {name} network: it {_SCRATCH}")
    return tuple(notes)


def _fill_from_official(networks: VideoNetworks, folder: Path) -> tuple[str, ...]:
    wanted = networks.blueprint
    official = read_official(folder, pose=networks.pose is not None)
    there = official.blueprint
    if there.encoder != wanted.encoder:
        raise ModelError(
            f"{folder}: its depth network has a {there.encoder}, this run's a {wanted.encoder}: "
            f"choose the encoder {there.encoder}"
        )
    renamed = _reorder_heads(official.depth, there.scales, wanted.scales)
    networks.depth.load_state_dict(fitting(networks.depth, renamed, folder))
    notes = [] if networks.mask is None else [f"the mask network {_SCRATCH}"]
    if networks.pose is None:
        return tuple(notes)
    if official.pose is None:
        notes.append(f"{printable(folder)} holds no pose network (pose.pth): it {_SCRATCH}")
        return tuple(notes)
    if there.pose is not wanted.pose:
        raise ModelError(
            f"{folder}: its pose network is '{there.pose}', this run's '{wanted.pose}': choose the "
            f"pose network {there.pose}"
        )
    networks.pose.load_state_dict(fitting(networks.pose, official.pose, folder))
    return tuple(notes)


def _reorder_heads(
    state: Mapping[str, Tensor], there: tuple[int, ...], wanted: tuple[int, ...]
) -> Mapping[str, Tensor]:
    first = 10
    heads = {f"decoder.decoder.{first + place}." for place in range(len(there))}
    entries = {key: tensor for key, tensor in state.items() if not key.startswith(tuple(heads))}
    for place, scale in enumerate(wanted):
        if scale not in there:
            continue
        old = f"decoder.decoder.{first + there.index(scale)}."
        for key, tensor in state.items():
            if key.startswith(old):
                entries[f"decoder.decoder.{first + place}.{key.removeprefix(old)}"] = tensor
    return entries


def _fill_from_imagenet(networks: VideoNetworks) -> tuple[str, ...]:
    """Load ImageNet's weights into the encoders; notes on those without published ones."""
    notes = []
    if not networks.depth.encoder.take_imagenet():
        name = networks.blueprint.encoder
        notes.append(f"the encoder {name} has no published weights: it {_SCRATCH}")
    if isinstance(networks.pose, PoseNet):
        networks.pose.encoder.take_imagenet()
    return tuple(notes)
