"""Training on video, into a run folder that is a model."""

import hashlib
import shutil
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

from rilievo.data.clips.sources import list_sequences
from rilievo.data.fuse.frame_labels import read_labels_record
from rilievo.depth_map import DepthKind
from rilievo.errors import ModelError, OptionError, RilievoError, needing
from rilievo.io.files.atomic import make_folder, sweep_parts
from rilievo.io.files.limits import printable
from rilievo.io.files.memory import check_memory
from rilievo.io.json_record import to_json
from rilievo.messages import Note
from rilievo.models import load_model
from rilievo.models.default.embedded import embedded_file
from rilievo.registry import trust
from rilievo.training.adapters.run_models import CONFIG, WEIGHTS
from rilievo.training.engine.differences import with_whole_paths
from rilievo.training.engine.loop import TrainingLoop, make_fabric
from rilievo.training.engine.progress import Decoding
from rilievo.training.engine.run_folder import CHECKPOINT
from rilievo.training.losses.video_options import Scales
from rilievo.training.networks.blueprint import EMBEDDED, PoseKind
from rilievo.training.networks.exported_weights import read_exported
from rilievo.training.networks.small import SmallNet
from rilievo.training.networks.video.depth_network import take_weights
from rilievo.training.networks.video.video_networks import VideoNetworks, make_networks
from rilievo.training.video.frames.video_frames import VideoFrames, all_offsets, open_frames
from rilievo.training.video.fused_labels import with_labels
from rilievo.training.video.motion.geometry_motion import (
    FEWEST,
    TARGETS_A_MINUTE,
    GeometryMotion,
    Prior,
)
from rilievo.training.video.motion.pair_motions import FOLDER as MOTIONS
from rilievo.training.video.motion.pose_warm_up import warm_up_pose
from rilievo.training.video.step_memory import LESS, step_bytes, step_in_words
from rilievo.training.video.video_config import VideoConfig, VideoRunOptions
from rilievo.training.video.video_learner import VideoLearner
from rilievo.training.video.video_presets import EMBEDDED_START
from rilievo.training.video.video_records import VideoRecord, video_folder
from rilievo.training.video.video_task import BEST, VideoTask, devices_of

CACHE = "frames"


def train_video(
    config: VideoConfig,
    run: Path,
    options: VideoRunOptions | None = None,
    *,
    frames: VideoFrames | None = None,
) -> VideoRecord | None:
    """Learn depth and motion from video and write a run folder, which ``load_model`` takes.

    A finished run is not repeated. A run that was stopped is a model of the weights that it would
    have ended with. ``frames`` stand in place of those of ``config.data``. Returns None if the run
    was stopped before its end.

    Raises:
        RilievoError: If an option, the data, weights or a checkpoint cannot be used.
    """
    began = time.monotonic()
    options = options or VideoRunOptions()
    trust(options.trust_code)
    # As it will be read back: a whole number given for a float becomes that float.
    config = with_whole_paths(config)
    folder = video_folder(run)
    fabric = make_fabric(devices_of(config, options))
    with _nothing_left(run, speaks=fabric.is_global_zero):
        if fabric.is_global_zero:
            make_folder(run)
            if (run / BEST).exists():
                sweep_parts(run / BEST)
            folder.check(config, resume=options.resume)
        fabric.barrier()
        if folder.is_saved:
            config = folder.read_config()  # its paths may be spelled differently
        if folder.is_finished():
            return folder.read_record()
        task = _prepared(config, run, options, fabric, frames, began)
        if fabric.is_global_zero:
            # Only now, so that a run that cannot begin leaves nothing behind.
            folder.write_config(config, folders=(BEST, "."))
    printed = f"{fabric.world_size} {to_json(config)}".encode()
    engine = TrainingLoop(task, run, fabric=fabric, fingerprint=hashlib.sha256(printed).hexdigest())
    if not engine.go(
        tensorboard=options.tensorboard, stop_at=options.stop_at, resumes=options.resume
    ):
        return None
    if fabric.is_global_zero:
        # A run that is resumed at its end may have lost them.
        task.saved()
        best = [f"{BEST}/{name}" for name in (CONFIG, WEIGHTS)]
        folder.finish(task.record(), others=best, sums=task.state.sums)
    fabric.barrier()
    return folder.read_record()


def _prepared(
    config: VideoConfig,
    run: Path,
    options: VideoRunOptions,
    fabric: Any,
    frames: VideoFrames | None,
    began: float,
) -> VideoTask:
    if frames is None:
        # Missing footage is reported before weights are fetched, and weights are refused before
        # frames are decoded, which takes minutes.
        list_sequences(config.data)
        if config.labels is not None:
            read_labels_record(Path(config.labels))
    if fabric.device.type == "cpu":
        check_memory(step_bytes(config), step_in_words(config), LESS)
    learner = VideoLearner(_networks(config, run, frames), config).to(fabric.device)
    cache = run / CACHE if options.cache is None else Path(options.cache)
    by_geometry = config.blueprint.pose is PoseKind.GEOMETRY
    prior = _open_prior(config) if by_geometry or _warms_up(config, run) else None
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
    for add in _additions(config, cache, learner, geometry, prior, fabric):
        frames = add(frames)
    return VideoTask(
        config,
        run,
        fabric=fabric,
        frames=frames,
        learner=learner,
        geometry=geometry if by_geometry else None,
        began=began,
        workers=options.workers,
    )


def _additions(
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
                return with_labels(frames, labels, cache)

        yield label
    if geometry is None or prior is None:
        return
    if config.blueprint.pose is PoseKind.GEOMETRY:
        yield partial(geometry.begin, prior=prior)
        yield partial(_teach_corners, learner=learner, geometry=geometry)
    else:

        def warm_up(frames: VideoFrames) -> VideoFrames:
            warm_up_pose(learner, geometry.taught(frames, prior), config, fabric)
            return frames

        yield warm_up


def _warms_up(config: VideoConfig, run: Path) -> bool:
    return config.pose_warm_up > 0 and not (run / CHECKPOINT).exists()


def _open_prior(config: VideoConfig) -> Prior:
    """Load the model of a prior, so that one of no use is refused before frames are decoded."""
    name = config.prior
    key = f"{name or f'{config.start} {config.seed}'} {config.blueprint}"
    if name is None:
        return Prior(key=key)
    model = load_model(name)
    if model.card.kind not in (DepthKind.METRIC, DepthKind.UP_TO_SCALE):
        raise ModelError(
            f"{printable(name)}: its depth is {model.card.kind}, and motion needs depth that is "
            "metric or up to scale; see 'rilievo models'"
        )
    return Prior(key=key, model=model)


def _teach_corners(
    frames: VideoFrames, *, learner: VideoLearner, geometry: GeometryMotion
) -> VideoFrames:
    """Weigh corners by the share by which they err less than the start."""
    whole = learner.losses.corners
    learner.losses = replace(learner.losses, corners=whole * geometry.trust)
    if learner.losses.corners >= whole / 2:
        return frames
    note = Note(
        "depth of corners by triangulation is hardly better than that of the start, and teaches "
        f"with a weight of {learner.losses.corners:.2g}: more parallax (a larger {{stride}}, a way "
        "to the side) makes it better"
    )
    return replace(frames, notes=(*frames.notes, note))


def _networks(config: VideoConfig, run: Path, frames: VideoFrames | None) -> VideoNetworks:
    start = None if (run / CHECKPOINT).exists() else config.start
    offsets = all_offsets(config.data, config.offsets) if frames is None else frames.offsets
    embedded = config.start == EMBEDDED_START
    # Motion by geometry begins with the depth of the start, also where a run is resumed.
    if config.blueprint.pose is PoseKind.GEOMETRY:
        start = config.start
    networks = make_networks(
        config.blueprint, offsets=offsets, seed=config.seed, start=None if embedded else start
    )
    if embedded and start is not None:
        start_from_embedded(networks)
    return networks


@contextmanager
def _nothing_left(run: Path, *, speaks: bool) -> Iterator[None]:
    """Remove what a refused start has created."""
    made = [path for path in (run / CACHE, run / BEST, run / MOTIONS) if not path.exists()]
    is_new = not run.exists()
    try:
        yield
    except RilievoError:
        if speaks:
            for folder in made:
                shutil.rmtree(folder, ignore_errors=True)
            if is_new:
                with suppress(OSError):
                    run.rmdir()
        raise


def start_from_embedded(networks: VideoNetworks) -> None:
    """Fill the depth network with the weights of ``rilievo/small``."""
    if (encoder := networks.blueprint.encoder) != EMBEDDED:
        raise OptionError(
            f"a start from '{EMBEDDED_START}' needs the encoder '{EMBEDDED}', got '{encoder}'"
        )
    whole = SmallNet()
    with needing(f"a start from '{EMBEDDED_START}'", "train"):
        import onnx  # noqa: F401
    read_exported(whole, embedded_file(EMBEDDED_START))
    take_weights(networks.depth.encoder, networks.depth.decoder, whole)
