"""Training on video, from the configuration to the finished run folder, which is a model."""

import hashlib
import shutil
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch

from rilievo.data.clips.sources import list_sequences
from rilievo.data.fuse.frame_labels import read_labels_record
from rilievo.errors import ModelError, RilievoError
from rilievo.errors.messages import Note, OptionName, Text, count_text
from rilievo.extensions.trust import trust
from rilievo.io.files.atomic import make_folder, sweep_parts
from rilievo.io.files.machine import check_memory
from rilievo.io.files.names import printable
from rilievo.io.json_record import to_json
from rilievo.models import load_model
from rilievo.records.depth_map import DepthKind
from rilievo.training.adapters.run_models import CONFIG, WEIGHTS
from rilievo.training.engine.config_fields import with_absolute_paths
from rilievo.training.engine.loop import TrainingLoop, launch_fabric
from rilievo.training.engine.progress import FrameProgress
from rilievo.training.engine.run_folder import CHECKPOINT
from rilievo.training.engine.task import fused_option
from rilievo.training.losses.video_options import Scales
from rilievo.training.networks.blueprint import POSE_NETWORKS
from rilievo.training.networks.video.video_networks import VideoNetworks, make_networks
from rilievo.training.video.frames.fused_labels import with_label_maps
from rilievo.training.video.frames.target_frames import VideoFrames, VideoTargetFrames, batches
from rilievo.training.video.frames.video_frames import offsets_of_all_sources, open_frames
from rilievo.training.video.geometry_motion import MIN_TARGETS, TARGETS_A_MINUTE, GeometryMotion
from rilievo.training.video.other_places import ReplayPictures, StartWeights, copy_weights
from rilievo.training.video.pair_motions import MOTION_FOLDER
from rilievo.training.video.pose_warm_up import warm_up_pose
from rilievo.training.video.prior_depth import Prior
from rilievo.training.video.step_memory import step_bytes
from rilievo.training.video.video_config import VideoConfig, VideoRunOptions
from rilievo.training.video.video_learner import LearnedCamera, VideoLearner
from rilievo.training.video.video_records import VideoRecord, video_run_folder
from rilievo.training.video.video_task import BEST, VideoTask

CACHE = "frames"
"""Folder of decoded frames, in that of the run."""
LESS_MEMORY_HINT = Text(
    "use a smaller ",
    OptionName("batch_size"),
    " or ",
    OptionName("size"),
    ", or ",
    OptionName("precision", "bf16"),
)
"""What to do about too little memory."""


def train_video(
    config: VideoConfig,
    run: Path,
    options: VideoRunOptions | None = None,
    *,
    frames: VideoFrames | None = None,
) -> VideoRecord | None:
    """Learn depth and motion from video and write a run folder, which ``load_model`` takes.

    A finished run is not repeated. A run that was stopped is a model of the weights that it would
    have ended with.

    Args:
        config: Data, networks, losses and schedule.
        run: Folder to write.
        options: Options that do not change the result.
        frames: Frames to use in place of those of ``config.data``.

    Returns:
        The record of the run; None if it was stopped before its end.

    Raises:
        RilievoError: If an option, the data, weights or a checkpoint cannot be used.
    """
    start_time = time.monotonic()
    options = options or VideoRunOptions()
    trust(options.trust_code)
    # As it will be read back: a whole number given for a float becomes that float.
    config = with_absolute_paths(config)
    folder = video_run_folder(run)
    fabric = launch_fabric(
        options.device,
        precision=config.precision,
        allows_unused_weights=may_leave_weights_unused(config),
    )
    with _removing_new_folders_on_error(run, is_enabled=fabric.is_global_zero):
        if fabric.is_global_zero:
            make_folder(run)
            if (run / BEST).exists():
                sweep_parts(run / BEST)
            folder.config_to_train(config, resume=options.resume)
        fabric.barrier()
        if folder.has_weights:
            config = folder.read_config()  # its paths may be spelled differently
        if folder.is_finished():
            return folder.read_record()

        cache = run / CACHE if options.cache is None else Path(options.cache)
        task = prepare_task(
            config, run, cache, fabric, frames, workers=options.workers, start_time=start_time
        )
        if fabric.is_global_zero:
            # Only now, so that a run that cannot begin leaves nothing behind.
            folder.write_config(config, folders=(BEST, "."))

    run_identity = f"{fabric.world_size} {to_json(config)}".encode()
    fingerprint = hashlib.sha256(run_identity).hexdigest()
    loop = TrainingLoop(task, run, fabric=fabric, fingerprint=fingerprint)
    is_at_end = loop.train_to_end(
        tensorboard=options.tensorboard, stop_at=options.stop_at, resumes=options.resume
    )
    if not is_at_end:
        return None
    if fabric.is_global_zero:
        # A run that is resumed after its last step may lack the weights.
        task.after_checkpoint()
        best_files = [f"{BEST}/{name}" for name in (CONFIG, WEIGHTS)]
        folder.finish(task.record(), other_files=best_files, known_checksums=task.state.checksums)
    fabric.barrier()
    return folder.read_record()


@contextmanager
def _removing_new_folders_on_error(run: Path, *, is_enabled: bool) -> Iterator[None]:
    """Remove the folders that the block made, if it raises one of our errors."""
    subfolders = (run / CACHE, run / BEST, run / MOTION_FOLDER)
    new_folders = [folder for folder in subfolders if not folder.exists()]
    is_new_run = not run.exists()
    try:
        yield
    except RilievoError:
        if is_enabled:
            for folder in new_folders:
                shutil.rmtree(folder, ignore_errors=True)
            if is_new_run:
                with suppress(OSError):
                    run.rmdir()
        raise


def prepare_task(
    config: VideoConfig,
    run: Path,
    cache: Path,
    fabric: Any,
    frames: VideoFrames | None = None,
    *,
    workers: int = 0,
    start_time: float = 0.0,
) -> VideoTask:
    """Load the networks, open the frames, and estimate motion by geometry.

    ``cache`` is the folder for decoded frames and depth. If ``frames`` are given, they take the
    place of those of ``config.data``. ``VideoTask`` explains the other arguments.
    """
    # Cheap checks come first: weights take minutes to fetch, and frames to decode.
    if frames is None:
        list_sequences(config.data)
        if config.labels is not None:
            read_labels_record(Path(config.labels))
    if fabric.device.type == "cpu":
        check_memory(required_memory(config), describe_step(config), LESS_MEMORY_HINT)

    is_resumed = (run / CHECKPOINT).exists()
    offsets = offsets_of_all_sources(config.data, config.offsets)
    if frames is not None:
        offsets = frames.offsets
    learner = _make_learner(config, offsets, is_resumed=is_resumed).to(fabric.device)
    by_geometry = config.is_by_geometry
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
    # Both before a checkpoint is read, since they need the weights of the start.
    start = _remember_start(config, learner)
    if config.losses.replay:
        learner.replay = _predict_replay(config, learner, fabric)
    return VideoTask(
        config,
        run,
        fabric,
        learner,
        optimizer,
        frames,
        start=start,
        geometry=geometry if by_geometry else None,
        workers=workers,
        start_time=start_time,
    )


def _remember_start(config: VideoConfig, learner: VideoLearner) -> StartWeights:
    """Copy the weights of the start, if the run may go back towards them."""
    may_return_to_start = config.start_share > 0 or config.losses.replay > 0
    return StartWeights(
        networks=learner.networks,
        share=config.start_share,
        weights=copy_weights(learner.networks) if may_return_to_start else {},
    )


def _predict_replay(config: VideoConfig, learner: VideoLearner, fabric: Any) -> ReplayPictures:
    """Let the start predict the pictures of other places, whose labels its predictions are."""
    height, width = config.blueprint.size
    max_pixels = config.blueprint.area or height * width
    return ReplayPictures.predict(
        learner.networks.depth, max_pixels, fabric.device, seed=config.seed
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
    frames = count_text(config.batch_size, "frame")
    return f"steps of {frames} of {width}x{height} and the neighbouring frames"


def may_leave_weights_unused(config: VideoConfig) -> bool:
    """Whether some weights may get no gradient in a step."""
    # Recorded poses leave the pose network without a gradient. Without the finest scale, the output
    # layers of the finer scales have none.
    has_unused_pose_network = config.data.follow_poses and config.blueprint.pose in POSE_NETWORKS
    has_unused_scales = config.blueprint.scales[0] > 0
    return has_unused_pose_network or has_unused_scales


def _make_learner(
    config: VideoConfig, offsets: tuple[int, ...], *, is_resumed: bool
) -> VideoLearner:
    """Make the networks with their first weights, and their losses."""
    # A resumed run takes its weights from the checkpoint. Motion by geometry begins with the depth
    # of the start, also in a resumed run.
    needs_start = config.is_by_geometry or not is_resumed
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
    if weight:
        accuracy = "hardly more accurate than"
        consequence = f"its weight in the loss is only {weight:.2g}"
    else:
        accuracy = "no more accurate than"
        consequence = "it does not count in the loss"
    note = Note(
        Text(
            f"the triangulated depth of corners is {accuracy} the start model's depth, so "
            f"{consequence}: film with sideways motion, or use a larger ",
            OptionName("stride"),
        )
    )
    return replace(frames, notes=(*frames.notes, note))
