"""Numbers of a batch for the log."""

import torch
from torch import Tensor

from rilievo.frozen import frozen
from rilievo.shapes import Float
from rilievo.training.losses.view_synthesis import VideoLoss
from rilievo.training.losses.warped_frames import Views
from rilievo.training.tensors import Scalar, Sigmoids, Transforms

_ENDS = 0.01


@frozen
class BatchResult:
    """Predictions for a batch, and how well they explain the sources.

    Attributes:
        sigmoids: Outputs for the targets in 0..1, by scale.
    """

    views: Views
    sigmoids: tuple[Sigmoids, ...]
    motions: tuple[Transforms, ...]
    loss: VideoLoss


@torch.no_grad()
def measure(result: BatchResult) -> dict[str, Scalar]:
    """Compute the numbers of a batch, whose means over steps are columns of the log.

    ``photometric``, ``smoothness`` and ``extra`` are weighted and add up to the loss; ``masked``
    and ``saturated`` are shares of pixels; ``depth_spread`` is of log depth; ``rotation`` is in
    degrees.
    """
    loss, finest = result.loss, result.sigmoids[0]
    zero = torch.zeros_like(loss.total)
    terms = dict(loss.terms)
    photometric, smoothness = terms.pop("photometric", zero), terms.pop("smoothness", zero)
    log_depth = loss.depth.log().flatten(1)
    motions = torch.stack(result.motions)
    ends = (finest < _ENDS) | (finest > 1 - _ENDS)
    return {
        "photometric": photometric,
        "smoothness": smoothness,
        "extra": sum(terms.values(), zero),
        "warp_error": loss.warped_error.mean(),
        "identity_error": loss.still_error.mean(),
        "masked": 1 - loss.automask.float().mean(),
        "mean_depth": loss.depth.mean(),
        "depth_spread": log_depth.std(dim=1, correction=0).mean(),
        "saturated": ends.float().mean(),
        "translation": motions[..., :3, 3].norm(dim=-1).mean(),
        "rotation": torch.rad2deg(angle_of(motions[..., :3, :3])).mean(),
    }


def angle_of(R: Float[Tensor, "*b 3 3"]) -> Float[Tensor, "*b"]:
    """Angle of a rotation [rad], exact near zero too."""
    twice_sine = (R - R.mT).flatten(-2).norm(dim=-1) / 2**0.5
    twice_cosine = R.diagonal(dim1=-2, dim2=-1).sum(dim=-1) - 1
    return torch.atan2(twice_sine, twice_cosine)
