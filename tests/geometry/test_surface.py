"""Point clouds and meshes of surfaces whose shape is known."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays
from PIL import Image

from rilievo.errors import OptionError
from rilievo.geometry.surfaces.lattice import Cut, sample_range
from rilievo.geometry.surfaces.meshes import (
    Mesh,
    flying_pixels,
    mesh,
    point_cloud,
    surface_step,
)
from support.analytic import View, angle, box, camera_matrix, nearest, pixel_rays, plane, sphere

HEIGHT, WIDTH = 60, 80
K = camera_matrix(HEIGHT, WIDTH, 70.0)
RAYS = pixel_rays(K, HEIGHT, WIDTH)
CENTRE, RADIUS = np.array([0.2, -0.1, 3.0]), 0.9
CORNER, HALF = np.array([0.1, 0.2, 2.0]), np.array([0.4, 0.3, 0.3])
TURN = np.array([[0.8, 0, 0.6], [0, 1, 0], [-0.6, 0, 0.8]])


def tilted(degrees: float) -> View:
    angle = np.radians(degrees)
    return plane(RAYS, np.array([np.sin(angle), 0.0, -np.cos(angle)]), 2.0)


def box_before_wall(rays: np.ndarray = RAYS) -> View:
    return nearest(box(rays, CORNER, HALF, TURN), plane(rays, np.array([0.0, 0.0, -1.0]), 4.0))


def mesh_of(view: View, **options: object) -> Mesh:
    return mesh(np.where(view.seen, view.depth, 0).astype(np.float32), K, view.seen, **options)


def face_normals(surface: Mesh) -> np.ndarray:
    a, b, c = (surface.points[surface.triangles[:, i]].astype(float) for i in range(3))
    return np.cross(b - a, c - a)


def at_pixels(field: np.ndarray, surface: Mesh) -> np.ndarray:
    u, v = surface.pixels.astype(int).T
    return field[..., v, u]


@pytest.mark.parametrize("degrees", [0, 20, -45, 70])
def test_points_and_mesh_of_a_plane_lie_on_it_and_lean_as_it_does(degrees: float) -> None:
    view = tilted(degrees)
    normal = view.normals[:, 0, 0]
    surface = mesh_of(view)
    cloud = point_cloud(np.where(view.seen, view.depth, 1).astype(np.float32), K, view.seen)
    for points, normals in ((surface.points, surface.normals), (cloud.points, cloud.normals)):
        assert len(points) > 0.5 * view.seen.sum()
        depth = points[:, 2]
        np.testing.assert_array_less(np.abs(points @ normal + 2.0), 1e-5 * depth)
        # A triangle of neighbouring pixels is small against its distance, where 32 bits end.
        assert np.median(angle(normals.T, normal[:, None])) < 0.01
    assert (
        np.median(
            angle(
                face_normals(surface).T / np.linalg.norm(face_normals(surface), axis=1),
                normal[:, None],
            )
        )
        < 0.01
    )


def test_a_plane_seen_head_on_is_meshed_without_a_hole() -> None:
    surface = mesh_of(tilted(0))
    assert len(surface.points) == HEIGHT * WIDTH
    assert len(surface.triangles) == 2 * (HEIGHT - 1) * (WIDTH - 1)
    area = np.linalg.norm(face_normals(surface), axis=1).sum() / 2
    # At two metres a pixel is 2 / 70 m wide.
    np.testing.assert_allclose(area, (HEIGHT - 1) * (WIDTH - 1) * (2 / 70) ** 2, rtol=1e-5)


def test_points_and_mesh_of_a_sphere_lie_on_it_and_lean_as_it_does() -> None:
    view = sphere(RAYS, CENTRE, RADIUS)
    surface = mesh_of(view)
    away = np.linalg.norm(surface.points - CENTRE, axis=1)
    np.testing.assert_allclose(away, RADIUS, atol=2e-6)
    true = at_pixels(view.normals, surface)
    assert np.median(angle(surface.normals.T, true)) < 1.0
    middle = surface.points[surface.triangles].mean(axis=1)
    sag = RADIUS - np.linalg.norm(middle - CENTRE, axis=1)
    assert sag.min() > -1e-6
    assert np.median(sag) < 1e-3 * RADIUS


@pytest.mark.parametrize("size", [24, 60, 240])
def test_no_triangle_crosses_the_silhouette_of_a_box(size: int) -> None:
    K = camera_matrix(size, size, 0.9 * size)
    view = box_before_wall(pixel_rays(K, size, size))
    surface = mesh(view.depth.astype(np.float32), K, view.seen)
    parts = at_pixels(view.part, surface)[surface.triangles]
    assert (parts == parts[:, :1]).all()
    assert len(surface.triangles) > 1.6 * size * size


def test_the_faces_of_a_box_hang_together() -> None:
    view = box_before_wall()
    surface = mesh_of(view)
    corners = at_pixels(view.normals, surface)[:, surface.triangles]
    on_box = (at_pixels(view.part, surface)[surface.triangles] == 0).all(axis=1)
    bent = (angle(corners[..., 0], corners[..., 1]) > 1) & on_box
    assert bent.sum() > 10


def test_points_that_fly_between_a_box_and_the_wall_are_left_out() -> None:
    """Depth enlarged bilinearly, as a network's is, has ramps where the scene has edges."""
    view = box_before_wall()
    shape = (4 * HEIGHT, 4 * WIDTH)
    small = Image.fromarray(view.depth.astype(np.float32))
    depth = np.asarray(small.resize(shape[::-1], Image.Resampling.BILINEAR))
    large_K = np.diag([4.0, 4, 1]) @ K
    large_K[:2, 2] += 1.5
    true = box_before_wall(pixel_rays(large_K, *shape))
    wrong = np.minimum(np.abs(depth - 4.0), np.abs(depth - true.depth)) > 0.3
    assert 0.005 < wrong.mean() < 0.1
    valid = np.ones(shape, bool)
    for points in (point_cloud(depth, large_K, valid).points, mesh(depth, large_K, valid).points):
        u, v = np.rint(points[:, :2].T / points[:, 2] * 280.0 + large_K[:2, 2:]).astype(int)
        assert wrong[v, u].sum() < 0.02 * wrong.sum()
        assert len(points) > 0.93 * depth.size


def test_a_thin_pole_stays_in_the_cloud() -> None:
    depth = np.full((20, 20), 5.0, np.float32)
    depth[:, 10] = 2.0
    cloud = point_cloud(depth, K, np.ones_like(depth, bool))
    assert len(cloud.points) == depth.size


def test_a_pixel_on_a_ramp_flies_and_pixels_at_a_clean_edge_do_not() -> None:
    ramp = np.array([[1.0, 1.0, 1.5, 2.0, 2.0]], np.float32)
    edge = np.array([[1.0, 1.0, 2.0, 2.0, 2.0]], np.float32)
    valid = np.ones((1, 5), bool)
    assert flying_pixels(ramp, valid).ravel().tolist() == [0, 0, 1, 0, 0]
    assert flying_pixels(ramp[:, ::-1].T.copy(), valid.T).T.tolist() == [
        [False, False, True, False, False]
    ]
    assert not flying_pixels(edge, valid).any()
    assert not flying_pixels(ramp, np.array([[True, True, True, False, True]])).any()


@pytest.mark.parametrize("missing", [0, 1, 2, 3])
def test_where_one_corner_is_missing_the_other_three_make_a_triangle(missing: int) -> None:
    valid = np.ones(4, bool)
    valid[missing] = False
    surface = mesh(np.full((2, 2), 2.0, np.float32), K, valid.reshape(2, 2))
    assert len(surface.triangles) == 1
    seen = {tuple(pixel) for pixel in surface.pixels.tolist()}
    everything = [(0.0, 0.0), (1.0, 0.0), (0.0, 1.0), (1.0, 1.0)]
    assert seen == {pixel for i, pixel in enumerate(everything) if i != missing}


@pytest.mark.parametrize(
    ("depth", "cut_corner"),
    [([[1.0, 1.0], [1.0, 2.0]], (1.0, 1.0)), ([[1.0, 2.0], [1.0, 1.0]], (1.0, 0.0))],
)
def test_four_pixels_are_split_so_that_an_edge_is_followed(
    depth: list[list[float]], cut_corner: tuple[float, float]
) -> None:
    """One corner of four is far: the three near ones stay a triangle, the far one goes."""
    surface = mesh(np.array(depth, np.float32), K, np.ones((2, 2), bool))
    assert len(surface.triangles) == 1
    assert cut_corner not in {tuple(pixel) for pixel in surface.pixels.tolist()}


def test_normals_that_are_given_are_kept() -> None:
    view = sphere(RAYS, CENTRE, RADIUS)
    given = np.where(view.seen, view.normals, 0).astype(np.float32)
    surface = mesh_of(view, normals=given)
    np.testing.assert_array_equal(surface.normals.T, at_pixels(given, surface))
    depth = np.where(view.seen, view.depth, 0).astype(np.float32)
    cloud = point_cloud(depth, K, view.seen, normals=given)
    np.testing.assert_allclose(cloud.points, CENTRE + RADIUS * cloud.normals, atol=1e-5)


def test_a_point_without_neighbours_faces_the_camera() -> None:
    depth, valid = np.full((5, 5), 3.0, np.float32), np.zeros((5, 5), bool)
    valid[1, 3] = True
    [point], [normal] = (cloud := point_cloud(depth, K, valid)).points, cloud.normals
    np.testing.assert_allclose(normal, -point / np.linalg.norm(point), atol=1e-6)
    assert len(mesh(depth, K, valid).points) == 0


def test_colours_belong_to_their_points() -> None:
    view = tilted(30)
    colours = np.zeros((HEIGHT, WIDTH, 3), np.uint8)
    colours[..., 0], colours[..., 1] = np.arange(WIDTH), np.arange(HEIGHT)[:, None]
    cloud = point_cloud(view.depth.astype(np.float32), K, view.seen, colours=colours, step=3)
    assert cloud.colours is not None
    seen_at = cloud.points[:, :2] / cloud.points[:, 2:] * 70.0 + K[:2, 2]
    np.testing.assert_allclose(seen_at, cloud.colours[:, :2], atol=1e-3)


@pytest.mark.parametrize("step", [2, 3, 5])
def test_a_thinned_surface_has_the_same_shape(step: int) -> None:
    view = sphere(RAYS, CENTRE, RADIUS)
    surface = mesh_of(view, step=step)
    np.testing.assert_allclose(np.linalg.norm(surface.points - CENTRE, axis=1), RADIUS, atol=2e-6)
    seen_at = surface.points[:, :2] / surface.points[:, 2:] * 70.0 + K[:2, 2]
    np.testing.assert_allclose(seen_at, surface.pixels, atol=1e-3)
    assert len(surface.points) < 1.1 * view.seen.sum() / step**2


@pytest.mark.parametrize("unit", [2.0**-50, 2.0**50])
def test_a_surface_keeps_its_triangles_when_its_unit_changes(unit: float) -> None:
    view = box_before_wall()
    before, after = (
        mesh((view.depth * factor).astype(np.float32), K, view.seen) for factor in (1.0, unit)
    )
    np.testing.assert_array_equal(before.triangles, after.triangles)
    np.testing.assert_array_equal(before.normals, after.normals)
    np.testing.assert_array_equal(before.points * np.float32(unit), after.points)


@given(
    depth=arrays.arrays(np.float32, (6, 7), elements=st.floats(0.125, 16, width=32)),
    valid=arrays.arrays(bool, (6, 7)),
)
def test_every_triangle_faces_the_camera_and_every_vertex_has_one(
    depth: np.ndarray, valid: np.ndarray
) -> None:
    surface = mesh(depth, K, valid, cut=Cut(grazing=0.5, jump=100.0))
    towards = (face_normals(surface) * surface.points[surface.triangles[:, 0]]).sum(axis=1)
    assert (towards < 0).all()
    assert set(surface.triangles.ravel()) == set(range(len(surface.points)))
    assert at_pixels(valid, surface).all()
    length = np.linalg.norm(surface.normals, axis=1)
    np.testing.assert_allclose(length, 1, atol=1e-5)


@settings(deadline=None)
@given(height=st.integers(1, 3000), width=st.integers(1, 3000), most=st.integers(4, 10**6))
def test_the_step_is_the_least_that_keeps_to_the_limit(height: int, width: int, most: int) -> None:
    def points(step: int) -> int:
        return len(sample_range(height, step)) * len(sample_range(width, step))

    step = surface_step((height, width), most)
    assert points(step) <= most
    assert step == 1 or points(step - 1) > most


def test_nothing_valid_makes_an_empty_surface() -> None:
    depth, nothing = np.full((4, 4), np.nan, np.float32), np.zeros((4, 4), bool)
    assert len(mesh(depth, K, nothing).triangles) == 0
    assert len(point_cloud(depth, K, nothing).points) == 0


@pytest.mark.parametrize(
    "wrong", [{"grazing": 90.0}, {"grazing": -1.0}, {"jump": 0.0}, {"jump": np.nan}]
)
def test_a_cut_out_of_range_is_refused(wrong: dict[str, float]) -> None:
    with pytest.raises(OptionError):
        Cut(**wrong)


def test_a_limit_of_three_points_is_refused() -> None:
    with pytest.raises(OptionError, match="at least 4 points, got 3"):
        surface_step((10, 10), 3)


def road(side: int = 64) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Ground at a thirtieth of a radian and less below a telescope; its depth, K and normals."""
    focal = 1500.0
    K = np.array([[focal, 0, side / 2 - 0.5], [0, focal, -12], [0, 0, 1.0]])
    depth = 1.6 * focal / (np.mgrid[:side, :side][0] + 12)
    normals = np.zeros((3, side, side), np.float32)
    normals[1] = -1
    return depth.astype(np.float32), K, normals


def test_ground_that_the_normals_confirm_is_whole_where_it_is_seen_at_a_grazing_angle() -> None:
    depth, K, normals = road()
    seen = np.ones(depth.shape, bool)
    assert len(mesh(depth, K, seen).triangles) == 0
    assert len(mesh(depth, K, seen, normals=normals, cut=Cut(jump=0.09)).triangles) == 2 * 63**2
    assert len(point_cloud(depth, K, seen, normals=normals).points) == depth.size
    assert len(point_cloud(depth, K, seen).points) < 0.2 * depth.size


def test_a_ramp_between_two_walls_is_cut_whatever_the_normals() -> None:
    """Both walls face the camera, and so do the normals that a model gives for the ramp."""
    depth, K, normals = road()
    normals[:] = np.array([0, 0, -1], np.float32)[:, None, None]
    ramp = np.clip((np.arange(64) - 28) / 8, 0, 1)
    depth[:] = 2 * 1.4**ramp
    seen = np.ones(depth.shape, bool)
    told, alone = (mesh(depth, K, seen, normals=each) for each in (normals, None))
    np.testing.assert_array_equal(told.triangles, alone.triangles)
    assert not ((told.pixels[:, 0] > 28) & (told.pixels[:, 0] < 36)).any()
