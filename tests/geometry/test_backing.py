"""The layer behind edges: on the far surface, hidden from the camera, in the far side's colours."""

import numpy as np
import pytest

from rilievo.geometry.intrinsics import K_from_focal
from rilievo.geometry.surfaces.lattice import Cut
from rilievo.geometry.surfaces.surface import Mesh, mesh, point_cloud

SIZE = (90, 120)
K = K_from_focal(100.0, 100.0, SIZE)
NEAR, FAR = 2.0, 4.0
RED, GREEN = (200, 0, 0), (0, 200, 0)
V, U = np.mgrid[: SIZE[0], : SIZE[1]]
DISC = np.hypot(U - 60, V - 45) < 30
DEPTH = np.where(DISC, NEAR, FAR).astype(np.float32)
EVERY = np.ones(SIZE, bool)
REACH = 12
"""Pixels: a tenth of the width."""


def made(*, backing: float = 0.1, step: int = 1, depth: np.ndarray = DEPTH) -> Mesh:
    return mesh(depth, K, EVERY, cut=Cut(), step=step, smooth=True, backing=backing)


def seen_at(points: np.ndarray) -> np.ndarray:
    pixels = points @ K.T
    return pixels[:, :2] / pixels[:, 2:]


@pytest.mark.parametrize("step", [1, 2])
def test_the_wall_goes_on_behind_the_disc_and_no_farther_than_asked(step: int) -> None:
    front, whole = made(backing=0, step=step), made(step=step)
    count = len(front.points)
    np.testing.assert_array_equal(whole.points[:count], front.points)
    np.testing.assert_array_equal(whole.triangles[: len(front.triangles)], front.triangles)
    added = whole.points[count:]
    np.testing.assert_allclose(added[:, 2], FAR, rtol=1e-5)
    deep = 30 - np.hypot(*(seen_at(added) - [60, 45]).T)
    # Measured along rows and columns, as the pixels are.
    assert REACH * 0.7 < deep.max() <= REACH + step
    assert deep.min() > -2 * step
    ring = DISC & (np.hypot(U - 60, V - 45) > 30 - REACH * 0.65)
    covered = np.zeros(SIZE, bool)
    at = np.rint(seen_at(added)).astype(int)
    covered[at[:, 1], at[:, 0]] = True
    lattice = np.s_[(step - 1) // 2 :: step, (step - 1) // 2 :: step]
    assert covered[lattice][ring[lattice]].mean() > 0.99


def test_its_colours_are_the_walls_and_its_triangles_face_the_camera() -> None:
    front, whole = made(backing=0), made()
    added = np.rint(whole.pixels[len(front.points) :]).astype(int)
    assert not DISC[added[:, 1], added[:, 0]].any()
    a, b, c = (whole.points[corner] for corner in whole.triangles.T)
    assert (np.einsum("mc,mc->m", np.cross(b - a, c - a), a) < 0).all()
    np.testing.assert_allclose(np.linalg.norm(whole.normals, axis=1), 1, rtol=1e-5)


def test_a_thin_pole_is_backed_whole_and_a_wall_alone_not_at_all() -> None:
    pole = np.where(abs(U - 60) < 5, NEAR, FAR).astype(np.float32)
    front, whole = made(backing=0, depth=pole), made(depth=pole)
    at = np.rint(seen_at(whole.points[len(front.points) :])).astype(int)
    assert set(at[:, 0]) >= set(range(56, 65))
    flat = np.full(SIZE, FAR, np.float32)
    assert len(made(depth=flat).points) == len(made(backing=0, depth=flat).points)


def test_what_is_turned_shows_wall_in_place_of_a_gap() -> None:
    """Seen from the right, columns where nothing is drawn, between the disc and the wall."""
    shift = np.array([0.25, 0, 0])
    gaps = []
    for backing in (0.0, 0.1):
        surface = made(backing=backing)
        drawn = np.zeros(SIZE, bool)
        corners = surface.points[surface.triangles]
        # Every triangle is about a pixel: its corners and its middle are drawn.
        for points in (*np.moveaxis(corners, 1, 0), corners.mean(axis=1)):
            at = np.rint(seen_at(points - shift)).astype(int)
            inside = ((at >= 0) & (at < [SIZE[1], SIZE[0]])).all(axis=1)
            drawn[at[inside, 1], at[inside, 0]] = True
        gaps.append(int((~drawn[20:70, 10:105]).sum()))
    assert gaps[0] > 150
    assert gaps[1] < gaps[0] / 20


def test_a_cloud_has_the_same_points_in_the_walls_colour() -> None:
    colours = np.where(DISC[..., None], RED, GREEN).astype(np.uint8)
    front = point_cloud(DEPTH, K, EVERY, colours=colours, cut=Cut())
    whole = point_cloud(DEPTH, K, EVERY, colours=colours, cut=Cut(), backing=0.1)
    count = len(front.points)
    np.testing.assert_array_equal(whole.points[:count], front.points)
    assert len(whole.points) > count + 900
    np.testing.assert_allclose(whole.points[count:, 2], FAR, rtol=1e-5)
    assert whole.colours is not None
    assert (whole.colours[count:] == GREEN).all()
    plain = point_cloud(DEPTH, K, EVERY, cut=Cut(), backing=0.1)
    assert plain.colours is None
    assert len(plain.points) == len(whole.points)


@pytest.mark.parametrize("ramp", [[3.0], [2.6, 3.3]])
def test_behind_a_soft_edge_the_layer_is_at_the_walls_depth_and_fills_the_ramp(
    ramp: list[float],
) -> None:
    row = np.full(SIZE[1], NEAR)
    row[60 : 60 + len(ramp)], row[60 + len(ramp) :] = ramp, FAR
    for depth in (np.tile(row, (SIZE[0], 1)), np.tile(row[:90, None], (1, SIZE[1]))):
        soft = depth.astype(np.float32)
        front, whole = made(backing=0, depth=soft), made(depth=soft)
        cloud = point_cloud(soft, K, EVERY, cut=Cut())
        backed = point_cloud(soft, K, EVERY, cut=Cut(), backing=0.1)
        axis = int(depth[0, 0] == depth[0, -1])
        for added in (whole.points[len(front.points) :], backed.points[len(cloud.points) :]):
            np.testing.assert_allclose(added[:, 2], FAR, rtol=1e-5)
            reached = np.rint(seen_at(added)[:, axis])
            assert set(reached) >= {*range(60 + len(ramp) - REACH, 60 + len(ramp))}


def test_the_layer_keeps_a_jump_behind_the_front_beside_a_nearer_layer() -> None:
    columns = np.arange(SIZE[1])
    row = np.select([columns < 60, columns < 80], [2.0, 5.4], 6.0)
    depth = np.tile(row, (SIZE[0], 1)).astype(np.float32)
    cloud = point_cloud(depth, K, EVERY, cut=Cut())
    added = point_cloud(depth, K, EVERY, cut=Cut(), backing=0.2).points[len(cloud.points) :]
    at = np.rint(seen_at(added)[:, 0]).astype(int)
    behind = (at > 60) & (at < 80)
    assert behind.any()
    assert (added[behind, 2] > 5.4 * (1 + Cut().jump) * 0.9999).all()
