"""The training loop: steps, logs, validations and checkpoints, on one or several devices."""

import math
import os
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, closing, contextmanager
from itertools import chain
from pathlib import Path
from typing import Any, Generic, Literal

import torch
from torch import Tensor

from rilievo.errors import InputError, OptionError, OutputError, explain_missing_extra
from rilievo.errors.messages import Note, OptionName, Text
from rilievo.io.files.names import printable
from rilievo.training.adapters.torch_model import torch_device
from rilievo.training.engine.checkpoint import State, Stateful, load_checkpoint, save_checkpoint
from rilievo.training.engine.progress import Progress
from rilievo.training.engine.run_folder import (
    CHECKPOINT,
    STEP_LOG,
    Journal,
    Record,
    RunFolder,
    hold_run_folder,
)
from rilievo.training.engine.signal_deferral import SignalDeferral
from rilievo.training.engine.task import TrainingTask, check_finite
from rilievo.training.networks.features import is_out_of_memory

STEPS_PER_ROW = 25
"""Steps over which losses are averaged for one row of the log."""

_MIN_SECONDS_BETWEEN_CHECKPOINTS = 60.0
"""Least time between two checkpoints that are due by the clock alone [s]."""
_MIN_TRAINING_PER_WRITING = 20
"""Least time between two such checkpoints, as a multiple of the time that writing one takes."""
_FABRIC_PRECISIONS: Mapping[str, Literal["bf16-mixed", "16-mixed"]] = {
    "bf16": "bf16-mixed",
    "fp16": "16-mixed",
}
"""Lightning Fabric's names of our mixed precisions."""


def launch_fabric(
    device_name: str = "auto", *, precision: str = "fp32", allows_unused_weights: bool = False
) -> Any:
    """Start Lightning Fabric, which moves a training to its device and joins its processes.

    Without torchrun, this process trains alone. Otherwise it is one of torchrun's processes, each
    of which computes the gradients of its part of a batch.

    Args:
        device_name: auto, cpu, cuda or cuda:N.
        precision: fp32, bf16, or fp16 on a GPU.
        allows_unused_weights: Whether some weights may get no gradient in a step.

    Raises:
        MissingExtraError: Without Lightning Fabric.
        OptionError: If there is no such device, or it cannot compute in this precision.
    """
    with explain_missing_extra("training", "train"):
        from lightning_fabric import Fabric
        from lightning_fabric.strategies.ddp import DDPStrategy

    device = torch_device(device_name)
    if precision == "fp16" and device.type == "cpu":
        raise OptionError("precision fp16 needs a GPU; on a CPU, use fp32 or bf16")

    processes_per_node, num_nodes = _torchrun_process_counts()
    # Fabric takes a number of devices, or the indices of devices.
    devices: int | list[int] = processes_per_node
    strategy: Any = "auto"
    if processes_per_node * num_nodes > 1:
        strategy = DDPStrategy(find_unused_parameters=allows_unused_weights)
    elif device.type != "cpu":
        devices = [device.index or 0]

    fabric = Fabric(
        accelerator=device.type,
        devices=devices,
        num_nodes=num_nodes,
        strategy=strategy,
        plugins=_precision_plugins(precision, device),
    )
    fabric.launch()
    return fabric


def _torchrun_process_counts() -> tuple[int, int]:
    """Number of processes on this node, and number of nodes; one each without torchrun."""
    # torchrun calls the number of processes on a node, and on all nodes, sizes of a world.
    processes_per_node = os.environ.get("LOCAL_WORLD_SIZE")
    num_processes = os.environ.get("WORLD_SIZE")
    if processes_per_node is None or num_processes is None:
        return 1, 1
    num_nodes = int(num_processes) // int(processes_per_node)
    return int(processes_per_node), num_nodes


def _precision_plugins(precision: str, device: torch.device) -> list[Any]:
    """Fabric's plugins for a precision; none for fp32."""
    fabric_precision = _FABRIC_PRECISIONS.get(precision)
    if fabric_precision is None:
        return []

    from lightning_fabric.plugins.precision import MixedPrecision

    class MixedNetworkPrecision(MixedPrecision):
        """Mixed precision of the network alone; batches, which hold ground truth, stay float32."""

        def convert_input(self, data: Any) -> Any:
            return data

    return [MixedNetworkPrecision(fabric_precision, device.type)]


class TrainingLoop(Generic[State]):
    """Loop over the steps of a run, in one process of it."""

    def __init__(
        self, task: TrainingTask[State, Any], run: Path, *, fabric: Any, fingerprint: str
    ) -> None:
        """Prepare to train in the folder ``run``, with a ``fabric`` from ``launch_fabric``.

        ``fingerprint`` is a digest of all that a run has to have in common with its checkpoint.
        """
        self._task = task
        self._run = run
        self._fabric = fabric
        self._fingerprint = fingerprint
        self._learner: Any
        self._learner, self._optimizer = fabric.setup(task.learner, task.optimizer)
        for group in self._optimizer.param_groups:
            # The rate of a step replaces ``lr``, so the peak rate is kept under torch's own name.
            group.setdefault("initial_lr", group["lr"])

        # Losses since the last row of the log, and the training time at that row [s].
        self._losses: list[dict[str, Tensor]] = []
        self._seconds_at_row = 0.0

        # The last checkpoint: its step, when it was written, and how long that took [s].
        self._checkpoint_step: int | None = None
        self._checkpoint_time = time.monotonic()
        self._checkpoint_duration = 0.0

    def train_to_end(
        self,
        *,
        tensorboard: bool = False,
        stop_at: int | None = None,
        shown: bool = True,
        resumes: bool = False,
    ) -> bool:
        """Train from the last checkpoint to the end; return False if the run stopped before it.

        A checkpoint is written after every validation, every minute, after the step ``stop_at``,
        and at SIGINT or SIGTERM. With ``resumes``, a missing checkpoint is reported.

        Raises:
            InputError: If a value is not finite, or a checkpoint cannot be used.
            OptionError: If memory is too small.
            OutputError: If another process trains in the folder.
            KeyboardInterrupt: If a signal stopped the run; its message says where.
        """
        task = self._task
        is_first_process = self._fabric.is_global_zero
        with (
            self._locked_and_restored(),
            Journal(
                self._run,
                task.state.logs,
                step=task.state.step,
                tensorboard=tensorboard,
                writes=is_first_process,
            ) as log,
            Progress(
                steps=task.steps,
                first_step=task.state.step,
                images_per_step=task.images_per_step,
                shown=shown and is_first_process,
                done=task.fraction_done,
                first_line=self._resume_note(resumes=resumes),
            ) as progress,
            # Processes that stop after different steps would wait for each other.
            SignalDeferral(defers=self._fabric.world_size == 1) as signals,
        ):
            try:
                with self.errors_with_advice():
                    needs_checkpoint = task.begin(log, progress)
                if needs_checkpoint:
                    self._check_weights_and_save(log)

                self._take_steps(log, progress, signals, stop_at)
                if task.state.step == stop_at:
                    return False

                if task.end(log, progress):
                    self._check_weights_and_save(log)
            except KeyboardInterrupt as error:
                error.args = (self._stop_note(),)
                raise
        return True

    def _take_steps(
        self, log: Journal, progress: Progress, signals: SignalDeferral, stop_at: int | None
    ) -> None:
        """Train until the task is over, the step ``stop_at`` is done, or a signal asks to stop."""
        task = self._task
        state = self._task.state
        with closing(task.batches()) as batches:
            while not task.is_over:
                with self.errors_with_advice():
                    with signals.deferred():
                        loss = self._take_step(batches)
                    task.after_step(loss)

                progress.step(loss, done=task.fraction_done or None)
                if state.step % STEPS_PER_ROW == 0 or task.is_over:
                    self._log_means_over_processes(log)

                is_validation_due = task.is_validation_due()
                if is_validation_due:
                    with self.errors_with_advice():
                        task.validate(log, progress)

                must_stop = signals.stop_requested or state.step == stop_at
                is_checkpoint_step = state.step % task.checkpoint_steps == 0
                # All processes decide this alike. By the clock, only the first one decides.
                if must_stop or is_validation_due or task.is_over or is_checkpoint_step:
                    self._check_weights_and_save(log)
                elif self._is_checkpoint_due_by_clock():
                    self._write_checkpoint(log)

                if signals.stop_requested:
                    raise KeyboardInterrupt
                if must_stop:
                    return

    def _take_step(self, batches: Iterator[Any]) -> Tensor | None:
        """Update the weights once; return the loss of the last batch, None if all are empty."""
        task = self._task
        state = self._task.state
        start_time = time.perf_counter()
        start_cpu_time = time.process_time()

        rate_factor = task.learning_rate_factor()
        for index, group in enumerate(self._optimizer.param_groups):
            group["lr"] = group["initial_lr"] * rate_factor * task.group_rate_factor(index)

        self._learner.train()
        loss = self._accumulate_gradients(batches)
        if loss is not None:
            if task.clip_norm is not None:
                self._fabric.clip_gradients(
                    self._learner,
                    self._optimizer,
                    max_norm=task.clip_norm,
                    error_if_nonfinite=False,
                )
            self._optimizer.step()
            self._optimizer.zero_grad()

        state.step += 1
        state.seconds += time.perf_counter() - start_time
        state.cpu_seconds += time.process_time() - start_cpu_time
        return loss

    def _accumulate_gradients(self, batches: Iterator[Any]) -> Tensor | None:
        """Add up the gradients of the batches of a step; return the loss of the last batch."""
        task = self._task
        fabric = self._fabric
        last_loss: Tensor | None = None
        for batch_in_step in range(task.accumulate):
            batch = next(batches)
            if batch is None:
                continue

            # Every batch of the run, over all processes, draws its own random numbers.
            local_number = task.state.step * task.accumulate + batch_in_step
            batch_number = local_number * fabric.world_size + fabric.global_rank
            is_last = batch_in_step == task.accumulate - 1
            with (
                batch_seed(task.seed, batch_number, fabric.device),
                # Processes exchange their gradients only once a step, after the last batch.
                fabric.no_backward_sync(self._learner, enabled=not is_last),
            ):
                losses = self._learner(batch)
                check_finite("loss", losses["loss"])
                fabric.backward(losses["loss"] / task.accumulate)
            last_loss = losses["loss"].detach()
            self._losses.append({name: value.detach() for name, value in losses.items()})
        return last_loss

    def _log_means_over_processes(self, log: Journal) -> None:
        """Write a row of the log with the mean losses since the last row."""
        if not self._losses:
            return
        task = self._task
        state = self._task.state

        losses_by_batch = [torch.stack([*losses.values()]) for losses in self._losses]
        local_means = torch.stack(losses_by_batch).mean(dim=0)
        means = self._fabric.all_reduce(local_means, reduce_op="mean")
        images_per_batch = task.images_per_step / task.accumulate
        num_images = len(self._losses) * images_per_batch
        seconds_since_row = max(state.seconds - self._seconds_at_row, 1e-9)
        row = {
            "step": state.step,
            **task.log_columns(),
            "learning_rate": self._optimizer.param_groups[-1]["lr"],
            **dict(zip(self._loss_names, means.tolist(), strict=True)),
            "images_per_second": num_images / seconds_since_row,
            "seconds": state.seconds,
        }
        self._losses = []
        self._seconds_at_row = state.seconds
        log.add(STEP_LOG, row)

    @property
    def _loss_names(self) -> tuple[str, ...]:
        return (*self._losses[0],) if self._losses else ()

    @contextmanager
    def _locked_and_restored(self) -> Iterator[None]:
        """Lock the folder for the whole run, and restore the last checkpoint in all processes."""
        lock_error: str | None = None
        with ExitStack() as lock:
            if self._fabric.is_global_zero:
                try:
                    lock.enter_context(hold_run_folder(self._run))
                except OutputError as error:
                    lock_error = str(error)
            # All processes fail if the first one cannot lock, so that none waits for it.
            lock_error = self._fabric.broadcast(lock_error)
            if lock_error is not None:
                raise OutputError(lock_error)
            self._restore_checkpoint()
            yield

    def _restore_checkpoint(self) -> None:
        """Load the last checkpoint if there is one, with the losses that are not in the log yet."""
        task = self._task
        path = self._run / CHECKPOINT
        if path.exists():
            task.state = load_checkpoint(
                path, type(task.state), self._checkpoint_parts, fingerprint=self._fingerprint
            )
            self._checkpoint_step = task.state.step

        self._seconds_at_row = task.state.seconds
        # The checkpoint has the losses of the first process alone.
        if task.state.row and self._fabric.world_size == 1:
            self._restore_losses(task.state.row)
            self._seconds_at_row = task.state.row_began
        self._fabric.barrier()

    def _restore_losses(self, losses_by_name: Mapping[str, tuple[float, ...]]) -> None:
        """Restore the losses of each batch since the last row, stored as columns by name."""
        # Not strict, since a broken checkpoint may have columns of different lengths.
        for batch_losses in zip(*losses_by_name.values(), strict=False):
            losses = torch.tensor(batch_losses, device=self._fabric.device)
            self._losses.append(dict(zip(losses_by_name, losses, strict=True)))

    @property
    def _checkpoint_parts(self) -> dict[str, Stateful]:
        return {**self._task.parts, "scaler": self._fabric.strategy.precision}

    def _check_weights_and_save(self, log: Journal) -> None:
        """Write a checkpoint, as all processes do at the same step."""
        with self.errors_with_advice():
            # No run could resume from weights that are not finite.
            check_finite("network", *self._task.learner.parameters())
        if self._fabric.is_global_zero:
            self._write_checkpoint(log)
        self._checkpoint_step = self._task.state.step
        self._fabric.barrier()

    def _is_checkpoint_due_by_clock(self) -> bool:
        if not self._fabric.is_global_zero:
            return False
        min_seconds = max(
            _MIN_SECONDS_BETWEEN_CHECKPOINTS, _MIN_TRAINING_PER_WRITING * self._checkpoint_duration
        )
        if time.monotonic() - self._checkpoint_time < min_seconds:
            return False
        # Weights that are not finite are not saved; the next step reports them in all processes.
        return all(bool(torch.isfinite(weight).all()) for weight in self._task.learner.parameters())

    def _write_checkpoint(self, log: Journal) -> None:
        """Write a checkpoint, and let the task react to it, in the first process."""
        start_time = time.monotonic()
        state = self._task.state
        state.logs = log.texts()
        state.row = self._losses_since_last_row()
        state.row_began = self._seconds_at_row
        save_checkpoint(
            self._run / CHECKPOINT, state, self._checkpoint_parts, fingerprint=self._fingerprint
        )
        self._task.after_checkpoint()
        self._checkpoint_step = state.step
        self._checkpoint_time = time.monotonic()
        self._checkpoint_duration = self._checkpoint_time - start_time

    def _losses_since_last_row(self) -> dict[str, tuple[float, ...]]:
        """Losses by name, for a checkpoint; empty if one is not finite."""
        losses_by_name = {
            name: tuple(losses[name].item() for losses in self._losses) for name in self._loss_names
        }
        is_finite = all(map(math.isfinite, chain.from_iterable(losses_by_name.values())))
        return losses_by_name if is_finite else {}

    def finish(self, folder: RunFolder[Any, Record], make_record: Callable[[], Record]) -> Record:
        """Write the final weights and the record of a run that was trained to its end."""
        with self.errors_with_advice():
            record = make_record()
        if self._fabric.is_global_zero:
            # A run that is resumed after its last step may lack the weights.
            self._task.after_checkpoint()
            folder.finish(record)
        self._fabric.barrier()
        return record

    @contextmanager
    def errors_with_advice(self) -> Iterator[None]:
        """Raise errors with advice for values that are not finite, and for too little memory.

        Raises:
            InputError: In place of a ``FloatingPointError``.
            OptionError: In place of torch's errors of too little memory.
        """
        try:
            yield
        except FloatingPointError as error:
            raise InputError(
                f"step {self._task.state.step}: {error}:", problem=self._task.nonfinite_advice
            ) from error
        except RuntimeError as error:
            if not is_out_of_memory(error):
                raise
            problem = Text("not enough memory for ", self._task.memory_advice)
            raise OptionError(problem=problem) from error

    def _resume_note(self, *, resumes: bool) -> str | None:
        if self._checkpoint_step is not None:
            return f"resuming from the checkpoint of step {self._checkpoint_step}"
        if resumes:
            return f"{printable(self._run)} has no checkpoint to resume from: starting at step 0"
        return None

    def _stop_note(self) -> Note:
        """Say where a signal stopped the run, and where it would resume."""
        stopped = f"stopped at step {self._task.state.step}"
        if self._checkpoint_step is not None:
            hint = Text(OptionName("resume"), f" continues from step {self._checkpoint_step}")
            return Note(stopped, hint=hint)
        return Note(
            Text(
                f"{stopped}, before the first checkpoint, so ",
                OptionName("resume"),
                " starts at step 0",
            )
        )


@contextmanager
def batch_seed(seed: int, batch_number: int, device: torch.device) -> Iterator[None]:
    """Seed torch's random numbers by run and batch in the block, and restore them after it."""
    # The machine's other GPUs are left out, as forking their generators would initialise them.
    forked_devices = [device] if device.type == "cuda" else []
    with torch.random.fork_rng(forked_devices):
        # The factor keeps the batches of different seeds apart.
        torch.manual_seed(seed * 1_000_003 + batch_number)
        yield
