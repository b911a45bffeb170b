"""Depth and normals held to each other, on surfaces whose normals are known."""

import math

import numpy as np
import pytest
import torch

from lab.making.distil.normals_losses import agreement_loss, normals_of_log_depth

CAMERA = torch.tensor([[60.0, 55.0, 30.0, 22.0]], dtype=torch.float64)


def plane(normal: np.ndarray, height: int = 48, width: int = 64) -> torch.Tensor:
    """Log depth of the plane n · P = -1 as the camera sees it: z = -1 / (n · ray)."""
    fx, fy, cx, cy = CAMERA[0].numpy()
    v, u = np.mgrid[:height, :width]
    ray = np.stack([(u - cx) / fx, (v - cy) / fy, np.ones_like(u, float)])
    return torch.from_numpy(np.log(-1 / np.einsum("c,chw->hw", normal, ray)))[None]


@pytest.mark.parametrize("tilt", [(0, 0, -1), (0.3, 0.1, -0.9), (-0.1, -0.4, -0.8)])
def test_the_slopes_of_a_plane_give_its_normal(tilt: tuple[float, float, float]) -> None:
    normal = np.array(tilt) / np.linalg.norm(tilt)
    derived = torch.nn.functional.normalize(normals_of_log_depth(plane(normal), CAMERA), dim=1)
    angle = torch.rad2deg(torch.acos((derived[0] * torch.tensor(normal)[:, None, None]).sum(0)))
    assert derived.shape == (1, 3, 22, 30)
    assert angle.max() < 0.6


def test_a_factor_of_depth_changes_nothing() -> None:
    log_depth = plane(np.array([0.2, -0.3, -0.93]))
    torch.testing.assert_close(
        normals_of_log_depth(log_depth, CAMERA),
        normals_of_log_depth(log_depth + math.log(7.3), CAMERA),
    )


def loss_of(predicted: torch.Tensor, normal: np.ndarray, true: torch.Tensor) -> float:
    normals = torch.tensor(normal)[None, :, None, None].expand(1, 3, *true.shape[-2:])
    valid = torch.ones_like(true, dtype=torch.bool)
    return float(agreement_loss(predicted, CAMERA, true, normals, valid))


def test_the_true_plane_costs_nothing_and_another_its_angle() -> None:
    normal = np.array([0.0, 0.0, -1.0])
    other = np.array([math.sin(0.3), 0.0, -math.cos(0.3)])
    assert loss_of(plane(normal), normal, plane(normal)) < 1e-12
    cost = loss_of(plane(other), normal, plane(normal))
    assert cost == pytest.approx(1 - math.cos(0.3), rel=0.01)


def test_edges_and_unknown_cameras_do_not_count() -> None:
    normal, step = np.array([0.0, 0.0, -1.0]), torch.zeros(1, 48, 64, dtype=torch.float64)
    step[..., 31:] = 1.0
    assert loss_of(step, normal, step) < 1e-12
    assert loss_of(step, normal, torch.zeros_like(step)) > 0.05
    unknown = torch.full((1, 4), torch.nan, dtype=torch.float64)
    normals = torch.zeros(1, 3, 48, 64, dtype=torch.float64)
    log_depth = step.clone().requires_grad_()
    valid = torch.ones(1, 48, 64, dtype=torch.bool)
    loss = agreement_loss(log_depth, unknown, step, normals, valid).sum()
    loss.backward()
    assert loss == 0
    assert torch.isfinite(log_depth.grad).all()  # pyright: ignore[reportArgumentType]
