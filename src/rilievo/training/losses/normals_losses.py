"""Losses of surface normals."""

import math

import torch
import torch.nn.functional as F

from rilievo.training.losses.supervised import check_valid
from rilievo.training.tensors import Maps, Masks, Normals, Numbers, Scalar

_LARGEST_COSINE = 1 - 1e-4  # Probe3D clamps: the arc cosine has no finite gradient at 1


def angular_loss(
    predicted: Normals,
    true: Normals,
    valid: Masks,
) -> Scalar:
    """Mean angle [rad] over the valid pixels; raises ``InputError`` without any.

    Angles below 0.8° and above 179.2° have no gradient.
    """
    return _angles(predicted, true, valid).mean()


def normals_mse_loss(predicted: Normals, true: Normals, valid: Masks) -> Scalar:
    """Mean squared difference of components; raises ``InputError`` without a valid pixel."""
    check_valid(valid)
    return (predicted - true).permute(0, 2, 3, 1)[valid].square().mean()


def angular_von_mises_fisher_loss(
    predicted: Normals,
    kappa: Maps,
    true: Normals,
    valid: Masks,
) -> Scalar:
    """Uncertainty-aware angular loss of G. Bae et al. (ICCV 2021), with κ positive.

    Mean of κθ + log(1 + exp(-κπ)) - log(κ² + 1).

    Raises ``InputError`` without a valid pixel.
    """
    angles, concentration = _angles(predicted, true, valid), kappa[valid]
    likelihood = concentration * angles + torch.log1p(torch.exp(-concentration * math.pi))
    return (likelihood - torch.log(concentration.square() + 1)).mean()


def _angles(
    predicted: Normals,
    true: Normals,
    valid: Masks,
) -> Numbers:
    check_valid(valid)
    chosen = [x.permute(0, 2, 3, 1)[valid] for x in (predicted, true)]
    cosines = F.cosine_similarity(*chosen, dim=1)
    return torch.acos(cosines.clamp(-_LARGEST_COSINE, _LARGEST_COSINE))
