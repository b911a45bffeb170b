"""Cameras: laws that hold for every lens, and what pinholes alone can do."""

import math
from dataclasses import replace

import numpy as np
import pytest

from rilievo.errors import InputError
from rilievo.geometry.cameras.camera import (
    ASSUMED_FOV,
    Camera,
    CameraSource,
    as_camera,
    assumed_camera,
)
from rilievo.geometry.intrinsics import horizontal_fov, project, rays
from rilievo.geometry.normals import normals_from_depth
from support.analytic import box, nearest, plane
from support.other_lenses import Angular, fisheye, panorama

SIZE = (60, 80)
K = np.array([[70.0, 0, 41.0], [0, 72.0, 28.5], [0, 0, 1]])
CAMERAS = {
    "pinhole": Camera(K=K),
    "fisheye": Camera(lens=fisheye(SIZE, 140)),
    "panorama": Camera(lens=panorama(SIZE), source=CameraSource.PREDICTED),
}
every_camera = pytest.mark.parametrize("camera", CAMERAS.values(), ids=CAMERAS)


def pixels_of(size: tuple[int, int]) -> np.ndarray:
    v, u = np.mgrid[: size[0], : size[1]].astype(float)
    return np.stack([u, v])


@every_camera
def test_a_point_on_a_ray_is_seen_where_the_ray_begins_and_has_its_depth(camera: Camera):
    pixels, depth = pixels_of(SIZE), np.random.default_rng(0).uniform(0.5, 9, SIZE)
    points = camera.rays(pixels) * depth
    np.testing.assert_allclose(camera.project(points), pixels, atol=1e-9)
    np.testing.assert_allclose(camera.depth_of(points), depth, rtol=1e-12)
    np.testing.assert_allclose(camera.points(depth), points, rtol=1e-12, atol=1e-12)
    assert camera.rays(np.array([3.0, 4.0])).shape == (3,)


@every_camera
def test_points_of_some_rows_and_columns_are_those_of_the_image(camera: Camera):
    depth = np.random.default_rng(1).uniform(0.5, 9, SIZE)
    rows, columns = range(2, 60, 7), range(1, 50, 3)
    some = camera.points(depth[2:60:7, 1:50:3], rows=rows, columns=columns)
    np.testing.assert_allclose(some, camera.points(depth)[:, 2:60:7, 1:50:3], rtol=1e-12)
    assert camera.points(depth.astype(np.float32)).dtype == np.float32


@every_camera
def test_rays_stay_with_their_pixels_when_an_image_is_resized_cropped_or_mirrored(camera: Camera):
    whole = camera.rays(pixels_of(SIZE))
    cropped = camera.cropped(top=4, left=9).rays(pixels_of((50, 60)))
    np.testing.assert_allclose(cropped, whole[:, 4:54, 9:69], atol=1e-12)
    mirrored = camera.mirrored(width=80).rays(pixels_of(SIZE))[:, :, ::-1]
    np.testing.assert_allclose(mirrored * np.array([-1, 1, 1])[:, None, None], whole, atol=1e-12)
    # The corner that four pixels share is the middle of the one they become.
    small = camera.resized(size=SIZE, new_size=(30, 40))
    np.testing.assert_allclose(
        small.rays(pixels_of((30, 40))), camera.rays(2 * pixels_of((30, 40)) + 0.5), atol=1e-12
    )
    assert small.source is camera.source


@every_camera
@pytest.mark.parametrize("step", [1, 2])
def test_normals_of_walls_are_exact_for_every_lens(camera: Camera, step: int):
    size = (480, 640) if camera.lens.name != "panorama" else (320, 640)
    large = camera.resized(size=SIZE, new_size=size)
    seen = large.rays(pixels_of(size))
    walls = [plane(seen, np.array(n, float), 2.0) for n in ([0, 0, -1], [-0.6, 0, -0.8])]
    view = nearest(*walls, plane(seen, np.array([0.0, -1.0, 0.0]), 1.5))
    depth = np.where(view.seen, view.depth, 0)[::step, ::step]
    normals, known = normals_from_depth(depth, large, window=5, step=step)
    cosine = np.einsum("ihw,ihw->hw", normals, view.normals[:, ::step, ::step])[known]
    degrees = np.degrees(np.arccos(np.clip(cosine, -1, 1)))
    # About the edges between walls, plane fits see two of them.
    assert known.mean() > 0.4
    assert np.quantile(degrees, 0.9) < (1e-4 if camera.lens.name == "pinhole" else 0.2)


def test_points_of_a_box_lie_on_its_faces_all_round():
    size = (90, 180)
    camera = Camera(lens=panorama(size))
    half = np.array([2.0, 1.5, 2.5])
    directions = camera.rays(pixels_of(size))
    with np.errstate(divide="ignore"):
        distance = (half[:, None, None] / np.abs(directions)).min(axis=0)
    points = camera.points(distance)
    assert np.abs(np.abs(points) - half[:, None, None]).min(axis=0).max() < 1e-12
    assert (points[2] < 0).mean() > 0.4
    outside = box(directions, np.array([0.0, 0, -4]), np.full(3, 0.5), np.eye(3))
    assert outside.seen.any()
    assert (camera.points(np.where(outside.seen, outside.depth, 1))[2][outside.seen] < -3.4).all()


@pytest.mark.parametrize("degrees", [60.0, 120.0, 170.0])
def test_the_field_of_view_is_an_angle_for_every_lens(degrees: float):
    assert Camera(lens=fisheye(SIZE, degrees)).field_of_view(SIZE) == pytest.approx(degrees, 1e-3)
    assert Camera(lens=panorama(SIZE)).field_of_view(SIZE) == pytest.approx(360, 1e-3)
    focal = 40 / np.tan(np.radians(degrees) / 2)
    pinhole = Camera(K=np.array([[focal, 0, 39.5], [0, focal, 29.5], [0, 0, 1]]))
    assert pinhole.field_of_view(SIZE) == pytest.approx(degrees)


def test_a_pinhole_agrees_with_its_matrix():
    camera, depth = CAMERAS["pinhole"], np.random.default_rng(2).uniform(1, 9, SIZE)
    np.testing.assert_array_equal(camera.rays(pixels_of(SIZE)), rays(K, *SIZE))
    np.testing.assert_array_equal(camera.points(depth), rays(K, *SIZE) * depth)
    points = camera.points(depth)
    np.testing.assert_array_equal(camera.project(points), project(points, K))
    assert (camera.focal, camera.focal_y) == (70.0, 72.0)


def test_points_behind_a_pinhole_have_no_pixel():
    behind = CAMERAS["pinhole"].project(np.array([[0.1, 0.1], [0.2, 0.2], [-1.0, 0.0]]))
    assert np.isnan(behind).all()


@pytest.mark.parametrize("name", ["fisheye", "panorama"])
def test_what_needs_a_pinhole_refuses_another_lens_in_one_line(name: str):
    camera = CAMERAS[name]
    assert isinstance(camera.lens, Angular)
    with pytest.raises(InputError, match="COLMAP's text is defined for pinhole cameras") as refused:
        camera.needs_pinhole("COLMAP's text")
    assert camera.lens.name in str(refused.value)
    assert "\n" not in str(refused.value)
    with pytest.raises(InputError, match="K is defined for pinhole"):
        _ = camera.K


def test_a_camera_is_made_of_K_or_of_a_lens():
    camera = CAMERAS["pinhole"]
    assert as_camera(K) == camera == as_camera(camera)
    assert repr(camera) == "Camera(fx=70, fy=72, cx=41, cy=28.5, given)"
    assert replace(camera, source="fov") == Camera(K=K, source=CameraSource.FOV)
    assert replace(camera, K=2 * K - np.diag([0, 0, 1])).focal == 140
    with pytest.raises(InputError, match="intrinsics K or a lens"):
        Camera()


@pytest.mark.parametrize("size", [(480, 640), (640, 480)])
def test_the_assumed_camera_sees_its_angle_along_the_longer_side(size: tuple[int, int]) -> None:
    camera = assumed_camera(size)
    assert camera.source is CameraSource.ASSUMED
    longer = horizontal_fov(
        camera.K if size[1] > size[0] else camera.K[[1, 0, 2]][:, [1, 0, 2]], 640
    )
    assert math.isclose(longer, ASSUMED_FOV)
    np.testing.assert_allclose(camera.K[:2, 2], [(size[1] - 1) / 2, (size[0] - 1) / 2])
