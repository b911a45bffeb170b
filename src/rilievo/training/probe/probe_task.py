"""Training of a probe as a task of the engine."""

import math
from collections.abc import Callable, Generator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from rilievo.arrays.shapes import Float
from rilievo.errors import InputError
from rilievo.extensions.trust import is_import_path
from rilievo.training.adapters.run_models import WEIGHTS
from rilievo.training.adapters.trained import BACKBONE
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
from rilievo.training.probe.probe_config import UNCERTAIN, Losses, ProbeConfig, Schedule
from rilievo.training.probe.probe_frames import TargetFrames, TrainingFrames
from rilievo.training.probe.probe_presets import differences
from rilievo.training.probe.probe_record import ConstantCheck, TrainingRecord
from rilievo.training.tensors import Maps, Normals, Pictures, Scalar, as_input
from rilievo.version import VERSION

_DEPTH: Mapping[str, Callable[..., Scalar]] = {
    "scale_invariant": scale_invariant_loss,
    "l1": l1_loss,
    "mse": mse_loss,
    "berhu": berhu_loss,
}
_NORMALS: Mapping[str, Callable[..., Scalar]] = {"angular": angular_loss, "mse": normals_mse_loss}
_LEAST_LENGTH = 0.5  # squared: unit normals are kept in half precision, zero is no normal


def depth_objective(predicted: Maps, true: Maps, losses: Losses) -> Scalar:
    """Depth loss where truth is not 0; zero where there is none."""
    valid = true > 0
    if not valid.any():
        return 0 * predicted.sum()
    if losses.depth != "probe":
        loss = _DEPTH.get(losses.depth) or load_own_loss(losses.depth)
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
    """Normals loss where truth is not zero, or, with ``zero_normals``, where depth is."""
    valid = true.square().sum(dim=1) > _LEAST_LENGTH
    if losses.zero_normals and depth.any():
        valid = depth > 0
    if not valid.any():
        return 0 * predicted.sum()
    if losses.normals == UNCERTAIN and kappa is not None:
        return angular_von_mises_fisher_loss(predicted, kappa.float(), true, valid)
    name = "angular" if losses.normals == UNCERTAIN else losses.normals
    return (_NORMALS.get(name) or load_own_loss(name))(predicted, true, valid)


class Learner(nn.Module):
    """Network with a probe, and its losses."""

    def __init__(
        self, probed: BackboneWithProbe, config: ProbeConfig, cache: FeatureCache | None = None
    ) -> None:
        super().__init__()
        self.probed, self.config, self.cache = probed, config, cache
        self.is_tuned = config.backbone_rate > 0
        for loss_name in (config.losses.depth, config.losses.normals):
            if is_import_path(loss_name):
                load_own_loss(loss_name)  # refused before the first batch, not at it
        probed.backbone.requires_grad_(self.is_tuned)

    @property
    def learning_part(self) -> nn.Module:
        """Part whose weights change."""
        return self.probed if self.is_tuned else self.probed.probe

    def train(self, mode: bool = True) -> "Learner":
        """Set the mode; a frozen backbone keeps batch statistics."""
        super().train(mode)
        if not self.is_tuned:
            self.probed.backbone.eval()
        return self

    def forward(self, batch: dict[str, Tensor]) -> dict[str, Tensor]:
        """Compute ``loss`` and its unweighted parts."""
        depth, normals = batch["depth"], batch["normals"]
        answer = self.probed.predict_from_features(
            self._cached_or_computed_features(batch["image"]), (depth.shape[-2], depth.shape[-1])
        )
        depth_loss = normals_loss = depth.new_zeros(())
        losses = self.config.losses
        if answer.depth is not None:
            depth_loss = depth_objective(answer.depth.float(), depth, losses)
        if answer.normals is not None:
            normals_loss = normals_objective(
                answer.normals.float(), answer.kappa, normals, losses, depth=depth
            )
        total = depth_loss + losses.normals_weight * normals_loss
        return {"loss": total, "depth_loss": depth_loss, "normals_loss": normals_loss}

    def _cached_or_computed_features(self, image: Pictures) -> Features:
        if self.cache is not None:
            return self.cache.features(image)
        with torch.set_grad_enabled(self.is_tuned and torch.is_grad_enabled()):
            features = self.probed.backbone(as_input(image))
        check_features(features, self.probed.backbone.name)
        return features


def check_features(features: Features, name: str) -> None:
    """Refuse features that are not finite."""
    for layer, feature_map in enumerate(features.maps):
        if not torch.isfinite(feature_map).all():
            raise InputError(
                f"backbone '{name}': the features of its layer number {layer} (of those taken) are "
                "NaN or infinite: take other layers, or fp32 in place of bf16"
            )


_SAMPLES = 4096  # normals of an image that the constant normal is made of
_LISTED = 20
_MOST_CHECKED = 16


@dataclass(frozen=True, slots=True, kw_only=True)
class Scores:
    """Means over images at the training size; NaN for what is not predicted.

    Attributes:
        abs_rel: Mean |predicted - true| / true, depth as predicted.
        scaled_abs_rel: ``abs_rel`` after scaling by each image's median.
        constant_angle: Mean angle to their mean direction [degrees].
    """

    abs_rel: float
    delta1: float
    angle: float
    scaled_abs_rel: float
    constant_abs_rel: float
    constant_angle: float


@torch.no_grad()
def score_frames(
    learner: Learner, frames: TargetFrames, fabric: Any, *, most: int | None = None
) -> Scores:
    """Means over the first ``most`` frames."""
    learner.eval()
    depths: list[tuple[float, ...]] = []
    angles: list[float] = []
    normals: list[Tensor] = []
    for index in range(min(len(frames), most or len(frames))):
        batch = collate([frames.frame(index)], fabric.device)
        true_depth, true_normals = batch["depth"], batch["normals"]
        with fabric.autocast():
            answer = learner.probed(as_input(batch["image"]))
        valid = true_depth > 0
        if answer.depth is not None and valid.any():
            depths.append(_depth_scores(answer.depth.float()[valid], true_depth[valid]))
        has_normal = true_normals.square().sum(dim=1) > _LEAST_LENGTH
        if answer.normals is not None and has_normal.any():
            true = F.normalize(true_normals, dim=1).movedim(1, -1)[has_normal]
            angles.append(
                _mean_angle_in_degrees(answer.normals.float().movedim(1, -1)[has_normal], true)
            )
            normals.append(true[:: len(true) // _SAMPLES + 1].cpu())
    columns = list(zip(*depths, strict=True)) or [()] * 4
    abs_rel, delta1, scaled, constant = map(_mean_or_nan, columns)
    return Scores(
        abs_rel=abs_rel,
        delta1=delta1,
        angle=_mean_or_nan(angles),
        scaled_abs_rel=scaled,
        constant_abs_rel=constant,
        constant_angle=_mean_degrees_to_mean_direction(normals),
    )


def _depth_scores(predicted: Float[Tensor, " n"], true: Float[Tensor, " n"]) -> tuple[float, ...]:
    """AbsRel, delta1, AbsRel by medians, AbsRel of the median."""
    ratio, median = predicted / true, true.median()
    scaled = ratio * (median / predicted.median())
    close = torch.maximum(ratio, 1 / ratio) < 1.25
    errors = ((ratio - 1).abs(), close.float(), (scaled - 1).abs(), (median / true - 1).abs())
    return tuple(float(error.mean()) for error in errors)


def _mean_degrees_to_mean_direction(normals: Sequence[Float[Tensor, "_ 3"]]) -> float:
    if not normals:
        return float("nan")
    means = torch.stack([vectors.mean(dim=0) for vectors in normals])
    constant = F.normalize(means.mean(dim=0), dim=0)
    return _mean_or_nan([_mean_angle_in_degrees(constant, vectors) for vectors in normals])


def _mean_angle_in_degrees(predicted: Float[Tensor, "*n 3"], true: Float[Tensor, "n 3"]) -> float:
    cosine = (predicted * true).sum(dim=-1).clamp(-1, 1)
    return float(torch.rad2deg(torch.acos(cosine)).mean())


def _none_if_nan(value: float) -> float | None:
    return None if math.isnan(value) else value


def _mean_or_nan(values: Sequence[float]) -> float:
    return sum(values) / len(values) if values else float("nan")


@dataclass(slots=True, kw_only=True)
class ProbeState(RunState):
    """Counts of a run; ``passed_over`` are ids without a valid pixel."""

    passed_over: tuple[str, ...] = ()
    epoch_loss: float = 0.0
    epoch_losses: int = 0


class ProbeTask(TrainingTask[ProbeState, Learner]):
    """Training of a probe."""

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
        self._config, self._fabric, self._frames = config, fabric, frames
        self._run, self._sha256 = run, sha256
        probe = probe_from_blueprint(config.blueprint, backbone, seed=config.seed)
        self.learner = Learner(BackboneWithProbe(config.blueprint, backbone, probe), config, cache)
        groups: list[tuple[nn.Module, float]] = [(probe, config.learning_rate)]
        if self.learner.is_tuned:
            groups.insert(0, (backbone, config.backbone_rate))
        self.optimizer = torch.optim.AdamW(
            parameter_groups(*groups),
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
        """Learned weights and the optimizer."""
        return {"learned": self.learner.learning_part, "optimizer": self.optimizer}

    def batches(self) -> Generator[dict[str, Tensor] | None, None, None]:
        """Yield images with valid pixels, or None."""
        frames, config, step = self._frames.training, self._config, self.state.step
        task = config.blueprint.task
        while True:
            chosen = []
            for source in step_image_origins(config, len(frames), step):
                frame, id = read_and_augment(frames, source, config), frames.ids[source.index]
                frame.check(id, task)
                if frame.teaches(task):
                    chosen.append((id, frame))
                elif id not in self.state.passed_over:
                    self.state.passed_over += (id,)
            step += 1
            if not chosen and len(self.state.passed_over) == len(frames):
                raise InputError(
                    f"dataset '{config.data.dataset}': none of its {len(frames)} images has a "
                    "pixel to learn from"
                )
            self.advice = (
                f"lower the learning rate, or look at the truth of the images "
                f"{', '.join(id for id, _ in chosen[:3])}"
            )
            yield collate([frame for _, frame in chosen], self._fabric.device) if chosen else None

    def rate_share(self) -> float:
        """Share of the peak learning rate."""
        return rate_factor(self._config, step=self.state.step, epoch_steps=self._epoch_steps)

    def log_columns(self) -> dict[str, float]:
        """Passes through the images, as ``epoch``."""
        return {"epoch": self.state.step / self._epoch_steps}

    def after_step(self, loss: Tensor | None) -> None:
        """Add the loss to the epoch's."""
        state = self.state
        if (state.step - 1) % self._epoch_steps == 0:
            state.epoch_loss, state.epoch_losses = 0.0, 0
        if loss is not None:
            state.epoch_loss += float(loss)
            state.epoch_losses += 1

    def is_validation_due(self) -> bool:
        """Whether a validated epoch ends."""
        return self.state.step % self._epoch_steps == 0 and len(self._frames.held_out) > 0

    def validate(self, log: Journal, progress: Progress) -> None:
        """Score the images held out."""
        self._scores = scores = score_frames(self.learner, self._frames.held_out, self._fabric)
        named = {"abs_rel": scores.abs_rel, "delta1": scores.delta1, "angle": scores.angle}
        log.add(VALIDATION_LOG, {"step": self.state.step, **self.log_columns(), **named})

    def after_checkpoint(self) -> None:
        """Write the weights."""
        tensors = stored_weights(self.learner.learning_part)
        save_tensors(tensors, self._run / WEIGHTS, {BACKBONE: self._sha256})

    def record(self) -> TrainingRecord:
        """Record of the run."""
        probed, state = self.learner.probed, self.state
        return TrainingRecord(
            backbone_sha256=self._sha256,
            layers=probed.backbone.facts.layers,
            backbone_parameters=count_parameters(probed.backbone),
            probe_parameters=count_parameters(probed.probe),
            images=len(self._frames.training),
            held_out=len(self._frames.held_out),
            passed_over=len(state.passed_over),
            passed_over_ids=tuple(sorted(state.passed_over)[:_LISTED]),
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
        frames, most = self._frames.held_out, None
        if not len(frames):
            frames, most = self._frames.training, _MOST_CHECKED
        # A run that was killed after its last step has not validated here.
        scores = self._scores or score_frames(self.learner, frames, self._fabric, most=most)
        images = min(len(frames), most or len(frames))
        return ConstantCheck(
            images=images,
            held_out=most is None,
            abs_rel=_none_if_nan(scores.scaled_abs_rel),
            constant_abs_rel=_none_if_nan(scores.constant_abs_rel),
            angle=_none_if_nan(scores.angle),
            constant_angle=_none_if_nan(scores.constant_angle),
        )


def rate_factor(config: ProbeConfig, *, step: int, epoch_steps: int) -> float:
    """Share of the peak learning rate at a step.

    After a linear warm-up it falls, with r from 0 to 1, by (1 + cos πr) / 2, or Probe3D's cos(πr /
    2).
    """
    warm_up, total = config.warm_up * epoch_steps, config.epochs * epoch_steps
    if step < warm_up:
        return config.start_factor + (1 - config.start_factor) * step / warm_up
    if config.schedule is Schedule.CONSTANT:
        return 1.0
    progress = min(1.0, (step - warm_up) / max(total - warm_up, 1.0))
    if config.schedule is Schedule.QUARTER_COSINE:
        share = math.cos(0.5 * math.pi * progress)
    else:
        share = 0.5 * (1 + math.cos(math.pi * progress))
    return config.final_factor + (1 - config.final_factor) * share
