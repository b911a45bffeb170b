"""Heights above the visible floor, also of points on it."""

import math

import numpy as np
import pytest

import rilievo
from rilievo.measure import height
from rilievo.measure.measurements import Measurement
from support.fixed_depth import FixedDepth

HEIGHT, WIDTH, FOCAL = 240, 320, 250.0
CAMERA_HEIGHT, WALL = 1.5, 6.0
CAMERA = rilievo.Camera(
    K=np.array([[FOCAL, 0, (WIDTH - 1) / 2], [0, FOCAL, (HEIGHT - 1) / 2], [0, 0, 1]]),
    source="given",
)
PHOTO = np.random.default_rng(2).integers(0, 255, (HEIGHT, WIDTH, 3), np.uint8)
PITCH = math.radians(15)
R = np.array(
    [
        [1, 0, 0],
        [0, math.cos(PITCH), -math.sin(PITCH)],
        [0, math.sin(PITCH), math.cos(PITCH)],
    ]
)
"""Axes of the room (right, down, forward) in the camera frame."""
PLACES = [(-0.9, 2.6), (-0.2, 3.0), (0.4, 2.4), (1.0, 3.4)]
"""Middles of low plates on the floor, right and forward [m]."""


def depth_of_room(plate: float) -> np.ndarray:
    """A floor, a wall and plates of this height [m], which have no sides."""
    v, u = np.mgrid[:HEIGHT, :WIDTH].astype(float)
    rays = np.einsum("ij,jhw->ihw", R.T, CAMERA.rays(np.stack([u, v])))
    with np.errstate(divide="ignore"):
        floor, wall = CAMERA_HEIGHT / rays[1], WALL / rays[2]
        top = (CAMERA_HEIGHT - plate) / rays[1]
    depth = np.where(rays[1] > 0, np.minimum(floor, wall), wall)
    for x, z in PLACES:
        is_plate = (abs(rays[0] * top - x) < 0.15) & (abs(rays[2] * top - z) < 0.15)
        depth = np.where(is_plate & (rays[1] > 0), top, depth)
    return depth


def pixel(x: float, z: float, above: float) -> tuple[float, float]:
    u, v = CAMERA.project(R @ (x, CAMERA_HEIGHT - above, z))
    return float(u), float(v)


def contains(measured: Measurement, true: float) -> bool:
    return measured.low <= true <= measured.high


@pytest.mark.parametrize("true", [0.0, 0.005, 0.02, 0.1, -0.05])
@pytest.mark.parametrize("error", [None, "1%", "0.1%", "10mm"])
def test_exact_depth_gives_the_height_of_low_plates_and_of_the_floor(
    error: str | None, true: float
) -> None:
    exact = rilievo.Prediction.from_depth(PHOTO, depth_of_room(true), CAMERA, depth_error=error)
    for x, z in PLACES:
        measured = height(exact, pixel(x, z, true))
        assert measured.value == pytest.approx(true, abs=2e-3)
        assert contains(measured, true)
        assert measured.high - measured.low < 0.12
        is_below = any("below the floor" in remark for remark in measured.remarks)
        assert not is_below or measured.high < 0


@pytest.mark.parametrize("true", [0.0, 0.02, 0.2])
def test_noise_leaves_the_height_in_eight_in_ten_ranges(true: float) -> None:
    generator = np.random.default_rng(4)
    inside = []
    for scale in (0.993, 1.0, 1.007):
        noisy = scale * depth_of_room(true) * np.exp(0.003 * generator.normal(size=(HEIGHT, WIDTH)))
        prediction = rilievo.Prediction.from_depth(PHOTO, noisy, CAMERA, depth_error="1%")
        inside += [contains(height(prediction, pixel(x, z, true)), true) for x, z in PLACES]
    assert np.mean(inside) >= 0.8


@pytest.mark.parametrize("true", [0.0, 0.05])
def test_a_network_that_is_uneven_does_not_exclude_the_floor(true: float) -> None:
    generator = np.random.default_rng(6)
    uneven = depth_of_room(true) * (1 + 0.01 * generator.normal(size=(HEIGHT, WIDTH)))
    prediction = rilievo.predict(
        PHOTO, model=FixedDepth(uneven), camera=CAMERA, camera_height=CAMERA_HEIGHT, trim=False
    )
    inside = [contains(height(prediction, pixel(x, z, true)), true) for x, z in PLACES]
    assert all(inside)
    high_up = height(prediction, (160.0, 20.0))
    assert high_up.high / high_up.value > high_up.value / high_up.low * 0.9


def test_a_far_height_keeps_the_range_of_a_length() -> None:
    exact = rilievo.Prediction.from_depth(PHOTO, depth_of_room(0.0), CAMERA, depth_error="1%")
    measured = height(exact, (160.0, 20.0))
    assert 0.01 < (measured.high - measured.low) / 2 / measured.value < 0.04
