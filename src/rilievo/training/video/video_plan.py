"""Plan of a training on video: schedule, memory, networks, frames, made before its first step."""

import math
import re
from collections.abc import Callable, Generator, Iterator, Mapping
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from rilievo.data.clips.sources import list_sequences
from rilievo.data.fuse.frame_labels import read_labels_record
from rilievo.errors import InputError, ModelError
from rilievo.errors.messages import Note, OptionName, Text
from rilievo.io.checksums import FileSum
from rilievo.io.files.machine import check_memory
from rilievo.io.files.names import printable
from rilievo.models.finding import load_by_name
from rilievo.models.load_options import LoadOptions
from rilievo.records.depth_map import DepthKind
from rilievo.training.engine.loop import Devices
from rilievo.training.engine.progress import Decoding
from rilievo.training.engine.run_folder import CHECKPOINT
from rilievo.training.engine.task import RunState, fused_option, parameter_groups
from rilievo.training.losses.video_options import Scales
from rilievo.training.networks.blueprint import POSE_NETWORKS, PoseKind
from rilievo.training.networks.video.video_networks import VideoNetworks, make_networks
from rilievo.training.video.frames.target_frames import Batch, VideoFrames, batches
from rilievo.training.video.frames.video_frames import (
    offsets_of_all_sources,
    open_frames,
    with_label_maps,
)
from rilievo.training.video.geometry_motion import FEWEST, TARGETS_A_MINUTE, GeometryMotion, Prior
from rilievo.training.video.other_places import OtherPlaces
from rilievo.training.video.video_config import VideoConfig, VideoRunOptions
from rilievo.training.video.video_learner import (
    LearnedCamera,
    VideoLearner,
    copy_weights,
    warm_up_pose,
)

_SUMMED = re.compile(r"best/weights\.safetensors|pictures/step-\d{7,12}\.png")
_SHA256 = re.compile(r"[0-9a-f]{64}")


_FALL = 0.1
_LEAST_LEFT = 0.25
_FOR_VALIDATION = 0.25
_ROUNDING = 1e-9


@dataclass(frozen=True, slots=True, kw_only=True)
class Course:
    """Counts of the steps, batches and epochs of a run, over all processes, and its rates.

    Attributes:
        minutes: Time of the run in place of ``steps``.
        patience: Validations without a smaller error after which it ends.
        warm_up: Steps over which the learning rate rises.
        milestones: Epochs after which it falls; without any it falls along half a cosine.
    """

    steps: int
    batches: int
    epoch_batches: int
    images: int
    validations: int | None = None
    minutes: float | None = None
    patience: int | None = None
    warm_up: int = 0
    milestones: tuple[int, ...] = ()

    @classmethod
    def from_config(
        cls, config: VideoConfig, targets: int, *, processes: int, left_out: str = ""
    ) -> "Course":
        """Count steps; raises ``InputError`` if the targets fill no batch."""
        epoch_batches = targets // config.batch_size
        if not epoch_batches:
            raise InputError(
                problem=f"{targets} {'target is' if targets == 1 else 'targets are'} fewer than a "
                f"batch of {config.batch_size}"
                + (f" (other frames: {left_out})" if left_out else ""),
                hint=Text("take a smaller ", OptionName("batch_size"), ", or more footage"),
            )
        batches = config.accumulate * processes
        whole = math.ceil(config.epochs * epoch_batches / batches)
        return cls(
            steps=whole if config.steps is None else config.steps,
            batches=batches,
            epoch_batches=epoch_batches,
            images=batches * config.batch_size,
            validations=config.validations,
            minutes=config.minutes,
            patience=config.patience,
            warm_up=config.warm_up,
            milestones=config.milestones,
        )

    def rate(self, step: int, share: float = 0.0) -> float:
        """Learning rate of a step, as a share of its peak; steps count from 0.

        A milestone of 15 means that epochs 1 to 15 are trained at the full rate.
        """
        climbed = min(1.0, (step + 1) / self.warm_up) if self.warm_up else 1.0
        if not self.milestones:
            return climbed * (1 + math.cos(math.pi * min(share, 1.0))) / 2
        epoch = self.passes_before(step)
        # Rounding may put a step just before the epoch that it begins.
        falls = sum(epoch >= milestone - 1e-9 for milestone in self.milestones)
        return climbed * _FALL**falls

    def passes_before(self, step: int) -> float:
        """Passes through the targets before a step."""
        return step * self.batches / self.epoch_batches

    def is_validation_due(self, step: int) -> bool:
        """Whether a step ends with a validation."""
        if self.validations is None:
            return self.ends_epoch(step)
        return step * self.validations // self.steps > (step - 1) * self.validations // self.steps

    def ends_epoch(self, step: int) -> bool:
        """Whether a step ends a pass or the run."""
        passes = step * self.batches // self.epoch_batches
        before = (step - 1) * self.batches // self.epoch_batches
        return passes > before or step == self.steps


@dataclass(slots=True, kw_only=True)
class Minutes:
    """Time of a run of so many minutes, by the clock [s].

    Attributes:
        validated: Share up to which validations were done.
        validation: Duration of the last validation, kept for the end.
    """

    given: float
    used: float = 0.0
    share: float = 0.0
    validated: float = 0.0
    validations: int | None = None
    validation: float = 0.0

    @classmethod
    def after_preparation(
        cls, minutes: float, *, spent: float, validations: int | None, validation: float
    ) -> "Minutes":
        """Time after preparation, at least a quarter of ``minutes``; other times are in seconds.

        So many validations are made that they take at most a quarter of it.
        """
        whole = 60 * minutes
        seconds = max(whole - spent, _LEAST_LEFT * whole)
        if validations is not None and validation:
            most = int(_FOR_VALIDATION * seconds / validation)
            validations = max(1, min(validations, most))
        return cls(given=seconds, validations=validations, validation=validation)

    def add_seconds(self, seconds: float) -> float:
        """Add time used; returns the share that is done."""
        self.used += seconds
        share = self.used / max(self.given - self.validation, 1e-6)
        return max(self.share, min(1.0, share))

    def is_validation_due(self) -> bool:
        """Whether a validation is due."""
        count = self.validations or 0
        return int(self.share * count + _ROUNDING) > int(self.validated * count + _ROUNDING)


@dataclass(slots=True, kw_only=True)
class VideoState(RunState):
    """Counts of a run on video.

    Attributes:
        best_error: Least error on the held-out targets; None before the first validation.
        best_step: Step that had this error.
        sums: Size and sha256 of the best weights and the pictures, as they were written.
        stale: Validations since the one with the least error.
        start_errors: Error of each held-out target that judges, with the start.
        learned_errors: The same with the best learned weights.
        gentler: Factor of the learning rate, after depth of other places moved too far.
    """

    best_error: float | None = None
    best_step: int = 0
    sums: Mapping[str, FileSum] = field(default_factory=dict)
    stale: int = 0
    minutes: Minutes | None = None
    gentler: float = 1.0
    start_errors: tuple[float, ...] = ()
    learned_errors: tuple[float, ...] = ()

    def __post_init__(self) -> None:
        for name, entry in self.sums.items():
            if not _SUMMED.fullmatch(name) or not _SHA256.fullmatch(entry.sha256):
                raise ValueError("its sums are of no files of a run")


_SIDE = 64
_A_WEIGHT = 4
"""Numbers for each weight: itself, its gradient and Adam's two means."""


def step_bytes(networks: nn.Module, *, sources: int, pixels: int, is_half: bool) -> int:
    """Number of bytes that a step takes for networks; losses come on top.

    ``pixels`` are those of all targets of a batch. Statistics of the networks change, as in a step.
    """
    with torch.random.fork_rng(devices=[]):
        frame = torch.zeros(1, 3, _SIDE, _SIDE)
        others = tuple(frame.clone() for _ in range(sources))
        graph_bytes = _bytes_saved_for_backward(networks.train(), frame, others)
    share = 0.5 if is_half else 1.0
    weights = sum(weight.numel() * weight.element_size() for weight in networks.parameters())
    return int(share * graph_bytes * (pixels / _SIDE**2) + _A_WEIGHT * weights)


LESS = Text(
    "take a smaller ",
    OptionName("batch_size"),
    " or ",
    OptionName("size"),
    ", or ",
    OptionName("precision", "bf16"),
)
"""Remedy for too little memory."""


def _bytes_saved_for_backward(
    networks: nn.Module, target: Tensor, sources: tuple[Tensor, ...]
) -> int:
    weights = {weight.untyped_storage().data_ptr() for weight in networks.parameters()}
    tensors: dict[int, tuple[int, Tensor]] = {}

    def keep(tensor: Tensor) -> Tensor:
        storage = tensor.untyped_storage()
        if storage.data_ptr() not in weights:
            tensors[storage.data_ptr()] = storage.nbytes(), tensor
        return tensor

    with torch.enable_grad(), torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor):
        networks(target, sources)
    return sum(count for count, _ in tensors.values())


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
                progress=Decoding(shown=fabric.is_global_zero),
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
    learner = learner.to(memory_format=torch.channels_last)  # pyright: ignore[reportCallIssue]
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
