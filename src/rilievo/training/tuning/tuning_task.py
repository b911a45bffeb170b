"""Training of a model further, as a task of the engine."""

import copy
import math
from collections.abc import Generator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from rilievo.errors import InputError, OptionError
from rilievo.frozen import frozen
from rilievo.models.load_options import LoadOptions
from rilievo.training.adapters.run_models import WEIGHTS
from rilievo.training.adapters.torch_model import TorchModel, TorchNetwork
from rilievo.training.adapters.tuned import Layers, Start, layers_of
from rilievo.training.engine.checkpoint import RunState, Stateful, save_weights
from rilievo.training.engine.progress import Progress
from rilievo.training.engine.run_folder import VALIDATIONS, Journal
from rilievo.training.engine.task import TrainingTask, is_fused
from rilievo.training.networks.backbones.own_backbone import count_parameters
from rilievo.training.probe.probe_batches import changed_frame, collate, sources_of
from rilievo.training.probe.probe_frames import ProbeFrame, TargetFrames
from rilievo.training.tuning.judging import ABS_REL, ANGLE, Judge, mean_error
from rilievo.training.tuning.kept_out import DividedImages
from rilievo.training.tuning.other_places import OtherPlaces
from rilievo.training.tuning.tuning_config import BACKBONE, NONE, TuningConfig
from rilievo.training.tuning.tuning_learner import TuningBatch, TuningLearner
from rilievo.training.tuning.tuning_record import SetErrors, TuningRecord
from rilievo.training.video.gain import gain_of
from rilievo.version import VERSION

_WARM_UP = 0.1
"""Share of the steps over which the learning rate rises."""


@dataclass(slots=True, kw_only=True)
class TuningState(RunState):
    """Counts of a run that trains a model further.

    Attributes:
        passed_over: Ids of images without a pixel to learn from.
        start_errors: Errors of the start on the images kept out, one each.
        best_errors: Errors of the best weights so far, likewise.
        second_errors: Errors of the start on the second set.
        best_step: Step of the best weights.
        stale: Passes since then.
    """

    passed_over: tuple[str, ...] = ()
    start_errors: tuple[float, ...] = ()
    best_errors: tuple[float, ...] = ()
    second_errors: tuple[float, ...] = ()
    best_step: int = 0
    stale: int = 0


@frozen
class TuningData:
    """Images of a run.

    Attributes:
        frames: Images to learn from.
        kept_out: Images that judge.
        second: Images of a second set; None without one.
    """

    divided: DividedImages
    frames: TargetFrames
    kept_out: Judge
    second: Judge | None


class TuningTask(TrainingTask[TuningState, TuningLearner]):
    """Training of a model further."""

    def __init__(
        self, config: TuningConfig, run: Path, fabric: Any, data: TuningData, start: Start
    ) -> None:
        """Prepare a run."""
        self._config, self._run, self._fabric = config, run, fabric
        self._data, self._start, self._kind = data, start, start.card.kind
        network = start.network.to(memory_format=torch.channels_last)  # pyright: ignore[reportCallIssue]
        network = network.to(fabric.device)
        groups = _groups(config, layers_of(network))
        self.optimizer = torch.optim.AdamW(
            groups, weight_decay=config.weight_decay, fused=is_fused(fabric.device)
        )
        # Averages are judged by ``predict``, and the best of them becomes the run's.
        self._average, self._best = (copy.deepcopy(network) for _ in range(2))
        self._models = [self._model(each) for each in (self._average, self._best)]
        self.learner = TuningLearner(network, config, self._kind)
        if config.tuning.replay:
            # Before a checkpoint is read: the answers are those of the start.
            self.learner.elsewhere = OtherPlaces(
                network, self._kind, fabric.device, seed=config.seed
            )
        self.state = TuningState()
        self.images = config.batch_size * config.tuning.accumulate
        self.seed, self.clip_norm = config.seed, config.clip_norm
        self.accumulate = config.tuning.accumulate
        self.checkpoint_steps = config.checkpoint_steps
        self._epoch = math.ceil(len(data.frames) / config.batch_size)
        self.steps = math.ceil(config.epochs * self._epoch / self.accumulate)
        self.less_memory = (
            f"a step of {config.batch_size} images: take a smaller batch_size, and accumulate "
            "batches instead"
        )

    def _model(self, network: TorchNetwork) -> TorchModel:
        load = LoadOptions(device=str(self._fabric.device))
        return TorchModel(self._start.card, network, load, weights_sha256=self._start.sha256)

    @property
    def parts(self) -> dict[str, Stateful]:
        """Weights, their average, the best average, and the optimizer."""
        return {
            "network": self.learner.network,
            "average": self._average,
            "best": self._best,
            "optimizer": self.optimizer,
        }

    @property
    def is_over(self) -> bool:
        """Whether all steps are done, or the error has not fallen for long."""
        return self._is_stale or self.share >= 1

    @property
    def _is_stale(self) -> bool:
        return self.state.stale >= self._config.tuning.patience

    def begin(self, log: Journal, progress: Progress) -> bool:
        """Score the start of a new run."""
        state = self.state
        if state.start_errors:
            return False
        progress.say(f"scoring the start on {len(self._data.kept_out.images.ids)} images kept out")
        state.start_errors = state.best_errors = self._data.kept_out.errors(self._models[0])
        if not math.isfinite(mean_error(state.start_errors)):
            raise InputError(
                f"dataset '{self._config.data.dataset}': none of the images kept out can be "
                f"scored: they need {'normals' if self._kind is None else 'depth'}"
            )
        if self._data.second is not None:
            state.second_errors = self._data.second.errors(self._models[0])
        self._log(log, mean_error(state.start_errors))
        return True

    def batches(self) -> Generator[TuningBatch | None, None, None]:
        """Yield the images of each batch that have a pixel to learn from; None where none has."""
        frames, config = self._data.frames, self._config
        number = self.state.step * self.accumulate
        while True:
            groups: dict[tuple[int, ...], list[ProbeFrame]] = {}
            names: list[str] = []
            for source in sources_of(config, len(frames), number):
                frame, id = changed_frame(frames, source, config), frames.ids[source.index]
                if self._teaches(frame):
                    groups.setdefault(frame.image.shape, []).append(frame)
                    names.append(id)
                elif id not in self.state.passed_over:
                    self.state.passed_over += (id,)
            if not groups and len(self.state.passed_over) == len(frames):
                raise InputError(
                    f"dataset '{config.data.dataset}': none of its {len(frames)} images has a "
                    "pixel to learn from"
                )
            self.advice = (
                f"lower the learning rate, or look at the truth of the images "
                f"{', '.join(names[:3])}"
            )
            device = self._fabric.device
            collated = [collate(group, device) for group in groups.values()]
            yield TuningBatch(number=number, groups=collated) if groups else None
            number += 1

    def _teaches(self, frame: ProbeFrame) -> bool:
        has_normals = "normals" in self.learner.network.outputs and frame.normals.any()
        return bool(has_normals or (self._kind is not None and frame.depth.any()))

    def rate(self) -> float:
        """Learning rate of the current step: linear warm-up, then half a cosine to nothing."""
        assert self.steps is not None, "a run states its epochs"
        warm_up = min(1.0, (self.state.step + 1) / max(1, _WARM_UP * self.steps))
        return warm_up * 0.5 * (1 + math.cos(math.pi * min(self.share, 1.0)))

    def place(self) -> dict[str, float]:
        """Passes through the images."""
        return {"epoch": self.state.step * self.accumulate / self._epoch}

    @torch.no_grad()
    def after_step(self, loss: Tensor | None) -> bool:
        """Move the average of the weights; it follows faster while there are few."""
        decay = min(self._config.tuning.average, (1 + self.state.step) / (10 + self.state.step))
        if not self._config.tuning.average:
            decay = 0.0
        for target, source in zip(
            self._average.state_dict().values(),
            self.learner.network.state_dict().values(),
            strict=True,
        ):
            if target.is_floating_point():
                target.lerp_(source, 1 - decay)
        return False

    def is_validated(self) -> bool:
        """Whether a pass through the images ends here."""
        done = self.state.step * self.accumulate
        before = done - self.accumulate
        return done // self._epoch > before // self._epoch or self.share >= 1

    def validate(self, log: Journal, progress: Progress) -> None:
        """Score the average of the weights on the images kept out, and keep the best."""
        state, errors = self.state, self._data.kept_out.errors(self._models[0])
        error, least = mean_error(errors), mean_error(state.best_errors)
        self._log(log, error)
        state.stale += 1
        if error < least:
            state.best_errors, state.best_step, state.stale = errors, state.step, 0
            self._best.load_state_dict(self._average.state_dict())
        start = mean_error(state.start_errors)
        progress.say(
            f"images kept out: {self._error} {error:.4f} at step {state.step}, {start:.4f} at the "
            f"start, best at step {state.best_step}"
        )

    @property
    def _error(self) -> str:
        return ANGLE if self._kind is None else ABS_REL

    def _log(self, log: Journal, error: float) -> None:
        row: dict[str, float] = {"step": self.state.step, **self.place(), self._error: error}
        elsewhere = self.learner.elsewhere
        change = None if elsewhere is None else elsewhere.change(self._average)
        if change is not None:
            row["elsewhere"] = change
        log.add(VALIDATIONS, row)

    def saved(self) -> None:
        """Write the best weights after the state: a stopped run is a model."""
        save_weights(self._best, self._run / WEIGHTS)

    def record(self) -> TuningRecord:
        """Return the record of the run."""
        state, data, config = self.state, self._data, self._config
        network, elsewhere = self.learner.network, self.learner.elsewhere
        second = None
        if data.second is not None:
            after = data.second.errors(self._models[1])
            name = config.tuning.second.dataset
            second = self._compared(f"second set, {name}", data.second, state.second_errors, after)
        return TuningRecord(
            start_sha256=self._start.sha256,
            parameters=count_parameters(network),
            learning=sum(
                each.numel() for group in self.optimizer.param_groups for each in group["params"]
            ),
            images=len(data.frames),
            held_out=data.divided.held_out,
            gap=data.divided.gap,
            passed_over=len(state.passed_over),
            steps=state.step,
            best_step=state.best_step,
            stopped_early=self._is_stale and self.share < 1,
            kept_out=self._compared(
                "kept out", data.kept_out, state.start_errors, state.best_errors
            ),
            second=second,
            elsewhere=None if elsewhere is None else elsewhere.change(self._best),
            seconds=state.seconds,
            cpu_seconds=state.cpu_seconds,
            device=str(self._fabric.device),
            torch_version=torch.__version__,
            version=VERSION,
        )

    def _compared(
        self, name: str, judge: Judge, before: tuple[float, ...], after: tuple[float, ...]
    ) -> SetErrors:
        gain = gain_of(judge.images.places, before, after)
        return SetErrors(
            name=name,
            images=gain.frames,
            error=self._error,
            before=mean_error(before),
            after=mean_error(after),
            gain=gain,
        )


def _groups(config: TuningConfig, layers: Layers) -> list[dict[str, Any]]:
    """Parameter groups of the layers that learn, each with its own full rate."""
    count, freeze = len(layers.weights), config.tuning.freeze
    frozen_layers = {NONE: 0, BACKBONE: layers.backbone}.get(freeze)
    if frozen_layers is None:
        frozen_layers = int(freeze)
    if frozen_layers >= count:
        raise OptionError(
            option="freeze",
            value=freeze,
            expected=f"none, backbone ({layers.backbone} layers) or fewer layers than all {count}",
        )
    groups = []
    for place, layer in enumerate(layers.weights):
        for each in layer:
            each.requires_grad_(place >= frozen_layers)
        rate = config.learning_rate * config.tuning.layer_rate ** (count - 1 - place)
        if place >= frozen_layers and layer:
            groups.append({"params": list(layer), "lr": rate, "initial_lr": rate})
    return groups
