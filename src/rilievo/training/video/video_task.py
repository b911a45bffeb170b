"""Training on video as a task of the engine: batches, validation, and which weights are kept."""

import math
import shutil
import time
from collections.abc import Generator
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from torch.optim import Optimizer

from rilievo.errors.messages import OptionName, Text, count_text, for_terminal
from rilievo.io.checksums import compute_file_sum
from rilievo.io.files.atomic import replacing
from rilievo.training.adapters.run_models import WEIGHTS
from rilievo.training.engine.checkpoint import save_weights
from rilievo.training.engine.progress import Progress, first_and_last_notes
from rilievo.training.engine.run_folder import (
    STEP_LOG,
    VALIDATION_LOG,
    WARNING_LOG,
    Journal,
    read_log_rows,
)
from rilievo.training.engine.task import TrainingTask, advise_smaller_step
from rilievo.training.networks.backbones.own_backbone import count_parameters
from rilievo.training.video.frames.target_frames import Batch, OpenClip, VideoFrames, batches
from rilievo.training.video.gain import Gain, error_gain
from rilievo.training.video.geometry_motion import GeometryMotion, HeldOutErrors
from rilievo.training.video.other_places import LARGEST_CHANGE, StartReturn, StartWeights
from rilievo.training.video.schedule import TimeBudget, VideoSchedule, VideoState
from rilievo.training.video.video_config import VideoConfig
from rilievo.training.video.video_learner import VideoLearner, mean_video_scores
from rilievo.training.video.video_presets import preset_differences
from rilievo.training.video.video_records import TrainedSequence, VideoRecord
from rilievo.training.video.video_summary import save_picture
from rilievo.version import VERSION

BEST = "best"
"""Folder of the best weights so far, in that of the run."""

_MIN_GAIN = 0.02
"""Fraction by which the error of learned weights has to be below that of the start."""
_RATE_FACTOR_AFTER_RETURN = 0.5
"""Factor of the learning rate after the weights were moved back towards the start."""


class VideoTask(TrainingTask[VideoState, VideoLearner]):
    """Training of depth and motion on video, for the engine's loop."""

    def __init__(
        self,
        config: VideoConfig,
        run: Path,
        fabric: Any,
        learner: VideoLearner,
        optimizer: Optimizer,
        frames: VideoFrames,
        *,
        start: StartWeights,
        geometry: GeometryMotion | None,
        workers: int,
        start_time: float,
    ) -> None:
        """Prepare a run in the folder ``run``.

        ``start`` holds the weights before the first step. ``geometry`` estimates motion; None if a
        network or poses give it. The run began at ``start_time``, as ``time.monotonic`` tells it
        [s]. So many ``workers`` read frames ahead.

        Raises:
            InputError: If there are fewer targets than a batch has.
        """
        self._run = run
        self._fabric = fabric
        self._workers = workers
        self._frames = frames
        self._geometry = geometry
        self._start = start
        self._batch_size = config.batch_size
        self._augmentation = config.augmentation
        self._keeps_best = config.keep_best
        self._differences = preset_differences(config)
        self._schedule = VideoSchedule.from_config(
            config,
            len(frames.training),
            processes=fabric.world_size,
            left_out=frames.left_out,
        )
        self._start_time = start_time
        self._last_counted_time = start_time
        self._validation_seconds = 0.0
        self._copied_best_step: int | None = None

        self.learner = learner
        self.optimizer = optimizer
        self.state = VideoState()
        self.images_per_step = self._schedule.images
        self.steps = None if self._schedule.minutes else self._schedule.steps
        self.seed = config.seed
        self.accumulate = config.accumulate
        self.clip_norm = config.clip_norm
        self.checkpoint_steps = config.checkpoint_steps
        self.memory_advice = _memory_advice(config)
        self.nonfinite_advice = Text(
            "lower the learning rate, choose fp32, or check the intrinsics; ",
            OptionName("resume"),
            " continues from the last checkpoint",
        )

    @property
    def fraction_done(self) -> float:
        """Fraction of the run that is done, by steps or by the clock."""
        budget = self.state.time_budget
        if self._schedule.minutes is None:
            return self.state.step / self._schedule.steps
        return 0.0 if budget is None else budget.fraction_done

    @property
    def is_over(self) -> bool:
        """Whether all steps are done, or the error has not fallen for too many validations."""
        patience = self._schedule.patience
        if patience is not None and self.state.validations_since_best >= patience:
            return True
        # A run of minutes takes at least one step, even if its preparation took too long.
        return self.fraction_done >= 1 and self.state.step > 0

    def begin(self, log: Journal, progress: Progress) -> bool:
        """Print notes, and score the start of a new run if its best weights are kept."""
        for note in first_and_last_notes((*self._frames.notes, *self.learner.networks.notes)):
            progress.print_line(f"note: {for_terminal(note)}")

        is_new_run = not self.state.step and self.state.best_error is None
        scores_start = self._keeps_best and is_new_run
        if scores_start:
            progress.print_line(
                "scoring the start weights on "
                f"{count_text(len(self._frames.held_out), 'held-out target')}"
            )
            self.validate(log, progress)

        if self._schedule.minutes is not None and self.state.time_budget is None:
            self._start_time_budget(self._schedule.minutes, progress)
        self._last_counted_time = time.monotonic()
        return scores_start

    def _start_time_budget(self, minutes: float, progress: Progress) -> None:
        """Start the time budget of a run, of which the preparation has already used some."""
        spent_seconds = time.monotonic() - self._start_time
        local_budget = TimeBudget.after_preparation(
            minutes,
            preparation_seconds=spent_seconds,
            num_validations=self._schedule.validations,
            validation_seconds=self._validation_seconds,
        )
        self.state.time_budget = self._fabric.broadcast(local_budget)
        training_seconds = self.state.time_budget.total_seconds
        if training_seconds > 60 * minutes - spent_seconds:
            progress.print_line(
                f"note: preparation took {spent_seconds / 60:.1f} of {minutes:g} minutes, so the "
                f"run takes longer: training takes another {training_seconds / 60:.1f} minutes"
            )

    def batches(self) -> Generator[Batch, None, None]:
        """Yield the batches of this process."""
        fabric = self._fabric
        first_batch = self.state.step * self._schedule.batches
        return batches(
            self._frames.training,
            start_step=first_batch + fabric.global_rank,
            stride=fabric.world_size,
            seed=self.seed,
            batch_size=self._batch_size,
            augmentation=self._augmentation,
            workers=self._workers,
            device=fabric.device,
        )

    def learning_rate_factor(self) -> float:
        """Learning rate of the current step, as a factor of the peak learning rate."""
        scheduled = self._schedule.learning_rate_factor(self.state.step, self.fraction_done)
        return self.state.rate_reduction * scheduled

    def log_columns(self) -> dict[str, float]:
        """Passes through the targets, as ``epoch``."""
        return {"epoch": self._schedule.passes_before(self.state.step)}

    def after_step(self, loss: Tensor | None) -> None:
        """Count the time of the step."""
        self._count_time()

    def _count_time(self) -> None:
        budget = self.state.time_budget
        if budget is None:
            return
        now = time.monotonic()
        fraction_done = budget.add_seconds(now - self._last_counted_time)
        budget.fraction_done = self._fabric.broadcast(fraction_done)
        self._last_counted_time = now

    def is_validation_due(self) -> bool:
        """Whether to validate now, by steps, epochs or the clock."""
        budget = self.state.time_budget
        step = self.state.step
        if budget is None:
            return self._schedule.is_validation_due(step)
        if budget.num_validations is None:
            return budget.fraction_done >= 1 or self._schedule.ends_epoch(step)
        return budget.is_validation_due()

    def validate(self, log: Journal, progress: Progress) -> None:
        """Draw a picture, score the held-out targets and keep the best weights."""
        start_time = time.monotonic()
        depth_change = self._limit_depth_change(log, progress)
        with self._start.averaged():
            self._score_held_out(log, progress, depth_change)
        self._validation_seconds = self._fabric.broadcast(time.monotonic() - start_time)

        budget = self.state.time_budget
        if budget is not None:
            budget.validation_seconds = self._validation_seconds
            self._count_time()
            budget.fraction_at_validation = budget.fraction_done

    def _score_held_out(self, log: Journal, progress: Progress, depth_change: float | None) -> None:
        """Score the networks, write a picture and a row of the log, and keep the best weights.

        ``depth_change`` is the relative change of depth on replayed pictures; None without replay.
        """
        step = self.state.step
        corner_errors: HeldOutErrors | None = None
        if self._geometry is not None and len(self._frames.held_out):
            corner_errors = self._geometry.score_held_out(self._frames)
            self._frames = corner_errors.frames
        picture = save_picture(self.learner, self._frames, self._run, log, self._fabric, step)
        if picture is not None:
            self._record_checksum(picture)
        if not len(self._frames.held_out):
            return

        scores = mean_video_scores(self.learner, self._frames.held_out, self._fabric)
        row = {"step": step, **self.log_columns(), **scores._asdict()}
        if corner_errors is not None:
            row["corner_error"] = corner_errors.error
            self._remember_errors(corner_errors.errors)
        if depth_change is not None:
            row["elsewhere"] = depth_change
        log.add(VALIDATION_LOG, row)

        error = scores.warp_error if corner_errors is None else corner_errors.error
        if self._keeps_best:
            gain = self._gain_over_start(() if corner_errors is None else corner_errors.errors)
            progress.print_line(self._describe_error(error, gain, depth_change))
        self._keep_if_best(error)

    def _remember_errors(self, errors: tuple[float, ...]) -> None:
        """Remember the errors of the start, and those of the best learned weights."""
        state = self.state
        if not state.step:
            state.start_errors = errors
        elif not state.learned_errors or sum(errors) < sum(state.learned_errors):
            state.learned_errors = errors

    def _gain_over_start(self, errors: tuple[float, ...]) -> Gain | None:
        """Compare the errors at corners with those of the start; None if one of them is missing."""
        start_errors = self.state.start_errors
        if self._geometry is None or not start_errors or not errors:
            return None
        return error_gain(self._geometry.scored_places(self._frames), start_errors, errors)

    def _describe_error(self, error: float, gain: Gain | None, depth_change: float | None) -> str:
        """Describe the result of a validation in one line, for the progress display.

        Args:
            error: Mean error on the held-out targets.
            gain: Comparison with the error at the start; None if there is none.
            depth_change: Relative change of depth in scenes that are not trained on; None if it was
                not measured.
        """
        step = self.state.step
        name = "photometric error" if self._geometry is None else "depth error at corners"
        text = f"held-out targets: {name} {error:.4f} at step {step}"
        if gain is not None and step:
            text += f", {gain.words}"
        if depth_change is not None:
            text += f"; depth of other scenes has changed by {depth_change:.1%}"
        return text

    def _keep_if_best(self, error: float) -> None:
        """Store the weights if their error is the least so far."""
        state = self.state
        state.validations_since_best += 1
        if not self._is_better_than_best(error):
            return
        state.best_error = error
        state.best_step = state.step
        state.validations_since_best = 0
        if self._fabric.is_global_zero:
            save_weights(self.learner.networks, self._run / BEST / WEIGHTS)
            self._record_checksum(self._run / BEST / WEIGHTS)

    def _is_better_than_best(self, error: float) -> bool:
        """Whether an error is the smallest; to replace the start it must be clearly smaller."""
        best_error = self.state.best_error
        if best_error is None:
            return error < math.inf
        is_start_best = self._keeps_best and self.state.step > 0 and self.state.best_step == 0
        if is_start_best:
            return error < best_error * (1 - _MIN_GAIN)
        return error < best_error

    def _limit_depth_change(self, log: Journal, progress: Progress) -> float | None:
        """Move the weights back towards the start, if depth of other places has changed too much.

        Return the relative change of that depth, after the return; None without replay.
        """
        replay = self.learner.replay
        state = self.state
        if replay is None:
            return None
        with self._start.averaged():
            change = self._fabric.broadcast(replay.depth_change(self.learner.networks.depth))
        if change <= LARGEST_CHANGE:
            return change

        start_return: StartReturn = self._fabric.broadcast(
            self._start.find_return(replay, max_change=LARGEST_CHANGE)
        )
        self._start.return_by(start_return.fraction)
        state.rate_reduction *= _RATE_FACTOR_AFTER_RETURN
        text = (
            f"depth of other scenes has changed by {change:.1%} since the start, which is more "
            f"than {LARGEST_CHANGE:.0%}, so the run moves its weights back towards the start, to a "
            f"change of {start_return.depth_change:.1%}, and continues with "
            f"{state.rate_reduction:g} times the scheduled learning rate"
        )
        log.add(WARNING_LOG, {"step": state.step, "kind": "strayed", "text": text})
        progress.print_line(f"note: step {state.step}: {text}")
        return start_return.depth_change

    def _record_checksum(self, path: Path) -> None:
        name = path.relative_to(self._run).as_posix()
        self.state.checksums = {**self.state.checksums, name: compute_file_sum(path)}

    def after_checkpoint(self) -> None:
        """Write the weights that the run would end with."""
        best_path = self._run / BEST / WEIGHTS
        if not self._keeps_best or not best_path.exists():
            with self._start.averaged():
                save_weights(self.learner.networks, self._run / WEIGHTS)
        elif self._copied_best_step != self.state.best_step:
            with replacing(self._run / WEIGHTS) as temporary_path:
                shutil.copyfile(best_path, temporary_path)
            self._copied_best_step = self.state.best_step

    @torch.no_grad()
    def record(self) -> VideoRecord:
        """Make the record of the run from its networks, its counts, and the logs in its folder."""
        state = self.state
        losses = _last_finite_values(self._run, STEP_LOG)
        scores = _last_finite_values(self._run, VALIDATION_LOG)
        focal_factors = _learned_focal_factors(self.learner)
        pose = self.learner.networks.pose
        is_validated = state.best_error is not None
        kept_step = state.best_step if self._keeps_best else state.step
        return VideoRecord(
            targets=len(self._frames.training),
            held_out=len(self._frames.held_out),
            notes=(*self._frames.notes, *self.learner.networks.notes),
            depth_parameters=count_parameters(self.learner.networks.depth),
            pose_parameters=0 if pose is None else count_parameters(pose),
            steps=state.step,
            epochs=self._schedule.passes_before(state.step),
            processes=self._fabric.world_size,
            loss=losses.get("loss"),
            warp_error=scores.get("warp_error"),
            identity_error=scores.get("identity_error"),
            abs_rel=scores.get("abs_rel"),
            delta1=scores.get("delta1"),
            constant_abs_rel=scores.get("constant_abs_rel"),
            corner_error=scores.get("corner_error"),
            best_step=state.best_step if is_validated else None,
            best_error=state.best_error,
            start_error=_start_error(self._run) if self._keeps_best else None,
            gain=self._gain_over_start(state.learned_errors),
            elsewhere=_depth_change_at_step(self._run, kept_step),
            kept_start=self._keeps_best and is_validated and state.best_step == 0,
            sequences=tuple(
                _describe_sequence(clip, focal_factors or (1.0, 1.0))
                for clip in self._frames.sequences
            ),
            focal_factors=focal_factors,
            warnings=tuple(
                f"step {row['step']}: {row['text']}"
                for row in read_log_rows(self._run, WARNING_LOG)
            ),
            seconds=state.seconds,
            device=str(self._fabric.device),
            torch_version=torch.__version__,
            version=VERSION,
            differences=self._differences,
        )


def _memory_advice(config: VideoConfig) -> Text:
    """Say what a step is, and how it would need less memory."""
    height, width = config.blueprint.size
    step = (
        f"a step with {count_text(config.batch_size, 'target')} of {width}x{height} pixels and "
        f"the encoder {config.blueprint.encoder}"
    )
    return advise_smaller_step(step, OptionName("precision", "bf16"))


def _learned_focal_factors(learner: VideoLearner) -> tuple[float, float] | None:
    """Learned factors of fx and fy; None if the camera is not learned."""
    if learner.camera is None:
        return None
    fx, fy = learner.camera.log_factors.exp().tolist()
    return fx, fy


def _describe_sequence(open_clip: OpenClip, focal_factors: tuple[float, float]) -> TrainedSequence:
    camera = open_clip.clip.camera.camera
    fx, fy, cx, cy = camera.K[[0, 1, 0, 1], [0, 1, 2, 2]].tolist()
    return TrainedSequence(
        id=open_clip.clip.id,
        size=open_clip.clip.shape,
        camera=(fx * focal_factors[0], fy * focal_factors[1], cx, cy),
        source=str(camera.source),
        stride=open_clip.stride,
    )


def _last_finite_values(run: Path, log: str) -> dict[str, float]:
    """Finite values in the last row of a log, by column; empty without a row."""
    rows = read_log_rows(run, log)
    if not rows:
        return {}
    values = {column: float(cell) for column, cell in rows[-1].items()}
    return {column: value for column, value in values.items() if math.isfinite(value)}


def _start_error(run: Path) -> float | None:
    """Error of the first validation, which scored the start; None without a validation."""
    rows = read_log_rows(run, VALIDATION_LOG)
    if not rows:
        return None
    return float(rows[0].get("corner_error", rows[0]["warp_error"]))


def _depth_change_at_step(run: Path, step: int) -> float | None:
    """Change of depth of other places at a validated step; None without replay."""
    for row in reversed(read_log_rows(run, VALIDATION_LOG)):
        if row["step"] == str(step):
            cell = row.get("elsewhere")
            return float(cell) if cell else None
    return None
