"""Pixels of this camera as another camera sees them."""

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from rilievo.geometry.intrinsics import MIN_DEPTH, project_to_source
from rilievo.geometry.transforms import rigid, rotation_from_axis_angle
from support.video_loss_by_hand import places_of

K = np.array([[90.0, 0, 5.2], [0, 110.0, 3.1], [0, 0, 1]])


def motion(seed: int, size: float = 0.2) -> np.ndarray:
    dice = np.random.default_rng(seed)
    return rigid(rotation_from_axis_angle(dice.normal(0, size, 3)), dice.normal(0, size, 3))


def test_a_step_sideways_worked_out_by_hand() -> None:
    """0.1 m to the left at 2 m, with a focal length of 90: points move by 4.5 pixels."""
    T = rigid(np.eye(3), np.array([0.1, 0.0, 0.0]))
    u, v, z = project_to_source(np.full((3, 4), 2.0), K, T)
    np.testing.assert_allclose(u, np.arange(4) + np.full((3, 4), 4.5), atol=1e-12)
    np.testing.assert_allclose(v, np.arange(3)[:, None] + np.zeros((3, 4)), atol=1e-12)
    np.testing.assert_allclose(z, 2.0)


@given(seed=st.integers(0, 999))
def test_homogeneous_matrices_say_the_same(seed: int) -> None:
    depth = np.random.default_rng(seed).uniform(1, 8, (7, 9))
    T = motion(seed)
    for epsilon in (0.0, 1e-7):
        pixels = project_to_source(depth, K, T, epsilon=epsilon or None)
        np.testing.assert_allclose(pixels[:2], places_of(depth, K, T, epsilon), atol=1e-9)


@pytest.mark.parametrize("kind", [np.float32, np.float64])
def test_a_camera_that_did_not_move_sees_the_very_same_pixels(kind: type) -> None:
    depth = np.random.default_rng(0).uniform(0.1, 100, (60, 80)).astype(kind)
    pixels = project_to_source(depth, K.astype(kind), np.eye(4, dtype=kind))
    u, v = np.meshgrid(np.arange(80), np.arange(60))
    assert (pixels == np.stack([u, v, depth])).all()


def test_torch_says_what_numpy_says_and_batches_at_once() -> None:
    dice = np.random.default_rng(1)
    depth, T = dice.uniform(1, 5, (3, 6, 8)), np.stack([motion(k) for k in range(3)])
    pixels = project_to_source(torch.tensor(depth), torch.tensor(K), torch.tensor(T))
    for k in range(3):
        np.testing.assert_allclose(
            pixels[k].numpy(), project_to_source(depth[k], K, T[k]), atol=1e-12
        )


def test_points_behind_the_camera_are_told_by_their_depth_and_stay_finite() -> None:
    T = torch.tensor(rigid(np.eye(3), np.array([0.0, 0.0, -2.0])))
    depth = torch.tensor([[1.0, 2.0, 3.0]], dtype=torch.float64, requires_grad=True)
    pixels = project_to_source(depth, torch.tensor(K), T)
    assert (pixels[2] > MIN_DEPTH).tolist() == [[False, False, True]]
    assert pixels.isfinite().all()
    pixels.sum().backward()
    assert depth.grad is not None
    assert depth.grad.isfinite().all()


def test_the_published_divisor_mirrors_a_point_behind_the_camera_into_the_image() -> None:
    T = rigid(np.eye(3), np.array([0.0, 0.0, -2.0]))
    u, v, z = project_to_source(np.full((4, 6), 1.0), K, T, epsilon=1e-7)
    assert (z < 0).all()
    np.testing.assert_allclose(u[0], 2 * K[0, 2] - np.arange(6), atol=1e-4)
    np.testing.assert_allclose(v[:, 0], 2 * K[1, 2] - np.arange(4), atol=1e-4)


def test_gradients_are_those_of_small_differences() -> None:
    depth = torch.rand(2, 3, 4, dtype=torch.float64, requires_grad=True)
    T = torch.tensor(np.stack([motion(5, 0.05), motion(6, 0.05)]), requires_grad=True)
    intrinsics = torch.tensor(K, requires_grad=True)

    def seen(depth: torch.Tensor, K: torch.Tensor, T: torch.Tensor) -> torch.Tensor:
        return project_to_source(depth + 1, K, T)

    # The entries of K that skew and scale are no parameters of a camera.
    assert torch.autograd.gradcheck(seen, (depth, intrinsics.detach(), T))
    focal = torch.tensor([90.0, 110.0], dtype=torch.float64, requires_grad=True)
    rest = torch.tensor(K) - torch.diag(torch.tensor([90.0, 110.0, 0.0], dtype=torch.float64))

    def by_focal(focal: torch.Tensor) -> torch.Tensor:
        return project_to_source(
            depth.detach() + 1, rest + torch.diag(torch.cat([focal, focal[:1] * 0])), T.detach()
        )

    assert torch.autograd.gradcheck(by_focal, (focal,))
