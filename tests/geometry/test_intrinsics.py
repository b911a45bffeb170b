"""K follows every change of an image: a point keeps the pixel that it was seen at."""

import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from rilievo.errors import OptionError
from rilievo.geometry.intrinsics import (
    K_from_focal,
    K_from_fov,
    crop_K,
    flip_K,
    horizontal_fov,
    project,
    resize_K,
)

SIZE = (30, 40)
K = np.array([[50.0, 0.0, 21.0], [0.0, 60.0, 13.0], [0.0, 0.0, 1.0]])
seeds = st.integers(0, 2**32 - 1)


def points(seed: int) -> np.ndarray:
    """Random points in front of the camera, (3, 2, 5) [m]."""
    random = np.random.default_rng(seed)
    xy = random.uniform(-2.0, 2.0, (2, 2, 5))
    return np.concatenate([xy, random.uniform(0.5, 9.0, (1, 2, 5))])


@settings(deadline=None)
@given(seed=seeds, new_size=st.tuples(st.integers(1, 500), st.integers(1, 500)))
def test_a_resize_moves_pixels_so_that_edges_stay_edges(
    seed: int, new_size: tuple[int, int]
) -> None:
    seen = project(points(seed), K)
    moved = project(points(seed), resize_K(K, size=SIZE, new_size=new_size))
    scale = np.array([new_size[1] / SIZE[1], new_size[0] / SIZE[0]]).reshape(2, 1, 1)
    np.testing.assert_allclose(moved, (seen + 0.5) * scale - 0.5, rtol=1e-9, atol=1e-9)


def test_the_half_pixel_worked_out_by_hand() -> None:
    """Halved, the centre between the first two pixels, 0.5, becomes the first pixel's centre."""
    centred = K_from_focal(50.0, 50.0, (2, 2))
    np.testing.assert_allclose(
        resize_K(centred, size=(2, 2), new_size=(1, 1)), [[25, 0, 0], [0, 25, 0], [0, 0, 1]]
    )


def test_a_resize_and_the_resize_back_give_k_back() -> None:
    there = resize_K(K, size=SIZE, new_size=(7, 123))
    np.testing.assert_allclose(resize_K(there, size=(7, 123), new_size=SIZE), K)


@settings(deadline=None)
@given(seed=seeds, top=st.integers(-20, 20), left=st.integers(-20, 20))
def test_a_crop_moves_the_origin(seed: int, top: int, left: int) -> None:
    moved = project(points(seed), crop_K(K, top=top, left=left))
    offset = np.array([left, top]).reshape(2, 1, 1)
    np.testing.assert_allclose(moved, project(points(seed), K) - offset, atol=1e-9)


@settings(deadline=None)
@given(seed=seeds)
def test_a_mirrored_scene_is_seen_in_the_mirrored_image(seed: int) -> None:
    seen = project(points(seed), K)
    mirrored = points(seed) * np.array([-1.0, 1.0, 1.0]).reshape(3, 1, 1)
    moved = project(mirrored, flip_K(K, width=SIZE[1]))
    np.testing.assert_allclose(moved[0], SIZE[1] - 1 - seen[0], atol=1e-9)
    np.testing.assert_allclose(moved[1], seen[1], atol=1e-9)


def test_two_mirrors_give_k_back() -> None:
    np.testing.assert_allclose(flip_K(flip_K(K, width=40), width=40), K)


def test_torch_batches_follow_numpy_with_gradients() -> None:
    batch = torch.from_numpy(np.stack([K, K * 1.5])).requires_grad_()
    for change in (
        lambda each: resize_K(each, size=SIZE, new_size=(10, 90)),
        lambda each: crop_K(each, top=3, left=4),
        lambda each: flip_K(each, width=40),
    ):
        changed = change(batch)
        np.testing.assert_allclose(changed[0].detach(), change(K))
        changed.sum().backward()
    assert batch.grad is not None
    assert torch.isfinite(batch.grad).all()


def test_a_right_angle_sees_half_a_width_at_half_a_width() -> None:
    np.testing.assert_allclose(
        K_from_fov(90.0, (30, 40)), [[20, 0, 19.5], [0, 20, 14.5], [0, 0, 1]]
    )


@settings(deadline=None)
@given(degrees=st.floats(1.0, 179.0), width=st.integers(1, 9000))
def test_the_field_of_view_of_k_is_the_one_it_was_made_of(degrees: float, width: int) -> None:
    assert math.isclose(horizontal_fov(K_from_fov(degrees, (7, width)), width), degrees)


def test_a_crop_to_one_side_keeps_its_share_of_the_field_of_view() -> None:
    """Both halves of an image together have the field of view of the whole."""
    left = horizontal_fov(K, 20)
    right = horizontal_fov(crop_K(K, top=0, left=20), 20)
    assert math.isclose(left + right, horizontal_fov(K, 40))


@pytest.mark.parametrize("degrees", [0.0, -1.0, 180.0, 400.0, math.nan, math.inf])
def test_a_field_of_view_that_cannot_be_is_refused(degrees: float) -> None:
    with pytest.raises(OptionError, match="between 0 and 180"):
        K_from_fov(degrees, (30, 40))


@pytest.mark.parametrize("focal", [0.0, -1.0, math.nan, math.inf])
def test_a_focal_length_that_cannot_be_is_refused(focal: float) -> None:
    with pytest.raises(OptionError, match="positive numbers"):
        K_from_focal(focal, 50.0, (30, 40))
    with pytest.raises(OptionError, match="positive numbers"):
        K_from_focal(50.0, focal, (30, 40))
