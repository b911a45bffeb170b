"""Small floating pieces are laid back onto the surface behind them."""

import numpy as np

from rilievo.geometry.cameras.camera import Camera
from rilievo.geometry.surfaces.floating_pieces import lay_back_pieces
from rilievo.geometry.surfaces.lattice import Cut, Lattice, sample_lattice
from support.analytic import camera_matrix, pixel_rays, plane

SHAPE = (60, 80)
K = camera_matrix(*SHAPE, 70.0)
WALL = plane(pixel_rays(K, *SHAPE), np.array([0.3, -0.2, -1]) / 1.063, 2).depth.astype(np.float32)
SPOT = np.s_[20:24, 30:34]
CUT, MOST = Cut(), 0.01


def lattice(depth: np.ndarray, valid: np.ndarray | None = None) -> Lattice:
    there = np.ones(SHAPE, bool) if valid is None else valid
    return sample_lattice(depth.astype(np.float32), Camera(K=K), there, 1)


def laid(depth: np.ndarray, valid: np.ndarray | None = None) -> np.ndarray:
    return lay_back_pieces(lattice(depth, valid), CUT, MOST).depth


def with_spot(depth: np.ndarray, factor: float, spot: tuple = SPOT) -> np.ndarray:
    changed = depth.copy()
    changed[spot] *= factor
    return changed


def test_a_small_piece_before_a_wall_becomes_part_of_the_wall() -> None:
    surface = lay_back_pieces(lattice(with_spot(WALL, 0.7)), CUT, MOST)
    np.testing.assert_allclose(surface.depth, WALL, rtol=1e-4)
    # Its points are on the rays of their pixels.
    np.testing.assert_allclose(surface.points, pixel_rays(K, *SHAPE) * WALL, rtol=2e-4, atol=1e-4)


def test_a_large_piece_is_a_thing_and_stays() -> None:
    depth = with_spot(WALL, 0.7, np.s_[20:40, 30:50])
    np.testing.assert_array_equal(laid(depth), depth)


def test_a_piece_between_two_walls_goes_to_the_farther_one() -> None:
    walls = WALL.copy()
    walls[:, 40:] *= 0.5
    depth = walls.copy()
    depth[25:29, 38:42] = 1.4
    found = laid(depth)
    np.testing.assert_allclose(found[25:29, 38:40], WALL[25:29, 38:40], rtol=1e-2)
    np.testing.assert_allclose(found[25:29, 40:42], WALL[25:29, 40:42], rtol=3e-2)
    untouched = np.ones(SHAPE, bool)
    untouched[25:29, 38:42] = False
    np.testing.assert_array_equal(found[untouched], depth[untouched])


def test_a_piece_before_the_sky_stays() -> None:
    """Three sides of its rim border on nothing, and only one is torn from the ground."""
    spot = np.s_[41:45, 30:34]
    valid = np.zeros(SHAPE, bool)
    valid[spot] = valid[45:] = True
    depth = with_spot(WALL, 0.7, spot)
    np.testing.assert_array_equal(laid(depth, valid)[valid], depth[valid])


def test_nothing_changes_where_that_is_asked_and_where_nothing_floats() -> None:
    depth = with_spot(WALL, 0.7)
    sample = lattice(depth)
    assert lay_back_pieces(sample, CUT, 0.0) is sample
    np.testing.assert_array_equal(laid(WALL), WALL)
    nowhere = lattice(WALL, np.zeros(SHAPE, bool))
    assert lay_back_pieces(nowhere, CUT, MOST) is nowhere
