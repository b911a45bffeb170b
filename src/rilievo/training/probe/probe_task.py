"""Training of a probe: its losses, one step, and the task of the engine."""

import math
from collections.abc import Callable, Generator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from rilievo.errors import InputError
from rilievo.extensions.trust import is_import_path
from rilievo.training.adapters.run_models import WEIGHTS
from rilievo.training.adapters.trained import BACKBONE_SHA256_KEY
from rilievo.training.engine.checkpoint import RunState, Stateful, save_tensors
from rilievo.training.engine.progress import Progress
from rilievo.training.engine.run_folder import VALIDATION_LOG, Journal
from rilievo.training.engine.task import TrainingTask, fused_option, parameter_groups
from rilievo.training.losses.supervised import (
    angular_loss,
    angular_von_mises_fisher_loss,
    berhu_loss,
    l1_loss,
    load_own_loss,
    log_gradient_loss,
    mse_loss,
    normals_mse_loss,
    scale_invariant_loss,
)
from rilievo.training.networks.backbones import Backbone
from rilievo.training.networks.backbones.own_backbone import count_parameters
from rilievo.training.networks.features import Features
from rilievo.training.networks.probe_network import (
    BackboneWithProbe,
    probe_from_blueprint,
    stored_weights,
)
from rilievo.training.probe.feature_cache import FeatureCache
from rilievo.training.probe.probe_batches import (
    collate,
    read_and_augment,
    step_image_origins,
    steps_an_epoch,
)
from rilievo.training.probe.probe_config import (
    ANGULAR,
    UNCERTAIN,
    Losses,
    ProbeConfig,
    Schedule,
)
from rilievo.training.probe.probe_frames import ProbeFrame, TrainingFrames
from rilievo.training.probe.probe_presets import differences
from rilievo.training.probe.probe_record import ConstantCheck, TrainingRecord
from rilievo.training.probe.probe_scores import Scores, has_normal, score_frames
from rilievo.training.tensors import Maps, Normals, Pictures, Scalar, to_unit_range
from rilievo.version import VERSION

_DEPTH_LOSSES: Mapping[str, Callable[..., Scalar]] = {
    "scale_invariant": scale_invariant_loss,
    "l1": l1_loss,
    "mse": mse_loss,
    "berhu": berhu_loss,
}
_NORMALS_LOSSES: Mapping[str, Callable[..., Scalar]] = {
    "angular": angular_loss,
    "mse": normals_mse_loss,
}
_MAX_LISTED_IDS = 20
"""Most ids of passed over images in the record."""
_MAX_CHECKED_IMAGES = 16
"""Most training images that are compared with a constant, if none are held out."""


def depth_objective(predicted: Maps, true: Maps, losses: Losses) -> Scalar:
    """Loss of depth over the pixels whose true depth is not 0; 0 if there are none."""
    valid = true > 0
    if not valid.any():
        return 0 * predicted.sum()
    if losses.depth != "probe":
        loss = _DEPTH_LOSSES.get(losses.depth) or load_own_loss(losses.depth)
        return loss(predicted, true, valid)
    gradient = log_gradient_loss(predicted, true, valid, form=losses.gradient_form.value)
    scale = scale_invariant_loss(predicted, true, valid)
    return losses.scale_invariant_weight * scale + losses.gradient_weight * gradient


def normals_objective(
    predicted: Normals,
    kappa: Maps | None,
    true: Normals,
    losses: Losses,
    *,
    depth: Maps,
) -> Scalar:
    """Loss of normals over the pixels that have a true normal; 0 if there are none.

    Args:
        predicted: Predicted unit normals.
        kappa: Their concentration; None if it is not predicted.
        true: True unit normals, or 0.
        losses: Which loss to take. With ``zero_normals``, pixels with true depth count instead.
        depth: True depth, or 0.
    """
    valid = has_normal(true)
    if losses.zero_normals and depth.any():
        valid = depth > 0
    if not valid.any():
        return 0 * predicted.sum()
    if losses.normals == UNCERTAIN and kappa is not None:
        return angular_von_mises_fisher_loss(predicted, kappa.float(), true, valid)
    name = ANGULAR if losses.normals == UNCERTAIN else losses.normals
    loss = _NORMALS_LOSSES.get(name) or load_own_loss(name)
    return loss(predicted, true, valid)


class Learner(nn.Module):
    """Backbone with a probe, and its losses.

    Attributes:
        probed: Backbone with the probe.
        config: Configuration of the run.
        cache: Cache of the features of a frozen backbone; None to compute them.
        is_tuned: Whether the backbone is trained too.
    """

    def __init__(
        self, probed: BackboneWithProbe, config: ProbeConfig, cache: FeatureCache | None = None
    ) -> None:
        super().__init__()
        self.probed, self.config, self.cache = probed, config, cache
        self.is_tuned = config.backbone_rate > 0
        for loss_name in (config.losses.depth, config.losses.normals):
            if is_import_path(loss_name):
                load_own_loss(loss_name)  # raises for a missing one before the first batch
        probed.backbone.requires_grad_(self.is_tuned)

    @property
    def learning_part(self) -> nn.Module:
        """Part of the network whose weights are trained."""
        return self.probed if self.is_tuned else self.probed.probe

    def train(self, mode: bool = True) -> "Learner":
        """Set the mode; a frozen backbone keeps the statistics of its norms."""
        super().train(mode)
        if not self.is_tuned:
            self.probed.backbone.eval()
        return self

    def forward(self, batch: dict[str, Tensor]) -> dict[str, Tensor]:
        """Compute ``loss``, and the losses of depth and normals without their weights."""
        depth, normals = batch["depth"], batch["normals"]
        features = self._cached_or_computed_features(batch["image"])
        prediction = self.probed.predict_from_features(features, (depth.shape[-2], depth.shape[-1]))
        depth_loss, normals_loss = depth.new_zeros(()), depth.new_zeros(())
        losses = self.config.losses
        if prediction.depth is not None:
            depth_loss = depth_objective(prediction.depth.float(), depth, losses)
        if prediction.normals is not None:
            normals_loss = normals_objective(
                prediction.normals.float(), prediction.kappa, normals, losses, depth=depth
            )
        total = depth_loss + losses.normals_weight * normals_loss
        return {"loss": total, "depth_loss": depth_loss, "normals_loss": normals_loss}

    def _cached_or_computed_features(self, image: Pictures) -> Features:
        if self.cache is not None:
            return self.cache.features(image)
        with torch.set_grad_enabled(self.is_tuned and torch.is_grad_enabled()):
            features = self.probed.backbone(to_unit_range(image))
        check_features(features, self.probed.backbone.name)
        return features


def check_features(features: Features, name: str) -> None:
    """Raise ``InputError`` if features of the backbone ``name`` are not finite."""
    for layer, feature_map in enumerate(features.maps):
        if not torch.isfinite(feature_map).all():
            raise InputError(
                f"backbone '{name}': the features of its layer number {layer} (of those taken) are "
                "NaN or infinite: take other layers, or fp32 in place of bf16"
            )


@dataclass(slots=True, kw_only=True)
class ProbeState(RunState):
    """Counts of a run of a probe.

    Attributes:
        passed_over: Ids of images without a pixel to learn from.
        epoch_loss: Sum of the losses of the current epoch.
        epoch_losses: Their number.
    """

    passed_over: tuple[str, ...] = ()
    epoch_loss: float = 0.0
    epoch_losses: int = 0


class ProbeTask(TrainingTask[ProbeState, Learner]):
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
        sha256: str,
    ) -> None:
        """Prepare a run in the folder ``run``; ``sha256`` is that of the backbone's weights."""
        self._config, self._fabric, self._frames = config, fabric, frames
        self._run, self._sha256 = run, sha256
        probe = probe_from_blueprint(config.blueprint, backbone, seed=config.seed)
        self.learner = Learner(BackboneWithProbe(config.blueprint, backbone, probe), config, cache)
        modules: list[tuple[nn.Module, float]] = [(probe, config.learning_rate)]
        if self.learner.is_tuned:
            # First, because the log has the learning rate of the last group.
            modules.insert(0, (backbone, config.backbone_rate))
        self.optimizer = torch.optim.AdamW(
            parameter_groups(*modules),
            weight_decay=config.weight_decay,
            fused=fused_option(fabric.device),
        )
        self.state = ProbeState()
        self.images, self.seed = config.batch_size, config.seed
        self.checkpoint_steps = config.checkpoint_steps
        self._epoch_steps = steps_an_epoch(len(frames.training), config.batch_size)
        self.steps = self._epoch_steps * config.epochs
        height, width = config.blueprint.size
        self.less_memory = (
            f"a step of {config.batch_size} x {height}x{width} with the probe "
            f"'{config.blueprint.probe.kind}': take a smaller batch_size, a smaller size, or the "
            "probe 'light'"
        )
        self._scores: Scores | None = None  # on the images held out, of the latest validation

    @property
    def parts(self) -> dict[str, Stateful]:
        """Trained weights and the optimizer, for checkpoints."""
        return {"learned": self.learner.learning_part, "optimizer": self.optimizer}

    def batches(self) -> Generator[dict[str, Tensor] | None, None, None]:
        """Yield batches of images with a pixel to learn from; None for a batch without any.

        Raises:
            InputError: If no image of the dataset has such a pixel, or one lacks its target.
        """
        step = self.state.step
        while True:
            usable = self._usable_frames(step)
            step += 1
            if not usable and len(self.state.passed_over) == len(self._frames.training):
                raise InputError(
                    f"dataset '{self._config.data.dataset}': none of its "
                    f"{len(self._frames.training)} images has a pixel to learn from"
                )
            first_ids = ", ".join(id for id, _ in usable[:3])
            self.advice = f"lower the learning rate, or look at the truth of the images {first_ids}"
            frames = [frame for _, frame in usable]
            yield collate(frames, self._fabric.device) if frames else None

    def _usable_frames(self, step: int) -> list[tuple[str, ProbeFrame]]:
        """Ids and images of a step that have a pixel to learn from; others are passed over."""
        frames, target = self._frames.training, self._config.blueprint.task
        usable: list[tuple[str, ProbeFrame]] = []
        for source in step_image_origins(self._config, len(frames), step):
            id = frames.ids[source.index]
            frame = read_and_augment(frames, source, self._config)
            frame.check(id, target)
            if frame.teaches(target):
                usable.append((id, frame))
            elif id not in self.state.passed_over:
                self.state.passed_over += (id,)
        return usable

    def rate_share(self) -> float:
        """Learning rate of the current step, as a factor of the peak learning rate."""
        return rate_factor(self._config, step=self.state.step, epoch_steps=self._epoch_steps)

    def log_columns(self) -> dict[str, float]:
        """Passes through the images, as ``epoch``."""
        return {"epoch": self.state.step / self._epoch_steps}

    def after_step(self, loss: Tensor | None) -> None:
        """Add the loss to those of the epoch."""
        state = self.state
        if (state.step - 1) % self._epoch_steps == 0:
            state.epoch_loss, state.epoch_losses = 0.0, 0
        if loss is not None:
            state.epoch_loss += float(loss)
            state.epoch_losses += 1

    def is_validation_due(self) -> bool:
        """Whether an epoch ends, and images are held out."""
        return self.state.step % self._epoch_steps == 0 and len(self._frames.held_out) > 0

    def validate(self, log: Journal, progress: Progress) -> None:
        """Score the held-out images."""
        self._scores = scores = score_frames(
            self.learner.probed, self._frames.held_out, self._fabric
        )
        named = {"abs_rel": scores.abs_rel, "delta1": scores.delta1, "angle": scores.angle}
        log.add(VALIDATION_LOG, {"step": self.state.step, **self.log_columns(), **named})

    def after_checkpoint(self) -> None:
        """Write the trained weights."""
        tensors = stored_weights(self.learner.learning_part)
        save_tensors(tensors, self._run / WEIGHTS, {BACKBONE_SHA256_KEY: self._sha256})

    def record(self) -> TrainingRecord:
        """Make the record of the run."""
        probed, state = self.learner.probed, self.state
        return TrainingRecord(
            backbone_sha256=self._sha256,
            layers=probed.backbone.facts.layers,
            backbone_parameters=count_parameters(probed.backbone),
            probe_parameters=count_parameters(probed.probe),
            images=len(self._frames.training),
            held_out=len(self._frames.held_out),
            passed_over=len(state.passed_over),
            passed_over_ids=tuple(sorted(state.passed_over)[:_MAX_LISTED_IDS]),
            steps=state.step,
            loss=state.epoch_loss / state.epoch_losses if state.epoch_losses else None,
            check=self._compare_with_constant(),
            cpu_seconds=state.cpu_seconds,
            device=str(self._fabric.device),
            torch_version=torch.__version__,
            version=VERSION,
            differences=differences(self._config),
        )

    def _compare_with_constant(self) -> ConstantCheck:
        """Compare the errors of the run with those of a constant, on held-out images if any."""
        is_held_out = len(self._frames.held_out) > 0
        frames = self._frames.held_out if is_held_out else self._frames.training
        count = len(frames) if is_held_out else min(len(frames), _MAX_CHECKED_IMAGES)
        # A run that was resumed after its last step has not validated here.
        scores = self._scores or score_frames(
            self.learner.probed, frames, self._fabric, count=count
        )
        return ConstantCheck(
            images=count,
            held_out=is_held_out,
            abs_rel=_none_if_nan(scores.scaled_abs_rel),
            constant_abs_rel=_none_if_nan(scores.constant_abs_rel),
            angle=_none_if_nan(scores.angle),
            constant_angle=_none_if_nan(scores.constant_angle),
        )


def _none_if_nan(value: float) -> float | None:
    return None if math.isnan(value) else value


def rate_factor(config: ProbeConfig, *, step: int, epoch_steps: int) -> float:
    """Learning rate of a step, as a factor of the peak learning rate.

    After a linear warm-up, the rate falls along half a cosine, or a quarter of one as in Probe3D.

    Args:
        config: Configuration of the run.
        step: Number of the step, from 0.
        epoch_steps: Steps of an epoch.
    """
    warm_up_steps, all_steps = config.warm_up * epoch_steps, config.epochs * epoch_steps
    if step < warm_up_steps:
        return config.start_factor + (1 - config.start_factor) * step / warm_up_steps
    if config.schedule is Schedule.CONSTANT:
        return 1.0
    progress = min(1.0, (step - warm_up_steps) / max(all_steps - warm_up_steps, 1.0))
    if config.schedule is Schedule.QUARTER_COSINE:
        cosine = math.cos(0.5 * math.pi * progress)
    else:
        cosine = 0.5 * (1 + math.cos(math.pi * progress))
    return config.final_factor + (1 - config.final_factor) * cosine
