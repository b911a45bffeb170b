"""Tears of a mesh follow the lines that pixels only approximate, and nothing else changes."""

import numpy as np
import pytest

from rilievo.geometry.intrinsics import K_from_focal
from rilievo.geometry.surfaces.lattice import Cut
from rilievo.geometry.surfaces.meshes import Mesh, mesh

SIZE = (120, 160)
K = K_from_focal(150.0, 150.0, SIZE)
PLANE = np.array([0.3, 0.2, -1.0])
SLOPE, RADIUS = 0.37, 25.3
FAR, DISC = 5.0, 2.5


def scene() -> np.ndarray:
    """A wall, a leaning plane before it with a slanted end, and a disc."""
    v, u = np.mgrid[: SIZE[0], : SIZE[1]].astype(float)
    rays = np.stack([(u - K[0, 2]) / K[0, 0], (v - K[1, 2]) / K[1, 1], np.ones(SIZE)])
    leaning = -2 / np.einsum("c,chw->hw", PLANE, rays)
    disc = np.where(np.hypot(u - 115, v - 60) < RADIUS, DISC, FAR)
    return np.where(beside_line(np.stack([u, v], axis=-1)) < 0, leaning, disc).astype(np.float32)


def beside_line(pixels: np.ndarray) -> np.ndarray:
    """Distance to the plane's end [px]; negative on the plane."""
    return (pixels[..., 0] - 40 - SLOPE * pixels[..., 1]) / np.hypot(1, SLOPE)


def surface(*, step: int = 1, flatness: float = 0.0, smooth: bool = True) -> Mesh:
    every = np.ones(SIZE, bool)
    cut = Cut(specks=2e-4)
    return mesh(scene(), K, every, step=step, cut=cut, flatness=flatness, smooth=smooth)


def rim(made: Mesh) -> np.ndarray:
    """Vertices on a side of one triangle, without those at the border of the picture."""
    sides = np.sort(made.triangles[:, [[0, 1], [1, 2], [2, 0]]].reshape(-1, 2), axis=1)
    each, count = np.unique(sides, axis=0, return_counts=True)
    found = np.unique(each[count == 1])
    within = (made.pixels > 4) & (made.pixels < [SIZE[1] - 5, SIZE[0] - 5])
    return found[within[found].all(axis=1)]


def on_plane(made: Mesh) -> np.ndarray:
    return np.abs(made.points @ PLANE + 2) < 0.02


def twice_areas(made: Mesh) -> np.ndarray:
    """Twice the area of each triangle [px²]; negative if it is turned over."""
    a, b, c = (made.pixels[corner] for corner in made.triangles.T)
    one, other = c - a, b - a
    return one[:, 0] * other[:, 1] - one[:, 1] * other[:, 0]


@pytest.mark.parametrize("flatness", [0.0, 0.004])
@pytest.mark.parametrize("step", [1, 2])
def test_a_staircase_becomes_the_line_it_stands_for(step: int, flatness: float) -> None:
    for smooth in (False, True):
        made = surface(step=step, flatness=flatness, smooth=smooth)
        at = rim(made)
        line = beside_line(made.pixels[at[on_plane(made)[at]]])
        disc = at[np.abs(made.points[at, 2] - DISC) < 0.01]
        circle = np.hypot(*(made.pixels[disc] - [115, 60]).T)
        roughness = max(line.std(), circle.std())
        if smooth:
            assert line.std() < 0.06 * step
            assert circle.std() < 0.12 * step
            # As far inside of the edge as the pixels' centres are.
            assert line.mean() == pytest.approx(-0.5 * step, abs=0.15 * step)
        else:
            assert roughness > 0.2 * step


@pytest.mark.parametrize("step", [1, 2])
def test_every_vertex_stays_on_its_surface_and_on_its_ray(step: int) -> None:
    made = surface(step=step)
    seen = made.points @ K.T
    np.testing.assert_allclose(seen[:, :2] / seen[:, 2:], made.pixels, atol=1e-3)
    z = made.points[:, 2]
    off = np.minimum.reduce([np.abs(made.points @ PLANE + 2), np.abs(z - FAR), np.abs(z - DISC)])
    assert (off / z).max() < 1e-5


@pytest.mark.parametrize("flatness", [0.0, 0.004])
def test_triangles_are_those_of_before_and_face_the_camera(flatness: float) -> None:
    made, before = surface(flatness=flatness), surface(flatness=flatness, smooth=False)
    np.testing.assert_array_equal(made.triangles, before.triangles)
    a, b, c = (made.points[corner] for corner in made.triangles.T)
    assert (np.einsum("mc,mc->m", np.cross(b - a, c - a), a) < 0).all()
    moved = np.abs(made.pixels - before.pixels).max(axis=1)
    assert moved.max() <= 0.46
    assert (moved[(before.pixels == 0).any(axis=1)] == 0).all()


def test_noise_and_holes_turn_no_triangle_over() -> None:
    chance = np.random.default_rng(0)
    depth = np.exp(chance.normal(0, 0.05, SIZE)).astype(np.float32)
    valid = chance.random(SIZE) < 0.8
    made = mesh(depth, K, valid, cut=Cut(jump=0.2, grazing=0), smooth=True)
    assert (twice_areas(made) >= 0.19).all()
    assert np.isfinite(made.points).all()


def test_no_triangle_of_a_small_ragged_piece_becomes_a_sliver() -> None:
    """All points of such a piece move, since none lies on the border of the picture."""
    shape = (8, 8)
    for seed in range(40):
        valid = np.pad(np.random.default_rng(seed).random((6, 6)) < 0.6, 1)
        made = mesh(np.ones(shape, np.float32), K, valid, cut=Cut(grazing=0), smooth=True)
        assert (twice_areas(made) >= 0.19).all()


def test_a_surface_without_a_triangle_has_no_rim() -> None:
    made = mesh(scene(), K, np.zeros(SIZE, bool), smooth=True)
    assert not len(made.triangles)


def test_no_triangle_is_stretched_where_a_steep_surface_has_a_smooth_rim() -> None:
    rng = np.random.default_rng(0)
    _, u = np.mgrid[: SIZE[0], : SIZE[1]]
    steep = (2 * 1.078 ** abs(u - 80)).astype(np.float32)
    ends = 90 + np.cumsum(rng.integers(-2, 3, SIZE[0]))
    made = mesh(steep, K, (u < ends[:, None]) & (u > 60), cut=Cut(grazing=0.0), smooth=True)
    z = made.points[made.triangles, 2]
    assert (z.max(axis=1) < 1.1 * z.min(axis=1)).all()
