"""Measures of a run's progress, for one batch."""

from typing import NamedTuple

import torch
from jaxtyping import Float
from torch import Tensor

from rilievo.losses.scale_terms import MASK_WEIGHT
from rilievo.train.video.config import VideoConfig
from rilievo.train.video.learner import Explained

_ENDS = 0.01


class Measures(NamedTuple):
    """Numbers whose means are in a ``StepRow``, which describes each."""

    loss: Tensor
    photometric: Tensor
    smoothness: Tensor
    extra: Tensor
    warp_error: Tensor
    identity_error: Tensor
    masked: Tensor
    mean_depth: Tensor
    depth_spread: Tensor
    saturated: Tensor
    translation: Tensor
    rotation: Tensor


@torch.no_grad()
def measure(explained: Explained, config: VideoConfig) -> Float[Tensor, "numbers"]:
    """Compute the numbers of a batch, in the order of ``Measures``, on the batch's device.

    Photometric, smoothness and extra add up to the loss.
    """
    loss, finest = explained.loss, explained.sigmoids[0]
    photometric = torch.stack(loss.photometric).mean()
    scales = zip(loss.smoothness, config.blueprint.scales, strict=True)
    smoothness = torch.stack([each / 2**scale for each, scale in scales]).mean()
    log_depth = loss.depth.log().flatten(1)
    motions = torch.stack(explained.motions)
    ends = (finest < _ENDS) | (finest > 1 - _ENDS)
    names = ("consistency", "velocity", "anchor", "corners")
    weights = {name: getattr(config.losses, name) for name in names}
    weights |= {"mask": MASK_WEIGHT, "hints": 1.0}
    extras = [weights[name] * value for name, value in loss.extras.items()]
    return torch.stack(
        Measures(
            loss=loss.total.detach(),
            photometric=config.losses.photometric * photometric,
            smoothness=config.losses.smoothness * smoothness,
            extra=torch.stack([*extras, photometric.new_zeros(())]).sum(),
            warp_error=loss.warped_error.mean(),
            identity_error=loss.still_error.mean(),
            masked=1 - loss.automask.float().mean(),
            mean_depth=loss.depth.mean(),
            depth_spread=log_depth.std(dim=1, correction=0).mean(),
            saturated=ends.float().mean(),
            translation=motions[..., :3, 3].norm(dim=-1).mean(),
            rotation=torch.rad2deg(angle_of(motions[..., :3, :3])).mean(),
        )
    )


def angle_of(R: Float[Tensor, "*b 3 3"]) -> Float[Tensor, "*b"]:
    """Angle of a rotation [rad], exact near zero too."""
    twice_sine = (R - R.mT).flatten(-2).norm(dim=-1) / 2**0.5
    twice_cosine = R.diagonal(dim1=-2, dim2=-1).sum(dim=-1) - 1
    return torch.atan2(twice_sine, twice_cosine)
