"""Specks and small holes of surfaces, against planes by hand."""

import numpy as np
import pytest

from rilievo.geometry.surfaces.lattice import Cut
from rilievo.geometry.surfaces.meshes import mesh, point_cloud

HEIGHT, WIDTH = 60, 80
K = np.array([[90.0, 0, 39.5], [0, 90.0, 29.5], [0, 0, 1.0]])
CUT = Cut(specks=0.004)  # 19 of 4800 points


def wall() -> np.ndarray:
    """A slanted wall at about 2 m."""
    v, u = np.mgrid[:HEIGHT, :WIDTH]
    return (1 / (0.5 + 0.0005 * u - 0.0003 * v)).astype(np.float32)


def covered(valid: np.ndarray, depth: np.ndarray, cut: Cut = CUT) -> float:
    """Area of the mesh in the photograph [px]."""
    surface = mesh(depth, K, valid, cut=cut)
    a, b, c = (surface.pixels[surface.triangles[:, k]].astype(float) for k in range(3))
    (px, py), (qx, qy) = (b - a).T, (c - a).T
    return float(np.abs(px * qy - py * qx).sum() / 2)


def test_a_speck_goes_and_the_wall_behind_it_is_closed() -> None:
    depth, valid = wall(), np.ones((HEIGHT, WIDTH), bool)
    given_depth = depth.copy()
    given_depth[20:24, 30:34] = 0.7
    surface = mesh(given_depth, K, valid, cut=CUT)
    assert covered(valid, given_depth) == (HEIGHT - 1) * (WIDTH - 1)
    u, v = surface.pixels.astype(int).T
    # The film across the rim is the wall, whose 1/z is linear in the image.
    np.testing.assert_allclose(surface.points[:, 2], depth[v, u], rtol=2e-4)
    assert covered(valid, given_depth, Cut()) < (HEIGHT - 1) * (WIDTH - 1)


def test_what_is_larger_stays() -> None:
    depth, valid = wall(), np.ones((HEIGHT, WIDTH), bool)
    depth[20:26, 30:36] = 0.7
    assert (mesh(depth, K, valid, cut=CUT).points[:, 2] < 1).sum() == 36


def test_small_holes_are_closed_and_large_ones_and_those_at_the_border_stay() -> None:
    depth, valid = wall(), np.ones((HEIGHT, WIDTH), bool)
    valid[10:14, 10:14] = valid[0:2, 40:43] = False
    valid[30:40, 30:40] = False
    depth[~valid] = np.nan
    # A hole of n x m points takes (n + 1) x (m + 1) squares, but half of each at its corners.
    assert covered(valid, depth) == (HEIGHT - 1) * (WIDTH - 1) - (11 * 11 - 2) - (2 * 4 - 1)


def test_a_hole_between_two_surfaces_stays_open() -> None:
    depth, valid = wall(), np.ones((HEIGHT, WIDTH), bool)
    depth[:, 40:] *= 1.5
    valid[20:23, 38:42] = False
    surface = mesh(depth, K, valid, cut=CUT)
    z = surface.points[surface.triangles][:, :, 2]
    assert (z.max(axis=1) / z.min(axis=1)).max() < 1.05
    assert not ((surface.pixels >= [38, 20]) & (surface.pixels < [42, 23])).all(axis=1).any()


def test_a_cloud_has_no_specks_and_no_invented_points() -> None:
    depth, valid = wall(), np.ones((HEIGHT, WIDTH), bool)
    depth[20:24, 30:34] = 0.7
    assert len(point_cloud(depth, K, valid, cut=CUT).points) == HEIGHT * WIDTH - 16


@pytest.mark.parametrize("cut", [Cut(), CUT])
def test_a_surface_of_a_few_points_is_no_speck(cut: Cut) -> None:
    valid = np.zeros((HEIGHT, WIDTH), bool)
    valid[10:12, 10:12] = True
    assert len(mesh(wall(), K, valid, cut=cut).triangles) == 2


def test_a_pole_of_one_pixel_stays_in_a_cloud() -> None:
    """The pole has no triangle, but its points are connected."""
    depth = np.full((480, 640), 5, np.float32)
    depth[:, 10] = 2
    K = np.array([[500.0, 0, 319.5], [0, 500.0, 239.5], [0, 0, 1.0]])
    cloud = point_cloud(depth, K, np.ones(depth.shape, bool), cut=Cut(specks=2e-4))
    assert (cloud.points[:, 2] == 2).sum() == 480


def test_a_closed_hole_has_the_normals_of_the_surface_around_it() -> None:
    """Normals given for the speck in front of the hole are not used."""
    depth, everywhere = wall(), np.ones((HEIGHT, WIDTH), bool)
    # 1/z = A x/z + B y/z + C is the plane A x + B y + C z = 1.
    normal = -np.array([0.0005 * 90, -0.0003 * 90, 0.5 + 0.0005 * 39.5 - 0.0003 * 29.5])
    normal /= np.linalg.norm(normal)
    normals = np.empty((3, HEIGHT, WIDTH), np.float32)
    normals[:] = normal[:, None, None]
    depth[20:24, 30:34] = 1
    normals[:, 20:24, 30:34] = np.array([0.6, 0, -0.8])[:, None, None]
    surface = mesh(depth, K, everywhere, normals=normals, cut=CUT)
    assert len(surface.points) == HEIGHT * WIDTH
    np.testing.assert_allclose(surface.normals, np.broadcast_to(normal, (4800, 3)), atol=0.02)
