"""Training on video, from the configuration to the finished run folder, which is a model."""

import hashlib
import shutil
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from rilievo.errors import RilievoError
from rilievo.extensions.trust import trust
from rilievo.io.files.atomic import make_folder, sweep_parts
from rilievo.io.json_record import to_json
from rilievo.training.adapters.run_models import CONFIG, WEIGHTS
from rilievo.training.engine.config_fields import with_absolute_paths
from rilievo.training.engine.loop import TrainingLoop, launch_fabric
from rilievo.training.video.frames.video_frames import VideoFrames
from rilievo.training.video.pair_motions import MOTION_FOLDER
from rilievo.training.video.video_config import VideoConfig, VideoRunOptions
from rilievo.training.video.video_records import VideoRecord, video_run_folder
from rilievo.training.video.video_setup import may_leave_weights_unused, set_up_training
from rilievo.training.video.video_task import BEST, VideoTask

CACHE = "frames"
"""Folder of decoded frames, in that of the run."""


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
        setup = set_up_training(config, run, cache, fabric, frames)
        task = VideoTask(
            config, setup, run, fabric=fabric, workers=options.workers, start_time=start_time
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
