"""Training loop of networks that learn from video, read from top to bottom."""

import math
import shutil
import time
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from rilievo.io.atomic import replacing
from rilievo.io.sums import sum_of
from rilievo.models.video_run import WEIGHTS
from rilievo.train.progress import Progress, listed
from rilievo.train.video.averaging import averaged, weights_of
from rilievo.train.video.batches import Batch
from rilievo.train.video.checkpoint import (
    CHECKPOINT,
    RunState,
    load_checkpoint,
    save_checkpoint,
    save_weights,
)
from rilievo.train.video.collapse import Watch
from rilievo.train.video.config import VideoConfig, VideoRunOptions
from rilievo.train.video.failures import failures
from rilievo.train.video.frames import VideoFrames
from rilievo.train.video.guide import Guide
from rilievo.train.video.learner import (
    Explained,
    Learner,
    check_finite,
    noise_of,
    parameter_groups,
    random_of,
)
from rilievo.train.video.loader import batches
from rilievo.train.video.log import Log, StepRow, ValidationRow
from rilievo.train.video.measures import Measures, measure
from rilievo.train.video.pictures import save_pictures
from rilievo.train.video.records import VideoRecord
from rilievo.train.video.schedule import PACE_STEPS, Course, learning_rate
from rilievo.train.video.summary import summarise
from rilievo.train.video.validation import validate

STEPS_A_ROW = 25
BEST = "best"
_CLEARLY = 0.02
"""Share by which the error of a run has to be below that of its start to replace it."""


class Loop:
    """Run in progress."""

    def __init__(
        self,
        config: VideoConfig,
        run: Path,
        options: VideoRunOptions,
        *,
        fabric: Any,
        frames: VideoFrames,
        learner: Learner,
        fingerprint: str,
        guide: Guide | None = None,
        began: float | None = None,
    ) -> None:
        """Prepare a run, whose minutes began at ``began`` (``time.monotonic``), by default now."""
        self._guide = guide
        self._began = time.monotonic() if began is None else began
        self._config, self._run, self._options = config, run, options
        self._fabric, self._frames, self._fingerprint = fabric, frames, fingerprint
        self.course = Course.of(config, len(frames.training), processes=fabric.world_size)
        self._learner = learner.to(memory_format=torch.channels_last)  # pyright: ignore[reportCallIssue]
        optimizer = torch.optim.Adam(parameter_groups(learner), weight_decay=config.weight_decay)
        self._stepped: Any
        self._stepped, self._optimizer = fabric.setup(learner, optimizer)
        scaler = fabric.strategy.precision
        self.state = RunState(learner=learner, optimizer=optimizer, scaler=scaler)
        self._start = weights_of(learner.networks) if config.start_share else {}
        self._watch = Watch(said=self.state.warned)
        self._measured: list[Tensor] = []
        self._row_began = 0.0

    def go(self) -> bool:
        """Train from the current step to the end; False if ``stop_at`` ends it before."""
        state, options = self.state, self._options
        self._restore()
        speaks = self._fabric.is_global_zero
        tensorboard = options.tensorboard and speaks
        known = None if self._config.minutes else self.course.steps
        with (
            Log(
                self._run,
                step=state.step,
                tensorboard=tensorboard,
                writes=speaks,
                kept=state.logs,
            ) as log,
            Progress(
                steps=known,
                done=state.step,
                images=self.course.images,
                shown=speaks,
                share=self._share,
            ) as progress,
        ):
            for note in listed((*self._frames.notes, *self._learner.networks.notes)):
                progress.say(f"note: {note}")
            if self._config.keep_best and not state.step:
                self._validate(log, progress)
            given = self._batches()
            while not self._is_over:
                with failures(self._config, state), self._timed():
                    self._step(given)
                self._plan()
                progress.step(self._measured[-1][0], share=self._share if state.planned else None)
                if state.step % STEPS_A_ROW == 0 or state.step == self.course.steps:
                    self._write_row(log, progress)
                if self._guide is not None and self.course.estimates_motion(state.step):
                    self._frames = self._guide.again(self._frames, state.step)
                    given = self._batches()
                if self._is_planned and self.course.is_validated(state.step):
                    with failures(self._config, state):
                        self._validate(log, progress)
                if (
                    state.step % self._config.checkpoint_steps == 0
                    or state.step == options.stop_at
                    or self._is_over
                ):
                    self._save(log)
                if state.step == options.stop_at and not self._is_over:
                    return False
        return True

    @property
    def _share(self) -> float:
        """Share of the run that is done; 0 before the pace of a run of so many minutes is known."""
        return self.state.step / self.course.steps if self._is_planned else 0.0

    @property
    def _is_planned(self) -> bool:
        return self._config.minutes is None or self.state.planned > 0

    @property
    def _is_over(self) -> bool:
        patience = self._config.patience
        is_stale = patience is not None and self.state.stale >= patience
        return is_stale or self.state.step >= self.course.steps

    def _plan(self) -> None:
        """Count the steps of a run of so many minutes, once its pace is known."""
        minutes, state = self._config.minutes, self.state
        if minutes is None or state.planned or state.step < PACE_STEPS:
            return
        left = 60 * minutes - (time.monotonic() - self._began)
        pace = state.seconds / state.step
        planned = self._fabric.broadcast(self.course.planned(step=state.step, left=left, pace=pace))
        state.planned, self.course = planned.steps, planned

    def write_weights(self) -> None:
        """Write the learned weights: a run that is resumed at its end may have lost them."""
        best = self._run / BEST / WEIGHTS
        if self._config.keep_best and best.exists():
            with replacing(self._run / WEIGHTS) as part:
                shutil.copyfile(best, part)
            return
        with self._averaged():
            save_weights(self._learner.networks, self._run / WEIGHTS)

    def record(self) -> VideoRecord:
        """Return the record of the run."""
        return summarise(
            self._run,
            learner=self._learner,
            state=self.state,
            course=self.course,
            frames=self._frames,
            device=self._fabric.device,
            processes=self._fabric.world_size,
        )

    def _step(self, given: Iterator[Batch]) -> None:
        """Take one step of gradient descent, on as many batches as are accumulated."""
        config, course, state = self._config, self.course, self.state
        epoch = course.epoch(state.step)
        rate = learning_rate(config, step=state.step, epoch=epoch, share=self._share)
        for group in self._optimizer.param_groups:
            group["lr"] = rate * group["initial_lr"] / config.learning_rate
        self._stepped.train()
        for part in range(config.accumulate):
            batch = next(given)
            state.skipped.update(batch.skipped)
            waits = part + 1 < config.accumulate
            with (
                random_of(config.seed, batch.step, self._fabric.device),
                self._fabric.no_backward_sync(self._stepped, enabled=waits),
            ):
                explained = self._explained(batch)
                self._fabric.backward(explained.loss.total / config.accumulate)
            self._measured.append(measure(explained, self._config))
        if config.clip_norm is not None:
            self._fabric.clip_gradients(
                self._stepped, self._optimizer, max_norm=config.clip_norm, error_if_nonfinite=False
            )
        self._optimizer.step()
        self._optimizer.zero_grad()
        state.step += 1

    def _explained(self, batch: Batch) -> Explained:
        noise = noise_of(self._config.seed, batch.step, self._fabric.device)
        asked = partial(Learner.answer, views=batch.views, generator=noise)
        explained = self._stepped(asked).kept.explained
        check_finite("loss", explained.loss.total)
        return explained

    def _batches(self) -> Iterator[Batch]:
        """Batches of this process from here on: each number belongs to one process."""
        fabric, config = self._fabric, self._config
        given = batches(
            self._frames.training,
            seed=config.seed,
            batch_size=config.batch_size,
            start_step=self.state.step * self.course.batches + fabric.global_rank,
            stride=fabric.world_size,
            workers=self._options.workers,
            augmentation=config.augmentation,
            device=fabric.device,
        )
        return iter(given)

    def _write_row(self, log: Log, progress: Progress) -> None:
        if not self._measured:
            return
        state, course = self.state, self.course
        numbers = torch.stack(self._measured).mean(dim=0)
        count = len(self._measured) * self._fabric.world_size * self._config.batch_size
        numbers = self._fabric.all_reduce(numbers, reduce_op="mean")
        spent = max(state.seconds - self._row_began, 1e-9)
        self._measured, self._row_began = [], state.seconds
        row = StepRow(
            step=state.step,
            epoch=course.epoch(state.step),
            learning_rate=self._optimizer.param_groups[0]["lr"],
            **Measures(*numbers.tolist())._asdict(),
            images_per_second=count / spent,
            seconds=state.seconds,
        )
        log.add(row)
        for warning in self._watch.look(row):
            log.add(warning)
            progress.say(f"warning: step {warning.step}: {warning.text}")

    def _validate(self, log: Log, progress: Progress) -> None:
        with self._averaged():
            self._judge(log, progress)

    def _averaged(self) -> AbstractContextManager[None]:
        """Networks with the weights that are kept of those learned so far."""
        return averaged(self._learner.networks, self._start, self._config.start_share)

    def _judge(self, log: Log, progress: Progress) -> None:
        state = self.state
        corner_error = math.nan
        if self._guide is not None and len(self._frames.held_out):
            self._frames, corner_error = self._guide.on_held_out(self._frames)
        picture = save_pictures(
            self._learner, self._frames, self._run, log, self._fabric, state.step
        )
        if picture is not None:
            self._note_sum(picture)
        held_out = self._frames.held_out
        if not len(held_out):
            return
        scores = validate(self._learner, held_out, self._fabric, state.skipped)
        epoch = self.course.epoch(state.step)
        row = ValidationRow(
            step=state.step, epoch=epoch, corner_error=corner_error, **scores._asdict()
        )
        log.add(row)
        error = row.warp_error if self._guide is None else corner_error
        if self._config.keep_best:
            progress.say(f"held out: error {error:.4f} at step {state.step}")
        state.stale += 1
        if self._is_better(error):
            state.best_error, state.best_step, state.stale = error, state.step, 0
            if self._fabric.is_global_zero:
                save_weights(self._learner.networks, self._run / BEST / WEIGHTS)
                self._note_sum(self._run / BEST / WEIGHTS)

    def _note_sum(self, path: Path) -> None:
        """Note what was written, since a power cut may take it before the end of the run."""
        self.state.sums[path.relative_to(self._run).as_posix()] = sum_of(path)

    def _is_better(self, error: float) -> bool:
        """Whether an error on held-out targets is the least; the start has to be beaten clearly."""
        state = self.state
        is_start = self._config.keep_best and state.step > 0 and state.best_step == 0
        return error < state.best_error * (1 - _CLEARLY if is_start else 1)

    def _restore(self) -> None:
        path = self._run / CHECKPOINT
        if path.exists():
            load_checkpoint(self.state, path, fingerprint=self._fingerprint)
        if self.state.planned:
            self.course = replace(self.course, steps=self.state.planned)
        if self._guide is not None:
            self._frames = self._guide.restore(self._frames, self.state.step)
        self._row_began = self.state.seconds
        self._watch.said = self.state.warned
        self._fabric.barrier()

    def _save(self, log: Log) -> None:
        """Save the state before the weights: a run resumes from the state, which includes them."""
        with failures(self._config, self.state):
            # No run could resume from weights that are not finite.
            check_finite("network", *self._learner.parameters())
        if self._fabric.is_global_zero:
            self.state.logs = log.texts()
            save_checkpoint(self.state, self._run / CHECKPOINT, fingerprint=self._fingerprint)
            save_weights(self._learner.networks, self._run / WEIGHTS)
        self._fabric.barrier()

    @contextmanager
    def _timed(self) -> Iterator[None]:
        start = time.perf_counter()
        yield
        self.state.seconds += time.perf_counter() - start
