"""Laser scans to depth maps: the rules worked by hand, and against a slow reading of the rule."""

import struct
from collections import defaultdict
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from rilievo.data.datasets.sets.kitti_calibration import image_from_laser, read_camera
from rilievo.data.datasets.sets.kitti_scans import (
    PROJECTIONS,
    project_monodepth2,
    project_nearest,
    read_velodyne,
)
from rilievo.errors import InputError

# Laser x forward, y left, z up; the camera in the same place: u = 10 - 20 y / x, v = 8 - 20 z / x.
IMAGE_FROM_LASER = np.array([[10.0, -20, 0, 0], [8, 0, -20, 0], [1, 0, 0, 0]])
SHAPE = (16, 20)


def at(u: float, v: float, x: float) -> tuple[float, float, float]:
    return x, (10 - u) * x / 20, (8 - v) * x / 20


def scan(*points: tuple[float, float, float]) -> np.ndarray:
    return np.array(points, np.float32).reshape(-1, 3)


def slow_monodepth2(
    points: np.ndarray, P: np.ndarray, shape: tuple[int, int], *, forward: bool
) -> np.ndarray:
    """The rule as its description says it, one point and one pixel at a time."""
    height, width = shape
    depth = np.zeros(shape)
    sharing = defaultdict(list)
    for X in points.astype(np.float64):
        if X[0] < 0:
            continue
        a, b, z = (sum(row[k] * X[k] for k in range(3)) + row[3] for row in P)
        if z == 0:
            continue
        u, v = round(a / z) - 1, round(b / z) - 1  # both round halves to even
        if 0 <= u < width and 0 <= v < height:
            stored = X[0] if forward else z
            depth[v, u] = stored
            sharing[v * (width - 1) + u - 1].append((v, u, stored))
    for group in sharing.values():
        if len(group) > 1:
            depth[group[0][:2]] = min(stored for _, _, stored in group)
    depth[depth < 0] = 0
    return depth


def slow_nearest(points: np.ndarray, P: np.ndarray, shape: tuple[int, int]) -> np.ndarray:
    depth = np.zeros(shape)
    for X in points.astype(np.float64):
        a, b, z = (sum(row[k] * X[k] for k in range(3)) + row[3] for row in P)
        if z <= 0:
            continue
        for v in range(shape[0]):
            for u in range(shape[1]):
                if u - 0.5 <= a / z < u + 0.5 and v - 0.5 <= b / z < v + 0.5:
                    depth[v, u] = min(z, depth[v, u]) if depth[v, u] else z
    return depth


def test_monodepth2_puts_a_point_one_pixel_up_and_left() -> None:
    depth = project_monodepth2(scan(at(7, 5, 4.0)), IMAGE_FROM_LASER, SHAPE)
    assert depth[4, 6] == 4.0
    assert np.count_nonzero(depth) == 1


def test_nearest_puts_a_point_where_the_camera_sees_it() -> None:
    depth = project_nearest(scan(at(7.4, 5.4, 4.0)), IMAGE_FROM_LASER, SHAPE)
    assert depth[5, 7] == 4.0
    assert np.count_nonzero(depth) == 1


@pytest.mark.parametrize("variant", PROJECTIONS)
def test_the_nearer_of_two_points_in_a_pixel_counts_whatever_their_order(variant: str) -> None:
    near, far = at(7, 5, 4.0), at(7, 5, 9.0)
    for points in (scan(near, far), scan(far, near)):
        assert PROJECTIONS[variant](points, IMAGE_FROM_LASER, SHAPE).max() == 4.0


def test_points_behind_the_laser_are_left_out() -> None:
    behind = scan(at(7, 5, -4.0))
    for project in PROJECTIONS.values():
        assert not project(behind, IMAGE_FROM_LASER, SHAPE).any()


def test_vel_depth_stores_how_far_the_laser_saw() -> None:
    camera_ahead = IMAGE_FROM_LASER.copy()
    camera_ahead[2, 3] = -0.25
    points = scan((4.25, 0, 0))
    plain = PROJECTIONS["monodepth2"](points, camera_ahead, SHAPE)
    forward = PROJECTIONS["monodepth2_vel_depth"](points, camera_ahead, SHAPE)
    assert (plain.max(), forward.max()) == (4.0, 4.25)


def test_the_end_of_a_row_and_the_start_of_the_next_share_their_minimum_as_in_the_program() -> None:
    """The oddity that agreement with the published truth needs: two pixels, one number."""
    end, start = at(20, 5, 9.0), at(1, 6, 4.0)
    depth = project_monodepth2(scan(end, start), IMAGE_FROM_LASER, SHAPE)
    assert (depth[4, 19], depth[5, 0]) == (4.0, 4.0)
    depth = project_monodepth2(scan(start, end), IMAGE_FROM_LASER, SHAPE)
    assert (depth[4, 19], depth[5, 0]) == (9.0, 4.0)
    clean = project_nearest(scan(at(19, 5, 9.0), at(0, 6, 4.0)), IMAGE_FROM_LASER, SHAPE)
    assert (clean[5, 19], clean[6, 0]) == (9.0, 4.0)


def test_a_point_between_laser_and_camera_wipes_out_the_pixel_it_falls_in() -> None:
    """The negative depth is the least of the pixel, and the program then sets it to 0."""
    camera_ahead = IMAGE_FROM_LASER.copy()
    camera_ahead[:, 3] = (-2.5, -2, -0.25)
    seen = (4.25, 0.0, 0.0)  # z = 4, u = (42.5 - 2.5) / 4 = 10, v = (34 - 2) / 4 = 8
    between = (0.125, 0.0, 0.0)  # z = -0.125, u = -1.25 / -0.125 = 10, v = -1 / -0.125 = 8
    assert project_monodepth2(scan(seen), camera_ahead, SHAPE)[7, 9] == 4.0
    assert not project_monodepth2(scan(seen, between), camera_ahead, SHAPE).any()
    assert project_nearest(scan(seen, between), camera_ahead, SHAPE)[8, 10] == 4.0


def test_a_point_in_the_plane_of_the_camera_is_no_error() -> None:
    for project in PROJECTIONS.values():
        assert not project(scan((0, 0, 0), (0, 1, 1)), IMAGE_FROM_LASER, SHAPE).any()


@given(seed=st.integers(0, 2**32 - 1), forward=st.booleans())
def test_the_rule_agrees_with_a_slow_loop(seed: int, forward: bool) -> None:
    """Points are dense, so that most pixels are shared, and some lie behind the camera."""
    rng = np.random.default_rng(seed)
    points = rng.uniform((-1, -4, -3), (8, 4, 3), (400, 3)).astype(np.float32)
    P = IMAGE_FROM_LASER.copy()
    P[2, 3] = -0.3
    fast = project_monodepth2(points, P, SHAPE, forward=forward)
    np.testing.assert_allclose(fast, slow_monodepth2(points, P, SHAPE, forward=forward), rtol=1e-12)


@given(seed=st.integers(0, 2**32 - 1))
def test_nearest_agrees_with_a_slow_loop(seed: int) -> None:
    rng = np.random.default_rng(seed)
    points = rng.uniform((-1, -4, -3), (8, 4, 3), (60, 3)).astype(np.float32)
    fast = project_nearest(points, IMAGE_FROM_LASER, SHAPE)
    np.testing.assert_allclose(fast, slow_nearest(points, IMAGE_FROM_LASER, SHAPE), rtol=1e-12)


@given(seed=st.integers(0, 2**32 - 1))
def test_nearest_minds_no_order_of_the_points(seed: int) -> None:
    rng = np.random.default_rng(seed)
    points = rng.uniform((0, -4, -3), (8, 4, 3), (300, 3)).astype(np.float32)
    np.testing.assert_array_equal(
        project_nearest(points, IMAGE_FROM_LASER, SHAPE),
        project_nearest(rng.permutation(points), IMAGE_FROM_LASER, SHAPE),
    )


def test_a_scan_is_four_little_endian_floats_a_point(tmp_path: Path) -> None:
    path = tmp_path / "0.bin"
    path.write_bytes(struct.pack("<8f", 1, 2, 3, 0.5, -4, 5, -6, 0.25))
    np.testing.assert_array_equal(read_velodyne(path), [[1, 2, 3], [-4, 5, -6]])


def test_a_scan_cut_short_is_said_in_one_line(tmp_path: Path) -> None:
    path = tmp_path / "0.bin"
    path.write_bytes(struct.pack("<6f", *range(6)))
    with pytest.raises(InputError, match=r"0\.bin: has 24 bytes, which is not a multiple of 16"):
        read_velodyne(path)


def test_an_empty_scan_is_said_in_one_line(tmp_path: Path) -> None:
    path = tmp_path / "0.bin"
    path.touch()
    with pytest.raises(InputError, match=r"0\.bin: the file is empty"):
        read_velodyne(path)


@pytest.mark.parametrize("odd", [float("nan"), float("inf")])
def test_points_that_are_not_finite_are_counted_and_refused(tmp_path: Path, odd: float) -> None:
    path = tmp_path / "0.bin"
    path.write_bytes(struct.pack("<8f", 1, 2, 3, 0, 1, odd, odd, 0))
    with pytest.raises(InputError, match="NaN or infinite coordinates in 1 of 2 points"):
        read_velodyne(path)


@pytest.mark.slow
@pytest.mark.parametrize("forward", [False, True])
def test_a_real_scan_agrees_with_the_slow_loop(data_folder: Path, forward: bool) -> None:
    day = data_folder / "kitti_raw" / "2011_09_26"
    camera = read_camera(day, "image_02")
    P = image_from_laser(day, camera)
    scans = day / "2011_09_26_drive_9002_sync" / "velodyne_points" / "data"
    points = read_velodyne(scans / "0000000014.bin")
    fast = project_monodepth2(points, P, camera.shape, forward=forward)
    slow = slow_monodepth2(points, P, camera.shape, forward=forward)
    np.testing.assert_allclose(fast, slow, rtol=1e-9)
    assert 15_000 < np.count_nonzero(fast) < 17_000
