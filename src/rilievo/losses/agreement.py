"""Loss of the disagreement between predicted depth and true normals."""

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from rilievo.losses.normals import cosine_loss

_REACH = 2
"""Pixels on either side over which a slope is taken: the network predicts at half the size."""
_SMOOTH = 0.02
"""Largest second difference of true log depth over that reach where a surface counts as smooth."""


def normals_of_log_depth(
    log_depth: Float[Tensor, "b h w"], camera: Float[Tensor, "b 4"]
) -> Float[Tensor, "b 3 h2 w2"]:
    """Directions of a depth map's normals, of any length, towards the camera.

    With l the log depth, a normal is (fx dl/du, fy dl/dv, -1 - (u - cx) dl/du - (v - cy) dl/dv) up
    to its length: a factor of depth does not change it.

    Args:
        log_depth: Natural logarithm of depth, up to any shift.
        camera: fx, fy, cx, cy [px].

    Returns:
        Directions at every second pixel without the border: rows 2, 4, ... h - 3.
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
    log_depth: Float[Tensor, "b h w"],
    camera: Float[Tensor, "b 4"],
    true_log_depth: Float[Tensor, "b h w"],
    true_normals: Float[Tensor, "b 3 h w"],
    valid: Bool[Tensor, "b h w"],
) -> Float[Tensor, "b"]:
    """Mean over each image of 1 - cos between the normals of predicted depth and the true ones.

    Only smooth surfaces count, since a slope across an edge belongs to no surface. Images whose
    camera is not known (NaN) count as zero.

    Args:
        log_depth: Predicted log depth, up to any shift.
        camera: fx, fy, cx, cy [px].
        true_log_depth: True log depth, which decides where surfaces are smooth.
        true_normals: True unit normals.
        valid: Pixels that have true depth and normals.
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
