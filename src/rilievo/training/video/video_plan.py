"""Plan of a training on video: all that is made before its first step."""

from collections.abc import Callable, Generator, Mapping
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from rilievo.data.clips.sources import list_sequences
from rilievo.data.fuse.frame_labels import read_labels_record
from rilievo.errors import ModelError
from rilievo.errors.messages import Note, OptionName, Text
from rilievo.io.files.machine import check_memory
from rilievo.io.files.names import printable
from rilievo.models.finding import load_by_name
from rilievo.models.load_options import LoadOptions
from rilievo.records.depth_map import DepthKind
from rilievo.training.engine.loop import Devices
from rilievo.training.engine.progress import FrameProgress
from rilievo.training.engine.run_folder import CHECKPOINT
from rilievo.training.engine.task import fused_option, parameter_groups
from rilievo.training.losses.video_options import Scales
from rilievo.training.networks.blueprint import POSE_NETWORKS, PoseKind
from rilievo.training.networks.video.video_networks import VideoNetworks, make_networks
from rilievo.training.video.frames.fused_labels import with_label_maps
from rilievo.training.video.frames.target_frames import (
    Batch,
    VideoFrames,
    VideoTargetFrames,
    batches,
)
from rilievo.training.video.frames.video_frames import offsets_of_all_sources, open_frames
from rilievo.training.video.geometry_motion import MIN_TARGETS, TARGETS_A_MINUTE, GeometryMotion
from rilievo.training.video.other_places import ReplayPictures
from rilievo.training.video.pose_warm_up import warm_up_pose
from rilievo.training.video.prior_depth import Prior
from rilievo.training.video.schedule import Course
from rilievo.training.video.step_memory import step_bytes
from rilievo.training.video.video_config import VideoConfig, VideoRunOptions
from rilievo.training.video.video_learner import LearnedCamera, VideoLearner, copy_weights

LESS_MEMORY_HINT = Text(
    "take a smaller ",
    OptionName("batch_size"),
    " or ",
    OptionName("size"),
    ", or ",
    OptionName("precision", "bf16"),
)
"""What to do about too little memory."""

BEST = "best"
"""Folder of the best weights so far, in that of the run."""
CACHE = "frames"
"""Folder of decoded frames, in that of the run."""


@dataclass(frozen=True, slots=True, kw_only=True)
class VideoPlan:
    """Networks, frames and numbers of a training on video.

    Attributes:
        learner: Networks with their first weights, and their losses.
        optimizer: Optimizer of these weights.
        frames: Targets to train on, and held-out ones.
        geometry: Estimator of motion by geometry; None where a network or poses give motion.
        course: Steps, validations and learning rates.
        batches: Function that yields batches from number ``start_step`` on.
        start: First weights by name, if the run may go back towards them, else empty.
        start_share: Weight of ``start`` in the mean that is kept.
        keep_best: Whether the weights with the least error are kept, not the last ones.
        less_memory: What memory may be too small for, and what to do about it.
    """

    learner: VideoLearner
    optimizer: torch.optim.Optimizer
    frames: VideoFrames
    geometry: GeometryMotion | None
    course: Course
    batches: Callable[..., Generator[Batch, None, None]]
    start: Mapping[str, Tensor]
    start_share: float
    keep_best: bool
    seed: int
    accumulate: int
    clip_norm: float | None
    checkpoint_steps: int
    less_memory: str | Text


def make_plan(
    config: VideoConfig,
    run: Path,
    options: VideoRunOptions,
    fabric: Any,
    frames: VideoFrames | None = None,
) -> VideoPlan:
    """Load the networks, open the frames, and estimate motion by geometry.

    Args:
        config: Configuration of the run.
        run: Its folder.
        options: Options that do not change its result.
        fabric: Devices.
        frames: Frames to use in place of those of ``config.data``.

    Raises:
        RilievoError: If an option, the data, weights or labels cannot be used.
    """
    # What needs no work is checked first: weights take minutes to fetch, and frames to decode.
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

    cache = run / CACHE if options.cache is None else Path(options.cache)
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
            frames = geometry.with_motion_and_prior(frames, prior)
            frames = _weigh_corner_loss(frames, learner, geometry.corner_trust)
        else:
            _warm_up_pose(config, learner, geometry.teaching_targets(frames, prior), fabric)

    layout = fastest_layout(fabric.device)
    learner = learner.to(memory_format=layout)  # pyright: ignore[reportCallIssue]
    optimizer = _make_optimizer(learner, config, fabric)
    needs_start = config.start_share or config.losses.replay
    start = copy_weights(learner.networks) if needs_start else {}
    height, width = config.blueprint.size
    if config.losses.replay:
        # Before a checkpoint is read, since the labels are predictions of the start.
        area = config.blueprint.area or height * width
        depth_network = learner.networks.depth
        learner.replay = ReplayPictures(depth_network, area, fabric.device, seed=config.seed)

    return VideoPlan(
        learner=learner,
        optimizer=optimizer,
        frames=frames,
        geometry=geometry if by_geometry else None,
        course=Course.from_config(
            config,
            len(frames.training),
            processes=fabric.world_size,
            left_out=frames.left_out,
        ),
        batches=partial(
            batches,
            frames.training,
            seed=config.seed,
            batch_size=config.batch_size,
            stride=fabric.world_size,
            workers=options.workers,
            augmentation=config.augmentation,
            device=fabric.device,
        ),
        start=start,
        start_share=config.start_share,
        keep_best=config.keep_best,
        seed=config.seed,
        accumulate=config.accumulate,
        clip_norm=config.clip_norm,
        checkpoint_steps=config.checkpoint_steps,
        less_memory=Text(
            f"a step of {config.batch_size} x {height}x{width} with "
            f"{config.blueprint.encoder}: take a smaller ",
            OptionName("batch_size"),
            ", a smaller ",
            OptionName("size"),
            ", or ",
            OptionName("precision", "bf16"),
        ),
    )


def fastest_layout(device: torch.device) -> torch.memory_format:
    """Memory layout of weights and maps with which a step of a network takes least time.

    With the channels last, steps of Monodepth2 take 4 to 12 % less time on a processor with
    AVX-512, and 6 to 11 % more without it. Sums are taken in another order, so the bits of a run
    differ between the two.
    """
    if device.type == "cpu" and "AVX512" not in torch.backends.cpu.get_cpu_capability():
        return torch.contiguous_format
    return torch.channels_last


def required_memory(config: VideoConfig) -> int:
    """Memory that a step of a run takes [bytes], measured with its networks on a small frame."""
    offsets = offsets_of_all_sources(config.data, config.offsets)
    with torch.random.fork_rng(devices=[]):
        networks = VideoNetworks(config.blueprint, offsets)
    height, width = config.blueprint.size
    return step_bytes(
        networks,
        sources=len(offsets),
        pixels=config.batch_size * height * width,
        is_half=config.precision != "fp32",
    )


def describe_step(config: VideoConfig) -> str:
    """Describe the steps of a run, for a sentence about their memory."""
    height, width = config.blueprint.size
    return f"steps of {config.batch_size} frames of {width}x{height} and their neighbours"


def device_options(config: VideoConfig, options: VideoRunOptions) -> Devices:
    """Choose the device and precision, and tell whether weights may lack gradients."""
    # Known poses leave weights of the pose network without a gradient, and depth at coarser scales
    # only leaves those of the finer scales without one.
    has_motion = config.data.follow_poses and config.blueprint.pose in POSE_NETWORKS
    return Devices(
        device=options.device,
        precision=config.precision,
        partly=has_motion or config.blueprint.scales[0] > 0,
    )


def _make_learner(
    config: VideoConfig, frames: VideoFrames | None, *, is_resumed: bool
) -> VideoLearner:
    offsets = (
        offsets_of_all_sources(config.data, config.offsets) if frames is None else frames.offsets
    )
    # A resumed run has its weights from the checkpoint. Motion by geometry begins with the depth of
    # the start, also where a run is resumed.
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
    modules: list[tuple[nn.Module, float]] = [(learner.networks, config.learning_rate)]
    if learner.camera is not None:
        # First, because the log has the learning rate of the last group.
        modules.insert(0, (learner.camera, config.camera_rate))
    return torch.optim.Adam(parameter_groups(*modules), fused=fused_option(fabric.device))


def _load_prior(config: VideoConfig) -> Prior:
    """Load the model of the prior, or without one take the network that the run starts from.

    Raises:
        ModelError: If the model predicts depth of a kind from which motion cannot be estimated.
    """
    name = config.prior
    key = f"{name or f'{config.start} {config.seed}'} {config.blueprint}"
    if name is None:
        return Prior(key=key)
    model = load_by_name(name, LoadOptions())
    if model.card.kind not in (DepthKind.METRIC, DepthKind.UP_TO_SCALE):
        raise ModelError(
            f"{printable(name)}: its depth is {model.card.kind}, and motion needs depth that is "
            "metric or up to scale; see 'rilievo models'"
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

    A weight that becomes less than half of what it was adds a note to the frames.
    """
    configured_weight = learner.losses.corners
    weight = configured_weight * corner_trust
    learner.losses = replace(learner.losses, corners=weight)
    if weight >= configured_weight / 2:
        return frames
    note = Note(
        Text(
            "depth of corners by triangulation is hardly better than that "
            "of the start, and teaches with a weight of "
            f"{weight:.2g}: more parallax (a larger ",
            OptionName("stride"),
            ", a way to the side) makes it better",
        )
    )
    return replace(frames, notes=(*frames.notes, note))
