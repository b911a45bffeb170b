"""Single solids, rendered and compared with their equations."""

import numpy as np
import pytest
from jaxtyping import Bool, Float64

from lab.scenes import TextureBank
from lab.scenes.buffers import Buffers, View
from lab.scenes.chance import scattered_chance
from lab.scenes.dice import Dice
from lab.scenes.renderer import as_sample, draw_scene
from lab.scenes.rotations import turn_from_z, turn_x, turn_y, turn_z
from lab.scenes.scene import BARS, LATTICE, OPEN, Light, Scene
from lab.scenes.stage import Stage
from lab.scenes.venue import outdoor_ambience
from rilievo.records.sample import Sample

FORWARD = np.array([[1.0, 0.0, 0.0], [0.0, 0.0, 1.0], [0.0, -1.0, 0.0]], np.float32)
"""world_R_cam of a camera that looks along +y, level."""
GREY = (0.4, 0.4, 0.4)


def rays_of(sample: Sample) -> Float64[np.ndarray, "3 h w"]:
    """K⁻¹ (u, v, 1)ᵀ, written anew from the convention."""
    assert sample.camera is not None
    height, width = sample.image.shape[:2]
    v, u = np.mgrid[:height, :width].astype(float)
    pixels = np.stack([u, v, np.ones_like(u)]).reshape(3, -1)
    return (np.linalg.inv(sample.camera.K) @ pixels).reshape(3, height, width)


def shoot(stage: Stage, textures: TextureBank, turn: np.ndarray = FORWARD) -> Sample:
    """A frame of 40 × 60 pixels, focal length 50, from one metre above the origin."""
    view = View(np.array([0, 0, 1], np.float32), turn.astype(np.float32), 50.0, 29.5, 19.5)
    return as_sample("test", np.zeros((40, 60, 3), np.uint8), trace(stage, textures, view), view)


def trace(stage: Stage, textures: TextureBank, view: View) -> Buffers:
    dice = stage.dice
    scene = Scene(
        solids=stage.solids(),
        materials=stage.materials(),
        lights=tuple(stage.lights),
        ambience=outdoor_ambience(dice),
        sky=np.full((64, 256, 3), 0.5, np.float32),
    )
    return draw_scene(scene, view, textures, (40, 60), scattered_chance(40, 60))


def new_stage(textures: TextureBank) -> Stage:
    return Stage(Dice(0), textures.groups)


def check_depth(
    sample: Sample, expected: Float64[np.ndarray, "h w"], where: Bool[np.ndarray, "h w"]
) -> None:
    """Depth is as worked out; at the outline itself one pixel may fall to either side."""
    assert sample.depth is not None
    assert sample.depth_valid is not None
    assert (sample.depth_valid != where).sum() <= 0.02 * where.size
    both = sample.depth_valid & where
    assert both.sum() > 100
    np.testing.assert_allclose(sample.depth[both], expected[both], rtol=2e-4)


def test_the_ground_lies_where_the_camera_height_says(textures: TextureBank) -> None:
    """The camera is one metre up; a ray (x, y, 1) meets the floor at depth 1 / y, because y points
    down.
    """
    stage = new_stage(textures)
    stage.ground(stage.plain(GREY))
    sample = shoot(stage, textures)
    down = rays_of(sample)[1]
    below = down > 1 / 390
    check_depth(sample, 1 / np.where(below, down, 1.0), below)
    assert sample.normals is not None
    np.testing.assert_allclose(sample.normals[:, 30, 20], [0, -1, 0], atol=1e-6)


def test_a_wall_seen_head_on_has_one_depth_and_the_normal_towards_us(textures: TextureBank) -> None:
    stage = new_stage(textures)
    stage.box((0, 5, 1), (40, 2, 40), stage.plain(GREY))
    sample = shoot(stage, textures)
    check_depth(sample, np.full((40, 60), 4.0), np.ones((40, 60), bool))
    assert sample.normals is not None
    np.testing.assert_allclose(sample.normals[:, 10, 10], [0, 0, -1], atol=1e-6)


def test_a_picture_on_a_wall_is_as_flat_as_the_wall(textures: TextureBank) -> None:
    stage = new_stage(textures)
    stage.box((0, 5, 1), (40, 2, 40), stage.picture(3.0, 2.0))
    sample = shoot(stage, textures)
    check_depth(sample, np.full((40, 60), 4.0), np.ones((40, 60), bool))


@pytest.mark.parametrize("yaw", [-0.9, 0.4])
def test_an_oblique_wall_is_the_plane_that_was_asked_for(textures: TextureBank, yaw: float) -> None:
    stage = new_stage(textures)
    turn = turn_z(yaw) @ turn_x(np.pi / 2)
    stage.card((0, 4, 1), 300.0, 300.0, stage.plain(GREY), turn)
    sample = shoot(stage, textures)
    # In the camera frame the wall's normal is (sin yaw, 0, -cos yaw) and it passes (0, 0, 4).
    normal = np.array([np.sin(yaw), 0.0, -np.cos(yaw)])
    facing = np.einsum("i,ihw->hw", normal, rays_of(sample))
    check_depth(sample, -4 * np.cos(yaw) / facing, facing < -0.05)
    assert sample.normals is not None
    np.testing.assert_allclose(sample.normals[:, 20, 30], normal, atol=1e-5)


def test_a_ball_has_the_depth_of_the_quadratic_and_radial_normals(textures: TextureBank) -> None:
    stage = new_stage(textures)
    stage.ellipsoid((0.5, 3, 1.2), (0.8, 0.8, 0.8), stage.plain(GREY))
    sample = shoot(stage, textures)
    rays, centre = rays_of(sample), np.array([0.5, -0.2, 3.0])
    square, half = (rays**2).sum(axis=0), np.einsum("i,ihw->hw", centre, rays)
    under = half**2 - square * (centre @ centre - 0.8**2)
    expected = (half - np.sqrt(np.maximum(under, 0))) / square
    check_depth(sample, expected, under > 0)
    assert sample.normals is not None
    radial = (rays * expected - centre[:, None, None]) / 0.8
    inside = under > 0.1
    np.testing.assert_allclose(sample.normals[:, inside], radial[:, inside], atol=2e-3)


def test_a_turned_ellipsoid_is_a_stretched_ball(textures: TextureBank) -> None:
    """Every seen point satisfies the implicit equation; its normal is the gradient."""
    stage, turn = new_stage(textures), turn_z(0.5) @ turn_x(0.7) @ turn_y(-0.3)
    radii = np.array([0.9, 0.3, 0.6])
    stage.ellipsoid((0.1, 2.5, 1.1), radii, stage.plain(GREY), turn)
    sample = shoot(stage, textures)
    assert sample.depth is not None
    assert sample.normals is not None
    valid = sample.depth_valid
    world = FORWARD @ (rays_of(sample) * sample.depth)[:, valid] + np.array([[0], [0], [1]])
    local = turn.T @ (world - np.array([[0.1], [2.5], [1.1]])) / radii[:, None]
    np.testing.assert_allclose((local**2).sum(axis=0), 1.0, atol=2e-3)
    gradient = FORWARD.T @ (turn @ (local / radii[:, None]))
    gradient /= np.linalg.norm(gradient, axis=0)
    np.testing.assert_allclose(sample.normals[:, valid], gradient, atol=5e-3)


@pytest.mark.parametrize("taper", [0.2, 1.0, 1.6])
def test_a_cone_narrows_along_its_axis(textures: TextureBank, taper: float) -> None:
    """Points of the side keep the radius of their height, with the normal that goes with its
    slope; those of a lid have its height."""
    stage = new_stage(textures)
    stage.cylinder((0, 3, 0.9), 0.6, 1.0, stage.plain(GREY), taper=taper)
    sample = shoot(stage, textures)
    assert sample.depth is not None
    assert sample.normals is not None
    world = FORWARD @ (rays_of(sample) * sample.depth)[:, sample.depth_valid]
    height = world[2] + 1 - 0.4
    away = np.hypot(world[0], world[1] - 3)
    side = 0.6 * (1 + (taper - 1) * height)
    is_lid = np.isclose(height, 0, atol=1e-3) | np.isclose(height, 1, atol=1e-3)
    assert world.shape[1] > 100
    np.testing.assert_allclose(away[~is_lid], side[~is_lid], atol=2e-3)
    assert (away[is_lid] <= side[is_lid] + 2e-3).all()
    outward = np.stack(
        [world[0] / away, (world[1] - 3) / away, np.full_like(away, 0.6 - 0.6 * taper)]
    )
    outward /= np.linalg.norm(outward, axis=0)
    given = FORWARD @ sample.normals[:, sample.depth_valid]
    np.testing.assert_allclose(given[:, ~is_lid], outward[:, ~is_lid], atol=5e-3)


def test_an_open_cylinder_shows_its_inside(textures: TextureBank) -> None:
    """Seen through the missing lid, the far wall is visible at the radius, under the rim."""
    depths = []
    for holes in (OPEN, 0):
        stage = new_stage(textures)
        stage.cylinder((0, 1, 0.2), 0.3, 0.4, stage.plain(GREY), holes=holes)
        sample = shoot(stage, textures, turn_x(-0.7) @ FORWARD)
        assert sample.depth is not None
        depths.append(sample.depth)
    opened, closed = depths
    seen = (opened > 0) & (closed > 0)
    assert (opened[seen] > closed[seen] + 0.05).mean() > 0.1
    assert (opened[seen] > closed[seen] - 1e-3).all()


@pytest.mark.slow
@pytest.mark.parametrize(("holes", "covered"), [(BARS, 0.3), (LATTICE, 0.51)])
def test_bars_cover_the_share_that_was_asked_for(
    textures: TextureBank, holes: int, covered: float
) -> None:
    stage = new_stage(textures)
    turn = turn_x(np.pi / 2)
    stage.card((0, 2, 1), 50.0, 50.0, stage.plain(GREY), turn, holes=holes, pitch=0.33, share=0.3)
    sample = shoot(stage, textures)
    assert sample.depth_valid is not None
    assert sample.depth_valid.mean() == pytest.approx(covered, abs=0.06)


def test_a_solid_between_ground_and_sun_casts_a_shadow(textures: TextureBank) -> None:
    stage = new_stage(textures)
    stage.ground(stage.plain((0.5, 0.5, 0.5), gloss=0.0))
    stage.box((0, 4, 1.5), (2.0, 3.0, 0.1), stage.plain(GREY))
    sun = Light(position=np.array([0.0, 0, 1]), distant=True, size=0.0, colour=np.full(3, 5.0))
    stage.lights.append(sun)
    view = View(np.array([0, 0, 1], np.float32), FORWARD, 50.0, 29.5, 19.5)
    colour = trace(stage, textures, view).colour
    # The ground straight under the box is 4 m ahead and 1 m down: 12.5 px below the centre;
    # light is averaged over nine pixels, so the shadow is made wide.
    assert colour[33, 30].mean() < 0.5 * colour[33, 55].mean()


def test_pixels_on_an_outline_mix_both_sides(textures: TextureBank) -> None:
    stage = new_stage(textures)
    lamp = stage.plain((1, 1, 1), emission=1.0)
    stage.card((0, 4, 1), 2.03, 2.0, lamp, turn_y(0.3) @ turn_x(np.pi / 2))
    view = View(np.array([0, 0, 1], np.float32), FORWARD, 50.0, 29.5, 19.5)
    colour = trace(stage, textures, view).colour[..., 0]
    between = (colour > 0.55) & (colour < 0.95)
    assert 20 < between.sum() < 150


def test_turn_from_z_is_a_rotation_that_takes_z_there() -> None:
    for direction in ([0, 0, 1.0], [0, 0, -2.0], [3, 0, 0.0], [0.1, -0.5, 0.2]):
        turn = turn_from_z(np.array(direction))
        np.testing.assert_allclose(turn @ turn.T, np.eye(3), atol=1e-12)
        assert np.linalg.det(turn) == pytest.approx(1.0)
        np.testing.assert_allclose(turn[:, 2], direction / np.linalg.norm(direction), atol=1e-12)
