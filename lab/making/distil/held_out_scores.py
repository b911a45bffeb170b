"""Scores of a network on frames held out."""

from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor, nn

from lab.making.distil.depth_losses import log_error
from lab.making.distil.frames.augment import crop
from lab.making.distil.frames.frame_batches import Batch, collate
from lab.making.distil.frames.training_frames import Frame
from rilievo.arrays.shapes import Float32
from rilievo.training.networks.small import SurfaceOutput

_SHAPE = (192, 256)


class Scores(NamedTuple):
    """Means over images; depth is scaled by the median first, or by the fit that its kind allows.

    Attributes:
        abs_rel: Mean |predicted - true| / true, sky left out.
        angle: Mean angle between predicted and true normals [degrees]; NaN where none are known.
        sky_iou: Pixels of sky that are found, over those that are sky or taken for it, in all
            images together; NaN where none are.
    """

    abs_rel: float
    delta1: float
    angle: float
    sky_iou: float


@torch.no_grad()
def validate(network: nn.Module, frames: list[Frame]) -> Scores:
    """Score ``network``, in evaluation mode, on whole frames at 256×192."""
    rows, overlaps = [], []
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
        overlaps.append(_sky_overlap(surface, batch))
    abs_rel, delta1, angle = map(_mean_of_means, zip(*rows, strict=True))
    both, either = np.sum(overlaps, axis=0)
    return Scores(
        abs_rel=abs_rel,
        delta1=delta1,
        angle=angle,
        sky_iou=both / either if either else float("nan"),
    )


def _sky_overlap(surface: SurfaceOutput, batch: Batch) -> tuple[int, int]:
    """Number of pixels that are sky and found so, and of those that are one of the two."""
    found, true = surface.sky.cpu()[batch.marked] > 0, batch.sky[batch.marked]
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
