"""Bands in which depth melts from near to far are cut and backed; walls seen edge-on stay."""

import numpy as np
import pytest

from rilievo.geometry.cameras.camera import as_camera
from rilievo.geometry.intrinsics import K_from_focal
from rilievo.geometry.surfaces.lattice import Cut, sample_lattice
from rilievo.geometry.surfaces.meshes import Mesh, mesh
from rilievo.geometry.surfaces.ramps import sharpen_edges

SIZE = (240, 320)
K = K_from_focal(280.0, 280.0, SIZE)
EVERY = np.ones(SIZE, bool)
V, U = np.mgrid[: SIZE[0], : SIZE[1]]
NEAR, FAR = 2.0, 5.0


def melting(width: float) -> np.ndarray:
    """A disc before a wall; depth runs from one to the other over a width [px]."""
    outside = np.hypot(U - 160, V - 120) - 60
    share = np.clip(outside / width + 0.5, 0, 1)
    return (NEAR * (FAR / NEAR) ** share).astype(np.float32)


def is_edge_on(surface: Mesh) -> np.ndarray:
    """Triangles that the camera sees at less than 5.7 degrees."""
    corners = surface.points[surface.triangles].astype(np.float64)
    normal = np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0])
    centre = corners.mean(axis=1)
    lengths = np.linalg.norm(normal, axis=1) * np.linalg.norm(centre, axis=1)
    return abs((normal * centre).sum(axis=1)) < 0.1 * lengths


@pytest.mark.parametrize("width", [2, 6, 12])
def test_a_band_is_cut_in_its_middle_and_no_triangle_is_seen_edge_on(width: int) -> None:
    depth = melting(width)
    surface = mesh(depth, K, EVERY, smooth=True, backing=0.3)
    assert surface.behind
    whole = mesh(depth, K, EVERY, cut=Cut(grazing=0.0, jump=1e9))
    # A few at corners of the rim, which is smooth.
    assert is_edge_on(surface).sum() < min(120, 0.1 * is_edge_on(whole).sum())
    sharp = sharpen_edges(sample_lattice(depth, as_camera(K), EVERY, 1))
    moved = sharp.lattice.depth != depth
    outside = np.hypot(U - 160, V - 120) - 60
    assert (abs(outside[moved]) <= width / 2 + 1).all()
    clear = abs(outside) > 0.2
    np.testing.assert_array_equal((sharp.lattice.depth < 3)[clear], (outside < 0)[clear])


def test_a_wall_that_is_seen_edge_on_stays() -> None:
    """A wall along the view, seen at 4 degrees at its far end and less than 8 everywhere."""
    wall = 0.35 * 280 / np.maximum(U - 160 + 0.5, 14)
    depth = np.where(wall < 12, wall, 12.0).astype(np.float32)
    depth = np.where(U < 160, np.float32(12.0), depth)
    lattice = sample_lattice(depth, as_camera(K), EVERY, 1)
    sharp = sharpen_edges(lattice)
    np.testing.assert_array_equal(sharp.lattice.depth, depth)


def test_a_pole_keeps_its_width() -> None:
    inside = abs(U - 160) < 2
    depth = np.where(inside, NEAR, FAR).astype(np.float32)
    beside = abs(U - 160) == 2
    depth[beside] = np.sqrt(NEAR * FAR) * 1.2
    sharp = sharpen_edges(sample_lattice(depth, as_camera(K), EVERY, 1)).lattice.depth
    np.testing.assert_array_equal(sharp == np.float32(NEAR), inside)
    np.testing.assert_array_equal(sharp == np.float32(FAR), ~inside)


def test_a_band_that_ends_at_the_sky_is_near() -> None:
    """Ground in front melts upwards and ends at the sky, where depth is no surface."""
    up = np.clip(150 - V, 0, 20)
    depth = (NEAR * (FAR / NEAR) ** (up / 20)).astype(np.float32)
    ground = V > 140
    sharp = sharpen_edges(sample_lattice(depth, as_camera(K), ground, 1)).lattice.depth
    np.testing.assert_array_equal(sharp[ground], np.float32(NEAR))
    whole = sharpen_edges(sample_lattice(depth, as_camera(K), EVERY, 1)).lattice.depth
    assert (whole[ground] > NEAR).any() or (whole[~ground] < FAR).any()
