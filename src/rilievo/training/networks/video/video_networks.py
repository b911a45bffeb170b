"""Networks trained on video, and their first weights."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import torch
from torch import Tensor, nn

from rilievo.errors import ModelError, OptionError, needing
from rilievo.geometry.transforms import scale_translation
from rilievo.io.files.names import printable
from rilievo.models.default.embedded import SMALL, embedded_file
from rilievo.training.networks.backbones.weights import (
    read_state,
    select_network_tensors,
    temporary_torch_seed,
)
from rilievo.training.networks.blueprint import (
    EMBEDDED_ENCODER,
    PoseKind,
    VideoBlueprint,
    is_official_checkpoint,
)
from rilievo.training.networks.small import SmallNet
from rilievo.training.networks.small_weights import fill_from_onnx
from rilievo.training.networks.video.depth_network import (
    DepthNet,
    copy_small_weights,
    make_decoder,
    sigmoid_to_inverse_depth,
)
from rilievo.training.networks.video.monodepth2_weights import read_official_checkpoint
from rilievo.training.networks.video.pose_networks import (
    PoseNet,
    SharedPoseNet,
    make_pose_net,
    source_T_target,
)
from rilievo.training.tensors import FeatureMaps, Images, Sigmoids, StackAtScale, Transforms

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
        """Compute the target's disparity and masks, and motions in the unit of its depth."""
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
            unit = sigmoid_to_inverse_depth(disparities[0], self.blueprint).mean(dim=(1, 2, 3))
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
                motion = self.pose.predict_from_features(*both)
            else:
                motion = self.pose(*((source, target) if is_earlier else (target, source)))
            motions.append(source_T_target(*motion, source_is_earlier=is_earlier))
        return tuple(motions)


def make_networks(
    blueprint: VideoBlueprint, *, offsets: Sequence[int], seed: int, start: str | None = None
) -> VideoNetworks:
    """Make networks with weights of ``start``, else random ones."""
    with temporary_torch_seed(seed):
        networks = VideoNetworks(blueprint, offsets)
    networks.notes = () if start is None else fill_from_start(networks, start)
    return networks


def fill_from_start(networks: VideoNetworks, start: str) -> tuple[str, ...]:
    """Fill networks from ``imagenet``, ``rilievo/small``, or a run or official checkpoint.

    Returns a sentence for each part that stays.
    """
    if start == IMAGENET:
        return _fill_from_imagenet_with_notes(networks)
    if start == SMALL:
        fill_depth_from_embedded(networks)
        return ()
    folder = Path(start)
    if is_official_checkpoint(folder):
        return _fill_from_official_with_notes(networks, folder)
    if not (folder / WEIGHTS).is_file():
        raise ModelError(
            f"{folder}: nothing to start from: expected 'imagenet', the folder of a run "
            f"({WEIGHTS}) or of an official checkpoint (encoder.pth and depth.pth)"
        )
    return _fill_from_run_with_notes(networks, folder / WEIGHTS)


def fill_depth_from_embedded(networks: VideoNetworks) -> None:
    """Fill the depth network with the weights of ``rilievo/small``."""
    if (encoder := networks.blueprint.encoder) != EMBEDDED_ENCODER:
        raise OptionError(
            f"a start from '{SMALL}' needs the encoder '{EMBEDDED_ENCODER}', got '{encoder}'"
        )
    whole = SmallNet()
    with needing(f"a start from '{SMALL}'", "train"):
        import onnx  # noqa: F401
    fill_from_onnx(whole, embedded_file(SMALL))
    copy_small_weights(networks.depth.encoder, networks.depth.decoder, whole)


def _fill_from_run_with_notes(networks: VideoNetworks, path: Path) -> tuple[str, ...]:
    state, notes = read_state(path), []
    for name, part in networks.named_children():
        if any(key.startswith(f"{name}.") for key in state):
            part.load_state_dict(select_network_tensors(part, state, path, f"{name}."))
        elif name == "depth":
            raise ModelError(f"{path}: holds no depth network; is it a run on video?")
        else:
            notes.append(f"{printable(path)} holds no {name} network: it {_SCRATCH}")
    return tuple(notes)


def _fill_from_official_with_notes(networks: VideoNetworks, folder: Path) -> tuple[str, ...]:
    wanted = networks.blueprint
    official = read_official_checkpoint(folder, pose=networks.pose is not None)
    there = official.blueprint
    if there.encoder != wanted.encoder:
        raise ModelError(
            f"{folder}: its depth network has a {there.encoder}, this run's a {wanted.encoder}: "
            f"choose the encoder {there.encoder}"
        )
    renamed = _renumber_heads(official.depth, there.scales, wanted.scales)
    networks.depth.load_state_dict(select_network_tensors(networks.depth, renamed, folder))
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
    networks.pose.load_state_dict(select_network_tensors(networks.pose, official.pose, folder))
    return tuple(notes)


def _renumber_heads(
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


def _fill_from_imagenet_with_notes(networks: VideoNetworks) -> tuple[str, ...]:
    notes = []
    if not networks.depth.encoder.load_imagenet_weights():
        name = networks.blueprint.encoder
        notes.append(f"the encoder {name} has no published weights: it {_SCRATCH}")
    if isinstance(networks.pose, PoseNet):
        networks.pose.encoder.load_imagenet_weights()
    return tuple(notes)
