"""Losses of the angle between normals, plain and with a learned concentration.

G. Bae, I. Budvytis, R. Cipolla, "Estimating and Exploiting the Aleatoric Uncertainty in Surface
Normal Estimation", ICCV 2021.
"""

import math

import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float
from torch import Tensor

from rilievo.errors import InputError

_LARGEST_COSINE = 1 - 1e-4  # Probe3D clamps: the arc cosine has no finite gradient at 1
_BAE_COSINE = 0.999  # Bae et al. leave out pixels beyond it


def angular_loss(
    predicted: Float[Tensor, "b 3 h w"],
    true: Float[Tensor, "b 3 h w"],
    valid: Bool[Tensor, "b h w"],
) -> Float[Tensor, ""]:
    """Mean angle [rad] over the valid pixels of the batch.

    Angles below 0.8° and above 179.2° count as these, without a gradient.

    Args:
        predicted: Directions of any length.
        true: Unit normals; read only where ``valid``.
        valid: Pixels that have ground truth.

    Raises:
        InputError: If no pixel is valid.
    """
    return _angles(_cosines(predicted, true, valid)).mean()


def angular_von_mises_fisher_loss(
    predicted: Float[Tensor, "b 3 h w"],
    kappa: Float[Tensor, "b h w"],
    true: Float[Tensor, "b 3 h w"],
    valid: Bool[Tensor, "b h w"],
    *,
    exclude: bool = False,
) -> Float[Tensor, ""]:
    """Mean of κθ + log(1 + exp(-κπ)) - log(κ² + 1), θ the angle [rad].

    The negative log-likelihood of the angular von Mises-Fisher distribution, without its constant.

    Args:
        predicted: Directions of any length.
        kappa: Concentration, positive.
        true: Unit normals; read only where ``valid``.
        valid: Pixels that have ground truth.
        exclude: Whether pixels whose cosine is beyond ±0.999 are left out, as Bae et al. do; if
            not, it is clamped at ±(1 - 1e-4), as Probe3D does, and κ still learns there.

    Raises:
        InputError: If no pixel is valid.
    """
    cosines = _cosines(predicted, true, valid)
    known = kappa[valid]
    if exclude:
        kept = cosines.detach().abs() < _BAE_COSINE
        if not bool(kept.any()):
            # All pixels are almost exact: the loss is zero, with zero gradients.
            return cosines.sum() * 0 + known.sum() * 0
        cosines, known = cosines[kept], known[kept]
    likelihood = known * _angles(cosines) + torch.log1p(torch.exp(-known * math.pi))
    return (likelihood - torch.log(known.square() + 1)).mean()


def _cosines(
    predicted: Float[Tensor, "b 3 h w"],
    true: Float[Tensor, "b 3 h w"],
    valid: Bool[Tensor, "b h w"],
) -> Float[Tensor, "n"]:
    if not bool(valid.any()):
        raise InputError("a batch without a valid pixel has no loss: leave such images out")
    chosen = [x.permute(0, 2, 3, 1)[valid] for x in (predicted, true)]
    return F.cosine_similarity(*chosen, dim=1)


def _angles(cosines: Float[Tensor, "n"]) -> Float[Tensor, "n"]:
    return torch.acos(cosines.clamp(-_LARGEST_COSINE, _LARGEST_COSINE))
