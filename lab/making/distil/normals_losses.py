"""Losses of the normals of small networks, and of those of their depth."""

import torch
import torch.nn.functional as F
from torch import Tensor

from rilievo.arrays.shapes import Float
from rilievo.training.losses.answer_losses import mean_of_valid
from rilievo.training.tensors import Maps, Masks, Normals, PerImage

_REACH = 2
"""Pixels on either side over which a slope is taken: the network predicts at half the size."""
_SMOOTH = 0.02
"""Largest second difference of true log depth over that reach where a surface counts as smooth."""


def cosine_loss(
    predicted: Normals,
    true: Normals,
    valid: Masks,
) -> PerImage:
    """Mean over each image of 1 - cos of the angle to the true normal, in [0, 2].

    Predicted directions have any length. Images without a valid pixel count as zero.
    """
    return mean_of_valid(1 - (F.normalize(predicted, dim=1) * true).sum(dim=1), valid)


def normals_of_log_depth(
    log_depth: Maps, camera: Float[Tensor, "b 4"]
) -> Float[Tensor, "b 3 h2 w2"]:
    """Directions of a depth map's normals, of any length, towards the camera.

    With l the log depth, a normal is (fx dl/du, fy dl/dv, -1 - (u - cx) dl/du - (v - cy) dl/dv) up
    to its length: a factor of depth does not change it. The camera is fx, fy, cx, cy [px].
    Directions are those at every second pixel without the border: rows 2, 4, ... h - 3.
    """
    height, width = log_depth.shape[-2:]
    right, left = _shifted(log_depth, 0, _REACH), _shifted(log_depth, 0, -_REACH)
    down, up = _shifted(log_depth, _REACH, 0), _shifted(log_depth, -_REACH, 0)
    across, along = (right - left) / (2 * _REACH), (down - up) / (2 * _REACH)
    fx, fy, cx, cy = (camera[:, k, None, None] for k in range(4))
    u = torch.arange(_REACH, width - _REACH, 2, device=camera.device) - cx
    v = torch.arange(_REACH, height - _REACH, 2, device=camera.device)[:, None] - cy
    return torch.stack([fx * across, fy * along, -1 - u * across - v * along], dim=1)


def agreement_loss(
    log_depth: Maps,
    camera: Float[Tensor, "b 4"],
    true_log_depth: Maps,
    true_normals: Normals,
    valid: Masks,
) -> PerImage:
    """Mean over each image of 1 - cos between the normals of predicted depth and the true ones.

    Only surfaces that are smooth by their true log depth count, since a slope across an edge
    belongs to no surface. Images whose camera (fx, fy, cx, cy [px]) is not known (NaN) count as
    zero.
    """
    known = torch.isfinite(camera).all(dim=1)
    camera = torch.where(known[:, None], camera, 1.0)
    derived = normals_of_log_depth(log_depth, camera)
    smooth = _middle(valid) & known[:, None, None]
    for down, right in ((0, _REACH), (_REACH, 0)):
        before, after = (_shifted(true_log_depth, k * down, k * right) for k in (-1, 1))
        smooth &= (before + after - 2 * _middle(true_log_depth)).abs() < _SMOOTH
    return cosine_loss(derived, _middle(true_normals), smooth)


def _shifted(field: Tensor, down: int, right: int) -> Tensor:
    """Every second pixel of the field without its border, shifted by ``down`` and ``right``."""
    height, width = field.shape[-2:]
    rows = slice(_REACH + down, height - _REACH + down, 2)
    return field[..., rows, _REACH + right : width - _REACH + right : 2]


def _middle(field: Tensor) -> Tensor:
    return _shifted(field, 0, 0)
