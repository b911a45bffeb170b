"""Training at a constant rate on shards that are still being rendered, as a task of the engine."""

import copy
import math
from abc import ABC, abstractmethod
from collections.abc import Callable, Generator, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Generic, TypeVar

import torch
from torch import Tensor, nn

from lab.making.distil.distil_task import update_average
from lab.making.distil.frames.frame_batches import Batch, batches_ahead, make_batch
from lab.making.distil.frames.shard_pool import ShardPool
from lab.making.lasting_recipe import LastingConfig
from lab.making.recipe_frames import RecipeFrames
from rilievo.io.files.atomic import replacing
from rilievo.training.engine.checkpoint import RunState, Stateful
from rilievo.training.engine.progress import Progress
from rilievo.training.engine.run_folder import Journal
from rilievo.training.engine.task import TrainingTask

Network = TypeVar("Network", bound=nn.Module)

AVERAGE = "average.pt"
"""File of the averaged weights, written with every checkpoint."""
_LEAST_RATE = 0.02
_MEASURED = 20
"""Batches from which statistics are measured."""
_BLIND = 0.25
"""Share of images that show no scene in the batches of what is learned last."""


class Learner(nn.Module, ABC, Generic[Network]):
    """A network with an ``encoder``, and its losses.

    Attributes:
        network: Network that is averaged and saved.
    """

    network: Network

    @abstractmethod
    def begin(self, step: int) -> None:
        """Set what depends on the number of steps."""

    def end(self, network: Network, make: Callable[[int], Batch]) -> None:
        """Teach the averaged weights what is learned last, if anything is.

        Args:
            network: Network with the averaged weights.
            make: Function that makes the batch of a number; a quarter of its images show no scene.
        """


@dataclass(slots=True, kw_only=True)
class LastingState(RunState):
    """Counts of a run.

    ``scans`` are the shards that were added before the batch of a step, by its number: a run that
    is resumed adds the same ones there, whatever has been rendered since.
    """

    scans: Mapping[str, tuple[str, ...]] = field(default_factory=dict)


class LastingTask(TrainingTask[LastingState, Learner[Any]]):
    """Training on rendered frames, measured photographs and lessons."""

    def __init__(
        self,
        config: LastingConfig,
        learner: Learner[Any],
        frames: RecipeFrames,
        run: Path,
        fabric: Any,
    ) -> None:
        self._config, self._frames, self._run, self._fabric = config, frames, run, fabric
        network = learner.network
        network.to(memory_format=torch.channels_last)  # pyright: ignore[reportCallIssue]
        self.learner, self._network = learner, network
        self.average = copy.deepcopy(network).eval().to(fabric.device)
        encoder = list(network.get_submodule("encoder").parameters())
        of_encoder = {id(each) for each in encoder}
        decoder = [each for each in network.parameters() if id(each) not in of_encoder]
        rate = config.learning_rate
        groups = [
            {"params": encoder, "lr": rate * config.encoder_factor},
            {"params": decoder, "lr": rate},
        ]
        self.optimizer = torch.optim.AdamW(groups, lr=rate, weight_decay=config.weight_decay)
        self.state = LastingState()
        self.images_per_step, self.seed = config.batch_size, config.seed
        self.clip_norm, self.steps = config.gradient_norm, config.steps
        self.memory_advice = f"a step of {config.batch_size} images: take a smaller batch"

    @property
    def parts(self) -> Mapping[str, Stateful]:
        """Weights, their average and the optimizer."""
        return {"network": self._network, "average": self.average, "optimizer": self.optimizer}

    def batches(self) -> Generator[Batch, None, None]:
        """Yield batches, prefetched by a thread, with the shards of the steps before."""
        for step in sorted(map(int, self.state.scans)):
            if step < self.state.step:
                self._frames.rendered.add(self.state.scans[str(step)])
        with batches_ahead(self._make, first=self.state.step) as batches:
            for batch in batches:
                yield batch.to(self._fabric.device)

    def _make(self, step: int) -> Batch:
        pool, scans = self._frames.rendered, self.state.scans
        if step % self._config.scan_steps == 0:
            if str(step) not in scans:
                scans = {**scans, str(step): tuple(pool.missing())}
                self.state.scans = scans
            pool.add(scans[str(step)])
        mix = self._frames.mix(self._config.stage, size=self._config.batch_size)
        return make_batch(mix, seed=self._config.seed, number=step)

    def learning_rate_factor(self) -> float:
        """Linear warm-up over the first steps, then constant, until it falls at the end."""
        config, step = self._config, self.state.step
        factor = min(1.0, (step + 1) / config.warm_up_steps)
        if config.falls and (left := config.steps - step) < config.falls:
            cosine = 0.5 * (1 - math.cos(math.pi * left / config.falls))
            factor *= _LEAST_RATE + (1 - _LEAST_RATE) * cosine
        return factor

    def group_rate_factor(self, group: int) -> float:
        """Share of its rate that the encoder has, which rises after the steps without it."""
        after = self._config.encoder_after
        risen = (self.state.step - after) / max(after, 1)
        return min(1.0, max(0.0, risen)) if group == 0 else 1.0

    def log_columns(self) -> dict[str, float]:
        """Images seen, number of frames, and images per second of CPU time."""
        images = self.state.step * self.images_per_step
        return {
            "images": images,
            "frames": len(self._frames),
            "images_per_cpu_second": images / max(self.state.cpu_seconds, 1e-9),
        }

    def begin(self, log: Journal, progress: Progress) -> bool:
        """Set what the network learns at the first step."""
        self.learner.begin(self.state.step)
        return False

    def after_step(self, loss: Tensor | None) -> None:
        """Move the average of the weights."""
        step = self.state.step
        update_average(
            self.average, self._network, min(self._config.average_decay, (1 + step) / (10 + step))
        )
        self.learner.begin(step)

    def end(self, log: Journal, progress: Progress) -> bool:
        """Measure the statistics of the averaged weights, and learn what comes last."""
        config, average = self._config, self.average
        moving = [name for name, each in self._network.named_modules()
                  if isinstance(each, nn.BatchNorm2d) and each.training]  # fmt: skip
        # Batches ahead may have taken in shards that came later.
        pool, steps = self._frames.rendered, sorted(map(int, self.state.scans))
        names = [name for step in steps if step < self.state.step
                 for name in self.state.scans[str(step)]]  # fmt: skip
        then = ShardPool(pool.folder, outdoors=pool.outdoors, names=names, holds_out=False)
        mix = replace(self._frames, rendered=then).mix(config.stage, size=config.batch_size)
        batches = (make_batch(mix, seed=config.seed + 7, number=n) for n in range(_MEASURED))
        settle([average.get_submodule(name) for name in moving], average, batches)
        if moving:
            blind, device = replace(mix, blind=_BLIND), self._fabric.device

            def make(number: int) -> Batch:
                return make_batch(blind, seed=config.seed + 9, number=number).to(device)

            self.learner.end(average, make)
        return bool(moving)

    def after_checkpoint(self) -> None:
        """Write the averaged weights beside the checkpoint, for those who measure them."""
        with replacing(self._run / AVERAGE) as part:
            torch.save({"step": self.state.step, "network": self.average.state_dict()}, part)


@torch.no_grad()
def settle(norms: Sequence[nn.Module], network: nn.Module, batches: Iterable[Batch]) -> None:
    """Measure the statistics of some norms anew, as means over batches.

    Averaged weights have smaller features than those that they are averaged from, so averages of
    their statistics do not fit them (P. Izmailov et al., "Averaging Weights Leads to Wider Optima
    and Better Generalization", UAI 2018).
    """
    before = {}
    for norm in norms:
        assert isinstance(norm, nn.BatchNorm2d), "a norm of maps"
        before[norm] = norm.momentum
        norm.reset_running_stats()
        norm.momentum = None
        norm.train()
    for batch in batches if norms else ():
        network(batch.image)
    for norm, momentum in before.items():
        norm.momentum = momentum
        norm.eval()
