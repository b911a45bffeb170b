"""The training loop."""

import math
import os
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from typing import Any, Generic, Literal

import torch
from torch import Tensor

from rilievo.errors import InputError, OptionError, OutputError, needing
from rilievo.errors.messages import Note, OptionName, Text
from rilievo.io.files.names import printable
from rilievo.training.adapters.torch_model import torch_device
from rilievo.training.engine.checkpoint import State, Stateful, load_checkpoint, save_checkpoint
from rilievo.training.engine.progress import Progress
from rilievo.training.engine.run_folder import (
    CHECKPOINT,
    STEPS,
    Journal,
    Record,
    RunFolder,
    hold_run_folder,
)
from rilievo.training.engine.signal_deferral import SignalDeferral
from rilievo.training.engine.task import TrainingTask, check_finite
from rilievo.training.networks.features import is_out_of_memory

_MIXED: Mapping[str, Literal["bf16-mixed", "16-mixed"]] = {
    "bf16": "bf16-mixed",
    "fp16": "16-mixed",
}
STEPS_A_ROW = 25
_SECONDS_A_CHECKPOINT = 60.0
_SPARING = 20


@dataclass(frozen=True, slots=True, kw_only=True)
class Devices:
    """Devices and arithmetic of a run.

    Attributes:
        precision: fp32, bf16, or fp16 on a GPU.
        partly: Whether some weights may get no gradient in a step.
    """

    device: str = "auto"
    precision: str = "fp32"
    partly: bool = False


def launch_fabric(chosen: Devices) -> Any:
    """Launch Lightning Fabric, alone or as a process of torchrun."""
    with needing("training", "train"):
        from lightning_fabric import Fabric
        from lightning_fabric.plugins.precision import MixedPrecision
        from lightning_fabric.strategies.ddp import DDPStrategy

    class Mixed(MixedPrecision):
        """Autocast that leaves batches, and so the truth's precision."""

        def convert_input(self, data: Any) -> Any:
            return data

    device = torch_device(chosen.device)
    if chosen.precision == "fp16" and device.type == "cpu":
        raise OptionError("precision fp16 needs a GPU: choose bf16 or fp32")
    count = nodes = 1
    local, world = os.environ.get("LOCAL_WORLD_SIZE"), os.environ.get("WORLD_SIZE")
    if local is not None and world is not None:
        count, nodes = int(local), int(world) // int(local)
    several = count * nodes > 1
    mixed = _MIXED.get(chosen.precision)
    on_gpu = device.type != "cpu"
    fabric = Fabric(
        accelerator=device.type,
        devices=[device.index or 0] if on_gpu and not several else count,
        num_nodes=nodes,
        strategy=DDPStrategy(find_unused_parameters=chosen.partly) if several else "auto",
        plugins=[] if mixed is None else [Mixed(mixed, device.type)],
    )
    fabric.launch()
    return fabric


class TrainingLoop(Generic[State]):
    """Run in progress."""

    def __init__(
        self, task: TrainingTask[State, Any], run: Path, *, fabric: Any, fingerprint: str
    ) -> None:
        self._task, self._run, self._fabric = task, run, fabric
        self._fingerprint = fingerprint
        self._stepped: Any
        self._stepped, self._optimizer = fabric.setup(task.learner, task.optimizer)
        self._losses: list[dict[str, Tensor]] = []
        self._row_began = 0.0
        self._saved_at: int | None = None
        self._saved_time, self._saving = time.monotonic(), 0.0

    def train_to_end(
        self,
        *,
        tensorboard: bool = False,
        stop_at: int | None = None,
        shown: bool = True,
        resumes: bool = False,
    ) -> bool:
        """Train from the last checkpoint to the end; False if stopped.

        A checkpoint is written after every validation, every minute, and at SIGINT or SIGTERM.

        Raises:
            InputError: If a value is not finite, or a checkpoint cannot be used.
            OptionError: If memory is too small.
            OutputError: If another process trains in the folder.
        """
        task, first = self._task, self._fabric.is_global_zero
        with (
            self._lock_and_restore(),
            Journal(
                self._run,
                task.state.logs,
                step=task.state.step,
                tensorboard=tensorboard,
                writes=first,
            ) as log,
            Progress(
                steps=task.steps,
                done=task.state.step,
                images=task.images,
                shown=shown and first,
                share=task.share,
                before=self._resume_note(resumes=resumes),
            ) as progress,
            # Processes that stop after different steps would wait for each other.
            SignalDeferral(defers=self._fabric.world_size == 1) as stopping,
        ):
            try:
                with self.advise_on_failure():
                    is_begun = task.begin(log, progress)
                if is_begun:
                    self._check_weights_and_save(log)
                self._take_steps(log, progress, stopping, stop_at)
                if task.state.step == stop_at:
                    return False
                if task.end(log, progress):
                    self._check_weights_and_save(log)
            except KeyboardInterrupt as error:
                error.args = (self._stop_note(),)
                raise
        return True

    def finish(self, folder: RunFolder[Any, Record], record: Callable[[], Record]) -> Record:
        """Write the last weights and the record."""
        with self.advise_on_failure():
            content = record()
        if self._fabric.is_global_zero:
            # A run that is resumed at its end may have lost them.
            self._task.after_checkpoint()
            folder.finish(content)
        self._fabric.barrier()
        return content

    @contextmanager
    def _lock_and_restore(self) -> Iterator[None]:
        refusal: str | None = None
        with ExitStack() as held:
            if self._fabric.is_global_zero:
                try:
                    held.enter_context(hold_run_folder(self._run))
                except OutputError as error:
                    refusal = str(error)
            refusal = self._fabric.broadcast(refusal)
            if refusal is not None:
                raise OutputError(refusal)
            self._restore_checkpoint()
            yield

    def _take_steps(
        self, log: Journal, progress: Progress, stopping: SignalDeferral, stop_at: int | None
    ) -> None:
        task, state = self._task, self._task.state
        batches = task.batches()
        try:
            while not task.is_over:
                with self.advise_on_failure():
                    with stopping.deferred():
                        loss = self._take_step(batches)
                    task.after_step(loss)
                progress.step(loss, share=task.share or None)
                if state.step % STEPS_A_ROW == 0 or task.is_over:
                    self._log_means_over_processes(log)
                validates = task.is_validation_due()
                if validates:
                    with self.advise_on_failure():
                        task.validate(log, progress)
                stops = stopping.is_asked or state.step == stop_at
                is_marked = state.step % task.checkpoint_steps == 0
                if stops or validates or task.is_over or is_marked:
                    self._check_weights_and_save(log)
                elif self._is_checkpoint_due():
                    self._write_checkpoint(log)
                if stopping.is_asked:
                    raise KeyboardInterrupt
                if stops:
                    return
        finally:
            batches.close()

    def _resume_note(self, *, resumes: bool) -> str | None:
        if self._saved_at is not None:
            return f"resuming from the checkpoint of step {self._saved_at}"
        if resumes:
            return f"{printable(self._run)} has no checkpoint to resume from: starting at step 0"
        return None

    def _stop_note(self) -> Note:
        at = f"stopped at step {self._task.state.step}"
        if self._saved_at is None:
            return Note(
                Text(
                    f"{at}, before the first checkpoint: ",
                    OptionName("resume"),
                    " starts at step 0",
                )
            )
        return Note(at, hint=Text(OptionName("resume"), f" goes on from step {self._saved_at}"))

    def _take_step(self, batches: Iterator[Any]) -> Tensor | None:
        """Loss; None if all batches are empty."""
        task, fabric, state = self._task, self._fabric, self._task.state
        start, cpu = time.perf_counter(), time.process_time()
        for number, group in enumerate(self._optimizer.param_groups):
            group["lr"] = group["initial_lr"] * task.rate_share() * task.group_rate_factor(number)
        self._stepped.train()
        loss: Tensor | None = None
        for part in range(task.accumulate):
            batch = next(batches)
            if batch is None:
                continue
            number = (state.step * task.accumulate + part) * fabric.world_size
            waits = part + 1 < task.accumulate
            with (
                batch_seed(task.seed, number + fabric.global_rank, fabric.device),
                fabric.no_backward_sync(self._stepped, enabled=waits),
            ):
                losses = self._stepped(batch)
                total = losses["loss"]
                check_finite("loss", total)
                fabric.backward(total / task.accumulate)
                loss = total.detach()
            self._losses.append({name: value.detach() for name, value in losses.items()})
        if loss is not None:
            if task.clip_norm is not None:
                fabric.clip_gradients(
                    self._stepped,
                    self._optimizer,
                    max_norm=task.clip_norm,
                    error_if_nonfinite=False,
                )
            self._optimizer.step()
            self._optimizer.zero_grad()
        state.step += 1
        state.seconds += time.perf_counter() - start
        state.cpu_seconds += time.process_time() - cpu
        return loss

    def _log_means_over_processes(self, log: Journal) -> None:
        if not self._losses:
            return
        task, state = self._task, self._task.state
        names = self._loss_names
        numbers = torch.stack([torch.stack([*terms.values()]) for terms in self._losses]).mean(
            dim=0
        )
        numbers = self._fabric.all_reduce(numbers, reduce_op="mean")
        images = len(self._losses) * task.images / task.accumulate
        spent = max(state.seconds - self._row_began, 1e-9)
        self._losses, self._row_began = [], state.seconds
        row = {
            "step": state.step,
            **task.log_columns(),
            "learning_rate": self._optimizer.param_groups[-1]["lr"],
            **dict(zip(names, numbers.tolist(), strict=True)),
            "images_per_second": images / spent,
            "seconds": state.seconds,
        }
        log.add(STEPS, row)

    @property
    def _loss_names(self) -> tuple[str, ...]:
        return (*self._losses[0],) if self._losses else ()

    @property
    def _checkpoint_parts(self) -> dict[str, Stateful]:
        return {**self._task.parts, "scaler": self._fabric.strategy.precision}

    def _restore_checkpoint(self) -> None:
        task, path = self._task, self._run / CHECKPOINT
        if path.exists():
            kind, print_ = type(task.state), self._fingerprint
            task.state = load_checkpoint(path, kind, self._checkpoint_parts, fingerprint=print_)
            self._saved_at = task.state.step
        self._row_began = task.state.seconds
        # Of several processes, each had a row of its own.
        if task.state.row and self._fabric.world_size == 1:
            steps = zip(*task.state.row.values(), strict=False)
            self._losses = [
                dict(
                    zip(task.state.row, torch.tensor(step, device=self._fabric.device), strict=True)
                )
                for step in steps
            ]
            self._row_began = task.state.row_began
        self._fabric.barrier()

    def _check_weights_and_save(self, log: Journal) -> None:
        with self.advise_on_failure():
            # No run could resume from weights that are not finite.
            check_finite("network", *self._task.learner.parameters())
        if self._fabric.is_global_zero:
            self._write_checkpoint(log)
        self._saved_at = self._task.state.step
        self._fabric.barrier()

    def _is_checkpoint_due(self) -> bool:
        wait = max(_SECONDS_A_CHECKPOINT, _SPARING * self._saving)
        return (
            self._fabric.is_global_zero
            and time.monotonic() - self._saved_time >= wait
            # If they are not, the next step says it in all processes.
            and all(
                bool(torch.isfinite(parameter).all())
                for parameter in self._task.learner.parameters()
            )
        )

    def _write_checkpoint(self, log: Journal) -> None:
        task, began = self._task, time.monotonic()
        task.state.logs = log.texts()
        row = {name: [losses[name].item() for losses in self._losses] for name in self._loss_names}
        is_finite = all(map(math.isfinite, chain.from_iterable(row.values())))
        task.state.row = {name: (*values,) for name, values in row.items()} if is_finite else {}
        task.state.row_began = self._row_began
        path = self._run / CHECKPOINT
        save_checkpoint(path, task.state, self._checkpoint_parts, fingerprint=self._fingerprint)
        task.after_checkpoint()
        self._saved_at, self._saved_time = task.state.step, time.monotonic()
        self._saving = self._saved_time - began

    @contextmanager
    def advise_on_failure(self) -> Iterator[None]:
        """Turn non-finite values into InputError, lack of memory into OptionError."""
        try:
            yield
        except FloatingPointError as error:
            raise InputError(
                f"step {self._task.state.step}: {error}:", problem=self._task.advice
            ) from error
        except RuntimeError as error:
            if not is_out_of_memory(error):
                raise
            problem = Text("too little memory for ", self._task.less_memory)
            raise OptionError(problem=problem) from error


@contextmanager
def batch_seed(seed: int, number: int, device: torch.device) -> Iterator[None]:
    """Seed torch in the block by run and batch; then restore it."""
    # Generators of the machine's other GPUs are left out: forking them would initialise those GPUs.
    with torch.random.fork_rng([device] if device.type == "cuda" else []):
        torch.manual_seed(seed * 1_000_003 + number)
        yield
