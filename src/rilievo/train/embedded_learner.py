"""Losses of an embedded model, training of its confidence, and its scores on held-out frames."""

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float32
from torch import Tensor, nn

from rilievo.losses.depth import log_error, spread_loss, taught_depth_loss
from rilievo.losses.marks import mark_loss
from rilievo.losses.normals import agreement_loss, cosine_loss
from rilievo.losses.supervised import own_loss
from rilievo.networks.small import SmallNet, Surface, double
from rilievo.train.augment import crop
from rilievo.train.batches import Batch, batches_ahead, collate
from rilievo.train.config import TrainConfig
from rilievo.train.frames import Frame


class EmbeddedLearner(nn.Module):
    """Network of an embedded model with its losses."""

    def __init__(self, network: SmallNet, config: TrainConfig) -> None:
        super().__init__()
        self.network, self._config = network, config
        own = config.depth_loss
        self._depth_loss = taught_depth_loss if own is None else own_loss(own)

    def train(self, mode: bool = True) -> "EmbeddedLearner":
        """Enter training mode, of the marks alone where nothing else learns."""
        super().train(mode)
        if self._config.only_marks:
            self.network.eval().requires_grad_(False)
            self.network.marks.train(mode).requires_grad_(True)
        return self

    def forward(self, batch: Batch) -> dict[str, Tensor]:
        """Compute ``loss``, and its parts before their weights."""
        surface = self.network(batch.image)
        # Networks may compute in lower precision; losses may not.
        with torch.autocast(batch.image.device.type, enabled=False):
            depth = self._depth_loss(surface.log_depth, batch.log_depth, batch.valid, batch.sign)
            # The network gives normals at half the image's size.
            half = (..., slice(None, None, 2), slice(None, None, 2))
            true, known = batch.normals[half], batch.normals_valid[half]
            normals = cosine_loss(surface.normals, true, known).mean()
            # Depth with an unknown shift does not show which surfaces are smooth.
            both = batch.valid & batch.normals_valid & (batch.sign == 0)[:, None, None]
            # Depth also follows the network's own normals, the more reliable of the two.
            seen = F.normalize(double(surface.normals.detach()), dim=1)
            agreement, own = (
                agreement_loss(surface.log_depth, batch.camera, batch.log_depth, each, both).mean()
                for each in (batch.normals, seen)
            )
            sky = mark_loss(surface.sky, batch.sky, batch.marked)
            steps = mark_loss(surface.steps, batch.steps, batch.marked)
        config = self._config
        total = (
            depth
            + config.normals_weight * normals
            + config.agreement_weight * agreement
            + config.own_agreement_weight * own
            + config.marks_weight * (sky + steps)
        )
        if config.only_marks:
            total = sky + steps
        return {
            "loss": total,
            "depth_loss": depth,
            "normals_loss": normals,
            "agreement_loss": agreement,
            "own_agreement_loss": own,
            "sky_loss": sky,
            "steps_loss": steps,
        }


_LEARNING_RATE = 2e-3


def learn_confidence(
    network: SmallNet, make: Callable[[int], Batch], *, steps: int, seed: int
) -> None:
    """Train the confidence layers of ``network`` from scratch; all others stay as they are.

    This phase comes last, when the errors are those of the network that is exported. It needs many
    images that show no scene, from which depth would learn nothing. ``make`` gives the batch of a
    number.
    """
    torch.manual_seed(seed)
    for module in network.spread.modules():
        if isinstance(module, nn.Conv2d | nn.BatchNorm2d):
            module.reset_parameters()
    network.eval().requires_grad_(False)
    network.spread.train().requires_grad_(True)
    optimizer = torch.optim.AdamW(network.spread.parameters(), lr=_LEARNING_RATE)
    with batches_ahead(make, first=0) as batches:
        for step in range(steps):
            for group in optimizer.param_groups:
                group["lr"] = _LEARNING_RATE * 0.5 * (1 + np.cos(np.pi * step / steps))
            optimizer.zero_grad()
            _loss(network, next(batches)).backward()
            optimizer.step()
    network.eval().requires_grad_(True)


def _loss(network: SmallNet, batch: Batch) -> torch.Tensor:
    with torch.autocast(batch.image.device.type, dtype=torch.bfloat16):
        surface = network(batch.image)
    found = log_error(surface.log_depth, batch.log_depth, batch.valid, batch.sign)
    half = (..., slice(None, None, 2), slice(None, None, 2))
    return spread_loss(surface.log_spread, found.error[half], found.counted[half]).mean()


_SHAPE = (192, 256)


class Scores(NamedTuple):
    """Means over images; depth is scaled by the median first, or by the fit that its kind allows.

    Attributes:
        abs_rel: Mean |predicted - true| / true, sky left out.
        angle: Mean angle between predicted and true normals [degrees]; NaN where none are known.
        sky_iou: Pixels of sky that are found, over those that are sky or taken for it, in all
            images together; NaN where none are.
        steps_f1: F1 of the pixels found to lie on a step of depth, in all images together; NaN
            where none do.
    """

    abs_rel: float
    delta1: float
    angle: float
    sky_iou: float
    steps_f1: float


@torch.no_grad()
def validate(network: nn.Module, frames: list[Frame]) -> Scores:
    """Score ``network``, in evaluation mode, on whole frames at 256×192."""
    rows, marks = [], []
    device = next(network.parameters()).device
    for frame in frames:
        frame = crop(frame, _SHAPE)
        batch = collate([frame])
        surface = network(batch.image.to(device))
        normals = nn.functional.interpolate(surface.normals, _SHAPE, mode="bilinear")[0]
        normals = nn.functional.normalize(normals, dim=0).cpu().numpy()
        ratio = _ratio(surface.log_depth.cpu(), batch)
        cosine = (normals * frame.normals.astype(np.float32) / 127).sum(axis=0)
        cosine = np.clip(cosine[frame.normals_valid], -1, 1)
        close = np.maximum(ratio, 1 / ratio) < 1.25
        rows.append((np.abs(ratio - 1), close, np.degrees(np.arccos(cosine))))
        marks.append([_overlap(*each) for each in _marks(surface, batch)])
    abs_rel, delta1, angle = map(_mean_of_means, zip(*rows, strict=True))
    (both, either), (met, both_or_either) = np.sum(marks, axis=0)
    return Scores(
        abs_rel=abs_rel,
        delta1=delta1,
        angle=angle,
        sky_iou=both / either if either else float("nan"),
        steps_f1=2 * met / (met + both_or_either) if both_or_either else float("nan"),
    )


def _marks(surface: Surface, batch: Batch) -> tuple[tuple[Tensor, Tensor], ...]:
    """Pixels found and true: of sky, and on steps."""
    known = batch.marked
    sky, steps = (each.cpu()[known] > 0 for each in (surface.sky, surface.steps))
    return (sky, batch.sky[known]), (steps, batch.steps[known])


def _overlap(found: Bool[Tensor, "n"], true: Bool[Tensor, "n"]) -> tuple[int, int]:
    """Number of pixels in both masks, and in either."""
    return int((found & true).sum()), int((found | true).sum())


def _mean_of_means(images: tuple[np.ndarray, ...]) -> float:
    """Mean over the images that have a pixel."""
    means = [float(image.mean()) for image in images if image.size]
    return float(np.mean(means)) if means else float("nan")


def _ratio(log_depth: Float32[Tensor, "1 h w"], batch: Batch) -> Float32[np.ndarray, "n"]:
    if batch.sign.any():
        found = log_error(log_depth, batch.log_depth, batch.valid, batch.sign)
        return found.error[found.counted].exp().numpy()
    predicted, true = (x[batch.valid].numpy() for x in (log_depth, batch.log_depth))
    return np.exp(predicted - true - (np.median(predicted) - np.median(true)))
