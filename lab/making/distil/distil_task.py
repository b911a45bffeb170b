"""Training of a network on frames of shards, as a task of the engine."""

import copy
import hashlib
import math
from collections.abc import Generator, Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from lab.making.distil.confidence_training import learn_confidence
from lab.making.distil.distil_config import TrainConfig
from lab.making.distil.distil_learner import DistilLearner
from lab.making.distil.frames.distil_frames import RunFrames
from lab.making.distil.frames.frame_batches import Batch, batches_ahead, make_batch
from lab.making.distil.held_out_scores import validate
from lab.making.distil.small_export import Provenance, export_small
from rilievo.errors import OutputError
from rilievo.io.files.atomic import replacing
from rilievo.training.adapters.run_models import CONFIG
from rilievo.training.engine.checkpoint import RunState, Stateful
from rilievo.training.engine.loop import TrainingLoop, launch_fabric
from rilievo.training.engine.progress import Progress
from rilievo.training.engine.run_folder import CHECKPOINT, LOGS, VALIDATION_LOG, Journal
from rilievo.training.engine.task import TrainingTask
from rilievo.training.networks.small import SmallNet

_STEPS_A_SCAN = 25
_STEPS_A_WORD = 25
_MEASURED = 4
_FILES = frozenset({CHECKPOINT, *LOGS, "tensorboard"})


@dataclass(slots=True, kw_only=True)
class DistilState(RunState):
    """Counts of a run.

    ``confident_at`` is the step after which the confidence of the averaged weights was trained; -1
    before that.
    """

    confident_at: int = -1


def train(
    config: TrainConfig,
    network: SmallNet,
    frames: RunFrames,
    run: Path,
    *,
    provenance: Provenance,
    resume: bool = False,
    device: str = "auto",
    tensorboard: bool = False,
    stop_at: int | None = None,
) -> SmallNet:
    """Train ``network`` and return its averaged weights.

    The folder ``run`` gets ``checkpoint.pt``, ``log.csv``, ``validation.csv`` and, after each
    validation and at the end, ``small.onnx``; its confidence is trained at the end only.

    Args:
        config: Configuration of the run.
        network: Network with the weights to start from; trained in place.
        frames: RunFrames to draw from. Shards added to the folder during the run are used too.
        run: Folder to write to.
        provenance: Provenance to write into ``small.onnx``.
        resume: Resume from ``checkpoint.pt`` where there is one.
        device: Device: auto, cpu, cuda or cuda:N.
        tensorboard: Whether to write events for TensorBoard beside the CSV.
        stop_at: Step to stop after, with a checkpoint, as if killed then; None for the end.

    Raises:
        OutputError: If ``run`` holds a run already and ``resume`` is off, or is not ours.
    """
    check_folder(run, resume=resume)
    torch.set_num_threads(config.threads)
    fabric = launch_fabric(device, precision=config.precision, allows_unused_weights=True)
    run.mkdir(parents=True, exist_ok=True)
    task = DistilTask(config, network, frames, run, fabric, provenance)
    shapes = {name: tuple(value.shape) for name, value in network.state_dict().items()}
    printed = repr(shapes) + (config.depth_loss or "")
    fingerprint = hashlib.sha256(printed.encode()).hexdigest()
    engine = TrainingLoop(task, run, fabric=fabric, fingerprint=fingerprint)
    engine.train_to_end(tensorboard=tensorboard, stop_at=stop_at)
    return task.average


def check_folder(run: Path, *, resume: bool) -> None:
    """Check that a folder is new, empty or that of such a run."""
    if (run / CHECKPOINT).exists() and not resume:
        raise OutputError(f"{run}: holds a run already; go on with --resume or choose another")
    found = {each.name for each in run.iterdir()} if run.is_dir() else set[str]()
    is_other = CONFIG in found or (found and found.isdisjoint(_FILES))
    if is_other or (run.exists() and not run.is_dir()):
        raise OutputError(f"{run}: is not ours: choose another folder")


class DistilTask(TrainingTask[DistilState, DistilLearner]):
    """Training of a network on frames of shards.

    ``average`` is the moving average of the weights, which is validated and exported.
    """

    def __init__(
        self,
        config: TrainConfig,
        network: SmallNet,
        frames: RunFrames,
        run: Path,
        fabric: Any,
        provenance: Provenance,
    ) -> None:
        self._config, self._frames, self._run = config, frames, run
        self._fabric, self._provenance = fabric, provenance
        network.to(memory_format=torch.channels_last)  # pyright: ignore[reportCallIssue]
        self.learner = DistilLearner(network, config)
        self._network = network
        self.average = copy.deepcopy(network).eval().to(fabric.device)
        encoder = list(network.encoder.parameters())
        names = {id(parameter) for parameter in encoder}
        decoder = [each for each in network.parameters() if id(each) not in names]
        groups = [
            {"params": encoder, "lr": config.learning_rate * config.encoder_factor},
            {"params": decoder, "lr": config.learning_rate},
        ]
        self.optimizer = torch.optim.AdamW(
            groups, lr=config.learning_rate, weight_decay=config.weight_decay
        )
        self.state = DistilState()
        self.images_per_step, self.seed = config.batch_size * fabric.world_size, config.seed
        self.clip_norm, self.steps = config.gradient_norm, config.steps
        self.memory_advice = f"a step of {config.batch_size} images: take a smaller batch"
        self._validated = 0.0

    @property
    def parts(self) -> Mapping[str, Stateful]:
        """Weights, their average and the optimizer."""
        return {"network": self._network, "average": self.average, "optimizer": self.optimizer}

    @property
    def fraction_done(self) -> float:
        """Share of the steps or of the minutes that is done."""
        return self._share(self.state.step)

    def _share(self, step: int) -> float:
        minutes = self._config.minutes
        return step / self.steps if self.steps else self.state.seconds / 60 / (minutes or 1)

    def batches(self) -> Generator[Batch, None, None]:
        """Yield batches of the stage that the run is in, prefetched by a thread."""
        with batches_ahead(self._make, first=self.state.step) as batches:
            for batch in batches:
                yield batch.to(self._fabric.device)

    def _make(self, step: int) -> Batch:
        if step % _STEPS_A_SCAN == 0:
            self._frames.scan()
        stage = self._config.stage(self._share(step))
        mix = self._frames.mix(stage, size=self._config.batch_size)
        fabric = self._fabric
        number = step * fabric.world_size + fabric.global_rank
        return make_batch(mix, seed=self._config.seed, number=number)

    def learning_rate_factor(self) -> float:
        """Linear warm-up over the first steps, half a cosine over the whole run."""
        return learning_rate_factor(self._config, step=self.state.step, progress=self.fraction_done)

    def log_columns(self) -> dict[str, float]:
        """Images seen, share of the run that is done, and number of frames."""
        images, frames = self.state.step * self.images_per_step, len(self._frames)
        return {"images": images, "progress": self.fraction_done, "frames": frames}

    def begin(self, log: Journal, progress: Progress) -> bool:
        """Count the minutes to the next validation from here."""
        self._validated = self.state.seconds
        return False

    def after_step(self, loss: Tensor | None) -> None:
        """Move the average of the weights."""
        if self._fabric.world_size > 1:
            # All processes have to agree on when a run of so many minutes ends.
            self.state.seconds = self._fabric.broadcast(self.state.seconds)
        decay = average_decay(self._config, self.state.step)
        update_average(self.average, self._network, decay)

    def is_validation_due(self) -> bool:
        """Whether the minutes between validations have passed."""
        is_due = self.state.seconds - self._validated > 60 * self._config.validation_minutes
        self._validated = self.state.seconds if is_due else self._validated
        return is_due

    def validate(self, log: Journal, progress: Progress) -> None:
        """Score the averaged weights on the frames held out, and export them."""
        if not self._fabric.is_global_zero:
            return
        state = self.state
        for name, frames in self._frames.held_out().items():
            place = {
                "images": state.step * self.images_per_step,
                "seconds": state.seconds,
                "set": name,
            }
            scores = validate(self.average, frames)._asdict()
            log.add(VALIDATION_LOG, {"step": state.step, **place, **scores})
        self._export()

    def _export(self) -> None:
        if self._fabric.is_global_zero:
            with replacing(self._run / "small.onnx") as part:
                export_small(copy.deepcopy(self.average).cpu(), part, self._provenance)

    def end(self, log: Journal, progress: Progress) -> bool:
        """Train the confidence of the averaged weights, unless it was trained before."""
        if self.state.confident_at == self.state.step:
            return False
        if steps := min(self._config.confidence_steps, self.state.step):
            # Whoever stops the run now has a network, with the confidence that it began with.
            self._export()
            self._learn_confidence(steps, progress)
        self.validate(log, progress)
        self.state.confident_at = self.state.step
        return True

    def _learn_confidence(self, steps: int, progress: Progress) -> None:
        config = self._config

        def told(done: int) -> None:
            if done % _STEPS_A_WORD == 0:
                progress.print_line(f"step {done} of {steps}")

        progress.print_line(f"learning what error to expect: {steps} steps")
        make = partial(_make_last, config, self._frames, self._fabric.device)
        learn_confidence(
            self.average,
            make,
            steps=steps,
            seed=config.seed,
            precision=config.precision,
            after=told,
        )


def learning_rate_factor(config: TrainConfig, *, step: int, progress: float) -> float:
    """Linear warm-up over the first steps, half a cosine over the whole run."""
    cosine = 0.5 * (1 + math.cos(math.pi * min(progress, 1.0)))
    warm_up = min(1.0, (step + 1) / config.warm_up_steps)
    return warm_up * (config.final_factor + (1 - config.final_factor) * cosine)


def average_decay(config: TrainConfig, step: int) -> float:
    """Decay of the moving average after a step, smaller while the weights still change fast."""
    return min(config.average_decay, (1 + step) / (20 + step))


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


def first_batches(config: TrainConfig, frames: RunFrames) -> Iterator[Batch]:
    """Yield a few batches of the first stage, to measure statistics on before the first step."""
    mix = frames.mix(config.stages[0], size=config.batch_size)
    for number in range(_MEASURED):
        yield make_batch(mix, seed=config.seed, number=number)


def _make_last(config: TrainConfig, frames: RunFrames, device: torch.device, number: int) -> Batch:
    mix = frames.mix(config.stages[-1], size=config.batch_size, blind=config.confidence_blind)
    return make_batch(mix, seed=config.seed + 1, number=number).to(device)
