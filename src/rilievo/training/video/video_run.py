"""Training on video, into a run folder that is a model."""

import hashlib
import shutil
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from rilievo.errors import RilievoError
from rilievo.io.files.atomic import make_folder, sweep_parts
from rilievo.io.json_record import to_json
from rilievo.registry import trust
from rilievo.training.adapters.run_models import CONFIG, WEIGHTS
from rilievo.training.engine.config_fields import with_whole_paths
from rilievo.training.engine.loop import TrainingLoop, make_fabric
from rilievo.training.video.frames.video_frames import VideoFrames
from rilievo.training.video.motion.pair_motions import FOLDER as MOTIONS
from rilievo.training.video.video_config import VideoConfig, VideoRunOptions
from rilievo.training.video.video_plan import BEST, CACHE, devices_of, make_plan
from rilievo.training.video.video_records import VideoRecord, video_folder
from rilievo.training.video.video_task import VideoTask


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
    with _remove_on_refusal(run, speaks=fabric.is_global_zero):
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
        plan = make_plan(config, run, options, fabric, frames)
        task = VideoTask(plan, run, fabric=fabric, began=began)
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
        task.after_checkpoint()
        best = [f"{BEST}/{name}" for name in (CONFIG, WEIGHTS)]
        folder.finish(task.record(), others=best, sums=task.state.sums)
    fabric.barrier()
    return folder.read_record()


@contextmanager
def _remove_on_refusal(run: Path, *, speaks: bool) -> Iterator[None]:
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
