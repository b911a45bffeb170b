"""Plan of a training on video, made before its first step."""

from collections.abc import Callable, Generator, Iterator, Mapping
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
from rilievo.training.video.frames.target_frames import Batch, VideoFrames, batches
from rilievo.training.video.frames.video_frames import offsets_of_all_sources, open_frames
from rilievo.training.video.geometry_motion import FEWEST, TARGETS_A_MINUTE, GeometryMotion
from rilievo.training.video.other_places import OtherPlaces
from rilievo.training.video.pose_warm_up import warm_up_pose
from rilievo.training.video.prior_depth import Prior
from rilievo.training.video.schedule import Course
from rilievo.training.video.step_memory import step_bytes
from rilievo.training.video.video_config import VideoConfig, VideoRunOptions
from rilievo.training.video.video_learner import LearnedCamera, VideoLearner, copy_weights

LESS = Text(
    "take a smaller ",
    OptionName("batch_size"),
    " or ",
    OptionName("size"),
    ", or ",
    OptionName("precision", "bf16"),
)
"""Remedy for too little memory."""

BEST, CACHE = "best", "frames"


@dataclass(frozen=True, slots=True, kw_only=True)
class VideoPlan:
    """All that a training on video takes.

    Attributes:
        learner: Networks with their first weights, and their losses.
        geometry: Motion by geometry; None where a network or poses give it.
        course: Steps, validations and learning rates.
        batches: Function that yields batches from ``start_step`` on.
        start: First weights, where the run goes back towards them.
        start_share: Share of them in the weights that are kept.
        keep_best: Whether the weights with the least error are kept.
        less_memory: A step, and what makes it smaller.
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
    """Plan a training; arguments are those of ``train_video``.

    Raises:
        RilievoError: If an option, the data, weights or labels cannot be used.
    """
    if frames is None:
        # Missing footage is reported before weights are fetched, and weights are refused before
        # frames are decoded, which takes minutes.
        list_sequences(config.data)
        if config.labels is not None:
            read_labels_record(Path(config.labels))
    if fabric.device.type == "cpu":
        check_memory(*bytes_and_words_of_step(config), LESS)
    is_begun = (run / CHECKPOINT).exists()
    learner = _make_learner(config, frames, is_begun=is_begun).to(fabric.device)
    cache = run / CACHE if options.cache is None else Path(options.cache)
    by_geometry = config.blueprint.pose is PoseKind.GEOMETRY
    warms_up = config.pose_warm_up > 0 and not is_begun
    prior = _load_prior(config) if by_geometry or warms_up else None
    if frames is None:
        # The first process decodes them, and the others find the cache.
        with fabric.rank_zero_first():
            frames = open_frames(
                config.data,
                size=config.blueprint.size,
                offsets=config.offsets,
                cache=cache,
                progress=FrameProgress(shown=fabric.is_global_zero),
                source_pyramids=config.losses.scales is Scales.NATIVE,
            )
    geometry = None
    if prior is not None:
        geometry = GeometryMotion(
            run,
            cache,
            network=learner.networks.depth,
            fabric=fabric,
            least=max(FEWEST, config.batch_size),
            most=round(TARGETS_A_MINUTE * (config.minutes or 0)) or None,
        )
    for add in _frame_change_functions(config, cache, learner, geometry, prior, fabric):
        frames = add(frames)
    layout = fastest_layout(fabric.device)
    learner = learner.to(memory_format=layout)  # pyright: ignore[reportCallIssue]
    optimizer = _make_optimizer(learner, config, fabric)
    needs_start = config.start_share or config.losses.replay
    start = copy_weights(learner.networks) if needs_start else {}
    height, width = config.blueprint.size
    if config.losses.replay:
        # Before a checkpoint is read: the answers are those of the start.
        area = config.blueprint.area or height * width
        depth = learner.networks.depth
        learner.elsewhere = OtherPlaces(depth, area, fabric.device, seed=config.seed)
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
    """Layout in memory of weights and maps with which a step of a network takes least time.

    With the channels last, steps of Monodepth2 take 4 to 12 % less time on a processor with
    AVX-512, and 6 to 11 % more without it. Sums are taken in another order, so the bits of a run
    differ between the two.
    """
    if device.type == "cpu" and "AVX512" not in torch.backends.cpu.get_cpu_capability():
        return torch.contiguous_format
    return torch.channels_last


def bytes_and_words_of_step(config: VideoConfig) -> tuple[int, str]:
    """Measure the bytes that a step takes, and name the step."""
    offsets = offsets_of_all_sources(config.data, config.offsets)
    with torch.random.fork_rng(devices=[]):
        networks = VideoNetworks(config.blueprint, offsets)
    height, width = config.blueprint.size
    needed = step_bytes(
        networks,
        sources=len(offsets),
        pixels=config.batch_size * height * width,
        is_half=config.precision != "fp32",
    )
    return needed, f"steps of {config.batch_size} frames of {width}x{height} and their neighbours"


def device_options(config: VideoConfig, options: VideoRunOptions) -> Devices:
    """Device, precision, and whether weights may lack gradients."""
    # Known poses leave weights of the pose network without a gradient, and depth at coarser scales
    # only leaves those of the finer scales without one.
    has_motion = config.data.follow_poses and config.blueprint.pose in POSE_NETWORKS
    return Devices(
        device=options.device,
        precision=config.precision,
        partly=has_motion or config.blueprint.scales[0] > 0,
    )


def _make_learner(
    config: VideoConfig, frames: VideoFrames | None, *, is_begun: bool
) -> VideoLearner:
    offsets = (
        offsets_of_all_sources(config.data, config.offsets) if frames is None else frames.offsets
    )
    # Motion by geometry begins with the depth of the start, also where a run is resumed.
    is_filled = config.blueprint.pose is PoseKind.GEOMETRY or not is_begun
    networks = make_networks(
        config.blueprint,
        offsets=offsets,
        seed=config.seed,
        start=config.start if is_filled else None,
    )
    camera = LearnedCamera() if config.data.learn_camera else None
    return VideoLearner(networks, config.losses, seed=config.seed, camera=camera)


def _make_optimizer(
    learner: VideoLearner, config: VideoConfig, fabric: Any
) -> torch.optim.Optimizer:
    groups: list[tuple[nn.Module, float]] = [(learner.networks, config.learning_rate)]
    if learner.camera is not None:
        groups.insert(0, (learner.camera, config.camera_rate))
    return torch.optim.Adam(parameter_groups(*groups), fused=fused_option(fabric.device))


def _load_prior(config: VideoConfig) -> Prior:
    """Load the model of a prior, so that one of no use is refused before frames are decoded."""
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


def _frame_change_functions(
    config: VideoConfig,
    cache: Path,
    learner: VideoLearner,
    geometry: GeometryMotion | None,
    prior: Prior | None,
    fabric: Any,
) -> Iterator[Callable[[VideoFrames], VideoFrames]]:
    if config.labels is not None:
        labels = Path(config.labels)

        def label(frames: VideoFrames) -> VideoFrames:
            with fabric.rank_zero_first():
                return with_label_maps(frames, labels, cache)

        yield label
    if geometry is None or prior is None:
        return
    if config.blueprint.pose is PoseKind.GEOMETRY:
        yield partial(geometry.with_motion_and_prior, prior=prior)
        yield partial(_weigh_corner_loss, learner=learner, geometry=geometry)
    else:

        def warm_up(frames: VideoFrames) -> VideoFrames:
            taught = batches(
                geometry.teaching_targets(frames, prior),
                seed=config.seed,
                batch_size=config.batch_size,
                augmentation=config.augmentation,
                device=fabric.device,
            )
            warm_up_pose(
                learner, taught, steps=config.pose_warm_up, seed=config.seed, fabric=fabric
            )
            return frames

        yield warm_up


def _weigh_corner_loss(
    frames: VideoFrames, *, learner: VideoLearner, geometry: GeometryMotion
) -> VideoFrames:
    """Weigh corners by the share by which they err less than the start."""
    whole = learner.losses.corners
    learner.losses = replace(learner.losses, corners=whole * geometry.trust)
    if learner.losses.corners >= whole / 2:
        return frames
    note = Note(
        Text(
            "depth of corners by triangulation is hardly better than that "
            "of the start, and teaches with a weight of "
            f"{learner.losses.corners:.2g}: more parallax (a larger ",
            OptionName("stride"),
            ", a way to the side) makes it better",
        )
    )
    return replace(frames, notes=(*frames.notes, note))
