"""The networks of a run on video, and the weights from which they start."""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple, TypeVar

import torch
from torch import Tensor, nn

from rilievo.errors import ModelError, OptionError, explain_missing_extra
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
    IMAGENET_START,
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

FrameOrFeatures = TypeVar("FrameOrFeatures")
"""What a pose network sees of a frame: the frame itself, or features of it."""

WEIGHTS = "weights.safetensors"
"""File of the weights in the folder of a run."""
_FIRST_HEAD_INDEX = 10
"""Index of the first head in the decoder of an official checkpoint."""


class VideoOutput(NamedTuple):
    """Output for target frames and their sources.

    Attributes:
        sigmoids: Outputs of the depth network for the target, in 0..1, the finest scale first;
            ``sigmoid_to_inverse_depth`` converts them.
        source_T_target: 4×4 transform from the target's to each source's camera, in the unit of
            the finest depth; None for a source whose motion no network predicts.
        masks: Explainability masks (Zhou et al. 2017) of each source, for each scale; None if the
            networks do not predict them.
        unscaled: Motion before it was multiplied by the mean inverse depth; None if it was not.
    """

    sigmoids: tuple[Sigmoids, ...]
    source_T_target: tuple[Transforms | None, ...]
    masks: tuple[StackAtScale, ...] | None
    unscaled: tuple[Transforms | None, ...] | None = None


class VideoNetworks(nn.Module):
    """Networks of a run on video.

    Attributes:
        offsets: Offsets of the sources in time; 0 for the other camera of a stereo pair.
        pose: Pose network; None if motion comes from elsewhere.
        mask: Decoder of how much each source explains each pixel; None if masks are not predicted.
        notes: Notes on parts that start from random weights.
    """

    notes: tuple[str, ...] = ()

    def __init__(self, blueprint: VideoBlueprint, offsets: Sequence[int]) -> None:
        super().__init__()
        self.blueprint = blueprint
        self.offsets = tuple(offsets)
        self.depth = DepthNet(blueprint)
        self.pose = make_pose_net(blueprint, offsets, encoder=self.depth.encoder)
        self.mask = None
        if blueprint.mask:
            self.mask = make_decoder(self.depth.encoder, blueprint, outputs=len(self.offsets))

    def forward(self, target: Images, sources: tuple[Images, ...]) -> VideoOutput:
        """Predict the target's depth, the motion to each source, and masks; RGB is in 0..1."""
        if isinstance(self.pose, SharedPoseNet):
            target_features, source_features = self._encode_all(target, sources)
            sigmoids = self.depth.decoder(target_features)
            predict = self.pose.predict_from_features
            motions = self._predict_motions(predict, target_features, source_features)
        else:
            target_features = self.depth.encoder(target)
            sigmoids = self.depth.decoder(target_features)
            motions = self._predict_motions(self.pose, target, sources)

        masks = None if self.mask is None else self.mask(target_features)
        if self.blueprint.pose is not PoseKind.CNN:
            return VideoOutput(sigmoids=sigmoids, source_T_target=motions, masks=masks)
        return VideoOutput(
            sigmoids=sigmoids,
            source_T_target=self._scale_by_mean_inverse_depth(motions, sigmoids[0]),
            masks=masks,
            unscaled=None if self.blueprint.cancels_scale else motions,
        )

    def _scale_by_mean_inverse_depth(
        self, motions: tuple[Transforms | None, ...], finest_sigmoid: Sigmoids
    ) -> tuple[Transforms | None, ...]:
        """Scale translations as Wang et al. do ("Learning Depth from Monocular Videos", CVPR 2018).

        They divide inverse depth by its mean. The consistent factor of translations is 1 / mean
        (``cancels_scale``), but the authors' code multiplies by the mean, which is the default.
        """
        inverse_depth = sigmoid_to_inverse_depth(finest_sigmoid, self.blueprint)
        factor = inverse_depth.mean(dim=(1, 2, 3))
        if self.blueprint.cancels_scale:
            factor = 1 / factor.detach()  # a constant; only the authors' factor has a gradient
        return tuple(
            None if motion is None else scale_translation(motion, factor.to(motion.dtype))
            for motion in motions
        )

    def _encode_all(
        self, target: Images, sources: tuple[Images, ...]
    ) -> tuple[FeatureMaps, list[FeatureMaps]]:
        """Compute the features of the target and of the sources."""
        frames = (target, *sources)
        # In one pass over all frames, so that batch statistics cover all of them.
        batched_maps = self.depth.encoder(torch.cat(frames))
        maps_by_frame = zip(*(maps.chunk(len(frames)) for maps in batched_maps), strict=True)
        target_features, *source_features = map(tuple, maps_by_frame)
        return target_features, source_features

    def _predict_motions(
        self,
        predict_earlier_to_later: Callable[[FrameOrFeatures, FrameOrFeatures], Motion] | None,
        target: FrameOrFeatures,
        sources: Sequence[FrameOrFeatures],
    ) -> tuple[Transforms | None, ...]:
        """Predict the motion from the target to each source.

        It is None if there is no network, or for the other camera of a stereo pair (offset 0),
        whose pose is known.
        """
        motions: list[Transforms | None] = []
        for source, offset in zip(sources, self.offsets, strict=True):
            if predict_earlier_to_later is None or offset == 0:
                motions.append(None)
                continue
            is_earlier = offset < 0
            earlier, later = (source, target) if is_earlier else (target, source)
            axis_angle, translation = predict_earlier_to_later(earlier, later)
            motions.append(source_T_target(axis_angle, translation, source_is_earlier=is_earlier))
        return tuple(motions)


def make_networks(
    blueprint: VideoBlueprint, *, offsets: Sequence[int], seed: int, start: str | None = None
) -> VideoNetworks:
    """Make networks with random weights, or with those of ``start`` (see ``fill_from_start``)."""
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
        OptionError: If the start has another encoder.
    """
    if start == IMAGENET_START:
        return _fill_from_imagenet(networks)
    if start == SMALL:
        fill_depth_from_embedded(networks)
        return ()
    folder = Path(start)
    if is_official_checkpoint(folder):
        return _fill_from_official(networks, folder)
    if not (folder / WEIGHTS).is_file():
        raise ModelError(
            f"{folder}: has no weights to start from; expected 'imagenet', the folder of a run "
            f"({WEIGHTS}) or of an official checkpoint (encoder.pth and depth.pth)"
        )
    return _fill_from_run(networks, folder / WEIGHTS)


def fill_depth_from_embedded(networks: VideoNetworks) -> None:
    """Load the weights of the embedded model ``rilievo/small`` into the depth network."""
    encoder = networks.blueprint.encoder
    if encoder != EMBEDDED_ENCODER:
        raise OptionError(
            f"a start from '{SMALL}' needs the encoder '{EMBEDDED_ENCODER}', got '{encoder}'"
        )
    with explain_missing_extra(f"a start from '{SMALL}'", "train"):
        import onnx  # noqa: F401
    small_net = SmallNet()
    fill_from_onnx(small_net, embedded_file(SMALL))
    copy_small_weights(networks.depth.encoder, networks.depth.decoder, small_net)


def _fill_from_run(networks: VideoNetworks, path: Path) -> tuple[str, ...]:
    """Load the subnetworks that a run contains, and return a note on each that it lacks."""
    state = read_state(path)
    notes = []
    for name, subnetwork in networks.named_children():
        if any(key.startswith(f"{name}.") for key in state):
            subnetwork.load_state_dict(select_network_tensors(subnetwork, state, path, f"{name}."))
        elif name == "depth":
            raise ModelError(f"{path}: contains no depth network; expected a video training run")
        else:
            notes.append(
                f"{printable(path)} contains no {name} network, so this network starts from random "
                "weights"
            )
    return tuple(notes)


def _fill_from_official(networks: VideoNetworks, folder: Path) -> tuple[str, ...]:
    """Load the subnetworks of a checkpoint of Monodepth2; return a note on each that it lacks."""
    blueprint = networks.blueprint
    official = read_official_checkpoint(folder, pose=networks.pose is not None)
    stored = official.blueprint
    if stored.encoder != blueprint.encoder:
        raise ModelError(
            f"{folder}: its depth network has the encoder {stored.encoder}, but this run uses "
            f"{blueprint.encoder}: choose the encoder {stored.encoder}"
        )
    depth_weights = _renumber_heads(official.depth, stored.scales, blueprint.scales)
    networks.depth.load_state_dict(select_network_tensors(networks.depth, depth_weights, folder))
    notes = [] if networks.mask is None else ["the mask network starts from random weights"]
    if networks.pose is None:
        return tuple(notes)

    if official.pose is None:
        notes.append(
            f"{printable(folder)} contains no pose network (pose.pth), so this network starts from "
            "random weights"
        )
        return tuple(notes)
    if stored.pose is not blueprint.pose:
        raise ModelError(
            f"{folder}: its pose network is '{stored.pose}', but this run uses '{blueprint.pose}': "
            f"choose the pose network {stored.pose}"
        )
    networks.pose.load_state_dict(select_network_tensors(networks.pose, official.pose, folder))
    return tuple(notes)


def _renumber_heads(
    state: Mapping[str, Tensor], stored_scales: tuple[int, ...], scales: tuple[int, ...]
) -> Mapping[str, Tensor]:
    """Rename the stored heads for a network with other ``scales``; further heads are left out.

    Heads are numbered in the order of the scales, so the head of a scale may have another number.
    """
    stored_prefixes = [_head_prefix(index) for index in range(len(stored_scales))]
    renamed = {
        name: tensor
        for name, tensor in state.items()
        if not name.startswith(tuple(stored_prefixes))
    }
    for scale, stored_prefix in zip(stored_scales, stored_prefixes, strict=True):
        if scale not in scales:
            continue
        prefix = _head_prefix(scales.index(scale))
        for name, tensor in state.items():
            if name.startswith(stored_prefix):
                renamed[prefix + name.removeprefix(stored_prefix)] = tensor
    return renamed


def _head_prefix(index: int) -> str:
    return f"decoder.decoder.{_FIRST_HEAD_INDEX + index}."


def _fill_from_imagenet(networks: VideoNetworks) -> tuple[str, ...]:
    """Fill the encoders with ImageNet's weights; return a note if none are published."""
    notes = []
    if not networks.depth.encoder.load_imagenet_weights():
        name = networks.blueprint.encoder
        notes.append(
            f"the encoder {name} has no published weights, so it starts from random weights"
        )
    if isinstance(networks.pose, PoseNet):
        networks.pose.encoder.load_imagenet_weights()
    return tuple(notes)
