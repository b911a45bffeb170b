"""Fine-tuning as a task of the engine: batches, averaged weights, and validation."""

import copy
import math
from collections.abc import Generator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from rilievo.errors import InputError
from rilievo.errors.messages import count_text
from rilievo.training.adapters.torch_model import TorchNetwork
from rilievo.training.engine.checkpoint import RunState, Stateful
from rilievo.training.engine.progress import Progress
from rilievo.training.engine.run_folder import VALIDATION_LOG, Journal
from rilievo.training.engine.task import TrainingTask, fused_option
from rilievo.training.networks.backbones.own_backbone import count_parameters
from rilievo.training.probe.probe_batches import StepFrames, collate
from rilievo.training.probe.probe_frames import ProbeFrame, TargetFrames
from rilievo.training.tuning.held_out import DividedImages
from rilievo.training.tuning.library_folders import write_run_weights
from rilievo.training.tuning.low_rank import merge_adapters
from rilievo.training.tuning.network_layers import TunedNetwork, checkpoint_activations
from rilievo.training.tuning.parameter_groups import count_learning_weights, make_parameter_groups
from rilievo.training.tuning.scored_images import Errors, ScoredImages, mean_error
from rilievo.training.tuning.start_models import StartModel
from rilievo.training.tuning.start_predictions import StartPredictions
from rilievo.training.tuning.tuning_config import TuningConfig
from rilievo.training.tuning.tuning_learner import TuningBatch, TuningLearner
from rilievo.training.tuning.tuning_record import SetErrors, TuningRecord
from rilievo.training.video.gain import error_gain
from rilievo.version import VERSION

_WARM_UP_FRACTION = 0.1
"""Fraction of the steps over which the learning rate rises."""
_WEIGHT_DECAY = 0.01
_MAX_GRADIENT_NORM = 1.0
"""Norm to which the gradient of a step is clipped."""


@dataclass(slots=True, kw_only=True)
class TuningState(RunState):
    """Counts and errors of a run of fine-tuning, which its checkpoints store.

    Attributes:
        skipped_ids: Ids of images without targets, which are skipped.
        start_errors: Errors of the start on the held-out images; empty before they are scored.
        best_errors: Least errors on the held-out images so far.
        second_errors: Errors of the start on the second dataset.
        best_step: Step of ``best_errors``; 0 is the start.
        validations_since_best: Number of validations since ``best_step``.
    """

    skipped_ids: tuple[str, ...] = ()
    start_errors: Errors = ()
    best_errors: Errors = ()
    second_errors: Errors = ()
    best_step: int = 0
    validations_since_best: int = 0


class TuningTask(TrainingTask[TuningState, TuningLearner]):
    """Further training of a model.

    The weights are averaged over the steps, and the average is validated after each pass through
    the images. ``best`` is the average with the least error, which the run keeps.
    """

    best: TunedNetwork

    def __init__(
        self,
        config: TuningConfig,
        run: Path,
        fabric: Any,
        start: StartModel,
        divided: DividedImages,
        *,
        frames: TargetFrames,
        held_out: ScoredImages,
        second: ScoredImages | None,
        replay_weight: float,
    ) -> None:
        """Prepare a run in the folder ``run``, with copies of the network for average and best.

        The network learns from ``frames``, and is scored on the images of ``held_out`` and of a
        ``second`` dataset. ``divided`` says how many images each part has. ``replay_weight`` is
        that of the loss on pictures of other places.
        """
        kind = start.blueprint.kind
        tuning = config.tuning
        self._run = run
        self._fabric = fabric
        self._divided = divided
        self._held_out = held_out
        self._second = second
        self._dataset = config.data.dataset
        self._second_dataset = tuning.second.dataset
        self._start_sha256 = start.sha256
        self._patience = tuning.patience
        self._average_decay = tuning.average
        self._has_adapters = tuning.lora > 0
        self._step_frames = StepFrames(
            frames=frames,
            batch_size=config.batch_size,
            seed=config.seed,
            shuffle=config.shuffle,
            augmentation=config.augmentation,
        )

        network = start.network.to(memory_format=torch.channels_last)  # pyright: ignore[reportCallIssue]
        network = network.to(fabric.device)
        self.optimizer = torch.optim.AdamW(
            make_parameter_groups(
                network, tuning, learning_rate=config.learning_rate, seed=config.seed
            ),
            weight_decay=_WEIGHT_DECAY,
            fused=fused_option(fabric.device),
        )
        self._average = copy.deepcopy(network)
        self.best = copy.deepcopy(network)
        self._average_model = start.model_with(self._average, fabric.device)
        self._best_model = start.model_with(self.best, fabric.device)

        if tuning.checkpointing:
            checkpoint_activations(network)
        replay = None
        if replay_weight and isinstance(network, TorchNetwork):
            # Before a checkpoint is read, because its weights would change the predictions.
            replay = StartPredictions.predict(network, kind, fabric.device, seed=config.seed)
        self.learner = TuningLearner(network, kind, replay, replay_weight=replay_weight)

        self.state = TuningState()
        self.images_per_step = config.batch_size * tuning.accumulate
        self.seed = config.seed
        self.clip_norm = _MAX_GRADIENT_NORM
        self.accumulate = tuning.accumulate
        self.checkpoint_steps = config.checkpoint_steps
        self._batches_per_epoch = self._step_frames.steps_per_epoch
        self.steps = math.ceil(config.epochs * self._batches_per_epoch / self.accumulate)

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
        """Whether all steps are done, or the error has not fallen for too many passes."""
        return self._is_out_of_patience or self.fraction_done >= 1

    @property
    def _is_out_of_patience(self) -> bool:
        return self.state.validations_since_best >= self._patience

    def begin(self, log: Journal, progress: Progress) -> bool:
        """Score the model to start from, unless a resumed run has its errors already."""
        state = self.state
        if state.start_errors:
            return False

        progress.print_line(
            f"scoring the start model on {count_text(len(self._held_out.ids), 'held-out image')}"
        )
        errors = self._held_out.errors(self._average_model)
        state.start_errors = errors
        state.best_errors = errors
        if not math.isfinite(mean_error(errors)):
            raise InputError(
                f"dataset '{self._dataset}': none of the held-out images can be "
                "scored, because they have no ground-truth depth"
            )
        if self._second is not None:
            state.second_errors = self._second.errors(self._average_model)
        self._log_error(log, mean_error(errors))
        return True

    def batches(self) -> Generator[TuningBatch | None, None, None]:
        """Yield batches of the images with targets; None for a batch without any."""
        batch_number = self.state.step * self.accumulate
        while True:
            frames_by_shape: dict[tuple[int, ...], list[ProbeFrame]] = {}
            for image_id, frame in self._step_frames.read(batch_number):
                if self._has_targets(frame):
                    frames_by_shape.setdefault(frame.image.shape, []).append(frame)
                elif image_id not in self.state.skipped_ids:
                    self.state.skipped_ids += (image_id,)

            groups = [collate(group, self._fabric.device) for group in frames_by_shape.values()]
            yield TuningBatch(number=batch_number, groups=groups) if groups else None
            batch_number += 1

    def _has_targets(self, frame: ProbeFrame) -> bool:
        learns_normals = "normals" in self.learner.network.outputs
        return bool((learns_normals and frame.normals.any()) or frame.depth.any())

    def learning_rate_factor(self) -> float:
        """Learning rate as a factor of its peak: a linear rise times half a cosine."""
        assert self.steps is not None, "a run states its epochs"
        warm_up = min(1.0, (self.state.step + 1) / max(1, _WARM_UP_FRACTION * self.steps))
        return warm_up * 0.5 * (1 + math.cos(math.pi * min(self.fraction_done, 1.0)))

    def log_columns(self) -> dict[str, float]:
        """Number of passes through the images, as ``epoch``."""
        return {"epoch": self._batches_done / self._batches_per_epoch}

    @property
    def _batches_done(self) -> int:
        return self.state.step * self.accumulate

    @torch.no_grad()
    def after_step(self, loss: Tensor | None) -> None:
        """Update the moving average of the weights."""
        # During the first steps the average follows faster, so that it soon forgets the start.
        step = self.state.step
        decay = min(self._average_decay, (1 + step) / (10 + step))
        averages = self._average.state_dict().values()
        weights = self.learner.network.state_dict().values()
        for average, weight in zip(averages, weights, strict=True):
            if average.is_floating_point():
                average.lerp_(weight, 1 - decay)

    def is_validation_due(self) -> bool:
        """Whether the last step ended a pass through the images, or the run."""
        num_passes = self._batches_done // self._batches_per_epoch
        num_passes_before = (self._batches_done - self.accumulate) // self._batches_per_epoch
        return num_passes > num_passes_before or self.fraction_done >= 1

    def validate(self, log: Journal, progress: Progress) -> None:
        """Score the average on the held-out images, and keep it if it is the best so far."""
        state = self.state
        errors = self._held_out.errors(self._average_model)
        error = mean_error(errors)
        self._log_error(log, error)

        state.validations_since_best += 1
        if error < mean_error(state.best_errors):
            state.best_errors = errors
            state.best_step = state.step
            state.validations_since_best = 0
            self.best.load_state_dict(self._average.state_dict())
        progress.print_line(
            f"held-out images: AbsRel {error:.4f} at step {state.step}, "
            f"{mean_error(state.start_errors):.4f} at the start; the best so far is that of step "
            f"{state.best_step}"
        )

    def _log_error(self, log: Journal, error: float) -> None:
        row: dict[str, float] = {"step": self.state.step, **self.log_columns(), "abs_rel": error}
        depth_change = self._depth_change_elsewhere(self._average)
        if depth_change is not None:
            row["elsewhere"] = depth_change
        log.add(VALIDATION_LOG, row)

    def _depth_change_elsewhere(self, network: TunedNetwork) -> float | None:
        """Mean change of depth on pictures of other places; None without ``--replay``."""
        if self.learner.replay is None:
            return None
        assert isinstance(network, TorchNetwork), "pipelines have no replay"
        return self.learner.replay.depth_change(network)

    def after_checkpoint(self) -> None:
        """Write the best weights, so that the run's folder is a model before it ends."""
        write_run_weights(self.without_adapters(self.best), self._run)

    def without_adapters(self, network: TunedNetwork) -> TunedNetwork:
        """Network with its adapters merged into its weights; the same one if it has none."""
        return merge_adapters(network) if self._has_adapters else network

    def record(self) -> TuningRecord:
        """Make the record of a finished run."""
        state = self.state
        return TuningRecord(
            start_sha256=self._start_sha256,
            parameters=count_parameters(self.learner.network),
            learning=count_learning_weights(self.optimizer.param_groups),
            images=len(self._divided.training),
            held_out=len(self._divided.held_out),
            gap=self._divided.gap,
            skipped=len(state.skipped_ids),
            steps=state.step,
            best_step=state.best_step,
            stopped_early=self._is_out_of_patience and self.fraction_done < 1,
            kept_out=_compare_errors(
                "held out", self._held_out, before=state.start_errors, after=state.best_errors
            ),
            second=self._compare_errors_on_second_set(),
            elsewhere=self._depth_change_elsewhere(self.best),
            seconds=state.seconds,
            cpu_seconds=state.cpu_seconds,
            device=str(self._fabric.device),
            torch_version=torch.__version__,
            version=VERSION,
        )

    def _compare_errors_on_second_set(self) -> SetErrors | None:
        images = self._second
        if images is None:
            return None
        return _compare_errors(
            f"second dataset, {self._second_dataset}",
            images,
            before=self.state.second_errors,
            after=images.errors(self._best_model),
        )


def _compare_errors(name: str, images: ScoredImages, *, before: Errors, after: Errors) -> SetErrors:
    gain = error_gain(images.places, _nan_for_none(before), _nan_for_none(after))
    return SetErrors(
        name=name,
        images=gain.frames,
        before=mean_error(before),
        after=mean_error(after),
        gain=gain,
    )


def _nan_for_none(errors: Errors) -> list[float]:
    return [float("nan") if error is None else error for error in errors]
