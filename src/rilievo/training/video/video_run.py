"""Training on video, as a task of the engine, into a run folder that is a model."""

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
from rilievo.training.video.other_places import LARGEST_CHANGE, OtherPlaces
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

_CLEARLY = 0.02
"""Share by which a run has to err less than its start."""
_HALVINGS = 5
_GENTLER = 0.5


class VideoTask(TrainingTask[VideoState, VideoLearner]):
    """Training of depth and motion on video."""

    def __init__(self, plan: VideoPlan, run: Path, *, fabric: Any, began: float) -> None:
        """Prepare a run that began at ``began`` (``time.monotonic``)."""
        self._plan, self._run, self._fabric, self._began = plan, run, fabric, began
        self._frames, self._geometry, self._course = plan.frames, plan.geometry, plan.course
        self._looked, self._validation = began, 0.0
        self._copied: int | None = None
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
        """Share of the run that is done, 0..1."""
        minutes = self.state.minutes
        if self._course.minutes is None:
            return self.state.step / self._course.steps
        return 0.0 if minutes is None else minutes.share

    @property
    def is_over(self) -> bool:
        """Whether all steps are done, or the error is stale."""
        patience, state = self._course.patience, self.state
        is_stale = patience is not None and state.stale >= patience
        # A run of minutes takes one step however late it is.
        return is_stale or (self.share >= 1 and state.step > 0)

    def begin(self, log: Journal, progress: Progress) -> bool:
        """Score the start of a new run."""
        state, is_new = self.state, not self.state.step
        for note in first_and_last_notes((*self._frames.notes, *self.learner.networks.notes)):
            progress.say(f"note: {for_terminal(note)}")
        scores_start = self._plan.keep_best and is_new and state.best_error is None
        if scores_start:
            progress.say(f"scoring the start on {len(self._frames.held_out)} held-out targets")
            self.validate(log, progress)
        if self._course.minutes is not None and state.minutes is None:
            self._start_minutes(self._course.minutes, progress)
        self._looked = time.monotonic()
        return scores_start

    def _start_minutes(self, minutes: float, progress: Progress) -> None:
        spent = time.monotonic() - self._began
        own = Minutes.after_preparation(
            minutes,
            spent=spent,
            validations=self._course.validations,
            validation=self._validation,
        )
        self.state.minutes = left = self._fabric.broadcast(own)
        if left.given > 60 * minutes - spent:
            progress.say(
                f"note: preparation took {spent / 60:.1f} of {minutes:g} minutes; training takes "
                f"{left.given / 60:.1f} more"
            )

    def batches(self) -> Generator[Batch, None, None]:
        """Batches of this process."""
        step = self.state.step * self._course.batches
        return self._plan.batches(start_step=step + self._fabric.global_rank)

    def rate_share(self) -> float:
        """Learning rate of the current step, as a share of its peak."""
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
        minutes.share = self._fabric.broadcast(minutes.add_seconds(now - self._looked))
        self._looked = now

    def is_validation_due(self) -> bool:
        """Whether a validation is due."""
        minutes, step = self.state.minutes, self.state.step
        if minutes is None:
            return self._course.is_validation_due(step)
        if minutes.validations is None:
            return minutes.share >= 1 or self._course.ends_epoch(step)
        return minutes.is_validation_due()

    def validate(self, log: Journal, progress: Progress) -> None:
        """Draw a picture, score the held-out targets and keep the best weights."""
        began = time.monotonic()
        change = self._limit_depth_change(log, progress)
        with self._average_with_start():
            self._score_held_out(log, progress, change)
        self._validation = self._fabric.broadcast(time.monotonic() - began)
        minutes = self.state.minutes
        if minutes is not None:
            minutes.validation = self._validation
            self._count_minutes()
            minutes.validated = minutes.share

    def _average_with_start(self) -> AbstractContextManager[None]:
        return average_with_start(self.learner.networks, self._plan.start, self._plan.start_share)

    def _score_held_out(self, log: Journal, progress: Progress, change: float | None) -> None:
        state, judged = self.state, None
        if self._geometry is not None and len(self._frames.held_out):
            judged = self._geometry.judge_held_out(self._frames)
            self._frames = judged.frames
        picture = save_picture(self.learner, self._frames, self._run, log, self._fabric, state.step)
        if picture is not None:
            self._record_checksum(picture)
        held_out = self._frames.held_out
        if not len(held_out):
            return
        scores = mean_video_scores(self.learner, held_out, self._fabric)
        error = scores.warp_error if judged is None else judged.error
        row = {"step": state.step, **self.log_columns(), **scores._asdict()}
        if judged is not None:
            row["corner_error"] = judged.error
            self._remember_errors(judged.errors)
        if change is not None:
            row["elsewhere"] = change
        log.add(VALIDATION_LOG, row)
        if self._plan.keep_best:
            change_text = (
                "" if change is None else f"; depth of other places has changed by {change:.1%}"
            )
            gain = self._gain_over_start(() if judged is None else judged.errors)
            gain_text = "" if gain is None or not state.step else f", {gain.words}"
            progress.say(
                f"held out: error {error:.4f} at step {state.step}{gain_text}{change_text}"
            )
        state.stale += 1
        if self._is_better_than_best(error):
            state.best_error, state.best_step, state.stale = error, state.step, 0
            if self._fabric.is_global_zero:
                save_weights(self.learner.networks, self._run / BEST / WEIGHTS)
                self._record_checksum(self._run / BEST / WEIGHTS)

    def _remember_errors(self, errors: tuple[float, ...]) -> None:
        state = self.state
        if not state.step:
            state.start_errors = errors
        elif not state.learned_errors or sum(errors) < sum(state.learned_errors):
            state.learned_errors = errors

    def _gain_over_start(self, errors: tuple[float, ...]) -> Gain | None:
        start = self.state.start_errors
        if self._geometry is None or not start or not errors:
            return None
        return error_gain(self._geometry.judging_places(self._frames), start, errors)

    def _limit_depth_change(self, log: Journal, progress: Progress) -> float | None:
        """Depth's change on other places, after a return below the limit."""
        elsewhere, state = self.learner.elsewhere, self.state
        if elsewhere is None:
            return None
        with self._average_with_start():
            change = self._fabric.broadcast(elsewhere.depth_change(self.learner.networks.depth))
        if change <= LARGEST_CHANGE:
            return change
        share, within = self._fabric.broadcast(self._find_least_start_share(elsewhere))
        move_weights_towards(self.learner.networks, self._plan.start, share)
        state.gentler *= _GENTLER
        text = (
            f"depth of other places has changed by {change:.1%} since the start, more than "
            f"{LARGEST_CHANGE:.0%}: the run goes back to {within:.1%}, and on with a learning "
            f"rate of {state.gentler:g} of what it would be"
        )
        log.add(WARNING_LOG, {"step": state.step, "kind": "strayed", "text": text})
        progress.say(f"note: step {state.step}: {text}")
        return within

    def _find_least_start_share(self, elsewhere: OtherPlaces) -> tuple[float, float]:
        """Least share of the start, and its change."""
        learned, start_share = self.learner.networks, self._plan.start_share
        (less, more), within = (0.0, 1.0), 0.0
        for _ in range(_HALVINGS):
            share = (less + more) / 2
            with average_with_start(
                learned, self._plan.start, start_share + (1 - start_share) * share
            ):
                change = elsewhere.depth_change(learned.depth)
            if change <= LARGEST_CHANGE:
                more, within = share, change
            else:
                less = share
        return more, within

    def _record_checksum(self, path: Path) -> None:
        name = path.relative_to(self._run).as_posix()
        self.state.sums = {**self.state.sums, name: sum_of(path)}

    def _is_better_than_best(self, error: float) -> bool:
        state = self.state
        is_start = self._plan.keep_best and state.step > 0 and state.best_step == 0
        least = float("inf") if state.best_error is None else state.best_error
        return error < least * (1 - _CLEARLY if is_start else 1)

    def after_checkpoint(self) -> None:
        """Write the weights that the run would end with."""
        best = self._run / BEST / WEIGHTS
        if not self._plan.keep_best or not best.exists():
            with self._average_with_start():
                save_weights(self.learner.networks, self._run / WEIGHTS)
        elif self._copied != self.state.best_step:
            with replacing(self._run / WEIGHTS) as part:
                shutil.copyfile(best, part)
            self._copied = self.state.best_step

    def record(self) -> VideoRecord:
        """Record of the run."""
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
    config = with_absolute_paths(config)
    folder = video_run_folder(run)
    fabric = launch_fabric(device_options(config, options))
    with _remove_on_refusal(run, speaks=fabric.is_global_zero):
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
        task = VideoTask(plan, run, fabric=fabric, began=began)
        if fabric.is_global_zero:
            # Only now, so that a run that cannot begin leaves nothing behind.
            folder.write_config(config, folders=(BEST, "."))
    printed = f"{fabric.world_size} {to_json(config)}".encode()
    engine = TrainingLoop(task, run, fabric=fabric, fingerprint=hashlib.sha256(printed).hexdigest())
    if not engine.train_to_end(
        tensorboard=options.tensorboard, stop_at=options.stop_at, resumes=options.resume
    ):
        return None
    if fabric.is_global_zero:
        # A run that is resumed at its end may have lost them.
        task.after_checkpoint()
        best = [f"{BEST}/{name}" for name in (CONFIG, WEIGHTS)]
        folder.finish(task.record(), other_files=best, sums=task.state.sums)
    fabric.barrier()
    return folder.read_record()


@contextmanager
def _remove_on_refusal(run: Path, *, speaks: bool) -> Iterator[None]:
    """Remove what a refused start has created."""
    made = [path for path in (run / CACHE, run / BEST, run / MOTION_FOLDER) if not path.exists()]
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
