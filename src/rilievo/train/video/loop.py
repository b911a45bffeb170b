"""Training loop of networks that learn from video, read from top to bottom."""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from rilievo.errors import InputError, OptionError
from rilievo.io.sums import sum_of
from rilievo.models.video_run import WEIGHTS
from rilievo.networks.memory import is_out_of_memory
from rilievo.train.progress import Progress, listed
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
from rilievo.train.video.frames import VideoFrames
from rilievo.train.video.learner import Explained, Learner, check_finite, noise_of, random_of
from rilievo.train.video.loader import batches
from rilievo.train.video.log import Log, StepRow, ValidationRow
from rilievo.train.video.measures import Measures, measure
from rilievo.train.video.pictures import save_pictures
from rilievo.train.video.records import VideoRecord
from rilievo.train.video.schedule import Course, learning_rate
from rilievo.train.video.summary import summarise
from rilievo.train.video.validation import validate

STEPS_A_ROW = 25
BEST = "best"


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
    ) -> None:
        self._config, self._run, self._options = config, run, options
        self._fabric, self._frames, self._fingerprint = fabric, frames, fingerprint
        self.course = Course.of(config, len(frames.training), processes=fabric.world_size)
        self._learner = learner.to(memory_format=torch.channels_last)  # pyright: ignore[reportCallIssue]
        optimizer = torch.optim.Adam(_groups(learner), weight_decay=config.weight_decay)
        self._stepped: Any
        self._stepped, self._optimizer = fabric.setup(learner, optimizer)
        scaler = fabric.strategy.precision
        self.state = RunState(learner=learner, optimizer=optimizer, scaler=scaler)
        self._watch = Watch(said=self.state.warned)
        self._measured: list[Tensor] = []
        self._row_began = 0.0

    def go(self) -> bool:
        """Train from the current step to the end; False if ``stop_at`` ends it before."""
        state, course, options = self.state, self.course, self._options
        self._restore()
        speaks = self._fabric.is_global_zero
        tensorboard = options.tensorboard and speaks
        with (
            Log(
                self._run,
                step=state.step,
                tensorboard=tensorboard,
                writes=speaks,
                kept=state.logs,
            ) as log,
            Progress(
                steps=course.steps, done=state.step, images=course.images, shown=speaks
            ) as progress,
        ):
            for note in listed((*self._frames.notes, *self._learner.networks.notes)):
                progress.say(f"note: {note}")
            given = self._batches()
            while state.step < course.steps:
                with self._failures(), self._timed():
                    self._step(given)
                progress.step(self._measured[-1][0])
                if state.step % STEPS_A_ROW == 0 or state.step == course.steps:
                    self._write_row(log, progress)
                if course.ends_epoch(state.step):
                    with self._failures():
                        self._validate(log)
                if state.step % self._config.checkpoint_steps == 0 or state.step in (
                    options.stop_at,
                    course.steps,
                ):
                    self._save(log)
                if state.step == options.stop_at and state.step < course.steps:
                    return False
        return True

    def write_weights(self) -> None:
        """Write the learned weights: a run that is resumed at its end may have lost them."""
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
        rate = learning_rate(config, step=state.step, epoch=course.epoch(state.step))
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

    def _validate(self, log: Log) -> None:
        held_out, state = self._frames.held_out, self.state
        picture = save_pictures(
            self._learner, self._frames, self._run, log, self._fabric, state.step
        )
        if picture is not None:
            self._note_sum(picture)
        if not len(held_out):
            return
        scores = validate(self._learner, held_out, self._fabric, state.skipped)
        epoch = self.course.epoch(state.step)
        row = ValidationRow(step=state.step, epoch=epoch, **scores._asdict())
        log.add(row)
        if row.warp_error < state.best_error:
            state.best_error, state.best_step = row.warp_error, state.step
            if self._fabric.is_global_zero:
                save_weights(self._learner.networks, self._run / BEST / WEIGHTS)
                self._note_sum(self._run / BEST / WEIGHTS)

    def _note_sum(self, path: Path) -> None:
        """Note what was written, since a power cut may take it before the end of the run."""
        self.state.sums[path.relative_to(self._run).as_posix()] = sum_of(path)

    def _restore(self) -> None:
        path = self._run / CHECKPOINT
        if path.exists():
            load_checkpoint(self.state, path, fingerprint=self._fingerprint)
        self._row_began = self.state.seconds
        self._watch.said = self.state.warned
        self._fabric.barrier()

    def _save(self, log: Log) -> None:
        """Save the state before the weights: a run resumes from the state, which includes them."""
        with self._failures():
            # No run could resume from weights that are not finite.
            check_finite("network", *self._learner.parameters())
        if self._fabric.is_global_zero:
            self.state.logs = log.texts()
            save_checkpoint(self.state, self._run / CHECKPOINT, fingerprint=self._fingerprint)
            save_weights(self._learner.networks, self._run / WEIGHTS)
        self._fabric.barrier()

    @contextmanager
    def _failures(self) -> Iterator[None]:
        """Turn running out of memory, or values that are not finite, into an error of one line."""
        config = self._config
        try:
            yield
        except FloatingPointError as error:
            raise InputError(
                f"step {self.state.step}: {error}: lower the learning rate, give a clip_norm, "
                "choose fp32, or look at the intrinsics; --resume begins at the last checkpoint"
            ) from error
        except RuntimeError as error:
            if not is_out_of_memory(error):
                raise
            height, width = config.blueprint.size
            raise OptionError(
                f"too little memory for a step of {config.batch_size} x {height}x{width} with "
                f"{config.blueprint.encoder}: take a smaller --batch-size (and --accumulate to "
                "make up for it), a smaller --size, or --precision bf16"
            ) from error

    @contextmanager
    def _timed(self) -> Iterator[None]:
        start = time.perf_counter()
        yield
        self.state.seconds += time.perf_counter() - start


def _groups(learner: Learner) -> list[dict[str, Any]]:
    """Parameter groups: the networks, and the focal lengths with their own learning rate."""
    config = learner.config
    groups: list[tuple[nn.Module, float]] = [(learner.networks, config.learning_rate)]
    if learner.camera is not None:
        groups.append((learner.camera, config.camera_rate))
    return [
        {"params": list(part.parameters()), "lr": rate, "initial_lr": rate} for part, rate in groups
    ]
