"""Ranges hold whatever the relation of the errors of neighbouring pixels is.

An instrument's stated error does not say whether errors differ from pixel to pixel or change
smoothly over a part of the picture.
"""

import math
from collections.abc import Callable
from contextlib import suppress

import numpy as np
import pytest
from scipy.ndimage import gaussian_filter

import rilievo
from rilievo.errors import CalibrationError
from rilievo.measure import angle, height, height_above_plane
from rilievo.measure.measurements import Measurement
from support.grids import mostly_slow

SIZE, FOCAL = (240, 320), 160.0
PHOTO = np.random.default_rng(0).integers(0, 255, (*SIZE, 3), np.uint8)
FLOOR, PLATE, WALL = 1.4, 0.7, 4.0
"""Distances of the camera from the floor, from the height of a plate, and from a wall [m]."""
V, U = np.mgrid[: SIZE[0], : SIZE[1]].astype(float)
RAYS = np.stack([(U - 159.5) / FOCAL, (V - 119.5) / FOCAL, np.ones(SIZE)])
ON_FLOOR, ON_WALL, ON_PLATE, AT_PLATE_EDGE = (270, 205), (275, 50), (142, 180), (142, 174)


def depth_of_room() -> np.ndarray:
    """A floor, a wall at a slant and a level plate, which has no sides."""
    right, down, _ = RAYS
    wall = WALL / (0.3 * right + 1)
    with np.errstate(divide="ignore"):
        floor = np.where(down > 0, FLOOR / down, np.inf)
        plate = np.where(down > 0, PLATE / down, np.inf)
    is_plate = (np.abs(right * plate + 0.2) < 0.6) & (plate > 1.5) & (plate < 2.4)
    return np.where(is_plate, plate, np.minimum(floor, wall))


ROOM = depth_of_room()


def place(point: tuple[int, int]) -> np.ndarray:
    u, v = point
    return RAYS[:, v, u] * ROOM[v, u]


def pixel(x: float, z: float) -> tuple[float, float]:
    return 159.5 + FOCAL * x / z, 119.5 + FOCAL * FLOOR / z


SHEET = rilievo.KnownRectangle(
    corners=(pixel(0.6, 2.9), pixel(1.3, 2.9), pixel(1.3, 2.2), pixel(0.6, 2.2)), sides=(0.7, 0.7)
)
QUANTITIES: dict[str, tuple[Callable[[rilievo.Prediction], Measurement], float]] = {
    "angle of wall and floor": (lambda room: angle(room, ON_WALL, ON_FLOOR), 90.0),
    "angle of floor and plate": (lambda room: angle(room, ON_FLOOR, ON_PLATE), 0.0),
    "height on the wall": (lambda room: height(room, ON_WALL), FLOOR - place(ON_WALL)[1]),
    "height of the plate": (lambda room: height(room, ON_PLATE), FLOOR - PLATE),
    "height above the sheet": (lambda room: height_above_plane(room, ON_PLATE), FLOOR - PLATE),
    "length from floor to wall": (
        lambda room: room.measure(ON_FLOOR, ON_WALL),
        math.dist(place(ON_FLOOR), place(ON_WALL)),
    ),
}


def measured_room(depth: np.ndarray, error: str | None) -> rilievo.Prediction:
    return rilievo.Prediction.from_depth(
        PHOTO, depth.astype(np.float32), FOCAL, depth_error=error, known=[SHEET]
    )


def errors_of_pixels(correlation: float, generator: np.random.Generator) -> np.ndarray:
    """Errors with a deviation of 1 that are related over a number of pixels."""
    noise = generator.standard_normal(SIZE)
    if correlation:
        noise = gaussian_filter(noise, correlation, mode="wrap")
    return noise / noise.std()


@pytest.mark.parametrize(
    ("correlation", "rooms"),
    [(12, 8), *(pytest.param(each, 20, marks=pytest.mark.slow) for each in (0, 4, 12, 40))],
)
def test_stated_errors_hold_at_every_correlation(correlation: float, rooms: int) -> None:
    generator = np.random.default_rng(5)
    inside: dict[str, list[bool]] = {name: [] for name in QUANTITIES}
    for _ in range(rooms):
        relative = 0.01 / 1.2816 * errors_of_pixels(correlation, generator)
        room = measured_room(ROOM * (1 + relative), "1%")
        for name, (measure, true) in QUANTITIES.items():
            with suppress(CalibrationError):  # Such errors may hide that the floor is flat.
                measured = measure(room)
                inside[name].append(measured.low <= true <= measured.high)
    for name, each in inside.items():
        assert not each or np.mean(each) >= 0.75, name


@pytest.mark.parametrize(("error", "name"), mostly_slow(("0.01%", "1%", None), (*QUANTITIES,)))
def test_exact_depth_gives_the_true_value_and_a_range_around_it(
    error: str | None, name: str
) -> None:
    measure, true = QUANTITIES[name]
    measured = measure(measured_room(ROOM, error))
    assert measured.value == pytest.approx(true, rel=1e-3, abs=1e-2)
    assert measured.low <= true <= measured.high


def test_a_disc_that_reaches_beyond_a_surface_does_not_tilt_it() -> None:
    """Its upper part shows the wall behind the plate."""
    measured = angle(measured_room(ROOM, "0.01%"), ON_FLOOR, AT_PLATE_EDGE)
    assert measured.value == pytest.approx(0, abs=1e-2)
    assert measured.low == 0


@pytest.mark.parametrize("tilt", [0.0, 0.3, 3.0])
def test_the_range_of_a_small_angle_reaches_zero(tilt: float) -> None:
    """Two halves of a wall, which is bent in the middle by fewer degrees than the error is."""
    wall = 3 / (1 + math.tan(math.radians(tilt / 2)) * np.abs(RAYS[0]))
    room = rilievo.Prediction.from_depth(PHOTO, wall.astype(np.float32), FOCAL, depth_error="0.5%")
    measured = angle(room, (60, 120), (260, 120))
    assert measured.value == pytest.approx(tilt, abs=0.02)
    assert measured.low == 0
    assert measured.high > tilt


def test_an_angle_says_that_it_is_between_normals_where_a_corner_has_another_one() -> None:
    """The wall turns by 16.7 degrees away from one that faces the camera."""
    walls = np.minimum(WALL, WALL / np.maximum(0.3 * RAYS[0] + 1, 1e-6))
    room = rilievo.Prediction.from_depth(PHOTO, walls.astype(np.float32), FOCAL, depth_error="0.1%")
    measured = angle(room, (60, 120), (260, 120))
    assert measured.value == pytest.approx(16.7, abs=0.05)
    assert any("163.3°" in remark for remark in measured.remarks)
    right_angle = angle(measured_room(ROOM, "0.1%"), ON_FLOOR, ON_WALL)
    assert not any("normals" in remark for remark in right_angle.remarks)


def test_the_assumed_error_is_mostly_common_as_that_of_depth_cameras_is() -> None:
    for measure, _ in (QUANTITIES["angle of wall and floor"], QUANTITIES["height above the sheet"]):
        stated, assumed = (measure(measured_room(ROOM, error)) for error in ("2%", None))
        assert assumed.high - assumed.low < 0.6 * (stated.high - stated.low)
