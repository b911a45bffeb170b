"""Networks, frames and motion of training on video, which are prepared before its first step."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from rilievo.data.clips.sources import list_sequences
from rilievo.data.fuse.frame_labels import read_labels_record
from rilievo.errors import ModelError
from rilievo.errors.messages import Note, OptionName, Text
from rilievo.io.files.machine import check_memory
from rilievo.io.files.names import printable
from rilievo.models import load_model
from rilievo.records.depth_map import DepthKind
from rilievo.training.engine.progress import FrameProgress
from rilievo.training.engine.run_folder import CHECKPOINT
from rilievo.training.engine.task import fused_option
from rilievo.training.losses.video_options import Scales
from rilievo.training.networks.blueprint import POSE_NETWORKS, PoseKind
from rilievo.training.networks.video.video_networks import make_networks
from rilievo.training.video.frames.fused_labels import with_label_maps
from rilievo.training.video.frames.target_frames import VideoFrames, VideoTargetFrames, batches
from rilievo.training.video.frames.video_frames import offsets_of_all_sources, open_frames
from rilievo.training.video.geometry_motion import MIN_TARGETS, TARGETS_A_MINUTE, GeometryMotion
from rilievo.training.video.other_places import ReplayPictures
from rilievo.training.video.pose_warm_up import warm_up_pose
from rilievo.training.video.prior_depth import Prior
from rilievo.training.video.step_memory import LESS_MEMORY_HINT, describe_step, required_memory
from rilievo.training.video.video_config import VideoConfig
from rilievo.training.video.video_learner import LearnedCamera, VideoLearner, copy_weights


@dataclass(frozen=True, slots=True, kw_only=True)
class VideoSetup:
    """What a run needs for its first step.

    Attributes:
        geometry: Estimator of motion by geometry; None where a network or poses give motion.
        start_weights: First weights by name; empty if the run never goes back towards them.
    """

    learner: VideoLearner
    optimizer: torch.optim.Optimizer
    frames: VideoFrames
    geometry: GeometryMotion | None
    start_weights: Mapping[str, Tensor]


def set_up_training(
    config: VideoConfig,
    run: Path,
    cache: Path,
    fabric: Any,
    frames: VideoFrames | None = None,
) -> VideoSetup:
    """Load the networks, open the frames, and estimate motion by geometry.

    ``cache`` is the folder for decoded frames and depth. If ``frames`` are given, they take the
    place of those of ``config.data``.
    """
    # Cheap checks come first: weights take minutes to fetch, and frames to decode.
    if frames is None:
        list_sequences(config.data)
        if config.labels is not None:
            read_labels_record(Path(config.labels))
    if fabric.device.type == "cpu":
        check_memory(required_memory(config), describe_step(config), LESS_MEMORY_HINT)

    is_resumed = (run / CHECKPOINT).exists()
    learner = _make_learner(config, frames, is_resumed=is_resumed).to(fabric.device)
    by_geometry = config.blueprint.pose is PoseKind.GEOMETRY
    warms_up_pose = config.pose_warm_up > 0 and not is_resumed
    prior = _load_prior(config) if by_geometry or warms_up_pose else None

    if frames is None:
        frames = _open_frames(config, cache, fabric)
    if config.labels is not None:
        with fabric.rank_zero_first():
            frames = with_label_maps(frames, Path(config.labels), cache)

    geometry = None
    if prior is not None:
        geometry = GeometryMotion(
            run,
            cache,
            network=learner.networks.depth,
            fabric=fabric,
            min_targets=max(MIN_TARGETS, config.batch_size),
            max_targets=round(TARGETS_A_MINUTE * (config.minutes or 0)) or None,
        )
        if by_geometry:
            frames = geometry.add_motion_and_prior(frames, prior)
            frames = _weigh_corner_loss(frames, learner, geometry.corner_trust)
        else:
            _warm_up_pose(config, learner, geometry.pose_warm_up_targets(frames, prior), fabric)

    layout = fastest_layout(fabric.device)
    learner = learner.to(memory_format=layout)  # pyright: ignore[reportCallIssue]
    optimizer = _make_optimizer(learner, config, fabric)
    may_return_to_start = config.start_share or config.losses.replay
    start_weights = copy_weights(learner.networks) if may_return_to_start else {}
    if config.losses.replay:
        # Before a checkpoint is read, since the labels are predictions of the start.
        height, width = config.blueprint.size
        max_pixels = config.blueprint.area or height * width
        depth_network = learner.networks.depth
        learner.replay = ReplayPictures(depth_network, max_pixels, fabric.device, seed=config.seed)
    return VideoSetup(
        learner=learner,
        optimizer=optimizer,
        frames=frames,
        geometry=geometry if by_geometry else None,
        start_weights=start_weights,
    )


def fastest_layout(device: torch.device) -> torch.memory_format:
    """Memory layout of weights and maps with which a training step takes least time.

    With the channels last, steps of Monodepth2 take 4 to 12% less time on a processor with
    AVX-512, and 6 to 11% more without it. Sums are taken in another order, so the bits of a run
    differ between the two.
    """
    if device.type == "cpu" and "AVX512" not in torch.backends.cpu.get_cpu_capability():
        return torch.contiguous_format
    return torch.channels_last


def may_leave_weights_unused(config: VideoConfig) -> bool:
    """Whether some weights may get no gradient in a step."""
    # Recorded poses leave the pose network without a gradient. Without the finest scale, the output
    # layers of the finer scales have none.
    has_unused_pose_network = config.data.follow_poses and config.blueprint.pose in POSE_NETWORKS
    has_unused_scales = config.blueprint.scales[0] > 0
    return has_unused_pose_network or has_unused_scales


def _make_learner(
    config: VideoConfig, frames: VideoFrames | None, *, is_resumed: bool
) -> VideoLearner:
    """Make the networks with their first weights, and their losses."""
    if frames is None:
        offsets = offsets_of_all_sources(config.data, config.offsets)
    else:
        offsets = frames.offsets
    # A resumed run takes its weights from the checkpoint. Motion by geometry begins with the depth
    # of the start, also in a resumed run.
    needs_start = config.blueprint.pose is PoseKind.GEOMETRY or not is_resumed
    networks = make_networks(
        config.blueprint,
        offsets=offsets,
        seed=config.seed,
        start=config.start if needs_start else None,
    )
    camera = LearnedCamera() if config.data.learn_camera else None
    return VideoLearner(networks, config.losses, seed=config.seed, camera=camera)


def _make_optimizer(
    learner: VideoLearner, config: VideoConfig, fabric: Any
) -> torch.optim.Optimizer:
    groups: list[dict[str, Any]] = [
        {"params": list(learner.networks.parameters()), "lr": config.learning_rate}
    ]
    if learner.camera is not None:
        # First, because the log has the learning rate of the last group.
        groups.insert(0, {"params": list(learner.camera.parameters()), "lr": config.camera_rate})
    return torch.optim.Adam(groups, fused=fused_option(fabric.device))


def _load_prior(config: VideoConfig) -> Prior:
    """Load the model of the prior; without one, the prior is the network that the run starts from.

    Raises:
        ModelError: If the model predicts depth of a kind from which motion cannot be estimated.
    """
    model_name = config.prior
    weights_key = model_name or f"{config.start} {config.seed}"
    key = f"{weights_key} {config.blueprint}"
    if model_name is None:
        return Prior(key=key)
    model = load_model(model_name)
    if model.card.kind not in (DepthKind.METRIC, DepthKind.UP_TO_SCALE):
        kind = model.card.kind
        prediction = "normals alone" if kind is None else f"depth of kind '{kind}'"
        raise ModelError(
            f"{printable(model_name)}: predicts {prediction}, from which motion cannot be "
            "estimated; choose a model of kind 'metric' or 'up_to_scale' (see 'rilievo models')"
        )
    return Prior(key=key, model=model)


def _open_frames(config: VideoConfig, cache: Path, fabric: Any) -> VideoFrames:
    # The first process decodes them, and the others find the cache.
    with fabric.rank_zero_first():
        return open_frames(
            config.data,
            size=config.blueprint.size,
            offsets=config.offsets,
            cache=cache,
            progress=FrameProgress(shown=fabric.is_global_zero),
            source_pyramids=config.losses.scales is Scales.NATIVE,
        )


def _warm_up_pose(
    config: VideoConfig, learner: VideoLearner, targets: VideoTargetFrames, fabric: Any
) -> None:
    """Teach the pose network the motion of ``targets``."""
    target_batches = batches(
        targets,
        seed=config.seed,
        batch_size=config.batch_size,
        augmentation=config.augmentation,
        device=fabric.device,
    )
    warm_up_pose(
        learner, target_batches, steps=config.pose_warm_up, seed=config.seed, fabric=fabric
    )


def _weigh_corner_loss(
    frames: VideoFrames, learner: VideoLearner, corner_trust: float
) -> VideoFrames:
    """Multiply the weight of triangulated corners in the loss by ``corner_trust``, in 0..1.

    If the weight falls below half of its value, a note is added to the frames.
    """
    configured_weight = learner.losses.corners
    weight = configured_weight * corner_trust
    learner.losses = replace(learner.losses, corners=weight)
    if weight >= configured_weight / 2:
        return frames
    note = Note(
        Text(
            "the triangulated depth of corners is hardly more accurate than the start model's "
            f"depth, so its weight in the loss is only {weight:.2g}: film with sideways motion, or "
            "use a larger ",
            OptionName("stride"),
        )
    )
    return replace(frames, notes=(*frames.notes, note))
