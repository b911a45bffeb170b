"""Walks of the camera: smooth, and clear of every surface."""

import numpy as np

from lab.scenes import Kind, TextureBank
from lab.scenes.dice import Dice
from lab.scenes.renderer import shots
from lab.scenes.rotations import turn_z
from lab.scenes.stage import Stage
from lab.scenes.walks import CLEARANCE, choose_walk, clearance, keeps_clear

SIZE = (96, 128)


def stage_with_things(textures: TextureBank) -> Stage:
    """One solid of each shape, turned and moved."""
    stage = Stage(Dice(3), textures.groups)
    plain = stage.plain()
    with stage.frame((0.3, -0.2, 1.0), 0.7):
        stage.box((0, 0, 0), (0.6, 0.4, 1.0), plain)
        stage.ellipsoid((1.5, 0, 0), (0.5, 0.3, 0.7), plain, turn_z(0.4))
        stage.cylinder((-1.5, 0, 0), 0.3, 1.0, plain, taper=1.6)
        stage.card((0, 1.5, 0), 0.8, 0.6, plain)
    return stage


def test_no_surface_is_within_the_clearance_that_is_told(textures: TextureBank) -> None:
    """Random points of the surfaces themselves, by formula, against random places."""
    solids = stage_with_things(textures).solids()
    draw = np.random.default_rng(0)
    spheres = draw.standard_normal((4000, 3))
    spheres /= np.linalg.norm(spheres, axis=1, keepdims=True)
    cube = spheres / np.abs(spheres).max(axis=1, keepdims=True)
    angle, height = draw.uniform(0, 2 * np.pi, 4000), draw.uniform(-1, 1, 4000)
    radius = 1.3 + 0.3 * height
    cone = np.stack([radius * np.cos(angle), radius * np.sin(angle), height], axis=1)
    card = np.concatenate([draw.uniform(-1, 1, (4000, 2)), np.zeros((4000, 1))], axis=1)
    surface = []
    for solid, unit in zip(solids, (cube, spheres, cone, card), strict=True):
        surface.append(unit @ np.linalg.inv(solid["axes"].astype(float)).T + solid["centre"])
    points = np.concatenate(surface)
    places = draw.uniform(-3, 3, (200, 3))
    told = clearance(solids, places)
    nearest = np.linalg.norm(points[None] - places[:, None], axis=-1).min(axis=1)
    assert (told <= nearest + 1e-6).all()
    # It is not told too small either, or no walk would be found: mostly within half.
    free = told > 0
    assert free.mean() > 0.9
    assert np.median(told[free] / nearest[free]) > 0.8


def test_a_path_through_a_thing_is_refused_however_far_apart_its_points(
    textures: TextureBank,
) -> None:
    solids = stage_with_things(textures).solids()
    beside, through = np.array([[-3.0, 3, 1], [-2.8, 3, 1]]), np.array([[0.3, -2, 1], [0.3, 2, 1]])
    assert keeps_clear(solids, beside)
    assert not keeps_clear(solids, through)
    assert not keeps_clear(solids, np.array([[0.3, -0.2, 1.0]]))


def test_a_room_and_a_ground_are_kept_clear_of_from_inside(textures: TextureBank) -> None:
    stage = Stage(Dice(3), textures.groups)
    first = stage.plain()
    for _ in range(5):
        stage.copy_material(first)
    stage.room(4.0, 6.0, 2.5, first)
    stage.ground(first, (0, 0, -1))
    places = np.array([[0, 0, 1.0], [1.9, 0, 1.0], [0, 0, 2.4], [2.1, 0, 1.0]])
    np.testing.assert_allclose(clearance(stage.solids(), places), [1.0, 0.1, 0.1, -0.1], atol=1e-6)


def test_a_sheet_leaves_the_room_on_both_of_its_sides_free(textures: TextureBank) -> None:
    stage = Stage(Dice(3), textures.groups)
    stage.card((0, 0, 1), 0.8, 0.6, stage.plain())
    places = np.array([[0, 0, 1.5], [0.3, 0.2, 0.9], [0.7, 0, 1.4]])
    np.testing.assert_allclose(clearance(stage.solids(), places), [0.5, 0.1, 0.5], atol=1e-6)


def test_a_walk_of_many_frames_keeps_clear(textures: TextureBank) -> None:
    found = 0
    for seed in range(6):
        shot = next(shots(seed, textures, SIZE, Kind.ROOMS))
        views = choose_walk(shot.view, shot.venue, shot.scene, shot.dice, SIZE, 40, None)
        if views is None:
            continue
        found += 1
        assert len(views) == 40
        assert views[0] is shot.view
        path = np.array([view.origin for view in views], np.float64)
        assert (clearance(shot.scene.solids, path) > CLEARANCE).all()
        bends = np.diff(path, n=2, axis=0)
        assert np.abs(bends).max() < 0.2 * np.linalg.norm(path[1] - path[0]) + 1e-4
    assert found > 2
