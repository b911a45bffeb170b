"""Pictures of meshes, held against rays that were solved one by one."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rilievo.geometry.surfaces.meshes import Mesh, mesh
from rilievo.io.outputs.formats.raster import rasterise
from support.analytic import camera_matrix, pixel_rays, plane, sphere

SHAPE, FOCAL = (60, 80), 70.0
K = camera_matrix(*SHAPE, FOCAL)


def mesh_of(depth: np.ndarray) -> Mesh:
    valid = np.isfinite(depth)
    return mesh(np.where(valid, depth, np.nan).astype(np.float32), K, valid)


def turned(degrees: float, pivot: np.ndarray, points: np.ndarray) -> np.ndarray:
    a = math.radians(degrees)
    R = np.array([[math.cos(a), 0, math.sin(a)], [0, 1, 0], [-math.sin(a), 0, math.cos(a)]])
    return (points - pivot) @ R.T + pivot


def flat(corners: list[tuple[float, float, float]], triangles: list[list[int]]) -> Mesh:
    points = np.array(corners, np.float32)
    return Mesh(
        points=points,
        normals=np.tile(np.float32([0, 0, -1]), (len(points), 1)),
        pixels=(points[:, :2] / points[:, 2:] * FOCAL + K[:2, 2]).astype(np.float32),
        triangles=np.array(triangles, np.int32),
    )


def test_the_photographs_own_camera_sees_every_pixel_where_it_is() -> None:
    view = plane(pixel_rays(K, *SHAPE), np.array([0.3, -0.4, -1]) / 1.118, 2)
    drawn = rasterise(made := mesh_of(view.depth), made.points, K, SHAPE)
    # The last row and column end at their pixels' centres, which belong to what lies beyond.
    inner = np.s_[1:-1, 1:-1]
    v, u = np.mgrid[: SHAPE[0], : SHAPE[1]]
    np.testing.assert_allclose(drawn.pixels[0][inner], u[inner], atol=0.02)
    np.testing.assert_allclose(drawn.pixels[1][inner], v[inner], atol=0.02)
    np.testing.assert_allclose(1 / drawn.inverse_depth[inner], view.depth[inner], rtol=1e-3)


@pytest.mark.parametrize("degrees", [-15, 10])
def test_another_camera_sees_the_sphere_where_it_is(degrees: float) -> None:
    """Depth of a sphere whose centre was turned; its visible side is what the photograph saw."""
    centre = np.array([0.1, -0.1, 2.0])
    view = sphere(pixel_rays(K, *SHAPE), centre, 0.7)
    made = mesh_of(view.depth)
    pivot = np.array([0, 0, 1.8])
    drawn = rasterise(made, turned(degrees, pivot, made.points).astype(np.float32), K, SHAPE)
    [moved] = turned(degrees, pivot, centre[None])
    true = sphere(pixel_rays(K, *SHAPE), moved, 0.7)
    there = drawn.inverse_depth > 0
    middle = there & (np.abs(true.normals[2]) > 0.7)
    assert middle.sum() > 800
    np.testing.assert_allclose(1 / drawn.inverse_depth[middle], true.depth[middle], rtol=4e-3)
    # The pixel of the photograph that sees the same point.
    points = turned(-degrees, pivot, (pixel_rays(K, *SHAPE) * true.depth)[:, middle].T)
    pixels = points[:, :2].T / points[:, 2] * FOCAL + K[:2, 2, None]
    np.testing.assert_allclose(drawn.pixels[:, middle], pixels, atol=0.3)


@settings(max_examples=20)
@given(st.integers(0, 10_000))
def test_neighbours_leave_no_gap_between_them(seed: int) -> None:
    """A square of the whole picture, cut into triangles at random places."""
    chance = np.random.default_rng(seed)
    count = 6
    grid = np.linspace(-1, 1, count)
    y, x = np.meshgrid(grid, grid, indexing="ij")
    inner = np.s_[1:-1, 1:-1]
    for each in (x, y):
        each[inner] += chance.uniform(-0.15, 0.15, (count - 2, count - 2))
    corners = [(1.4 * a, 1.1 * b, 1.0) for a, b in zip(x.ravel(), y.ravel(), strict=True)]
    triangles = []
    for row in range(count - 1):
        for column in range(count - 1):
            a = row * count + column
            triangles += [[a, a + count, a + 1], [a + 1, a + count, a + count + 1]]
    made = flat(corners, triangles)
    size = (37, 53)
    view = np.array([[20.0, 0, 26], [0, 18.5, 18], [0, 0, 1]])
    drawn = rasterise(made, made.points, view, size)
    assert (drawn.inverse_depth > 0).all()
    np.testing.assert_allclose(drawn.inverse_depth, 1, rtol=1e-5)


@pytest.mark.parametrize("order", [[0, 1], [1, 0]])
def test_the_nearer_of_two_triangles_is_seen(order: list[int]) -> None:
    corners = [(s * x, s * y, s) for s in (1.0, 2.0) for x, y in ((-2, -2), (2, -2), (0, 3))]
    triangles = [[0, 1, 2], [3, 4, 5]]
    drawn = rasterise(
        made := flat(corners, [triangles[each] for each in order]), made.points, K, SHAPE
    )
    middle = np.s_[25:35, 35:45]
    np.testing.assert_allclose(drawn.inverse_depth[middle], 1, rtol=1e-6)


@settings(max_examples=20)
@given(st.integers(0, 10_000))
def test_a_pixel_shows_the_nearest_of_many_triangles_over_each_other(seed: int) -> None:
    """Triangles drawn together are the nearest, pixel by pixel, of those drawn alone."""
    chance = np.random.default_rng(seed)
    corners = chance.uniform((-1, -1, 1), (1, 1, 2), (60, 3))
    triangles = np.arange(60).reshape(20, 3).tolist()
    together = rasterise(made := flat(corners.tolist(), triangles), made.points, K, SHAPE)
    nearest, pixels = np.zeros(SHAPE, np.float32), np.zeros((2, *SHAPE), np.float32)
    for triangle in triangles:
        one = flat(corners[triangle].tolist(), [[0, 1, 2]])
        alone = rasterise(one, one.points, K, SHAPE)
        is_nearer = alone.inverse_depth > nearest
        nearest[is_nearer] = alone.inverse_depth[is_nearer]
        pixels[:, is_nearer] = alone.pixels[:, is_nearer]
    np.testing.assert_array_equal(together.inverse_depth, nearest)
    np.testing.assert_array_equal(together.pixels, pixels)


def test_what_reaches_behind_the_camera_is_not_drawn() -> None:
    made = flat([(-1, 0, 1), (1, 0, 1), (0, 1, 1)], [[0, 1, 2]])
    for z in (-1.0, 0.0):
        points = made.points.copy()
        points[2, 2] = z
        assert not rasterise(made, points, K, SHAPE).inverse_depth.any()
