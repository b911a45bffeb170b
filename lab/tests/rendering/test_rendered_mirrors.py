"""Mirrors and panes: their own plane is measured, what they show is seen by one reflection."""

import numpy as np
import pytest

from lab.scenes import TextureBank
from lab.scenes.buffers import Buffers, View
from lab.scenes.chance import scattered_chance
from lab.scenes.dice import Dice
from lab.scenes.outdoors import street
from lab.scenes.renderer import draw_scene
from lab.scenes.rooms import room
from lab.scenes.rotations import turn_x, turn_z
from lab.scenes.scene import Ambience, Light, Scene
from lab.scenes.stage import Stage

SIZE = (40, 60)
FORWARD = np.array([[1.0, 0.0, 0.0], [0.0, 0.0, 1.0], [0.0, -1.0, 0.0]], np.float32)
"""world_R_cam of a camera that looks along +y, level."""
BALLS = (
    ((-1.4, -2.0, 1.6), 0.7, (0.7, 0.2, 0.1)),
    ((0.9, -3.0, 0.6), 1.0, (0.1, 0.6, 0.3)),
    ((0.1, -6.0, 3.0), 0.9, (0.2, 0.3, 0.8)),
)


def new_stage(textures: TextureBank, seed: int = 0) -> Stage:
    return Stage(Dice(seed), textures.groups)


def draw(stage: Stage, textures: TextureBank) -> Buffers:
    """A frame of 40 × 60 pixels, focal length 50, from one metre above the origin; an even sky."""
    even = np.full(3, 0.4)
    scene = Scene(
        solids=stage.solids(),
        materials=stage.materials(),
        lights=tuple(stage.lights),
        ambience=Ambience(direction=np.array([0.0, 0, 1]), bright=even, dark=even, reach=0.3),
        sky=np.full((64, 256, 3), 0.5, np.float32),
    )
    view = View(np.array([0, 0, 1], np.float32), FORWARD, 50.0, 29.5, 19.5)
    return draw_scene(scene, view, textures, SIZE, scattered_chance(*SIZE))


def test_a_mirror_shows_each_thing_where_its_image_stands(textures: TextureBank) -> None:
    """The world continues behind a mirror in the plane y = 4, with y replaced by 8 - y."""
    in_mirror, behind = new_stage(textures), new_stage(textures)
    in_mirror.box((0, 5, 1), (60, 2, 60), in_mirror.coat((0.3, 0.3, 0.3), mirror=1.0))
    for (x, y, z), radius, colour in BALLS:
        for stage, there in ((in_mirror, y), (behind, 8 - y)):
            paint = stage.plain(colour, gloss=0.5)
            stage.ellipsoid((x, there, z), (radius,) * 3, paint)
    for stage, there in ((in_mirror, -0.5), (behind, 8.5)):
        position = np.array([1.0, there, 4.0])
        light = Light(position=position, distant=False, size=0.0, colour=np.full(3, 9.0))
        stage.lights.append(light)
    mirrored, direct = draw(in_mirror, textures), draw(behind, textures)
    assert (direct.face >= 0).mean() > 0.05
    difference = np.abs(mirrored.colour - direct.colour).max(axis=-1)
    faces = np.pad(direct.face, 1, mode="edge")
    inner = np.ones(SIZE, bool)
    for rows, columns in ((0, 1), (2, 1), (1, 0), (1, 2)):
        shifted = faces[rows : rows + SIZE[0], columns : columns + SIZE[1]]
        inner &= shifted == direct.face
    # Outlines are averaged over neighbours in a mirror, and over rays elsewhere.
    assert difference[inner].max() < 2e-3
    assert difference.max() < 0.8
    assert np.abs(direct.colour[direct.face >= 0] - 0.5).max() > 0.2


def test_depth_and_normals_are_those_of_the_mirror(textures: TextureBank) -> None:
    """The plane through (0, 4, 1) turned by 0.4 about the vertical, whatever it shows."""
    stage = new_stage(textures)
    turn = turn_z(0.4) @ turn_x(np.pi / 2)
    stage.card((0, 4, 1), 90.0, 90.0, stage.mirror(), turn)
    stage.ellipsoid((6.2, -2, 1), (1.5, 1.5, 1.5), stage.plain((0.9, 0.1, 0.1), emission=1.0))
    buffers = draw(stage, textures)
    normal = np.array([np.sin(0.4), -np.cos(0.4), 0.0])
    across = (np.arange(SIZE[1]) - 29.5) / 50.0
    depth = np.broadcast_to(-4 * np.cos(0.4) / (normal[0] * across + normal[1]), SIZE)
    np.testing.assert_allclose(buffers.depth, depth, rtol=1e-4)
    np.testing.assert_allclose(buffers.normal, np.broadcast_to(normal, (*SIZE, 3)), atol=1e-5)
    assert np.ptp(buffers.colour[..., 0]) > 0.3


def test_a_pane_seen_from_straight_ahead_mixes_its_own_colour_and_its_image(
    textures: TextureBank,
) -> None:
    """0.7 of its own 0.2, and 0.3 of a lamp of 1."""
    stage = new_stage(textures)
    pane = stage.plain((0.2, 0.2, 0.2), emission=1.0, mirror=0.3)
    stage.box((0, 5, 1), (60, 2, 60), pane)
    stage.box((0, -4, 1), (60, 2, 60), stage.plain((1, 1, 1), emission=1.0))
    colour = draw(stage, textures).colour
    np.testing.assert_allclose(colour[20, 30], 0.7 * 0.2 + 0.3, atol=1e-4)


def test_glass_mirrors_more_the_flatter_it_is_seen(textures: TextureBank) -> None:
    """A black floor under a sky of 0.5: Schlick's share of it, at every angle."""
    stage = new_stage(textures)
    stage.ground(stage.coat((0, 0, 0), mirror=0.08))
    colour = draw(stage, textures).colour[..., 0]
    v, u = np.mgrid[: SIZE[0], : SIZE[1]]
    down = (v - 19.5) / np.sqrt((u - 29.5) ** 2 + (v - 19.5) ** 2 + 50.0**2)
    expected = 0.5 * (0.08 + 0.92 * (1 - down) ** 5)
    below = v > 22
    np.testing.assert_allclose(colour[below], expected[below], atol=2e-3)


def test_a_mirror_in_a_mirror_is_dull(textures: TextureBank) -> None:
    stage = new_stage(textures)
    stage.box((0, 5, 1), (60, 2, 60), stage.coat((0.3, 0.3, 0.3), mirror=1.0))
    stage.box((0, -5, 1), (60, 2, 60), stage.coat((0.2, 0.2, 0.2), mirror=1.0))
    buffers = draw(stage, textures)
    # 0.2 under an even ambience of 0.4, nothing near that shades it.
    np.testing.assert_allclose(buffers.colour[10:30, 10:50], 0.08, atol=5e-3)


def test_the_edge_of_a_mirror_is_as_smooth_as_any(textures: TextureBank) -> None:
    stage = new_stage(textures)
    turn = turn_x(np.pi / 2) @ turn_z(0.3)
    stage.card((0, 4, 1), 2.0, 1.6, stage.coat((0, 0, 0), mirror=1.0), turn)
    stage.box((0, 7, 1), (60, 2, 60), stage.plain((0.1, 0.1, 0.1), emission=1.0))
    stage.box((0, -4, 1), (60, 2, 60), stage.plain((1, 1, 1), emission=1.0))
    colour = draw(stage, textures).colour[..., 0]
    between = (colour > 0.15) & (colour < 0.95)
    assert 20 < between.sum() < 150
    np.testing.assert_allclose(colour[20, 30], 1.0, atol=1e-3)


@pytest.mark.slow
def test_rooms_have_mirrors_at_times_and_streets_have_panes(textures: TextureBank) -> None:
    with_mirror = 0
    for seed in range(24):
        stage = new_stage(textures, seed)
        room(stage)
        with_mirror += int((stage.materials()["mirror"] > 0.5).any())
    assert 8 < with_mirror < 24
    panes = []
    for seed in range(8):
        stage = new_stage(textures, seed)
        street(stage)
        panes.append(stage.materials()["mirror"].max())
    assert max(panes) == pytest.approx(0.08)


def test_mirrors_leave_the_rest_of_a_scene_as_it_was(
    textures: TextureBank, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Mirrors are drawn from a generator of their own."""
    same = 0
    for seed in range(12):
        stage, without = new_stage(textures, seed), new_stage(textures, seed)
        monkeypatch.setattr(without.aside, "chance", lambda share: False)
        room(stage)
        room(without)
        one, other = stage.solids(), without.solids()
        assert not (without.materials()["mirror"] > 0.5).any()
        if len(one) == len(other):
            same += 1
            np.testing.assert_array_equal(one["centre"], other["centre"])
            assert stage.dice.random() == without.dice.random()
    assert same > 4
