"""Laws of rigid transforms, on numpy and torch."""

from collections.abc import Callable

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from scipy.spatial.transform import Rotation

from rilievo.geometry.transforms import (
    axis_angle_from_rotation,
    invert,
    is_rigid_motion,
    rigid,
    rotation_from_axis_angle,
    transform,
    transform_points,
)

vectors = arrays(np.float64, 3, elements=st.floats(-10, 10))
# Lengths stay under π, where the axis and the angle are the only ones.
turns = arrays(np.float64, 3, elements=st.floats(-1.8, 1.8))


def pose(axis_angle: np.ndarray, t: np.ndarray) -> np.ndarray:
    return rigid(rotation_from_axis_angle(axis_angle), t)


def test_a_quarter_turn_about_z_worked_out_by_hand() -> None:
    """x goes to y, then one metre is added along x."""
    a_T_b = pose(np.array([0.0, 0.0, np.pi / 2]), np.array([1.0, 0.0, 0.0]))
    moved = transform_points(a_T_b, np.array([[1.0], [0.0], [5.0]]))
    np.testing.assert_allclose(moved[:, 0], [1.0, 1.0, 5.0], atol=1e-15)


@given(turn=turns, t=vectors, point=vectors)
@settings(deadline=None)
def test_the_inverse_brings_points_back(turn: np.ndarray, t: np.ndarray, point: np.ndarray) -> None:
    a_T_b = pose(turn, t)
    back = transform_points(invert(a_T_b), transform_points(a_T_b, point[:, None]))
    np.testing.assert_allclose(back[:, 0], point, atol=1e-12)
    np.testing.assert_allclose(invert(a_T_b) @ a_T_b, np.eye(4), atol=1e-12)


@given(first=turns, second=turns, t=vectors, point=vectors)
@settings(deadline=None)
def test_a_chain_is_one_transform_after_the_other(
    first: np.ndarray, second: np.ndarray, t: np.ndarray, point: np.ndarray
) -> None:
    a_T_b, b_T_c = pose(first, t), pose(second, -2 * t)
    stepwise = transform_points(a_T_b, transform_points(b_T_c, point[:, None]))
    np.testing.assert_allclose(transform_points(a_T_b @ b_T_c, point[:, None]), stepwise, atol=1e-9)


@given(turn=arrays(np.float64, 3, elements=st.floats(-1e4, 1e4)))
@settings(deadline=None)
def test_rotations_keep_lengths_and_hands(turn: np.ndarray) -> None:
    R = rotation_from_axis_angle(turn)
    np.testing.assert_allclose(R @ R.T, np.eye(3), atol=1e-10)
    assert np.linalg.det(R) == pytest.approx(1.0, abs=1e-9)


@given(turn=turns, exponent=st.floats(-12, 0))
@settings(deadline=None)
def test_scipy_computes_the_same_rotation_and_the_same_axis(
    turn: np.ndarray, exponent: float
) -> None:
    turn = turn * 10.0**exponent
    expected = Rotation.from_rotvec(turn)
    np.testing.assert_allclose(rotation_from_axis_angle(turn), expected.as_matrix(), atol=1e-14)
    np.testing.assert_allclose(axis_angle_from_rotation(expected.as_matrix()), turn, atol=1e-14)


@pytest.mark.parametrize("length", [1e-9, 1e-5, 1e-3, 3e-3, 3.16e-3, 3.17e-3, 1e-2])
def test_small_turns_are_as_exact_as_large_ones(length: float) -> None:
    """Angles on both sides of the switch to the series are tested."""
    turn = length * np.array([2.0, -1.0, 2.0]) / 3
    expected = Rotation.from_rotvec(turn).as_matrix()
    np.testing.assert_allclose(rotation_from_axis_angle(turn), expected, rtol=1e-14, atol=1e-16)


def test_one_rotation_serves_a_batch_of_translations_and_the_other_way() -> None:
    R, t = rotation_from_axis_angle(np.array([0.1, 0.2, 0.3])), np.arange(6.0).reshape(2, 3)
    poses = rigid(R, t)
    for index in range(2):
        np.testing.assert_array_equal(poses[index], rigid(R, t[index]))
    np.testing.assert_array_equal(rigid(poses[:, :3, :3], t[0])[1], rigid(R, t[0]))


@pytest.mark.parametrize("axis", [[1.0, 0, 0], [0, 1.0, 0], [0, 0, 1.0], [0.6, -0.8, 0]])
@pytest.mark.parametrize("short_of_pi", [0.0, 1e-9, 1e-4])
def test_the_axis_of_a_half_turn_is_found_up_to_its_sign(
    axis: list[float], short_of_pi: float
) -> None:
    R = rotation_from_axis_angle((np.pi - short_of_pi) * np.asarray(axis))
    found = axis_angle_from_rotation(R)
    assert np.linalg.norm(found) == pytest.approx(np.pi - short_of_pi, abs=1e-12)
    np.testing.assert_allclose(rotation_from_axis_angle(found), R, atol=1e-12)


def test_maps_and_lists_of_points_move_alike() -> None:
    generator = np.random.default_rng(0)
    a_T_b = pose(generator.normal(size=(2, 3)), generator.normal(size=(2, 3)))
    points = generator.normal(size=(2, 3, 4, 5))
    moved = transform(a_T_b, points)
    np.testing.assert_array_equal(
        moved.reshape(2, 3, 20), transform_points(a_T_b, points.reshape(2, 3, 20))
    )


def test_one_transform_serves_a_batch_of_maps() -> None:
    a_T_b = pose(np.array([0.1, 0.2, 0.3]), np.array([1.0, 2.0, 3.0]))
    points = np.random.default_rng(1).normal(size=(4, 3, 2, 2))
    np.testing.assert_allclose(transform(a_T_b, points)[3], transform(a_T_b, points[3]), atol=1e-15)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_the_gradient_is_finite_and_right_at_no_rotation(dtype: torch.dtype) -> None:
    """The derivative of the identity is 1 along every axis."""
    turn = torch.zeros(3, dtype=dtype, requires_grad=True)
    axis_angle_from_rotation(rotation_from_axis_angle(turn)).sum().backward()
    assert turn.grad is not None
    torch.testing.assert_close(turn.grad, torch.ones(3, dtype=dtype))


@pytest.mark.parametrize("length", [0.0, 1e-4, 3e-3, 3.3e-3, 1.0])
def test_gradients_agree_with_finite_differences(length: float) -> None:
    turn = (length * torch.tensor([0.6, 0.0, -0.8], dtype=torch.float64)).requires_grad_()
    assert torch.autograd.gradcheck(rotation_from_axis_angle, turn)
    assert torch.autograd.gradcheck(
        lambda x: axis_angle_from_rotation(rotation_from_axis_angle(x)), turn
    )


def test_numpy_and_torch_agree() -> None:
    generator = np.random.default_rng(2)
    turn, t = generator.normal(size=(5, 3)), generator.normal(size=(5, 3))
    points = generator.normal(size=(5, 3, 7))
    expected = transform_points(invert(pose(turn, t)), points)
    a_T_b = rigid(rotation_from_axis_angle(torch.from_numpy(turn)), torch.from_numpy(t))
    np.testing.assert_allclose(
        transform_points(invert(a_T_b), torch.from_numpy(points)), expected, atol=1e-14
    )


@pytest.mark.parametrize(
    ("change", "is_rigid"),
    [
        (lambda pose: pose, True),
        (lambda pose: pose[:3], True),
        (lambda pose: pose * [[1e308], [1], [1], [1]], False),
        (lambda pose: pose * [1, 1, -1, 1], False),  # a reflection
        (lambda pose: pose * [1.01, 1, 1, 1], False),
        (lambda pose: np.add(pose, [0, 0, 0, 1e300]), False),
        (lambda pose: pose * np.nan, False),
        (lambda pose: np.add(pose, [0, 0, 0, np.inf]), False),
    ],
)
def test_a_rigid_motion_is_told_from_damage_without_a_warning(
    change: Callable[[np.ndarray], np.ndarray], is_rigid: bool
) -> None:
    pose = rigid(rotation_from_axis_angle(np.array([0.3, -0.2, 0.9])), np.array([1.0, 2.0, -3.0]))
    assert is_rigid_motion(change(pose)) is is_rigid
