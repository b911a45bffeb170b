"""Training of a probe as a task of the engine: batches, learning rates and validation."""

import math
from collections.abc import Generator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from rilievo.errors import InputError
from rilievo.errors.messages import OptionName, Text, count_text
from rilievo.training.adapters.run_models import WEIGHTS
from rilievo.training.adapters.trained import BACKBONE_SHA256_KEY
from rilievo.training.engine.checkpoint import RunState, Stateful, save_tensors
from rilievo.training.engine.progress import Progress
from rilievo.training.engine.run_folder import VALIDATION_LOG, Journal
from rilievo.training.engine.task import TrainingTask, advise_smaller_step, fused_option
from rilievo.training.networks.backbones import Backbone
from rilievo.training.networks.backbones.own_backbone import count_parameters
from rilievo.training.networks.probe_network import (
    BackboneWithProbe,
    probe_from_blueprint,
    stored_weights,
)
from rilievo.training.probe.feature_cache import FeatureCache
from rilievo.training.probe.probe_batches import StepFrames, collate
from rilievo.training.probe.probe_config import ProbeConfig, Schedule
from rilievo.training.probe.probe_frames import ProbeFrame, TrainingFrames
from rilievo.training.probe.probe_learner import ProbeLearner
from rilievo.training.probe.probe_presets import preset_differences
from rilievo.training.probe.probe_record import ConstantComparison, ProbeRecord
from rilievo.training.probe.probe_scores import Scores, score_frames
from rilievo.version import VERSION

_MAX_LISTED_IDS = 20
"""Most ids of skipped images in the record."""
_MAX_CHECKED_IMAGES = 16
"""Most training images that are compared with a constant, if none are held out."""


@dataclass(slots=True, kw_only=True)
class ProbeState(RunState):
    """Counts of a run of a probe.

    Attributes:
        skipped_ids: Ids of images without a pixel to learn from, which are skipped.
        epoch_loss: Sum of the losses in the current epoch.
        epoch_losses: Number of these losses.
    """

    skipped_ids: tuple[str, ...] = ()
    epoch_loss: float = 0.0
    epoch_losses: int = 0


class ProbeTask(TrainingTask[ProbeState, ProbeLearner]):
    """Training of a probe, for the engine's loop."""

    def __init__(
        self,
        config: ProbeConfig,
        run: Path,
        fabric: Any,
        frames: TrainingFrames,
        backbone: Backbone,
        cache: FeatureCache | None,
        *,
        backbone_sha256: str,
    ) -> None:
        """Prepare a run in the folder ``run``; the hash is that of the backbone's weights."""
        self._fabric = fabric
        self._run = run
        self._dataset = config.data.dataset
        self._target = config.blueprint.task
        self._training = frames.training
        self._held_out = frames.held_out
        self._step_frames = StepFrames(
            frames=frames.training,
            batch_size=config.batch_size,
            seed=config.seed,
            shuffle=config.shuffle,
            augmentation=config.augmentation,
        )
        self._backbone_sha256 = backbone_sha256
        self._differences = preset_differences(config)
        probe = probe_from_blueprint(config.blueprint, backbone, seed=config.seed)
        self.learner = ProbeLearner(
            BackboneWithProbe(config.blueprint, backbone, probe),
            config.losses,
            trains_backbone=config.backbone_rate > 0,
            cache=cache,
        )
        self.optimizer = _make_optimizer(config, self.learner, fabric.device)
        self.state = ProbeState()
        self.images_per_step = config.batch_size
        self.seed = config.seed
        self.checkpoint_steps = config.checkpoint_steps
        self._steps_per_epoch = self._step_frames.steps_per_epoch
        self._rates = RateSchedule.from_config(config, epoch_steps=self._steps_per_epoch)
        self.steps = self._rates.steps
        self.memory_advice = _memory_advice(config)
        self._scores: Scores | None = None  # on the images held out, of the latest validation

    @property
    def parts(self) -> dict[str, Stateful]:
        """Trained weights and the optimizer, for checkpoints."""
        return {"learned": self.learner.trained_part, "optimizer": self.optimizer}

    def batches(self) -> Generator[dict[str, Tensor] | None, None, None]:
        """Yield batches of images with a pixel to learn from; None for a batch without any.

        Before each batch, the advice for a loss that is not finite names its images.
        """
        num_images = len(self._training)
        step = self.state.step
        while True:
            usable = self._usable_frames(step)
            step += 1
            if not usable and len(self.state.skipped_ids) == num_images:
                raise InputError(
                    f"dataset '{self._dataset}': none of its images has a valid "
                    "pixel to learn from: check its ground truth, or raise the largest depth"
                )
            first_ids = ", ".join(image_id for image_id, _ in usable[:3])
            self.nonfinite_advice = (
                "lower the learning rate, or check the ground truth of this step's images, such as "
                f"{first_ids}"
            )
            frames = [frame for _, frame in usable]
            yield collate(frames, self._fabric.device) if frames else None

    def _usable_frames(self, step: int) -> list[tuple[str, ProbeFrame]]:
        """Ids and images of a step that have a pixel to learn from; the ids of others are noted."""
        usable: list[tuple[str, ProbeFrame]] = []
        for image_id, frame in self._step_frames.read(step):
            frame.check_targets(image_id, self._target)
            if frame.has_targets_for(self._target):
                usable.append((image_id, frame))
            elif image_id not in self.state.skipped_ids:
                self.state.skipped_ids += (image_id,)
        return usable

    def learning_rate_factor(self) -> float:
        """Learning rate of the current step, as a factor of the peak learning rate."""
        return self._rates.factor(self.state.step)

    def log_columns(self) -> dict[str, float]:
        """Passes through the images, as ``epoch``."""
        return {"epoch": self.state.step / self._steps_per_epoch}

    def after_step(self, loss: Tensor | None) -> None:
        """Add the loss to those of the epoch."""
        state = self.state
        is_first_of_epoch = (state.step - 1) % self._steps_per_epoch == 0
        if is_first_of_epoch:
            state.epoch_loss = 0.0
            state.epoch_losses = 0
        if loss is not None:
            state.epoch_loss += float(loss)
            state.epoch_losses += 1

    def is_validation_due(self) -> bool:
        """Whether an epoch ends, and images are held out."""
        return self.state.step % self._steps_per_epoch == 0 and len(self._held_out) > 0

    def validate(self, log: Journal, progress: Progress) -> None:
        """Score the held-out images."""
        scores = score_frames(self.learner.probed, self._held_out, self._fabric)
        self._scores = scores
        row = {"abs_rel": scores.abs_rel, "delta1": scores.delta1, "angle": scores.angle}
        log.add(VALIDATION_LOG, {"step": self.state.step, **self.log_columns(), **row})

    def after_checkpoint(self) -> None:
        """Write the trained weights."""
        tensors = stored_weights(self.learner.trained_part)
        save_tensors(tensors, self._run / WEIGHTS, {BACKBONE_SHA256_KEY: self._backbone_sha256})

    def record(self) -> ProbeRecord:
        """Make the record of the run."""
        probed = self.learner.probed
        state = self.state
        return ProbeRecord(
            backbone_sha256=self._backbone_sha256,
            layers=probed.backbone.properties.layers,
            backbone_parameters=count_parameters(probed.backbone),
            probe_parameters=count_parameters(probed.probe),
            images=len(self._training),
            held_out=len(self._held_out),
            skipped=len(state.skipped_ids),
            skipped_ids=tuple(sorted(state.skipped_ids)[:_MAX_LISTED_IDS]),
            steps=state.step,
            loss=state.epoch_loss / state.epoch_losses if state.epoch_losses else None,
            constant_comparison=self._compare_with_constant(),
            cpu_seconds=state.cpu_seconds,
            device=str(self._fabric.device),
            torch_version=torch.__version__,
            version=VERSION,
            differences=self._differences,
        )

    def _compare_with_constant(self) -> ConstantComparison:
        """Compare the errors of the run with those of a constant, on held-out images if any."""
        is_held_out = len(self._held_out) > 0
        frames = self._held_out if is_held_out else self._training
        num_images = len(frames) if is_held_out else min(len(frames), _MAX_CHECKED_IMAGES)
        scores = self._scores
        if scores is None:
            # Nothing is held out, or the run was resumed after its last validation.
            scores = score_frames(self.learner.probed, frames, self._fabric, count=num_images)
        return ConstantComparison(
            images=num_images,
            held_out=is_held_out,
            abs_rel=_none_if_nan(scores.scaled_abs_rel),
            constant_abs_rel=_none_if_nan(scores.constant_abs_rel),
            angle=_none_if_nan(scores.angle),
            constant_angle=_none_if_nan(scores.constant_angle),
        )


def _make_optimizer(
    config: ProbeConfig, learner: ProbeLearner, device: torch.device
) -> torch.optim.Optimizer:
    """Make the optimizer of the probe and, if it is trained too, of the backbone."""
    probe_group = {
        "params": list(learner.probed.probe.parameters()),
        "lr": config.learning_rate,
    }
    groups: list[dict[str, Any]] = [probe_group]
    if learner.trains_backbone:
        # First, because the log has the learning rate of the last group.
        backbone_weights = list(learner.probed.backbone.parameters())
        groups = [{"params": backbone_weights, "lr": config.backbone_rate}, probe_group]
    return torch.optim.AdamW(groups, weight_decay=config.weight_decay, fused=fused_option(device))


def _memory_advice(config: ProbeConfig) -> Text:
    """Say what a step is, and how it would need less memory."""
    height, width = config.blueprint.size
    step = (
        f"a step with {count_text(config.batch_size, 'image')} of {width}x{height} pixels and "
        f"the probe '{config.blueprint.probe.kind}'"
    )
    return advise_smaller_step(step, OptionName("probe", "light"))


def _none_if_nan(value: float) -> float | None:
    return None if math.isnan(value) else value


@dataclass(frozen=True, slots=True, kw_only=True)
class RateSchedule:
    """Learning rates of the steps of a run, as factors of the peak learning rate.

    After a linear warm-up from ``start_factor``, the rate falls to ``final_factor`` along half a
    cosine, or a quarter of one as in Probe3D.
    """

    decay: Schedule
    steps: int
    warm_up_steps: float
    start_factor: float
    final_factor: float

    @classmethod
    def from_config(cls, config: ProbeConfig, *, epoch_steps: int) -> "RateSchedule":
        """Schedule of a run whose epochs have so many steps."""
        return cls(
            decay=config.schedule,
            steps=config.epochs * epoch_steps,
            warm_up_steps=config.warm_up * epoch_steps,
            start_factor=config.start_factor,
            final_factor=config.final_factor,
        )

    def factor(self, step: int) -> float:
        """Factor of the learning rate of a step, counted from 0."""
        if step < self.warm_up_steps:
            return self.start_factor + (1 - self.start_factor) * step / self.warm_up_steps
        if self.decay is Schedule.CONSTANT:
            return 1.0
        decay_steps = max(self.steps - self.warm_up_steps, 1.0)
        progress = min(1.0, (step - self.warm_up_steps) / decay_steps)
        if self.decay is Schedule.QUARTER_COSINE:
            cosine = math.cos(0.5 * math.pi * progress)
        else:  # Schedule.COSINE
            cosine = 0.5 * (1 + math.cos(math.pi * progress))
        return self.final_factor + (1 - self.final_factor) * cosine
