"""Axes of rendered rooms come back, and so does their depth after a tilt and a power."""

import math

import numpy as np
import pytest
from PIL import Image, ImageDraw

from rilievo.geometry.intrinsics import K_from_fov
from rilievo.geometry.manhattan_depth import LogDepthChange, fit_to_manhattan_frame
from rilievo.geometry.manhattan_frame import ManhattanFrame, find_manhattan_frame
from support.lens_boxes import turned
from support.panelled_rooms import FOV, SIZE, PanelledRoom, panelled_room

ANGLES = [(25, 10, 3), (-30, 15, -5), (10, -12, 2), (40, 5, 0)]


def grey(room: PanelledRoom) -> np.ndarray:
    return room.pixels[..., 0].astype(np.float64)


def mean_error(depth: np.ndarray, true: np.ndarray) -> float:
    """Mean relative error after the ratio of medians."""
    scaled = depth * np.median(true) / np.median(depth)
    return float(np.mean(np.abs(scaled / true - 1)))


@pytest.mark.parametrize("angles", ANGLES)
def test_the_axes_of_a_room_come_back(angles: tuple[float, float, float]) -> None:
    room = panelled_room(*angles)
    frame = find_manhattan_frame(grey(room), room.K)
    assert frame is not None
    assert frame.is_clear
    assert sum(frame.explained_fractions) > 0.95
    # Each true axis is one of those found, either way round.
    cosines = np.abs(frame.rotation.T @ room.axes).max(axis=0)
    assert np.degrees(np.arccos(np.minimum(cosines, 1))).max() < 0.3


@pytest.mark.parametrize("factor", [0.85, 1.15])
def test_a_wrong_focal_length_explains_less_of_the_lines(factor: float) -> None:
    room = panelled_room(30, 15, 3)
    K = np.diag([factor, factor, 1.0]) @ room.K
    K[:2, 2] = room.K[:2, 2]
    frame = find_manhattan_frame(grey(room), K)
    assert frame is not None
    assert sum(frame.explained_fractions) < 0.9


def test_two_rooms_turned_against_each_other_are_not_clear() -> None:
    left, right = grey(panelled_room(10, 10)), grey(panelled_room(45, -15, 20, seed=1))
    joined = np.concatenate([left[:, : SIZE[1] // 2], right[:, SIZE[1] // 2 :]], axis=1)
    frame = find_manhattan_frame(joined, K_from_fov(FOV, SIZE))
    assert frame is None or not frame.is_clear


@pytest.mark.parametrize(
    ("fractions", "is_clear"),
    [
        ((0.5, 0.3, 0.1), True),
        ((0.0, 0.2, 0.7), True),
        ((0.4, 0.2, 0.1), False),  # too much along no axis
        ((0.85, 0.1, 0.04), False),  # nearly all along one axis
    ],
)
def test_a_frame_is_clear_if_it_explains_most_lines_along_two_axes_at_least(
    fractions: tuple[float, float, float], is_clear: bool
) -> None:
    frame = ManhattanFrame(rotation=np.eye(3), explained_fractions=fractions)
    assert frame.is_clear == is_clear


def test_pictures_without_lines_or_order_have_no_clear_frame() -> None:
    K, random = K_from_fov(FOV, SIZE), np.random.default_rng(3)
    assert find_manhattan_frame(np.full(SIZE, 90.0), K) is None
    assert find_manhattan_frame(np.full((1, 40), 90.0), K) is None
    image = Image.new("L", (SIZE[1], SIZE[0]), 100)
    for _ in range(60):
        ends = [tuple(random.uniform((0, 0), (SIZE[1], SIZE[0]))) for _ in range(2)]
        ImageDraw.Draw(image).line(ends, fill=int(random.integers(255)), width=4)
    for picture in (np.asarray(image, np.float64), random.uniform(0, 255, SIZE)):
        frame = find_manhattan_frame(picture, K)
        assert frame is None or not frame.is_clear


@pytest.mark.parametrize("angles", ANGLES)
@pytest.mark.parametrize(
    ("change", "least_error"),
    [
        (LogDepthChange(tilt_x=0.25, tilt_y=-0.2, power=1.3), 0.1),
        (LogDepthChange(tilt_x=-0.3, tilt_y=0.2, power=0.8), 0.1),
        (LogDepthChange(power=1.4), 0.1),
        (LogDepthChange(tilt_y=0.3), 0.06),
    ],
)
def test_a_tilt_and_a_power_are_undone_to_two_percent(
    angles: tuple[float, float, float], change: LogDepthChange, least_error: float
) -> None:
    room = panelled_room(*angles)
    # The scale of depth does not matter.
    changed = 7 * change.apply(room.depth, room.K)
    assert mean_error(changed, room.depth) > least_error
    found = fit_to_manhattan_frame(changed, room.K, room.axes)
    assert found is not None
    assert found.power * change.power == pytest.approx(1, abs=0.06)
    assert mean_error(found.apply(changed, room.K), room.depth) < 0.02


def test_the_order_and_the_sense_of_the_axes_do_not_matter() -> None:
    room = panelled_room(25, 10, 3)
    changed = LogDepthChange(tilt_x=0.25, power=1.2).apply(room.depth, room.K)
    found = fit_to_manhattan_frame(changed, room.K, room.axes)
    assert fit_to_manhattan_frame(changed, room.K, -room.axes[:, [2, 0, 1]]) == found


def test_a_change_is_that_of_its_formula() -> None:
    K = np.array([[200.0, 0, 30], [0, 100, 10], [0, 0, 1]])
    depth = np.full((21, 61), 2.0)
    depth[:, 40:] = 8.0
    changed = LogDepthChange(tilt_x=0.5, tilt_y=-0.1, power=1.5).apply(depth, K)
    x, y = (50 - 30) / 200, (20 - 10) / 100
    log = 1.5 * math.log(8 / 2) + math.log(2) + 0.5 * x - 0.1 * y
    assert math.log(changed[20, 50]) == pytest.approx(log)
    assert LogDepthChange().apply(depth, K) == pytest.approx(depth)


def test_depth_that_is_right_or_has_no_surfaces_is_not_changed() -> None:
    room = panelled_room(25, 10, 3)
    assert fit_to_manhattan_frame(room.depth, room.K, room.axes) is None
    noise = np.random.default_rng(0).uniform(1, 9, SIZE).astype(np.float32)
    assert fit_to_manhattan_frame(noise, room.K, room.axes) is None
    no_pixels = np.zeros(SIZE, bool)
    tilted = LogDepthChange(tilt_x=0.4).apply(room.depth, room.K)
    assert fit_to_manhattan_frame(tilted, room.K, room.axes, no_pixels) is None


@pytest.mark.parametrize("angles", [(25, 10, 3), (40, -10, 5)])
def test_a_frame_that_needs_a_large_change_is_refused(angles: tuple[float, float, float]) -> None:
    room = panelled_room(*angles)
    wrong_axes = turned(0, 5, 0) @ turned(-20, 0, 0) @ turned(0, 0, 40) @ room.axes
    assert fit_to_manhattan_frame(room.depth, room.K, wrong_axes) is None


def test_a_wrong_frame_does_not_change_depth_by_much() -> None:
    room = panelled_room(25, 10, 3)
    found = fit_to_manhattan_frame(room.depth, room.K, turned(5, -20, 40) @ room.axes)
    assert found is not None
    assert mean_error(found.apply(room.depth, room.K), room.depth) < 0.25
