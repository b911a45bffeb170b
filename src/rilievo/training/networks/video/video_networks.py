"""The networks of a run on video, and the weights from which they start."""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple, TypeVar

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
    Motion,
    PoseNet,
    SharedPoseNet,
    make_pose_net,
    source_T_target,
)
from rilievo.training.tensors import FeatureMaps, Images, Sigmoids, StackAtScale, Transforms

View = TypeVar("View")

IMAGENET = "imagenet"
"""Word for a start from encoders that were trained on ImageNet."""
WEIGHTS = "weights.safetensors"
"""File of the weights in the folder of a run."""
_STARTS_RANDOM = "starts from random weights"
_FIRST_HEAD = 10
"""Index of the first head in the decoder of an official checkpoint."""


class VideoAnswer(NamedTuple):
    """Output for target frames and their sources.

    Attributes:
        disparities: Sigmoids of the target, the finest scale first.
        source_T_target: Motion to each source, in the unit of the finest depth; None where no
            network predicts it.
        masks: How much each source explains each pixel, for each scale; None without such a head.
        unscaled: Motion before it was multiplied by the mean inverse depth; None if it was not.
    """

    disparities: tuple[Sigmoids, ...]
    source_T_target: tuple[Transforms | None, ...]
    masks: tuple[StackAtScale, ...] | None
    unscaled: tuple[Transforms | None, ...] | None = None


class VideoNetworks(nn.Module):
    """Networks of a run on video.

    Attributes:
        offsets: Offsets of the sources in time; 0 for the other camera of a stereo pair.
        depth: Depth network.
        pose: Pose network; None if motion comes from elsewhere.
        mask: Decoder of how much each source explains each pixel; None for none.
        notes: Notes on parts that start from random weights.
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
        """Predict the target's depth, the motion to each source, and masks; RGB is in 0..1."""
        if isinstance(self.pose, SharedPoseNet):
            target_features, source_features = self._encode_all(target, sources)
            disparities = self.depth.decoder(target_features)
            predict = self.pose.predict_from_features
            motions = self._predict_motions(predict, target_features, source_features)
        else:
            target_features = self.depth.encoder(target)
            disparities = self.depth.decoder(target_features)
            motions = self._predict_motions(self.pose, target, sources)

        unscaled = None
        if self.blueprint.pose is PoseKind.CNN:
            # Wang et al., "Learning Depth from Monocular Videos using Direct Methods", CVPR 2018,
            # divide inverse depth by its mean. Translation would have to be divided by that mean
            # too; the published program multiplies.
            factor = sigmoid_to_inverse_depth(disparities[0], self.blueprint).mean(dim=(1, 2, 3))
            if self.blueprint.cancels_scale:
                factor = 1 / factor.detach()
            else:
                unscaled = motions
            motions = tuple(
                None if motion is None else scale_translation(motion, factor.to(motion.dtype))
                for motion in motions
            )
        return VideoAnswer(
            disparities=disparities,
            source_T_target=motions,
            masks=None if self.mask is None else self.mask(target_features),
            unscaled=unscaled,
        )

    def _encode_all(
        self, target: Images, sources: tuple[Images, ...]
    ) -> tuple[FeatureMaps, list[FeatureMaps]]:
        """Features of the target and of the sources."""
        frames = (target, *sources)
        # One pass over all frames, so that batch statistics cover all of them.
        maps_of_all = self.depth.encoder(torch.cat(frames))
        maps_by_frame = zip(*(maps.chunk(len(frames)) for maps in maps_of_all), strict=True)
        target_features, *source_features = map(tuple, maps_by_frame)
        return target_features, source_features

    def _predict_motions(
        self,
        predict: Callable[[View, View], Motion] | None,
        target: View,
        sources: Sequence[View],
    ) -> tuple[Transforms | None, ...]:
        """Motion to each source; None where no network predicts it.

        ``predict`` takes the earlier and the later of two frames, or their features.
        """
        motions: list[Transforms | None] = []
        for source, offset in zip(sources, self.offsets, strict=True):
            if predict is None or offset == 0:
                motions.append(None)
                continue
            is_earlier = offset < 0
            motion = predict(source, target) if is_earlier else predict(target, source)
            motions.append(source_T_target(*motion, source_is_earlier=is_earlier))
        return tuple(motions)


def make_networks(
    blueprint: VideoBlueprint, *, offsets: Sequence[int], seed: int, start: str | None = None
) -> VideoNetworks:
    """Make networks with the weights of ``start``, see ``fill_from_start``, or random ones."""
    with temporary_torch_seed(seed):
        networks = VideoNetworks(blueprint, offsets)
    networks.notes = () if start is None else fill_from_start(networks, start)
    return networks


def fill_from_start(networks: VideoNetworks, start: str) -> tuple[str, ...]:
    """Fill networks with weights to start from.

    Args:
        networks: Networks with random weights.
        start: ``imagenet``, ``rilievo/small``, or the folder of a run or an official checkpoint.

    Returns:
        A note on each part that keeps its random weights.

    Raises:
        ModelError: If there is no such start, or it is of other networks.
        OptionError: If the encoder is not that of the start.
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
    encoder = networks.blueprint.encoder
    if encoder != EMBEDDED_ENCODER:
        raise OptionError(
            f"a start from '{SMALL}' needs the encoder '{EMBEDDED_ENCODER}', got '{encoder}'"
        )
    embedded = SmallNet()
    with needing(f"a start from '{SMALL}'", "train"):
        import onnx  # noqa: F401
    fill_from_onnx(embedded, embedded_file(SMALL))
    copy_small_weights(networks.depth.encoder, networks.depth.decoder, embedded)


def _fill_from_run_with_notes(networks: VideoNetworks, path: Path) -> tuple[str, ...]:
    state, notes = read_state(path), []
    for name, part in networks.named_children():
        if any(key.startswith(f"{name}.") for key in state):
            part.load_state_dict(select_network_tensors(part, state, path, f"{name}."))
        elif name == "depth":
            raise ModelError(f"{path}: holds no depth network; is it a run on video?")
        else:
            notes.append(f"{printable(path)} holds no {name} network: it {_STARTS_RANDOM}")
    return tuple(notes)


def _fill_from_official_with_notes(networks: VideoNetworks, folder: Path) -> tuple[str, ...]:
    blueprint = networks.blueprint
    official = read_official_checkpoint(folder, pose=networks.pose is not None)
    stored = official.blueprint
    if stored.encoder != blueprint.encoder:
        raise ModelError(
            f"{folder}: its depth network has a {stored.encoder}, this run's a "
            f"{blueprint.encoder}: choose the encoder {stored.encoder}"
        )
    depth_weights = _renumber_heads(official.depth, stored.scales, blueprint.scales)
    networks.depth.load_state_dict(select_network_tensors(networks.depth, depth_weights, folder))
    notes = [] if networks.mask is None else [f"the mask network {_STARTS_RANDOM}"]
    if networks.pose is None:
        return tuple(notes)

    if official.pose is None:
        notes.append(f"{printable(folder)} holds no pose network (pose.pth): it {_STARTS_RANDOM}")
        return tuple(notes)
    if stored.pose is not blueprint.pose:
        raise ModelError(
            f"{folder}: its pose network is '{stored.pose}', this run's '{blueprint.pose}': choose "
            f"the pose network {stored.pose}"
        )
    networks.pose.load_state_dict(select_network_tensors(networks.pose, official.pose, folder))
    return tuple(notes)


def _renumber_heads(
    state: Mapping[str, Tensor], stored_scales: tuple[int, ...], scales: tuple[int, ...]
) -> Mapping[str, Tensor]:
    """Rename the heads of stored scales to the positions that they have among ``scales``.

    Heads of other scales are left out.
    """
    stored_heads = tuple(_head_prefix(index) for index in range(len(stored_scales)))
    renamed = {key: tensor for key, tensor in state.items() if not key.startswith(stored_heads)}
    for index, scale in enumerate(scales):
        if scale not in stored_scales:
            continue
        stored_prefix = _head_prefix(stored_scales.index(scale))
        for key, tensor in state.items():
            if key.startswith(stored_prefix):
                renamed[_head_prefix(index) + key.removeprefix(stored_prefix)] = tensor
    return renamed


def _head_prefix(index: int) -> str:
    return f"decoder.decoder.{_FIRST_HEAD + index}."


def _fill_from_imagenet_with_notes(networks: VideoNetworks) -> tuple[str, ...]:
    notes = []
    if not networks.depth.encoder.load_imagenet_weights():
        name = networks.blueprint.encoder
        notes.append(f"the encoder {name} has no published weights: it {_STARTS_RANDOM}")
    if isinstance(networks.pose, PoseNet):
        networks.pose.encoder.load_imagenet_weights()
    return tuple(notes)
