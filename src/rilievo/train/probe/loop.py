"""The training loop of a probe, or of a whole network, read from top to bottom."""

import hashlib
import time
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import torch
from torch import nn

from rilievo.errors import InputError, MissingExtraError, OptionError
from rilievo.io.json_record import to_json
from rilievo.models.probe import BACKBONE
from rilievo.models.torch_model import find_device
from rilievo.networks.backbones import Backbone
from rilievo.networks.memory import is_out_of_memory
from rilievo.networks.probed import Probed, make_chosen_probe
from rilievo.train.probe.batches import (
    Batch,
    changed_frame,
    collate,
    sources_of,
    steps_an_epoch,
)
from rilievo.train.probe.cache import FeatureCache
from rilievo.train.probe.checkpoint import (
    WEIGHTS,
    RunState,
    load_checkpoint,
    save_checkpoint,
    save_weights,
)
from rilievo.train.probe.config import ProbeConfig, RunOptions
from rilievo.train.probe.frames import TrainingFrames
from rilievo.train.probe.learner import Learner, Loss, random_of_step
from rilievo.train.probe.log import Log, StepRow, ValidationRow
from rilievo.train.probe.presets import differences
from rilievo.train.probe.records import CHECKPOINT, ConstantCheck, TrainingRecord
from rilievo.train.probe.schedule import rate_factor
from rilievo.train.probe.validation import Scores, constant_check, validate
from rilievo.train.progress import Progress
from rilievo.version import VERSION

_STEPS_A_ROW = 25
_LISTED = 20
_MOST_CHECKED = 16
"""Images trained on that are compared with a constant where none is held out."""


class Loop:
    """Run in progress."""

    def __init__(
        self,
        config: ProbeConfig,
        run: Path,
        options: RunOptions,
        frames: TrainingFrames,
        backbone: Backbone,
        keeping: FeatureCache | None,
    ) -> None:
        self._config, self._run, self._options = config, run, options
        self._frames, self._keeping = frames, keeping
        self._fabric = _fabric(config, options)
        probe = make_chosen_probe(config.blueprint, backbone, seed=config.seed)
        self._learner = Learner(Probed(config.blueprint, backbone, probe), config)
        self._fingerprint = hashlib.sha256(to_json(config).encode()).hexdigest()
        optimizer = torch.optim.AdamW(_groups(self._learner), weight_decay=config.weight_decay)
        self._state = RunState(learned=self._learner.learned, optimizer=optimizer)
        self._stepped: Any
        self._stepped, self._optimizer = self._fabric.setup(self._learner, optimizer)
        self._epoch_steps = steps_an_epoch(len(frames.training), config.batch_size)
        self._steps = self._epoch_steps * config.epochs
        self._losses: list[Loss] = []
        self._scores: Scores | None = None  # on the images held out, of the latest validation

    def go(self) -> bool:
        """Train from the current step to the end; False if ``stop_at`` ends it before."""
        state, path = self._state, self._run / CHECKPOINT
        if path.exists():
            load_checkpoint(state, path, fingerprint=self._fingerprint)
        with (
            Log(
                self._run,
                step=state.step,
                tensorboard=self._options.tensorboard,
                kept=state.logs,
            ) as log,
            Progress(
                steps=self._steps,
                done=state.step,
                images=self._config.batch_size,
                shown=self._options.shown,
            ) as progress,
        ):
            while state.step < self._steps:
                with self._memory(), self._timed(), random_of_step(self._config.seed, state.step):
                    self._step()
                progress.step(self._losses[-1].total.detach() if self._losses else None)
                if state.step % _STEPS_A_ROW == 0 or state.step == self._steps:
                    self._write_row(log)
                if state.step % self._epoch_steps == 0:
                    self._validate(log)
                stops = state.step == self._options.stop_at
                if stops or state.step % self._config.checkpoint_steps == 0:
                    state.logs = log.texts()
                    save_checkpoint(state, path, fingerprint=self._fingerprint)
                if stops:
                    return False
        return True

    def write_weights(self, sha256: str) -> None:
        """Write the learned weights, with the sha256 of their backbone."""
        save_weights(self._state.learned, self._run / WEIGHTS, {BACKBONE: sha256})

    def record(self, sha256: str) -> TrainingRecord:
        """Return the record of the run."""
        probed, state = self._learner.probed, self._state
        return TrainingRecord(
            backbone_sha256=sha256,
            layers=probed.backbone.facts.layers,
            backbone_parameters=_count(probed.backbone),
            probe_parameters=_count(probed.probe),
            images=len(self._frames.training),
            held_out=len(self._frames.held_out),
            passed_over=len(state.passed_over),
            passed_over_ids=tuple(sorted(state.passed_over)[:_LISTED]),
            steps=state.step,
            loss=_mean(state.epoch_losses),
            check=self._check(),
            cpu_seconds=state.cpu_seconds,
            device=str(self._fabric.device),
            torch_version=torch.__version__,
            version=VERSION,
            differences=differences(self._config),
        )

    def _check(self) -> ConstantCheck:
        """Compare the result with a constant, on images held out or else on some trained on."""
        frames, most = self._frames.held_out, None
        if not len(frames):
            frames, most = self._frames.training, _MOST_CHECKED
        # A run that was killed after its last step has not validated here.
        with self._memory():
            scores = self._scores or validate(self._learner, frames, self._fabric, most=most)
        images = min(len(frames), most or len(frames))
        return constant_check(scores, images=images, held_out=most is None)

    def _step(self) -> None:
        """Take one step of gradient descent, unless no image of the batch has a valid pixel."""
        state = self._state
        if state.step % self._epoch_steps == 0:
            state.epoch_losses = []
        batch = self._batch()
        if batch is not None:
            factor = rate_factor(self._config, step=state.step, epoch_steps=self._epoch_steps)
            for group in self._optimizer.param_groups:
                group["lr"] = group["initial_lr"] * factor
            self._stepped.train()
            features = None
            if self._keeping is not None:
                features = self._keeping.features(batch.image)
            loss = self._stepped(partial(Learner.loss, batch=batch, features=features))
            self._refuse_nan(loss, batch)
            self._optimizer.zero_grad()
            self._fabric.backward(loss.total)
            self._optimizer.step()
            self._losses.append(loss)
            state.epoch_losses.append(float(loss.total.detach()))
        state.step += 1

    def _batch(self) -> Batch | None:
        """Images of the step that have a valid pixel; None where none has."""
        frames, config = self._frames.training, self._config
        chosen, kept = [], []
        for source in sources_of(config, len(frames), self._state.step):
            frame = changed_frame(frames, source, config)
            frame.check(frames.ids[source.index], config.blueprint.task)
            if frame.teaches(config.blueprint.task):
                chosen.append(source)
                kept.append(frame)
            else:
                self._state.passed_over.add(frames.ids[source.index])
        if not kept:
            if len(self._state.passed_over) == len(frames):
                raise InputError(
                    f"dataset '{config.data.dataset}': none of its {len(frames)} images has a "
                    "pixel to learn from"
                )
            return None
        return collate(tuple(chosen), kept, self._fabric.device)

    def _refuse_nan(self, loss: Loss, batch: Batch) -> None:
        if not torch.isfinite(loss.total):
            ids = [self._frames.training.ids[each.index] for each in batch.sources]
            raise InputError(
                f"the loss is {float(loss.total):g} at step {self._state.step}, images "
                f"{', '.join(ids[:3])}: lower the learning rate, or look at their truth"
            )

    def _validate(self, log: Log) -> None:
        if not len(self._frames.held_out):
            return
        self._scores = scores = validate(self._learner, self._frames.held_out, self._fabric)
        step = self._state.step
        log.add(
            ValidationRow(
                step=step,
                epoch=step / self._epoch_steps,
                abs_rel=scores.abs_rel,
                delta1=scores.delta1,
                angle=scores.angle,
            )
        )

    def _write_row(self, log: Log) -> None:
        losses, self._losses = self._losses, []
        if not losses:
            return
        log.add(
            StepRow(
                step=self._state.step,
                epoch=self._state.step / self._epoch_steps,
                learning_rate=self._optimizer.param_groups[-1]["lr"],
                loss=float(torch.stack([each.total.detach() for each in losses]).mean()),
                depth_loss=float(torch.stack([each.depth for each in losses]).mean()),
                normals_loss=float(torch.stack([each.normals for each in losses]).mean()),
            )
        )

    @contextmanager
    def _memory(self) -> Iterator[None]:
        """Turn running out of memory into an error of one line."""
        try:
            yield
        except RuntimeError as error:
            if not is_out_of_memory(error):
                raise
            config = self._config
            height, width = config.blueprint.size
            raise OptionError(
                f"too little memory for a step of {config.batch_size} x {height}x{width} with the "
                f"probe '{config.blueprint.probe.kind}': take a smaller batch_size, a smaller "
                "size, or the probe 'light'"
            ) from error

    @contextmanager
    def _timed(self) -> Iterator[None]:
        start = time.process_time()
        yield
        self._state.cpu_seconds += time.process_time() - start


def _fabric(config: ProbeConfig, options: RunOptions) -> Any:
    try:
        from lightning_fabric import Fabric
    except ModuleNotFoundError as error:
        raise MissingExtraError("training a probe", "train") from error
    device = find_device(options.device)
    fabric = Fabric(
        accelerator=device.type,
        devices=1 if device.type == "cpu" else [device.index or 0],
        precision="bf16-mixed" if config.precision == "bf16" else "32-true",
    )
    fabric.launch()
    return fabric


def _groups(learner: Learner) -> list[dict[str, Any]]:
    """Parameter groups, the probe last, each part with its own learning rate."""
    config, probed = learner.config, learner.probed
    parts: list[tuple[nn.Module, float]] = [(probed.probe, config.learning_rate)]
    if learner.is_tuned:
        parts.insert(0, (probed.backbone, config.backbone_rate))
    return [
        {"params": list(part.parameters()), "lr": rate, "initial_lr": rate} for part, rate in parts
    ]


def _count(network: nn.Module) -> int:
    return sum(each.numel() for each in network.parameters())


def _mean(values: list[float]) -> float | None:
    return sum(values) / len(values) if values else None
