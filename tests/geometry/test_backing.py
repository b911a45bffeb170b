"""The layer behind edges: on the far surface, hidden from the camera, in the far side's colours."""

from dataclasses import replace

import numpy as np
import pytest
from scipy import ndimage

from rilievo.geometry.cameras.camera import as_camera
from rilievo.geometry.intrinsics import K_from_focal
from rilievo.geometry.surfaces.backing import layer_behind_edges
from rilievo.geometry.surfaces.lattice import Cut, sample_lattice
from rilievo.geometry.surfaces.meshes import Mesh, mesh, point_cloud
from rilievo.io.outputs.formats.raster import rasterise

SIZE = (90, 120)
K = K_from_focal(100.0, 100.0, SIZE)
NEAR, FAR = 2.0, 4.0
RED, GREEN = (200, 0, 0), (0, 200, 0)
V, U = np.mgrid[: SIZE[0], : SIZE[1]]
DISC = np.hypot(U - 60, V - 45) < 30
DEPTH = np.where(DISC, NEAR, FAR).astype(np.float32)
EVERY = np.ones(SIZE, bool)
REACH = 24
"""Pixels: a fifth of the width."""


def made(*, backing: float = 0.2, step: int = 1, depth: np.ndarray = DEPTH) -> Mesh:
    return mesh(depth, K, EVERY, cut=Cut(), step=step, smooth=True, backing=backing)


def seen_at(points: np.ndarray) -> np.ndarray:
    pixels = points @ K.T
    return pixels[:, :2] / pixels[:, 2:]


def drawn_from(surface: Mesh, aside: float = 0.0) -> np.ndarray:
    """Pixels that a surface covers, seen from somewhat to the right."""
    points = surface.points - np.array([aside, 0, 0], np.float32)
    # Between the points, so that none is on the border of a triangle.
    between = K + np.array([[0, 0, 0.3], [0, 0, 0.2], [0, 0, 0]])
    return rasterise(surface, points, between, SIZE).inverse_depth > 0


def behind(surface: Mesh) -> Mesh:
    """The part of a mesh that fills tears and lies behind edges."""
    return replace(surface, triangles=surface.triangles[len(surface.triangles) - surface.behind :])


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
    ring = DISC & (np.hypot(U - 60, V - 45) > 30 - REACH * 0.45)
    assert drawn_from(behind(whole))[ring].mean() > 0.99


def test_its_colours_are_the_walls_and_its_triangles_face_the_camera() -> None:
    front, whole = made(backing=0), made()
    added = np.rint(whole.pixels[len(front.points) :]).astype(int)
    assert not DISC[added[:, 1], added[:, 0]].any()
    a, b, c = (whole.points[corner] for corner in whole.triangles.T)
    assert (np.einsum("mc,mc->m", np.cross(b - a, c - a), a) < 0).all()
    np.testing.assert_allclose(np.linalg.norm(whole.normals, axis=1), 1, rtol=1e-5)


@pytest.mark.parametrize("step", [1, 2])
def test_its_colours_are_clear_of_the_rim_which_may_show_the_disc(step: int) -> None:
    """Outlines of depth and of the photograph differ by a few pixels."""
    front, whole = made(backing=0, step=step), made(step=step)
    added = slice(len(front.points), None)
    deep = 30 - np.hypot(*(seen_at(whole.points[added]) - [60, 45]).T)
    away = np.hypot(*(whole.pixels[added] - [60, 45]).T) - 30
    assert np.count_nonzero(deep > step) > 10
    assert away[deep > step].min() > 2.5 * step


def test_the_closest_point_with_clear_colours_is_as_close_as_scipy_finds_it() -> None:
    layer = layer_behind_edges(sample_lattice(DEPTH, as_camera(K), EVERY, 1), REACH, 0.1)
    assert layer is not None
    rows, columns = np.divmod(layer.closest_clear, SIZE[1])
    assert layer.has_clear_colour[rows, columns].all()
    steps = abs(rows - V) + abs(columns - U)
    np.testing.assert_array_equal(
        steps, ndimage.distance_transform_cdt(~layer.has_clear_colour, "taxicab")
    )


def test_its_colours_are_none_of_the_frame_that_some_photographs_have() -> None:
    """Above a thing that ends close to the border there is little of the wall."""
    depth = np.where((V > 9) & (abs(U - 60) < 40), NEAR, FAR).astype(np.float32)
    front, whole = made(backing=0, depth=depth), made(depth=depth)
    added = slice(len(front.points), None)
    rows = seen_at(whole.points[added])[:, 1]
    assert whole.pixels[added][(rows > 10) & (rows < 30), 1].min() > 3


def test_behind_an_edge_aslant_it_reaches_as_far_as_a_turn_of_twenty_degrees_shows() -> None:
    depth = np.where(U + V > 130, NEAR, FAR).astype(np.float32)
    deep = (U + V - 130) / np.sqrt(2)
    shown = K[0, 0] * np.sin(np.radians(20)) * np.median(depth) * (1 / NEAR - 1 / FAR)
    drawn = drawn_from(behind(made(backing=0.9, depth=depth)))
    assert drawn[(deep > 0) & (deep < shown)].all()


def test_no_triangle_has_colours_from_both_sides_of_what_stands_before_it() -> None:
    whole = made(backing=0.5)
    count = len(made(backing=0).points)
    triangles = behind(whole).triangles
    colours = whole.pixels[triangles[(triangles >= count).all(axis=1)]]
    assert len(colours) > 50
    assert np.ptp(colours, axis=1).max() < 20


def test_a_thin_pole_is_backed_whole_and_a_wall_alone_not_at_all() -> None:
    pole = np.where(abs(U - 60) < 5, NEAR, FAR).astype(np.float32)
    assert drawn_from(behind(made(depth=pole)))[2:-2, 56:65].all()
    flat = np.full(SIZE, FAR, np.float32)
    assert len(made(depth=flat).points) == len(made(backing=0, depth=flat).points)


def test_what_is_turned_shows_wall_in_place_of_a_gap() -> None:
    """Seen from the right, columns where nothing is drawn, between the disc and the wall."""
    gaps = [
        int((~drawn_from(made(backing=backing), 0.25)[20:70, 10:105]).sum())
        for backing in (0.0, 0.2)
    ]
    assert gaps[0] > 150
    assert gaps[1] == 0


def test_from_its_own_camera_a_surface_has_no_hole_and_no_stretched_triangle() -> None:
    """A disc before a wall that recedes, soft at its rim, with a splinter before it."""
    distance = np.hypot(U - 60, V - 45) - 30
    wall = FAR + 0.05 * U
    soft = np.where(distance < -1, NEAR, np.where(distance < 2, NEAR + 0.5 * (distance + 1), wall))
    soft[10, 80:83] = 1.5
    depth = soft.astype(np.float32)
    whole = made(depth=depth)
    inside = np.s_[1:, 1:]
    assert drawn_from(whole)[inside].all()
    assert not drawn_from(made(backing=0, depth=depth))[inside].all()
    front = whole.triangles[: len(whole.triangles) - whole.behind]
    z = whole.points[front, 2]
    assert (z.max(axis=1) < 1.1 * z.min(axis=1)).all()
    # The first surface at a pixel is where its depth is, but for the band, which is cut.
    band = (distance > -2) & (distance < 3)
    between = K + np.array([[0, 0, 0.01], [0, 0, 0.01], [0, 0, 0]])
    first = rasterise(whole, whole.points, between, SIZE).inverse_depth
    assert (abs(first * depth - 1) < 0.02)[inside][~band[inside]].mean() > 0.99


def test_ragged_things_and_pixels_without_depth_leave_no_hole_between() -> None:
    numbers = np.random.default_rng(3)
    noise = numbers.random(SIZE)
    steps = [(down, right) for down in (-1, 0, 1) for right in (-1, 0, 1)]
    soft = sum(np.roll(noise, step, (0, 1)) for step in steps) / len(steps)
    depth = np.where(soft > 0.55, NEAR, FAR + 2 * soft).astype(np.float32)
    valid = numbers.random(SIZE) > 0.01
    inner = np.logical_and.reduce([np.roll(valid, step, (0, 1)) for step in steps])
    whole = mesh(depth, K, valid, hollow=~valid, cut=Cut(), smooth=True, backing=0.2)
    uncut = mesh(depth, K, inner, cut=Cut(grazing=0.0, jump=1e9))
    for offset in (0.1, 0.35, 0.6, 0.85):
        between = K + np.array([[0, 0, offset], [0, 0, offset], [0, 0, 0]])
        expected, drawn = (
            rasterise(triangles, triangles.points, between, SIZE).inverse_depth > 0
            for triangles in (uncut, whole)
        )
        assert not (expected & ~drawn)[2:-2, 2:-2].any()


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
        # Ramps are a small part of a picture.
        soft = np.full((4 * SIZE[0], 4 * SIZE[1]), FAR, np.float32)
        soft[: SIZE[0], : SIZE[1]] = depth
        there = np.ones(soft.shape, bool)
        whole = mesh(soft, K, there, cut=Cut(), smooth=True, backing=0.05)
        cloud = point_cloud(soft, K, there, cut=Cut())
        backed = point_cloud(soft, K, there, cut=Cut(), backing=0.05)
        axis = int(depth[0, 0] == depth[0, -1])
        layer = np.unique(whole.triangles[len(whole.triangles) - whole.behind :])
        for added in (whole.points[layer], backed.points[len(cloud.points) :]):
            mine = (seen_at(added) < [SIZE[1] - 20, SIZE[0] - 20]).all(axis=1)
            np.testing.assert_allclose(added[mine, 2], FAR, rtol=1e-5)
        points = seen_at(backed.points[len(cloud.points) :])
        reached = np.rint(points[points[:, 1 - axis] < 60][:, axis])
        assert set(reached) >= {*range(60 + len(ramp) - REACH, 60 + len(ramp))}
        # In the mesh the ramp is one step, so its points are on either side.
        z = whole.points[:, 2]
        assert (np.isclose(z, NEAR) | np.isclose(z, FAR)).all()


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


def test_the_layer_goes_on_from_the_closer_far_side_and_does_not_fold_over_in_a_turn() -> None:
    # A wall, what is far away above it, and a thing before both.
    depth = np.full(SIZE, 20.0, np.float32)
    depth[30:] = FAR
    depth[20:, 40:80] = NEAR
    surface = behind(made(backing=0.9, depth=depth))
    layer = rasterise(surface, surface.points, K, SIZE).inverse_depth
    low = np.s_[75:85, 45:75]
    np.testing.assert_allclose(1 / layer[low], FAR, rtol=0.05)
    # Points of a column of the layer, seen from below and from above.
    rows, column = np.arange(21, 88), 60
    points = np.stack([np.zeros(len(rows)), (rows - K[1, 2]) / K[1, 1], np.ones(len(rows))])
    points = points / layer[rows, column]
    for degrees in (-15, 15):
        a = np.radians(degrees)
        y, z = points[1], points[2] - np.median(depth)
        turned_y, turned_z = y * np.cos(a) - z * np.sin(a), y * np.sin(a) + z * np.cos(a)
        assert (np.diff(turned_y / (turned_z + np.median(depth))) > 0).all()


@pytest.mark.parametrize("turned", [False, True])
def test_the_layer_goes_on_beyond_the_border_behind_what_touches_it(turned: bool) -> None:
    """A view past a near thing at the border shows what is behind it, not a hole."""
    height, width = 60, 80
    K = K_from_focal(80.0, 80.0, (height, width))
    depth = np.full((height, width), 4.0, np.float32)
    depth[:, 60:] = 1.0
    if turned:
        depth = np.ascontiguousarray(depth[::-1, ::-1])
    surface = mesh(depth, K, depth > 0, backing=0.5)
    behind = surface.points[np.unique(surface.triangles[-surface.behind :])]
    column = K[0, 0] * behind[:, 0] / behind[:, 2] + K[0, 2]
    beyond = -column if turned else column - (width - 1)
    assert 6 < beyond.max() < 40
    np.testing.assert_allclose(behind[beyond > 1, 2], 4.0, rtol=0.3)
    assert (surface.pixels >= 0).all()
    assert (surface.pixels < [width, height]).all()


def test_beyond_the_border_the_layer_has_the_far_sides_colours_mirrored() -> None:
    """Nowhere those of the near thing at the border, and not one line drawn out."""
    depth = np.full((60, 80), 4.0, np.float32)
    depth[20:, 60:] = 1.0
    surface = mesh(depth, K_from_focal(80.0, 80.0, (60, 80)), depth > 0, backing=0.5)
    numbers = np.unique(surface.triangles[-surface.behind :])
    behind, pixels = surface.points[numbers], surface.pixels[numbers]
    column = 80.0 * behind[:, 0] / behind[:, 2] + 39.5
    row = 80.0 * behind[:, 1] / behind[:, 2] + 29.5
    above = pixels[(column > 81) & (row < 15)]
    assert len(np.unique(above[:, 0])) > 1
    assert (depth[tuple(np.rint(above[:, ::-1]).astype(int).T)] == 4.0).all()
