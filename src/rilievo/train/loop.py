"""The training loop, read from top to bottom."""

import copy
import time
from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from rilievo.errors import OutputError
from rilievo.io.atomic import replacing
from rilievo.losses.agreement import agreement_loss
from rilievo.losses.normals import cosine_loss
from rilievo.losses.taught_depth import taught_depth_loss
from rilievo.networks.small import SmallNet, double
from rilievo.train.batches import Batch, Mix, batches_ahead, make_batch
from rilievo.train.checkpoint import RunState, load_checkpoint, save_checkpoint
from rilievo.train.confidence import learn_confidence
from rilievo.train.config import Stage, TrainConfig
from rilievo.train.export import PROVENANCES, Provenance, export_small
from rilievo.train.frames import Frame
from rilievo.train.log import StepRow, ValidationRow, append_row
from rilievo.train.nyu_frames import NyuFrames
from rilievo.train.progress import Progress
from rilievo.train.shards import ShardPool
from rilievo.train.validate import validate

_STEPS_A_LINE = 25
_STEPS_A_SCAN = 25
_MEASURED = 4


@dataclass(frozen=True, slots=True, kw_only=True)
class Frames:
    """Frames that a run trains on and is validated with."""

    rendered: ShardPool
    real: NyuFrames | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Losses:
    """Losses of one step."""

    depth: Tensor
    normals: Tensor
    agreement: Tensor
    own_agreement: Tensor


def train(
    config: TrainConfig,
    network: SmallNet,
    frames: Frames,
    run: Path,
    *,
    resume: bool = False,
    provenance: Provenance = PROVENANCES["small"],
) -> SmallNet:
    """Train ``network`` and return its averaged weights.

    The folder ``run`` gets ``checkpoint.pt``, ``train.csv``, ``validation.csv`` and, after each
    validation and at the end, ``small.onnx``; its confidence is trained at the end only.

    Args:
        config: The recipe.
        network: Network with the weights to start from; trained in place.
        frames: Frames to draw from. Shards added to the folder during the run are used too.
        run: Folder to write to.
        resume: Resume from ``checkpoint.pt`` where there is one.
        provenance: Provenance to write into ``small.onnx``.

    Raises:
        OutputError: If ``run`` holds a run already and ``resume`` is off.
    """
    checkpoint = run / "checkpoint.pt"
    if checkpoint.exists() and not resume:
        raise OutputError(f"{run}: holds a run already; go on with --resume or choose another")
    run.mkdir(parents=True, exist_ok=True)
    torch.set_num_threads(config.threads)
    state = _fresh_state(config, network)
    if checkpoint.exists():
        load_checkpoint(state, checkpoint)
    clock = _Clock(config, state)
    saved = validated = state.seconds
    make = partial(_make, config, frames, clock)
    told = Progress(
        steps=config.steps,
        done=state.step,
        images=config.batch_size,
        shown=True,
        share=clock.progress(state.step),
    )
    with told, batches_ahead(make, first=state.step) as batches:
        while (progress := clock.progress(state.step)) < 1:
            losses = step(state, next(batches), config, progress)
            state.seconds = clock.seconds()
            told.step(losses.depth, share=clock.progress(state.step))
            if state.step % _STEPS_A_LINE == 0:
                append_row(run / "train.csv", _row(state, progress, losses, frames))
            if state.seconds - saved > 60 * config.checkpoint_minutes:
                save_checkpoint(state, checkpoint)
                saved = clock.seconds()
            if state.seconds - validated > 60 * config.validation_minutes:
                _review(state, frames, run, provenance)
                validated = clock.seconds()
    if state.confident_at != state.step:
        told.say(f"learning what error to expect: {config.last_steps} steps")
        save_checkpoint(state, checkpoint)
        make = partial(_make_last, config, frames)
        learn_confidence(state.average, make, steps=config.last_steps, seed=config.seed)
        _review(state, frames, run, provenance)
        state.confident_at = state.step
        save_checkpoint(state, checkpoint)
    return state.average


def step(state: RunState, batch: Batch, config: TrainConfig, progress: float) -> Losses:
    """Take one step of gradient descent and update the moving average."""
    factor = learning_rate_factor(config, step=state.step, progress=progress)
    for group in state.optimizer.param_groups:
        group["lr"] = group["initial_lr"] * factor
    state.network.train()
    with torch.autocast("cpu", dtype=torch.bfloat16):
        surface = state.network(batch.image)
    depth = taught_depth_loss(surface.log_depth, batch.log_depth, batch.valid, batch.sign)
    # The network gives normals at half the image's size.
    half = (..., slice(None, None, 2), slice(None, None, 2))
    normals = cosine_loss(surface.normals, batch.normals[half], batch.normals_valid[half]).mean()
    # Depth with an unknown shift does not show which surfaces are smooth.
    both = batch.valid & batch.normals_valid & (batch.sign == 0)[:, None, None]
    agreement = agreement_loss(
        surface.log_depth, batch.camera, batch.log_depth, batch.normals, both
    ).mean()
    # Depth follows the network's own normals, which are the more reliable of the two.
    seen = F.normalize(double(surface.normals.detach()), dim=1)
    own = agreement_loss(surface.log_depth, batch.camera, batch.log_depth, seen, both).mean()
    total = (
        depth
        + config.normals_weight * normals
        + config.agreement_weight * agreement
        + config.own_agreement_weight * own
    )
    state.optimizer.zero_grad()
    total.backward()
    nn.utils.clip_grad_norm_(state.network.parameters(), config.gradient_norm)
    state.optimizer.step()
    state.step += 1
    state.images += len(batch.image)
    update_average(state.average, state.network, _decay(config, state.step))
    return Losses(
        depth=depth.detach(),
        normals=normals.detach(),
        agreement=agreement.detach(),
        own_agreement=own.detach(),
    )


def learning_rate_factor(config: TrainConfig, *, step: int, progress: float) -> float:
    """Linear warm-up over the first steps, half a cosine over the whole run."""
    cosine = 0.5 * (1 + np.cos(np.pi * min(progress, 1.0)))
    warm_up = min(1.0, (step + 1) / config.warm_up_steps)
    return float(warm_up * (config.final_factor + (1 - config.final_factor) * cosine))


@torch.no_grad()
def update_average(average: nn.Module, network: nn.Module, decay: float) -> None:
    """Move every weight and statistic of ``average`` towards ``network`` by 1 - decay."""
    for target, source in zip(
        average.state_dict().values(), network.state_dict().values(), strict=True
    ):
        if target.is_floating_point():
            target.lerp_(source, 1 - decay)
        else:
            target.copy_(source)


def first_batches(config: TrainConfig, frames: Frames) -> Iterator[Batch]:
    """Yield a few batches of the first stage, to measure statistics on before the first step."""
    mix = _mix(config, frames, config.stages[0])
    for number in range(_MEASURED):
        yield make_batch(mix, seed=config.seed, number=number)


class _Clock:
    """Time spent in the run over all its sessions, and the share of the run that is done."""

    def __init__(self, config: TrainConfig, state: RunState) -> None:
        self._config = config
        self._start = time.monotonic() - state.seconds

    def seconds(self) -> float:
        return time.monotonic() - self._start

    def progress(self, number: int) -> float:
        if self._config.steps is not None:
            return number / self._config.steps
        assert self._config.minutes is not None, "a config has minutes or steps"
        return self.seconds() / 60 / self._config.minutes


def _fresh_state(config: TrainConfig, network: SmallNet) -> RunState:
    network.to(memory_format=torch.channels_last)  # pyright: ignore[reportCallIssue]
    encoder = list(network.encoder.parameters())
    names = {id(parameter) for parameter in encoder}
    decoder = [parameter for parameter in network.parameters() if id(parameter) not in names]
    groups = [
        {"params": encoder, "initial_lr": config.learning_rate * config.encoder_factor},
        {"params": decoder, "initial_lr": config.learning_rate},
    ]
    optimizer = torch.optim.AdamW(groups, lr=config.learning_rate, weight_decay=config.weight_decay)
    return RunState(network=network, average=copy.deepcopy(network).eval(), optimizer=optimizer)


def _make_last(config: TrainConfig, frames: Frames, number: int) -> Batch:
    mix = _mix(config, frames, config.stages[-1], blind=config.confidence_blind)
    return make_batch(mix, seed=config.seed + 1, number=number)


def _make(config: TrainConfig, frames: Frames, clock: _Clock, number: int) -> Batch:
    if number % _STEPS_A_SCAN == 0:
        frames.rendered.scan()
    mix = _mix(config, frames, config.stage(clock.progress(number)))
    return make_batch(mix, seed=config.seed, number=number)


def _mix(config: TrainConfig, frames: Frames, stage: Stage, *, blind: float = 0.0) -> Mix:
    return Mix(
        rendered=frames.rendered,
        real=frames.real,
        real_share=stage.real,
        area=stage.area,
        size=config.batch_size,
        blind=blind,
    )


def _decay(config: TrainConfig, step: int) -> float:
    """Decay of the moving average; smaller at first, while the weights still change fast."""
    return min(config.average_decay, (1 + step) / (20 + step))


def _review(state: RunState, frames: Frames, run: Path, provenance: Provenance) -> None:
    held_out: dict[str, list[Frame]] = {}
    if frames.rendered.held_out is not None:
        shard = frames.rendered.held_out
        held_out["rendered"] = [shard.frame(index) for index in range(len(shard.image))]
    if frames.real is not None:
        held_out["real"] = frames.real.held_out
    for name, kept in held_out.items():
        scores = validate(state.average, kept)
        row = ValidationRow(
            step=state.step,
            images=state.images,
            seconds=state.seconds,
            set=name,
            abs_rel=scores.abs_rel,
            delta1=scores.delta1,
            angle=scores.angle,
        )
        append_row(run / "validation.csv", row)
    with replacing(run / "small.onnx") as part:
        export_small(state.average, part, provenance)


def _row(state: RunState, progress: float, losses: Losses, frames: Frames) -> StepRow:
    return StepRow(
        step=state.step,
        images=state.images,
        seconds=state.seconds,
        progress=progress,
        learning_rate=state.optimizer.param_groups[-1]["lr"],
        frames=len(frames.rendered),
        depth_loss=float(losses.depth),
        normals_loss=float(losses.normals),
        agreement_loss=float(losses.agreement),
        own_agreement_loss=float(losses.own_agreement),
    )
