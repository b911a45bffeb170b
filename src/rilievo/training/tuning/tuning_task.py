"""Further training as a task."""

import copy
import hashlib
import math
from collections.abc import Generator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from rilievo.data.datasets import Dataset
from rilievo.errors import InputError, OptionError
from rilievo.errors.messages import OptionName, Text
from rilievo.io.json_record import to_json
from rilievo.models.base import Model
from rilievo.models.hub.diffusion_cards import DiffusionSettings
from rilievo.models.load_options import LoadOptions
from rilievo.training.adapters.marigold import DiffusionModel
from rilievo.training.adapters.torch_model import TorchModel, TorchNetwork
from rilievo.training.engine.checkpoint import RunState, Stateful
from rilievo.training.engine.loop import Devices, TrainingLoop, launch_fabric
from rilievo.training.engine.progress import Progress
from rilievo.training.engine.run_folder import VALIDATION_LOG, Journal, RunFolder
from rilievo.training.engine.task import TrainingTask, fused_option
from rilievo.training.networks.backbones.own_backbone import count_parameters
from rilievo.training.networks.latent_network import LatentNetwork
from rilievo.training.probe.probe_batches import collate, read_and_augment, step_image_origins
from rilievo.training.probe.probe_config import RunOptions
from rilievo.training.probe.probe_frames import ProbeFrame, TargetFrames, describe_first_target
from rilievo.training.tuning.judging import (
    DividedImages,
    Errors,
    Judge,
    divide_images,
    mean_error,
    nan_for_none,
)
from rilievo.training.tuning.library_folders import (
    write_library_config,
    write_run_weights,
)
from rilievo.training.tuning.low_rank import add_adapters, merge_adapters
from rilievo.training.tuning.start_answers import StartAnswers
from rilievo.training.tuning.starts import (
    NetworkLayers,
    Start,
    TunedNetwork,
    checkpoint_activations,
    network_layers,
    open_start,
)
from rilievo.training.tuning.tuning_config import BACKBONE, NONE, TuningConfig
from rilievo.training.tuning.tuning_learner import TuningBatch, TuningLearner
from rilievo.training.tuning.tuning_record import SetErrors, TuningRecord
from rilievo.training.video.gain import error_gain
from rilievo.version import VERSION

# Share of the steps over which the learning rate rises.
_WARM_UP = 0.1

# Weight decay, and largest norm of a step's gradient.
_DECAY, _CLIP = 0.01, 1.0


@dataclass(slots=True, kw_only=True)
class TuningState(RunState):
    """Counts of a run of further training; ``stale`` passes are those since ``best_step``."""

    passed_over: tuple[str, ...] = ()
    start_errors: Errors = ()
    best_errors: Errors = ()
    second_errors: Errors = ()
    best_step: int = 0
    stale: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class TuningData:
    """Images to learn from, to judge, and of a second set."""

    divided: DividedImages
    frames: TargetFrames
    kept_out: Judge
    second: Judge | None


class TuningTask(TrainingTask[TuningState, TuningLearner]):
    """Further training; ``best`` becomes the run's."""

    best: TunedNetwork

    def __init__(
        self, config: TuningConfig, run: Path, fabric: Any, data: TuningData, start: Start
    ) -> None:
        self._config, self._run, self._fabric = config, run, fabric
        self._data, self._start, kind = data, start, start.blueprint.kind
        network = start.network.to(memory_format=torch.channels_last)  # pyright: ignore[reportCallIssue]
        network = network.to(fabric.device)
        groups, tuning = _learning_groups(config, network), config.tuning
        self.optimizer = torch.optim.AdamW(
            groups, weight_decay=_DECAY, fused=fused_option(fabric.device)
        )
        # Averages are judged by ``predict``, and the best of them becomes the run's.
        self._average, self.best = (copy.deepcopy(network) for _ in range(2))
        self._models = [self._as_model(state) for state in (self._average, self.best)]
        self.learner = TuningLearner(network, config, kind)
        if tuning.checkpointing:
            checkpoint_activations(network)
        if tuning.replay_weight and isinstance(network, TorchNetwork):
            # Before a checkpoint is read: the answers are those of the start.
            self.learner.elsewhere = StartAnswers(network, kind, fabric.device, seed=config.seed)
        self.state = TuningState()
        self.images = config.batch_size * config.tuning.accumulate
        self.seed, self.clip_norm = config.seed, _CLIP
        self.accumulate = config.tuning.accumulate
        self.checkpoint_steps = config.checkpoint_steps
        self._epoch = math.ceil(len(data.frames) / config.batch_size)
        self.steps = math.ceil(config.epochs * self._epoch / self.accumulate)

    def _as_model(self, network: TunedNetwork) -> Model:
        load, card = LoadOptions(device=str(self._fabric.device)), self._start.card
        if isinstance(network, LatentNetwork):
            settings, sha256 = DiffusionSettings(), self._start.sha256
            return DiffusionModel(card, network.pipeline, load, settings, weights_sha256=sha256)
        return TorchModel(
            card,
            network,
            load,
            weights_sha256=self._start.sha256,
            needs_focal=self._start.needs_focal,
        )

    @property
    def parts(self) -> dict[str, Stateful]:
        """Weights, averages and optimizer."""
        return {
            "network": self.learner.network,
            "average": self._average,
            "best": self.best,
            "optimizer": self.optimizer,
        }

    @property
    def is_over(self) -> bool:
        """Whether steps or patience are used up."""
        return self._is_stale or self.share >= 1

    @property
    def _is_stale(self) -> bool:
        return self.state.stale >= self._config.tuning.patience

    def begin(self, log: Journal, progress: Progress) -> bool:
        """Score the start; True unless it was scored before."""
        state = self.state
        if state.start_errors:
            return False
        progress.say(f"scoring the start on {len(self._data.kept_out.ids)} images kept out")
        state.start_errors = state.best_errors = self._data.kept_out.errors(self._models[0])
        if not math.isfinite(mean_error(state.start_errors)):
            raise InputError(
                f"dataset '{self._config.data.dataset}': none of the images kept out can be "
                f"scored: they need depth"
            )
        if self._data.second is not None:
            state.second_errors = self._data.second.errors(self._models[0])
        self._log_error(log, mean_error(state.start_errors))
        return True

    def batches(self) -> Generator[TuningBatch | None, None, None]:
        """Yield images with truth, or None."""
        frames, config = self._data.frames, self._config
        number = self.state.step * self.accumulate
        while True:
            groups: dict[tuple[int, ...], list[ProbeFrame]] = {}
            for source in step_image_origins(config, len(frames), number):
                frame, id = read_and_augment(frames, source, config), frames.ids[source.index]
                if self._has_targets(frame):
                    groups.setdefault(frame.image.shape, []).append(frame)
                elif id not in self.state.passed_over:
                    self.state.passed_over += (id,)
            device = self._fabric.device
            collated = [collate(group, device) for group in groups.values()]
            yield TuningBatch(number=number, groups=collated) if groups else None
            number += 1

    def _has_targets(self, frame: ProbeFrame) -> bool:
        has_normals = "normals" in self.learner.network.outputs and frame.normals.any()
        return bool(has_normals or frame.depth.any())

    def rate_share(self) -> float:
        """Share of the peak learning rate."""
        assert self.steps is not None, "a run states its epochs"
        warm_up = min(1.0, (self.state.step + 1) / max(1, _WARM_UP * self.steps))
        return warm_up * 0.5 * (1 + math.cos(math.pi * min(self.share, 1.0)))

    def log_columns(self) -> dict[str, float]:
        """Passes through the images, as ``epoch``."""
        return {"epoch": self.state.step * self.accumulate / self._epoch}

    @torch.no_grad()
    def after_step(self, loss: Tensor | None) -> None:
        """Average the weights, faster at first."""
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

    def is_validation_due(self) -> bool:
        """Whether a pass ends here."""
        done = self.state.step * self.accumulate
        before = done - self.accumulate
        return done // self._epoch > before // self._epoch or self.share >= 1

    def validate(self, log: Journal, progress: Progress) -> None:
        """Score the average, and keep the best."""
        state, errors = self.state, self._data.kept_out.errors(self._models[0])
        error, least = mean_error(errors), mean_error(state.best_errors)
        self._log_error(log, error)
        state.stale += 1
        if error < least:
            state.best_errors, state.best_step, state.stale = errors, state.step, 0
            self.best.load_state_dict(self._average.state_dict())
        start = mean_error(state.start_errors)
        progress.say(
            f"images kept out: AbsRel {error:.4f} at step {state.step}, {start:.4f} at the "
            f"start, best at step {state.best_step}"
        )

    def _log_error(self, log: Journal, error: float) -> None:
        row: dict[str, float] = {"step": self.state.step, **self.log_columns(), "abs_rel": error}
        if self.learner.elsewhere is not None:
            assert isinstance(self._average, TorchNetwork), "answers in one step"
            row["elsewhere"] = self.learner.elsewhere.change(self._average)
        log.add(VALIDATION_LOG, row)

    def after_checkpoint(self) -> None:
        """Write the best weights."""
        best = merge_adapters(self.best) if self._config.tuning.lora else self.best
        write_run_weights(best, self._run)

    def record(self) -> TuningRecord:
        """Record of the run."""
        state, data, config = self.state, self._data, self._config
        network, elsewhere = self.learner.network, self.learner.elsewhere
        second = change = None
        if elsewhere is not None:
            assert isinstance(self.best, TorchNetwork), "answers in one step"
            change = elsewhere.change(self.best)
        if data.second is not None:
            after = data.second.errors(self._models[1])
            name = config.tuning.second.dataset
            second = self._errors_of_set(
                f"second set, {name}", data.second, state.second_errors, after
            )
        return TuningRecord(
            start_sha256=self._start.sha256,
            parameters=count_parameters(network),
            learning=sum(
                weight.numel()
                for group in self.optimizer.param_groups
                for weight in group["params"]
            ),
            images=len(data.frames),
            held_out=len(data.divided.held_out),
            gap=data.divided.gap,
            passed_over=len(state.passed_over),
            steps=state.step,
            best_step=state.best_step,
            stopped_early=self._is_stale and self.share < 1,
            kept_out=self._errors_of_set(
                "kept out", data.kept_out, state.start_errors, state.best_errors
            ),
            second=second,
            elsewhere=change,
            seconds=state.seconds,
            cpu_seconds=state.cpu_seconds,
            device=str(self._fabric.device),
            torch_version=torch.__version__,
            version=VERSION,
        )

    def _errors_of_set(self, name: str, judge: Judge, before: Errors, after: Errors) -> SetErrors:
        gain = error_gain(judge.places, nan_for_none(before), nan_for_none(after))
        return SetErrors(
            name=name,
            images=gain.frames,
            before=mean_error(before),
            after=mean_error(after),
            gain=gain,
        )


def train_further(
    config: TuningConfig,
    dataset: Dataset,
    second: Dataset | None,
    *,
    folder: RunFolder[TuningConfig, TuningRecord],
    options: RunOptions,
) -> TuningRecord | None:
    """Train on a dataset; None if stopped."""
    assert config.tuning.start is not None, "the configuration checks it"
    start = open_start(config.tuning.start, config.tuning.kind)
    config = folder.check_config(replace(config, network=start.blueprint), resume=options.resume)
    if folder.is_finished():
        return folder.read_record()
    parts = divide_images(dataset, config.data)
    data = TuningData(
        divided=parts,
        frames=_training_frames(config, dataset, parts, start),
        kept_out=Judge(dataset, parts.held_out),
        second=None if second is None else Judge(second, second.ids),
    )
    fabric = launch_fabric(Devices(device=options.device, precision=config.precision, partly=True))
    task = TuningTask(config, folder.path, fabric, data, start)
    printed = f"{start.sha256} {to_json(config)}".encode()
    engine = TrainingLoop(
        task, folder.path, fabric=fabric, fingerprint=hashlib.sha256(printed).hexdigest()
    )
    if fabric.is_global_zero:
        # Only now, so that a run that cannot begin leaves no folder behind.
        folder.write_config(config)
        lora = config.tuning.lora
        write_library_config(merge_adapters(start.network) if lora else start.network, folder.path)
    if not engine.train_to_end(
        tensorboard=options.tensorboard,
        stop_at=options.stop_at,
        shown=options.shown,
        resumes=options.resume,
    ):
        return None
    return engine.finish(folder, task.record)


def _training_frames(
    config: TuningConfig, dataset: Dataset, parts: DividedImages, start: Start
) -> TargetFrames:
    return TargetFrames(
        dataset,
        parts.training,
        config.data,
        preparation=start.network.preparation,
        largest=float("inf"),
        needs_focal=start.needs_focal,
    )


def plan_lines(config: TuningConfig, dataset: Dataset, second: Dataset | None) -> tuple[str, ...]:
    """Describe a run."""
    assert config.tuning.start is not None, "the configuration checks it"
    start, parts = (
        open_start(config.tuning.start, config.tuning.kind),
        divide_images(dataset, config.data),
    )
    network, images = start.network, len(parts.training)
    total = count_parameters(network)
    groups = _learning_groups(config, network)
    if config.tuning.checkpointing:
        checkpoint_activations(network)
    learning = sum(weight.numel() for group in groups for weight in group["params"])
    steps = math.ceil(
        config.epochs * math.ceil(images / config.batch_size) / config.tuning.accumulate
    )
    lines = [
        f"start: {config.tuning.start}, {start.blueprint.kind} depth, {total:,} weights, of which "
        f"{learning:,} learn",
        f"images: {images} to learn from, {len(parts.held_out)} kept out, {parts.gap} left out "
        "between them",
        describe_first_target(_training_frames(config, dataset, parts, start)),
        f"steps: {steps} at most, of {config.batch_size * config.tuning.accumulate} images",
    ]
    if second is not None:
        lines.append(f"second set: {config.tuning.second.dataset}, {len(second.ids)} images")
    return tuple(lines)


def _learning_groups(config: TuningConfig, network: TunedNetwork) -> list[dict[str, Any]]:
    """Parameter groups of what learns, with adapters."""
    if isinstance(network, LatentNetwork) and config.tuning.replay:
        problem = "has no effect: a pipeline answers in many steps"
        raise OptionError(option="replay", problem=problem, hint="leave it out")
    layers, rank = network_layers(network), config.tuning.lora
    if rank:
        layers = add_adapters(network, layers, rank=rank, seed=config.seed)
    return _freeze_and_group(config, layers)


def _freeze_and_group(config: TuningConfig, layers: NetworkLayers) -> list[dict[str, Any]]:
    count, freeze = len(layers.weights), config.tuning.freeze
    named = {NONE: 0, BACKBONE: layers.backbone}
    frozen_layers = named[freeze] if freeze in named else int(freeze)
    if frozen_layers >= count:
        raise OptionError(
            option="freeze",
            value=freeze,
            expected=f"none, backbone ({layers.backbone} layers) or fewer layers than all {count}",
        )
    if config.tuning.lora and not any(layers.weights[frozen_layers : layers.backbone]):
        raise OptionError(
            option="lora",
            problem=Text(
                "has no effect where ",
                OptionName("freeze", freeze),
                " freezes all layers of the backbone",
            ),
        )
    groups = []
    for place, layer in enumerate(layers.weights):
        for weight in layer:
            weight.requires_grad_(place >= frozen_layers)
        rate = config.learning_rate * config.tuning.layer_rate ** (count - 1 - place)
        if place >= frozen_layers and layer:
            groups.append({"params": list(layer), "lr": rate, "initial_lr": rate})
    return groups
