"""Training on video, from the configuration to the finished run folder, which is a model."""

import hashlib
import shutil
import time
from collections.abc import Generator, Iterator
from contextlib import AbstractContextManager, contextmanager, suppress
from pathlib import Path
from typing import Any

from torch import Tensor

from rilievo.errors import RilievoError
from rilievo.errors.messages import OptionName, Text, for_terminal
from rilievo.extensions.trust import trust
from rilievo.io.checksums import sum_of
from rilievo.io.files.atomic import make_folder, replacing, sweep_parts
from rilievo.io.json_record import to_json
from rilievo.training.adapters.run_models import CONFIG, WEIGHTS
from rilievo.training.engine.checkpoint import save_weights
from rilievo.training.engine.config_fields import with_absolute_paths
from rilievo.training.engine.loop import TrainingLoop, launch_fabric
from rilievo.training.engine.progress import Progress, first_and_last_notes
from rilievo.training.engine.run_folder import VALIDATION_LOG, WARNING_LOG, Journal
from rilievo.training.engine.task import TrainingTask
from rilievo.training.video.frames.target_frames import Batch
from rilievo.training.video.frames.video_frames import VideoFrames
from rilievo.training.video.gain import Gain, error_gain
from rilievo.training.video.other_places import LARGEST_CHANGE, ReplayPictures
from rilievo.training.video.pair_motions import MOTION_FOLDER
from rilievo.training.video.schedule import Minutes, VideoState
from rilievo.training.video.video_config import VideoConfig, VideoRunOptions
from rilievo.training.video.video_learner import (
    VideoLearner,
    average_with_start,
    mean_video_scores,
    move_weights_towards,
)
from rilievo.training.video.video_plan import BEST, CACHE, VideoPlan, device_options, make_plan
from rilievo.training.video.video_records import VideoRecord, video_run_folder
from rilievo.training.video.video_summary import make_video_record, save_picture

_MIN_GAIN = 0.02
"""Share by which learned weights have to err less than the start to replace it."""
_HALVINGS = 5
"""Halvings of the interval in which the way back towards the start is searched."""
_RATE_FACTOR_AFTER_RETURN = 0.5
"""Factor of the learning rate after a run went back towards its start."""


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
        config: What is trained, on what data.
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
    fabric = launch_fabric(device_options(config, options))
    with _remove_new_folders_on_error(run, removes=fabric.is_global_zero):
        if fabric.is_global_zero:
            make_folder(run)
            if (run / BEST).exists():
                sweep_parts(run / BEST)
            folder.check_config(config, resume=options.resume)
        fabric.barrier()
        if folder.has_weights:
            config = folder.read_config()  # its paths may be spelled differently
        if folder.is_finished():
            return folder.read_record()

        plan = make_plan(config, run, options, fabric, frames)
        task = VideoTask(plan, run, fabric=fabric, start_time=start_time)
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
        folder.finish(task.record(), other_files=best_files, sums=task.state.sums)
    fabric.barrier()
    return folder.read_record()


@contextmanager
def _remove_new_folders_on_error(run: Path, *, removes: bool) -> Iterator[None]:
    """Remove the folders that the block made, if it raises one of our errors."""
    new_folders = [
        folder for folder in (run / CACHE, run / BEST, run / MOTION_FOLDER) if not folder.exists()
    ]
    is_new_run = not run.exists()
    try:
        yield
    except RilievoError:
        if removes:
            for folder in new_folders:
                shutil.rmtree(folder, ignore_errors=True)
            if is_new_run:
                with suppress(OSError):
                    run.rmdir()
        raise


class VideoTask(TrainingTask[VideoState, VideoLearner]):
    """Training of depth and motion on video, for the engine's loop."""

    def __init__(self, plan: VideoPlan, run: Path, *, fabric: Any, start_time: float) -> None:
        """Prepare a run that began at ``start_time``, as ``time.monotonic`` tells it [s]."""
        self._plan, self._run, self._fabric = plan, run, fabric
        self._frames, self._geometry, self._course = plan.frames, plan.geometry, plan.course
        self._start_time = self._last_counted_time = start_time
        self._validation_seconds = 0.0
        self._copied_best_step: int | None = None

        self.learner, self.optimizer, self.state = plan.learner, plan.optimizer, VideoState()
        self.images = plan.course.images
        self.steps = None if plan.course.minutes else plan.course.steps
        self.seed, self.accumulate, self.clip_norm = plan.seed, plan.accumulate, plan.clip_norm
        self.checkpoint_steps, self.less_memory = plan.checkpoint_steps, plan.less_memory
        self.advice = Text(
            "lower the learning rate, choose fp32, or look at the intrinsics; ",
            OptionName("resume"),
            " begins at the last checkpoint",
        )

    @property
    def share(self) -> float:
        """Fraction of the run that is done, by steps or by the clock."""
        minutes = self.state.minutes
        if self._course.minutes is None:
            return self.state.step / self._course.steps
        return 0.0 if minutes is None else minutes.share

    @property
    def is_over(self) -> bool:
        """Whether all steps are done, or the error has not fallen for too many validations."""
        patience = self._course.patience
        if patience is not None and self.state.stale >= patience:
            return True
        # A run of minutes takes one step however late it is.
        return self.share >= 1 and self.state.step > 0

    def begin(self, log: Journal, progress: Progress) -> bool:
        """Print notes, and score the start of a new run."""
        for note in first_and_last_notes((*self._frames.notes, *self.learner.networks.notes)):
            progress.say(f"note: {for_terminal(note)}")

        is_new = not self.state.step and self.state.best_error is None
        scores_start = self._plan.keep_best and is_new
        if scores_start:
            progress.say(f"scoring the start on {len(self._frames.held_out)} held-out targets")
            self.validate(log, progress)

        if self._course.minutes is not None and self.state.minutes is None:
            self._start_minutes(self._course.minutes, progress)
        self._last_counted_time = time.monotonic()
        return scores_start

    def _start_minutes(self, minutes: float, progress: Progress) -> None:
        """Divide the minutes of a run into training and validation, after its preparation."""
        spent_seconds = time.monotonic() - self._start_time
        own_minutes = Minutes.after_preparation(
            minutes,
            spent=spent_seconds,
            validations=self._course.validations,
            validation=self._validation_seconds,
        )
        self.state.minutes = self._fabric.broadcast(own_minutes)
        training_seconds = self.state.minutes.given
        if training_seconds > 60 * minutes - spent_seconds:
            progress.say(
                f"note: preparation took {spent_seconds / 60:.1f} of {minutes:g} minutes; training "
                f"takes {training_seconds / 60:.1f} more"
            )

    def batches(self) -> Generator[Batch, None, None]:
        """Yield the batches of this process."""
        first_batch = self.state.step * self._course.batches
        return self._plan.batches(start_step=first_batch + self._fabric.global_rank)

    def rate_share(self) -> float:
        """Learning rate of the current step, as a factor of the peak learning rate."""
        return self.state.gentler * self._course.rate(self.state.step, self.share)

    def log_columns(self) -> dict[str, float]:
        """Passes through the targets, as ``epoch``."""
        return {"epoch": self._course.passes_before(self.state.step)}

    def after_step(self, loss: Tensor | None) -> None:
        """Count the time of the step."""
        self._count_minutes()

    def _count_minutes(self) -> None:
        minutes = self.state.minutes
        if minutes is None:
            return
        now = time.monotonic()
        minutes.share = self._fabric.broadcast(minutes.add_seconds(now - self._last_counted_time))
        self._last_counted_time = now

    def is_validation_due(self) -> bool:
        """Whether to validate now, by steps, epochs or the clock."""
        minutes, step = self.state.minutes, self.state.step
        if minutes is None:
            return self._course.is_validation_due(step)
        if minutes.validations is None:
            return minutes.share >= 1 or self._course.ends_epoch(step)
        return minutes.is_validation_due()

    def validate(self, log: Journal, progress: Progress) -> None:
        """Draw a picture, score the held-out targets and keep the best weights."""
        start_time = time.monotonic()
        depth_change = self._limit_depth_change(log, progress)
        with self._averaged_with_start():
            self._score_held_out(log, progress, depth_change)
        self._validation_seconds = self._fabric.broadcast(time.monotonic() - start_time)

        minutes = self.state.minutes
        if minutes is not None:
            minutes.validation = self._validation_seconds
            self._count_minutes()
            minutes.validated = minutes.share

    def _averaged_with_start(self) -> AbstractContextManager[None]:
        """Give the networks, in a block, the weights that the run would keep."""
        return average_with_start(self.learner.networks, self._plan.start, self._plan.start_share)

    def _score_held_out(self, log: Journal, progress: Progress, depth_change: float | None) -> None:
        """Score the networks, write a picture and a row of the log, and keep the best weights.

        ``depth_change`` is the relative change of depth of other places; None without replay.
        """
        state, judged = self.state, None
        if self._geometry is not None and len(self._frames.held_out):
            judged = self._geometry.judge_held_out(self._frames)
            self._frames = judged.frames
        picture = save_picture(self.learner, self._frames, self._run, log, self._fabric, state.step)
        if picture is not None:
            self._record_checksum(picture)
        if not len(self._frames.held_out):
            return

        scores = mean_video_scores(self.learner, self._frames.held_out, self._fabric)
        row = {"step": state.step, **self.log_columns(), **scores._asdict()}
        if judged is not None:
            row["corner_error"] = judged.error
            self._remember_errors(judged.errors)
        if depth_change is not None:
            row["elsewhere"] = depth_change
        log.add(VALIDATION_LOG, row)

        error = scores.warp_error if judged is None else judged.error
        if self._plan.keep_best:
            gain = self._gain_over_start(() if judged is None else judged.errors)
            progress.say(self._error_line(error, gain, depth_change))
        self._keep_if_best(error)

    def _remember_errors(self, errors: tuple[float, ...]) -> None:
        """Remember the errors of the start, and those of the best learned weights."""
        state = self.state
        if not state.step:
            state.start_errors = errors
        elif not state.learned_errors or sum(errors) < sum(state.learned_errors):
            state.learned_errors = errors

    def _gain_over_start(self, errors: tuple[float, ...]) -> Gain | None:
        start_errors = self.state.start_errors
        if self._geometry is None or not start_errors or not errors:
            return None
        return error_gain(self._geometry.judging_places(self._frames), start_errors, errors)

    def _error_line(self, error: float, gain: Gain | None, depth_change: float | None) -> str:
        step = self.state.step
        line = f"held out: error {error:.4f} at step {step}"
        if gain is not None and step:
            line += f", {gain.words}"
        if depth_change is not None:
            line += f"; depth of other places has changed by {depth_change:.1%}"
        return line

    def _keep_if_best(self, error: float) -> None:
        """Store the weights if their error is the least so far."""
        state = self.state
        state.stale += 1
        if not self._is_better_than_best(error):
            return
        state.best_error, state.best_step, state.stale = error, state.step, 0
        if self._fabric.is_global_zero:
            save_weights(self.learner.networks, self._run / BEST / WEIGHTS)
            self._record_checksum(self._run / BEST / WEIGHTS)

    def _is_better_than_best(self, error: float) -> bool:
        state = self.state
        if state.best_error is None:
            return error < float("inf")
        is_start_best = self._plan.keep_best and state.step > 0 and state.best_step == 0
        return error < state.best_error * (1 - _MIN_GAIN if is_start_best else 1)

    def _limit_depth_change(self, log: Journal, progress: Progress) -> float | None:
        """Go back towards the start, if depth of other places has changed too much.

        Returns:
            Relative change of that depth, after the return; None without replay.
        """
        replay, state = self.learner.replay, self.state
        if replay is None:
            return None
        with self._averaged_with_start():
            change = self._fabric.broadcast(replay.depth_change(self.learner.networks.depth))
        if change <= LARGEST_CHANGE:
            return change

        fraction, limited_change = self._fabric.broadcast(self._find_return_to_start(replay))
        move_weights_towards(self.learner.networks, self._plan.start, fraction)
        state.gentler *= _RATE_FACTOR_AFTER_RETURN
        text = (
            f"depth of other places has changed by {change:.1%} since the start, more than "
            f"{LARGEST_CHANGE:.0%}: the run goes back to {limited_change:.1%}, and on with a "
            f"learning rate of {state.gentler:g} of what it would be"
        )
        log.add(WARNING_LOG, {"step": state.step, "kind": "strayed", "text": text})
        progress.say(f"note: step {state.step}: {text}")
        return limited_change

    def _find_return_to_start(self, replay: ReplayPictures) -> tuple[float, float]:
        """Least fraction of the way back to the start that changes depth little enough.

        Returns:
            The fraction, and the change of depth that it leaves.
        """
        networks, start_share = self.learner.networks, self._plan.start_share
        too_little, enough, limited_change = 0.0, 1.0, 0.0
        for _ in range(_HALVINGS):
            fraction = (too_little + enough) / 2
            share_after_return = start_share + (1 - start_share) * fraction
            with average_with_start(networks, self._plan.start, share_after_return):
                change = replay.depth_change(networks.depth)
            if change <= LARGEST_CHANGE:
                enough, limited_change = fraction, change
            else:
                too_little = fraction
        return enough, limited_change

    def _record_checksum(self, path: Path) -> None:
        name = path.relative_to(self._run).as_posix()
        self.state.sums = {**self.state.sums, name: sum_of(path)}

    def after_checkpoint(self) -> None:
        """Write the weights that the run would end with."""
        best = self._run / BEST / WEIGHTS
        if not self._plan.keep_best or not best.exists():
            with self._averaged_with_start():
                save_weights(self.learner.networks, self._run / WEIGHTS)
        elif self._copied_best_step != self.state.best_step:
            with replacing(self._run / WEIGHTS) as part:
                shutil.copyfile(best, part)
            self._copied_best_step = self.state.best_step

    def record(self) -> VideoRecord:
        """Make the record of the run."""
        return make_video_record(
            self._run,
            learner=self.learner,
            state=self.state,
            course=self._course,
            frames=self._frames,
            gain=self._gain_over_start(self.state.learned_errors),
            device=self._fabric.device,
            processes=self._fabric.world_size,
        )
