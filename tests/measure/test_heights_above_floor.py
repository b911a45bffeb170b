"""Heights above the visible floor, also of points on it."""

import math

import numpy as np
import pytest

import rilievo
from rilievo.measure import height
from rilievo.measure.expected_errors import (
    UNKNOWN_SIZE_DISTANCE,
    circumstances_at,
    log_error_beside_foot,
)
from rilievo.measure.known_sizes import KnownSizePosition
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


@pytest.mark.parametrize("name", ["known", "camera_height"])
def test_a_network_that_moves_a_low_object_leaves_its_height_in_the_range(name: str) -> None:
    """Tops of plates 15% too far away, as a network that melts objects into the floor has them."""
    true = 0.3
    exact, empty = depth_of_room(true), depth_of_room(0.0)
    melted = np.where(exact < empty, np.minimum(1.15 * exact, empty), exact)
    sizes = {
        "known": {"known": [f"160,60,{exact[60, 160]:.4f}", f"30,200,{exact[200, 30]:.4f}"]},
        "camera_height": {"camera_height": CAMERA_HEIGHT},
    }
    prediction = rilievo.predict(
        PHOTO, model=FixedDepth(melted), camera=CAMERA, trim=False, **sizes[name]
    )
    for x, z in PLACES:
        found = prediction.height(*pixel(x, z, true))
        assert found.value < 0.7 * true
        assert contains(found, true)


@pytest.mark.parametrize("row", [20, 60, 119])
def test_a_height_near_and_above_the_horizon_has_a_range_that_ends(row: int) -> None:
    """The foot of a high point on the wall lies outside the picture, or far below the point."""
    prediction = rilievo.predict(
        PHOTO,
        model=FixedDepth(depth_of_room(0.0)),
        camera=CAMERA,
        trim=False,
        camera_height=CAMERA_HEIGHT,
    )
    found = prediction.height(160, row)
    assert found.low <= found.value <= found.high
    assert found.low > -1
    assert found.high < 3 * abs(found.value) + 1


def test_a_foot_behind_the_camera_leaves_a_finite_range() -> None:
    prediction = rilievo.predict(
        PHOTO,
        model=FixedDepth(depth_of_room(0.0)),
        camera=CAMERA,
        trim=False,
        camera_height=CAMERA_HEIGHT,
    )
    position, foot = np.array([0.0, -0.5, 0.4]), np.array([0.0, 1.4, -0.1])
    assert 0 < log_error_beside_foot(prediction, position, foot) < 2
    known = KnownSizePosition(160.0, 200.0, 2.0, 0.0)
    behind = circumstances_at(prediction, foot, known_positions=(known,))
    assert (behind.known_size_distance, behind.log_depth_ratio) == (UNKNOWN_SIZE_DISTANCE, 0.0)


def test_a_height_of_the_prediction_is_that_of_the_function() -> None:
    exact = rilievo.Prediction.from_depth(PHOTO, depth_of_room(0.2), CAMERA, depth_error="1%")
    place = pixel(*PLACES[0], 0.2)
    assert exact.height(*place) == height(exact, place)
    corners = [(150.0, 150.0), (170.0, 150.0), (170.0, 170.0)]
    assert exact.area(corners) == rilievo.measure.area(exact, corners)
