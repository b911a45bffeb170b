"""Scores on the frames that a run holds out, to see whether and how long it learns."""

from typing import NamedTuple

import numpy as np
import torch
from jaxtyping import Float32
from torch import Tensor, nn

from rilievo.losses.depth import log_error
from rilievo.train.augment import crop
from rilievo.train.batches import Batch, collate
from rilievo.train.frames import Frame

_SHAPE = (192, 256)


class Scores(NamedTuple):
    """Means over images; depth is scaled by the median first, or by the fit that its kind allows.

    Attributes:
        abs_rel: Mean |predicted - true| / true, sky left out.
        delta1: Share of pixels right within a factor of 1.25.
        angle: Mean angle between predicted and true normals [degrees]; NaN where none are known.
    """

    abs_rel: float
    delta1: float
    angle: float


@torch.no_grad()
def validate(network: nn.Module, frames: list[Frame]) -> Scores:
    """Score ``network``, in evaluation mode, on whole frames at 256×192."""
    rows = []
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
    abs_rel, delta1, angle = map(_mean_of_means, zip(*rows, strict=True))
    return Scores(abs_rel=abs_rel, delta1=delta1, angle=angle)


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
