"""The camera's height above a floor, in rendered rooms."""

import re
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.spatial.transform import Rotation

import rilievo
from rilievo.calibration.floor import calibrate_height
from rilievo.errors import CalibrationError, InputError, OptionError
from rilievo.geometry.cameras.camera import Camera, CameraSource
from rilievo.records.depth_map import DepthKind, DepthMap
from support.analytic import View, box, camera_matrix, nearest, pixel_rays, plane, sphere

SIZE = (120, 160)
K = camera_matrix(*SIZE, 130.0)
CAMERA = Camera(K=K, source=CameraSource.GIVEN)
RAYS = pixel_rays(K, *SIZE)
HEIGHT = 1.6


def axes(pitch: float, roll: float) -> np.ndarray:
    """World (x right, y down, z ahead, level) to camera, pitched down and rolled [degrees]."""
    return Rotation.from_euler("xz", [pitch, roll], degrees=True).as_matrix()


def room(pitch: float = 0.0, roll: float = 0.0, *others: View, height: float = HEIGHT) -> View:
    """A floor ``height`` below the camera, walls 2.5 m to each side and 6 m ahead, a ceiling."""
    R = axes(pitch, roll)
    sides = [
        ([0, -1, 0], height),
        ([0, 1, 0], 1.2),
        ([1, 0, 0], 2.5),
        ([-1, 0, 0], 2.5),
        ([0, 0, -1], 6.0),
    ]
    walls = [plane(RAYS, R @ np.array(normal, float), far) for normal, far in sides]
    return nearest(*walls, *others)


def block(pitch: float, centre: list[float], half: list[float]) -> View:
    """A box that stands level in the room; its centre is given in the world."""
    R = axes(pitch, 0)
    return box(RAYS, R @ np.array(centre), np.array(half), R)


def up_to_scale(view: View, *, noise: float = 0.0, unit: float = 1.0) -> DepthMap:
    """The view's depth in another unit, with relative noise; nothing seen is not valid."""
    factor = 1 + noise * np.random.default_rng(0).standard_normal(SIZE)
    depth = np.where(view.seen, view.depth, 1.0) / unit * factor
    return DepthMap(values=depth.astype(np.float32), kind=DepthKind.UP_TO_SCALE, valid=view.seen)


@pytest.mark.parametrize(
    ("pitch", "roll"), [(0, 0), (15, 0), (30, 0), (-4, 0), (10, 20), (20, -15), (33, 5)]
)
def test_a_rooms_scale_is_found_at_any_pitch_and_roll(pitch: float, roll: float) -> None:
    view = room(pitch, roll)
    result = calibrate_height(up_to_scale(view, unit=3.7), CAMERA, HEIGHT)
    assert result.fit.scale == pytest.approx(3.7, rel=1e-5)
    assert result.depth.kind is DepthKind.METRIC
    np.testing.assert_allclose(result.depth.values, view.depth, rtol=1e-5)
    assert result.floor is not None
    assert result.floor.height == pytest.approx(HEIGHT / 3.7, rel=1e-5)
    np.testing.assert_allclose(result.floor.normal, axes(pitch, roll) @ [0, -1, 0], atol=1e-5)
    assert result.floor.inliers > 0.99
    assert result.warning is None


@pytest.mark.slow
@given(pitch=st.floats(0, 25), roll=st.floats(-15, 15), height=st.floats(0.5, 1.8))
def test_heights_and_attitudes_of_all_sorts(pitch: float, roll: float, height: float) -> None:
    result = calibrate_height(up_to_scale(room(pitch, roll, height=height)), CAMERA, height)
    assert result.fit.scale == pytest.approx(1.0, rel=1e-4)


@pytest.mark.parametrize("noise", [0.01, 0.03, 0.06])
def test_noise_in_depth_moves_the_scale_little(noise: float) -> None:
    result = calibrate_height(up_to_scale(room(15, 5), noise=noise), CAMERA, HEIGHT)
    assert result.fit.scale == pytest.approx(1.0, rel=0.01)
    assert result.fit.residual > 0.02


def test_a_models_normals_are_used_where_given() -> None:
    """Depth too rough for normals of its own, which say that no floor is seen, is saved by them."""
    view = room(15, 0)
    rough = up_to_scale(view, noise=0.1)
    normals = view.normals.astype(np.float32)
    result = calibrate_height(rough, CAMERA, HEIGHT, normals=normals)
    assert result.fit.scale == pytest.approx(1.0, rel=0.05)
    with pytest.raises(CalibrationError, match="no floor was found"):
        calibrate_height(up_to_scale(view), CAMERA, HEIGHT, normals=-normals)


def test_a_box_on_the_floor_is_not_the_floor() -> None:
    """The top of the box, 1 m below the camera, faces up as well."""
    view = room(20, 0, block(20, [0.3, HEIGHT - 0.3, 2.6], [0.5, 0.3, 0.5]))
    result = calibrate_height(up_to_scale(view), CAMERA, HEIGHT)
    assert result.fit.scale == pytest.approx(1.0, rel=1e-3)


def test_a_table_larger_than_the_floor_beside_it_is_not_the_floor() -> None:
    view = room(25, 0, block(25, [0.0, HEIGHT - 0.8, 1.6], [1.2, 0.02, 0.8]))
    table, floor = view.part == 5, view.part == 0
    assert table.sum() > 3 * floor.sum() > 0
    result = calibrate_height(up_to_scale(view, noise=0.01), CAMERA, HEIGHT)
    assert result.fit.scale == pytest.approx(1.0, rel=0.01)


def test_a_counter_that_hides_the_floor_is_not_taken_for_it() -> None:
    """The counter fills the room's width; its front and the walls show that there is more below its
    top.
    """
    view = room(20, 0, block(20, [0.0, HEIGHT - 0.4, 2.0], [2.4, 0.4, 0.6]))
    assert (view.part == 0).sum() < 0.03 * view.part.size
    with pytest.raises(CalibrationError, match=r"is probably a table, because \d+%"):
        calibrate_height(up_to_scale(view), CAMERA, HEIGHT)


def test_the_same_map_gives_the_same_metres() -> None:
    rough = up_to_scale(room(15, 5), noise=0.05)
    first, second = (calibrate_height(rough, CAMERA, HEIGHT) for _ in range(2))
    assert first.fit == second.fit


@pytest.mark.slow
def test_a_large_photograph_gives_what_a_small_one_does() -> None:
    """The grid takes every seventh pixel, and its camera goes with it."""
    height, width = 1000, 1400
    big = camera_matrix(height, width, 1100.0)
    floor = plane(pixel_rays(big, height, width), axes(20, 0) @ np.array([0, -1.0, 0]), HEIGHT)
    depth = DepthMap(
        values=np.where(floor.seen, floor.depth, 1).astype(np.float32),
        kind=DepthKind.UP_TO_SCALE,
        valid=floor.seen,
    )
    result = calibrate_height(depth, Camera(K=big, source=CameraSource.GIVEN), HEIGHT)
    assert result.fit.scale == pytest.approx(1.0, rel=1e-5)


def test_a_wall_alone_is_no_floor() -> None:
    view = plane(RAYS, np.array([0.2, 0.1, -1.0]) / np.sqrt(1.05), 3.0)
    with pytest.raises(CalibrationError, match=r"no floor was found: only 0.0% of the pixels"):
        calibrate_height(up_to_scale(view), CAMERA, HEIGHT)


def test_a_floor_that_is_hardly_too_small_is_not_as_large_as_needed_in_the_message() -> None:
    view = room()
    faces_up = np.zeros(SIZE, bool)
    faces_up.flat[-575:] = True  # of 19200 pixels, 2.995%
    normals = np.stack([np.zeros(SIZE), -1.0 * faces_up, -1.0 * ~faces_up])
    with pytest.raises(CalibrationError, match=r"only 2.99% of the pixels .* needs 3%"):
        calibrate_height(up_to_scale(view), CAMERA, HEIGHT, normals=normals)


def test_a_ceiling_alone_is_no_floor() -> None:
    view = plane(RAYS, axes(-20, 0) @ np.array([0, 1.0, 0]), 1.2)
    with pytest.raises(CalibrationError, match="no floor was found"):
        calibrate_height(up_to_scale(view), CAMERA, HEIGHT)


def test_a_roof_above_the_middle_of_the_picture_is_no_floor() -> None:
    view = plane(RAYS, axes(30, 0) @ np.array([0, -1.0, 0]), HEIGHT)
    upper = np.arange(SIZE[0])[:, None] < SIZE[0] // 2
    depth = DepthMap(
        values=np.where(view.seen, view.depth, 1).astype(np.float32),
        kind=DepthKind.UP_TO_SCALE,
        valid=view.seen & upper,
    )
    with pytest.raises(CalibrationError, match=r"no floor was found: only 0.0% of the pixels"):
        calibrate_height(depth, CAMERA, HEIGHT)


def test_a_heap_that_faces_up_is_no_floor() -> None:
    """The top of a ball below the camera: up within 35 degrees, and not flat."""
    view = sphere(RAYS, axes(10, 0) @ np.array([0, 1.6, 1.5]), 1.0)
    with pytest.raises(CalibrationError, match=r"no floor was found: .* is not flat"):
        calibrate_height(up_to_scale(view), CAMERA, HEIGHT)


def test_up_facing_noise_is_no_floor() -> None:
    """Normals that claim a floor where the depth has no plane."""
    depth = np.random.default_rng(0).uniform(1, 9, SIZE).astype(np.float32)
    normals = np.zeros((3, *SIZE), np.float32)
    normals[1] = -1
    with pytest.raises(CalibrationError, match="no floor was found: the surface that faces up"):
        calibrate_height(
            DepthMap(values=depth, kind=DepthKind.UP_TO_SCALE), CAMERA, HEIGHT, normals=normals
        )


def test_metres_are_scaled_too_and_that_is_said() -> None:
    depth = DepthMap(values=room(15).depth.astype(np.float32) / 2, kind=DepthKind.METRIC)
    result = calibrate_height(depth, CAMERA, HEIGHT)
    assert result.warning == "the model's own metric depth was multiplied by 2"


def test_an_assumed_camera_is_said() -> None:
    camera = Camera(K=K, source=CameraSource.ASSUMED)
    warning = calibrate_height(up_to_scale(room(15)), camera, HEIGHT).warning
    assert warning is not None
    assert "focal length is assumed" in warning


@pytest.mark.parametrize("kind", [DepthKind.AFFINE, DepthKind.AFFINE_INVERSE])
def test_a_kind_with_a_shift_is_refused(kind: DepthKind) -> None:
    depth = DepthMap(values=room().depth.astype(np.float32), kind=kind)
    with pytest.raises(CalibrationError, match=f"kind '{kind}' also has.*give two known points"):
        calibrate_height(depth, CAMERA, HEIGHT)


@pytest.mark.parametrize("metres", [0.0, -1.6, float("nan"), float("inf")])
def test_a_height_that_is_no_height_is_refused(metres: float) -> None:
    with pytest.raises(OptionError, match=re.escape(f"positive number of metres, got {metres:g}")):
        calibrate_height(up_to_scale(room()), CAMERA, metres)


@pytest.mark.parametrize("max_tilt", [0.0, 90.0, float("nan")])
def test_a_tilt_out_of_range_is_refused(max_tilt: float) -> None:
    with pytest.raises(OptionError, match="between 0 and 90 degrees"):
        calibrate_height(up_to_scale(room()), CAMERA, HEIGHT, max_tilt=max_tilt)


def test_normals_of_another_size_are_refused() -> None:
    with pytest.raises(
        InputError, match=re.escape("size (10, 10), but the depth has the size (120, 160)")
    ):
        calibrate_height(
            up_to_scale(room()), CAMERA, HEIGHT, normals=np.zeros((3, 10, 10), np.float32)
        )


def test_a_street_whose_depth_bends_down_is_taken_as_a_level_cameras() -> None:
    """Ground 1.5 m below, which a network puts 40% too far beyond eight metres."""
    height, width = SIZE
    K = np.array([[0.9 * width, 0, width / 2], [0, 0.9 * width, 0.3 * height], [0, 0, 1]])
    rows = np.arange(height)[:, None] - 0.3 * height
    true = np.minimum(1.5 * K[1, 1] / np.maximum(rows, 1e-3), 40.0)
    said = np.broadcast_to(np.where(true < 8, true, 1.4 * true) / 3, SIZE).astype(np.float32)
    depth = DepthMap(values=said, kind=DepthKind.UP_TO_SCALE)
    found = calibrate_height(depth, Camera(K=K), 1.5)
    assert found.fit.scale == pytest.approx(3, rel=0.02)
    assert found.floor is not None
    assert found.floor.normal @ [0, -1, 0] == pytest.approx(1)


def street(pitch: float, power: float) -> tuple[DepthMap, View]:
    """A road, houses and their end, in depth whose relief is too flat: its root of this power."""
    R = axes(pitch, 0)
    far = [([0, -1, 0], HEIGHT), ([1, 0, 0], 7.0), ([-1, 0, 0], 7.0), ([0, 0, -1], 60.0)]
    view = nearest(*(plane(RAYS, R @ np.array(normal, float), away) for normal, away in far))
    depth = np.where(view.seen, view.depth, 1.0) ** (1 / power)
    values = depth.astype(np.float32)
    return DepthMap(values=values, kind=DepthKind.UP_TO_SCALE, valid=view.seen), view


@pytest.mark.parametrize("power", [1.3, 1.5, 1.7])
def test_a_street_whose_relief_is_too_flat_has_the_height_of_its_nearest_third(
    power: float,
) -> None:
    depth, view = street(0, power)
    result = calibrate_height(depth, CAMERA, HEIGHT)
    # The whole plane gives 0.4 to 0.8 of the true scale of what is near.
    near = view.seen & (view.depth < np.quantile(view.depth[view.seen], 0.25))
    true = np.median(view.depth[near] / depth.values[near])
    assert result.fit.scale == pytest.approx(true, rel=0.15)
    assert result.floor is not None
    np.testing.assert_allclose(result.floor.normal, [0, -1, 0], atol=1e-9)


@pytest.mark.parametrize(("pitch", "power"), [(8, 1.3), (4, 1.5), (8, 1.7), (15, 1.7)])
def test_a_bent_street_of_a_camera_that_looks_down_is_refused(pitch: float, power: float) -> None:
    depth, _ = street(pitch, power)
    with pytest.raises(CalibrationError, match=r"no (flat )?floor was found"):
        calibrate_height(depth, CAMERA, HEIGHT)


@pytest.mark.parametrize("pitch", [0.0, 5.0, 12.0])
def test_a_street_in_exact_depth_is_measured_at_any_pitch(pitch: float) -> None:
    depth, _ = street(pitch, 1.0)
    assert calibrate_height(depth, CAMERA, HEIGHT).fit.scale == pytest.approx(1, rel=1e-4)


def test_streets_of_real_scans_are_within_fifteen_percent_or_refused(data_folder: Path) -> None:
    """The height of KITTI's camera, against its laser: the geometric mean of what is answered."""
    root = data_folder / "kitti_raw/2011_09_26"
    drive, lines = root / "2011_09_26_drive_9002_sync", {}
    for name in ("calib_cam_to_cam.txt", "calib_velo_to_cam.txt"):
        for line in (root / name).read_text().splitlines():
            key, _, numbers = line.partition(":")
            if key in ("P_rect_02", "R_rect_00", "R", "T"):
                lines[key] = np.array(numbers.split(), float)
    rectify, to_camera = np.eye(4), np.eye(4)
    rectify[:3, :3] = lines["R_rect_00"].reshape(3, 3)
    to_camera[:3, :3], to_camera[:3, 3] = lines["R"].reshape(3, 3), lines["T"]
    project = lines["P_rect_02"].reshape(3, 4)
    ratios = []
    for scan in sorted((drive / "velodyne_points/data").glob("*.bin")):
        photo = drive / "image_02/data" / f"{scan.stem}.jpg"
        plain = rilievo.predict(photo, camera=project[:, :3])
        points = np.fromfile(scan, np.float32).reshape(-1, 4)[:, :3]
        points = np.column_stack([points[points[:, 0] > 1], np.ones((points[:, 0] > 1).sum())])
        u, v, z = project @ rectify @ to_camera @ points.T
        columns, rows = np.round(u / z).astype(int), np.round(v / z).astype(int)
        height, width = plain.depth.shape
        inside = (columns >= 0) & (columns < width) & (rows >= 0) & (rows < height)
        true = np.median(z[inside] / plain.depth.values[rows[inside], columns[inside]])
        try:
            fit = calibrate_height(plain.depth, plain.known_camera, 1.65, normals=plain.normals).fit
        except CalibrationError:
            continue
        ratios.append(fit.scale / true)
    assert 0.85 <= np.exp(np.mean(np.log(ratios or [1]))) <= 1.15
    assert all(0.7 < ratio < 1.4 for ratio in ratios)


def test_the_residual_is_in_metres_whatever_the_unit_of_depth() -> None:
    view = room(15, 5)
    calibrations = [
        calibrate_height(up_to_scale(view, noise=0.03, unit=unit), CAMERA, HEIGHT)
        for unit in (1.0, 4.0)
    ]
    floor = (view.part == 0) & view.seen
    true = np.sqrt(np.mean((calibrations[1].depth.values - view.depth)[floor] ** 2))
    assert calibrations[1].fit.residual == pytest.approx(calibrations[0].fit.residual, rel=1e-4)
    assert calibrations[1].fit.residual == pytest.approx(true, rel=0.3)
