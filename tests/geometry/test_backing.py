"""The layer behind edges: it continues far surfaces in their soft colours, and hides no surface."""

from dataclasses import replace

import numpy as np
import pytest

from rilievo.geometry.intrinsics import K_from_focal
from rilievo.geometry.surfaces.lattice import Cut
from rilievo.geometry.surfaces.meshes import Mesh, mesh, point_cloud
from rilievo.geometry.transforms import rotation_from_axis_angle
from rilievo.io.outputs.formats.raster import rasterise

SIZE = (90, 120)
K = K_from_focal(100.0, 100.0, SIZE)
NEAR, FAR = 2.0, 4.0
RED, GREEN = (200, 0, 0), (0, 200, 0)
V, U = np.mgrid[: SIZE[0], : SIZE[1]]
DISC = np.hypot(U - 60, V - 45) < 30
DEPTH = np.where(DISC, NEAR, FAR).astype(np.float32)
EVERY = np.ones(SIZE, bool)
BEHIND = 0.011
"""Relative depth by which the layer lies behind the far surface that it continues."""
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
    np.testing.assert_allclose(added[:, 2], FAR, rtol=BEHIND)
    deep = 30 - np.hypot(*(seen_at(added) - [60, 45]).T)
    # Measured along rows and columns, as the pixels are.
    assert REACH * 0.7 < deep.max() <= REACH + step
    # It begins up to a coarse step before the edge.
    assert deep.min() > -9.1 * step
    ring = DISC & (np.hypot(U - 60, V - 45) > 30 - REACH * 0.45)
    assert drawn_from(behind(whole))[ring].mean() > 0.99


def test_its_triangles_face_the_camera() -> None:
    whole = made()
    a, b, c = (whole.points[corner] for corner in whole.triangles.T)
    assert (np.einsum("mc,mc->m", np.cross(b - a, c - a), a) < 0).all()
    np.testing.assert_allclose(np.linalg.norm(whole.normals, axis=1), 1, rtol=1e-5)


def soft_colours(surface: Mesh) -> np.ndarray:
    """Colours of the soft vertices, from the soft picture."""
    assert surface.soft_picture is not None
    rows, columns, _ = surface.soft_picture.shape
    pixels = surface.pixels[len(surface.points) - surface.soft_vertices :]
    row = (pixels[:, 1] * rows / SIZE[0]).astype(int).clip(0, rows - 1)
    column = (pixels[:, 0] * columns / SIZE[1]).astype(int).clip(0, columns - 1)
    return surface.soft_picture[row, column].astype(int)


@pytest.mark.parametrize("step", [1, 2])
def test_its_colours_are_the_walls_clear_of_the_rim_and_of_a_frame(step: int) -> None:
    """Outlines of depth and photograph differ by a few pixels; some photographs are framed."""
    colours = np.where((np.hypot(U - 60, V - 45) < 32)[..., None], RED, GREEN).astype(np.uint8)
    colours[:3] = colours[-3:] = RED
    surface = mesh(DEPTH, K, EVERY, colours=colours, step=step, smooth=True, backing=0.2)
    assert (soft_colours(surface) == GREEN).all()


def test_its_colours_are_blurred_and_between_those_beside_the_edge() -> None:
    """A striped wall that is dark at the left and bright at the right."""
    dark, bright = 40, 200
    shade = np.where(U < 60, dark, bright) + np.where(U % 4 < 2, -20, 20)
    colours = np.repeat(shade[..., None], 3, axis=2).astype(np.uint8)
    whole = mesh(DEPTH, K, EVERY, colours=colours, backing=0.5)
    found = soft_colours(whole)
    column = whole.pixels[len(whole.points) - whole.soft_vertices :, 0]
    is_inside = abs(column - 60) < 24
    assert (found >= dark - 20).all()
    assert (found <= bright + 20).all()
    # Stripes of 40 levels are gone, and brightness rises across the disc.
    for left in range(36, 84, 12):
        band = found[is_inside & (abs(column - left - 6) < 6)]
        assert np.ptp(band) < 90
    assert found[column < 45].mean() + 60 < found[column > 75].mean()


def person_in_a_room() -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Depth of a person before a wall, the room's depth without the person, and where that is."""
    ray_down = (V - K[1, 2]) / K[1, 1]
    floor = 1.2 / np.maximum(ray_down, 1e-6)
    room = np.minimum(floor, 6.0).astype(np.float32)
    is_person = (abs(U - 60) < 9) & (V > 20) & (K[1, 2] + K[1, 1] * 1.2 / 3.0 > V)
    depth = np.where(is_person, np.minimum(room, np.float32(3.0)), room)
    return depth, room, is_person


def test_floor_and_wall_go_on_behind_a_person() -> None:
    depth, room, is_person = person_in_a_room()
    surface = behind(made(backing=0.5, depth=depth))
    layer = rasterise(surface, surface.points, K, SIZE).inverse_depth
    is_clearly_before = is_person & (depth < 0.9 * room)
    assert (layer[is_clearly_before] > 0).all()
    relative = 1 / (layer[is_clearly_before] * room[is_clearly_before])
    assert relative.min() > 0.95
    assert np.percentile(relative, 95) < 1.15


@pytest.mark.parametrize("degrees", [-30, -15, 15, 30])
@pytest.mark.parametrize("scene", ["person", "disc", "pole before a step"])
def test_a_turned_view_shows_no_layer_before_the_surface(scene: str, degrees: float) -> None:
    depths = {
        "person": person_in_a_room()[0],
        "disc": DEPTH,
        "pole before a step": np.select([abs(U - 50) < 4, U < 70], [2.0, 3.0], 9.0),
    }
    whole = made(backing=0.5, depth=depths[scene].astype(np.float32))
    front_count = len(whole.triangles) - whole.behind
    front = replace(whole, triangles=whole.triangles[:front_count])
    is_soft = (whole.triangles >= len(whole.points) - whole.soft_vertices).all(axis=1)
    layer = replace(whole, triangles=whole.triangles[is_soft])
    pivot = np.array([0, 0, np.median(depths[scene])])
    turn = rotation_from_axis_angle(np.array([0, np.radians(degrees), 0]))
    points = ((whole.points - pivot) @ turn.T + pivot).astype(np.float32)
    front_view, layer_view = (
        rasterise(part, points, K, SIZE).inverse_depth for part in (front, layer)
    )
    assert not ((front_view > 0) & (layer_view > 1.005 * front_view)).any()


def test_under_a_floor_that_no_edge_hides_there_is_no_layer() -> None:
    """The floor before a person's feet goes on to the photograph's border."""
    depth, _, _ = person_in_a_room()
    surface = behind(made(backing=0.5, depth=depth))
    rows = seen_at(surface.points[np.unique(surface.triangles)])[:, 1]
    feet = K[1, 2] + K[1, 1] * 1.2 / 3.0
    assert rows.max() < feet + 12


def test_behind_an_edge_aslant_it_reaches_as_far_as_a_turn_of_twenty_degrees_shows() -> None:
    depth = np.where(U + V > 130, NEAR, FAR).astype(np.float32)
    deep = (U + V - 130) / np.sqrt(2)
    shown = K[0, 0] * np.sin(np.radians(20)) * np.median(depth) * (1 / NEAR - 1 / FAR)
    drawn = drawn_from(behind(made(backing=0.9, depth=depth)))
    assert drawn[(deep > 0) & (deep < shown)].all()


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
            np.testing.assert_allclose(added[mine, 2], FAR, rtol=BEHIND)
        points = seen_at(backed.points[len(cloud.points) :])
        reached = np.rint(points[points[:, 1 - axis] < 60][:, axis])
        assert set(reached) >= {*range(60 + len(ramp) - REACH, 60 + len(ramp))}
        # In the mesh the ramp is one step, so its points are on either side.
        z = whole.points[: len(whole.points) - whole.soft_vertices, 2]
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


def test_the_layer_ends_at_the_border_of_the_photograph() -> None:
    depth = np.full(SIZE, 4.0, np.float32)
    depth[:, 90:] = 1.0
    surface = behind(made(backing=0.5, depth=depth))
    pixels = seen_at(surface.points[np.unique(surface.triangles)])
    assert pixels.min() > -0.01
    assert (pixels.max(axis=0) < [SIZE[1] - 0.99, SIZE[0] - 0.99]).all()
    assert pixels[:, 0].max() > 110
