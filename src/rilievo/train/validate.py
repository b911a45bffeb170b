"""Scores on the frames a run holds out, to see whether it learns and when it stops learning."""

from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Bool, Float32
from torch import nn

from rilievo.train.augment import crop
from rilievo.train.batches import collate
from rilievo.train.frames import Frame

_SHAPE = (192, 256)


@dataclass(frozen=True, slots=True, kw_only=True)
class Scores:
    """Means over images; depth is scaled by the median first.

    Attributes:
        abs_rel: Mean |predicted - true| / true, sky left out.
        delta1: Share of pixels right within a factor of 1.25.
        angle: Mean angle between predicted and true normals [degrees].
    """

    abs_rel: float
    delta1: float
    angle: float


@torch.no_grad()
def validate(network: nn.Module, frames: list[Frame]) -> Scores:
    """Score ``network``, in evaluation mode, on whole frames at 256×192."""
    rows = []
    for frame in frames:
        frame = crop(frame, _SHAPE)
        surface = network(collate([frame]).image)
        normals = nn.functional.interpolate(surface.normals, _SHAPE, mode="bilinear")[0]
        normals = nn.functional.normalize(normals, dim=0).numpy()
        ratio = _ratio(surface.log_depth[0].numpy(), frame.log_depth, frame.valid)
        cosine = (normals * frame.normals.astype(np.float32) / 127).sum(axis=0)
        cosine = np.clip(cosine[frame.normals_valid], -1, 1)
        error = np.abs(ratio - 1).mean()
        close = (np.maximum(ratio, 1 / ratio) < 1.25).mean()
        rows.append((error, close, np.degrees(np.arccos(cosine)).mean()))
    abs_rel, delta1, angle = np.mean(rows, axis=0)
    return Scores(abs_rel=float(abs_rel), delta1=float(delta1), angle=float(angle))


def _ratio(
    predicted: Float32[np.ndarray, "h w"],
    true: Float32[np.ndarray, "h w"],
    valid: Bool[np.ndarray, "h w"],
) -> Float32[np.ndarray, "n"]:
    error = predicted[valid] - true[valid]
    shift = np.median(predicted[valid]) - np.median(true[valid])
    return np.exp(error - shift)
