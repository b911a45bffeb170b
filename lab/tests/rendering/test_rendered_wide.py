"""Rendered panoramas and fisheyes: distances are those of ordinary frames of the same place."""

import numpy as np
import pytest

from lab.scenes.buffers import View
from lab.scenes.chance import scattered_chance
from lab.scenes.renderer import default_textures, draw_scene, shots
from lab.scenes.venue import Kind
from lab.scenes.wide import levelled, render_wide
from rilievo.geometry.cameras.equirectangular import panorama
from rilievo.geometry.cameras.fisheye import equidistant_fisheye

pytest.importorskip("numba")
SIZE = (96, 192)


@pytest.fixture(scope="module")
def rendered():
    return render_wide(3, panorama(SIZE), SIZE, kind=Kind.ROOMS)


@pytest.mark.slow
def test_a_panorama_has_distance_all_round_and_the_same_again(rendered):
    assert rendered.camera.lens.has_unit_rays
    assert rendered.depth_valid.mean() > 0.9
    assert rendered.image.std() > 10
    again = render_wide(3, panorama(SIZE), SIZE, kind=Kind.ROOMS)
    np.testing.assert_array_equal(again.image, rendered.image)
    np.testing.assert_array_equal(again.depth, rendered.depth)


@pytest.mark.slow
def test_distances_are_those_of_a_perspective_frame_from_the_same_place(rendered):
    origin = rendered.world_T_cam[:3, 3]
    turn = rendered.world_T_cam[:3, :3]
    bank = default_textures()
    shot = next(
        each
        for each in shots(3, bank, (192, 256), Kind.ROOMS)
        if np.allclose(each.view.origin, origin)
    )
    np.testing.assert_allclose(levelled(shot.view.turn), turn)
    view = View(origin=shot.view.origin, turn=turn.astype(np.float32), focal=40.0, cx=31.5, cy=31.5)
    plain = draw_scene(shot.scene, view, bank, (64, 64), scattered_chance(64, 64))
    v, u = np.mgrid[:64, :64].astype(float)
    rays = np.stack([(u - 31.5) / 40, (v - 31.5) / 40, np.ones_like(u)])
    there = np.rint(rendered.camera.project(rays)).astype(int)
    found = rendered.depth[there[1], there[0]]
    expected = plain.depth * np.linalg.norm(rays, axis=0)
    both = (found > 0) & (plain.depth > 0)
    error = np.abs(found / np.where(plain.depth > 0, expected, 1) - 1)[both]
    assert np.median(error) < 0.02  # pixels are not at the same places
    assert np.quantile(error, 0.8) < 0.06


def test_normals_face_the_camera_and_agree_with_the_points(rendered):
    points = rendered.camera.points(rendered.depth)
    towards = -(points * rendered.normals).sum(axis=0)
    assert (towards[rendered.normals_valid] > -1e-4).all()
    floor = rendered.normals[1] < -0.99
    assert floor.any()
    heights = points[1][floor & rendered.depth_valid]
    common = np.median(heights)
    assert (np.abs(heights - common) < 1e-3).mean() > 0.3  # one floor, exactly level


def test_a_fisheye_sees_the_same_distances(rendered):
    size = (96, 96)
    lens = equidistant_fisheye(size, 180)
    round_one = render_wide(3, lens, size, kind=Kind.ROOMS)
    np.testing.assert_allclose(round_one.world_T_cam, rendered.world_T_cam)
    v, u = np.mgrid[:96, :96].astype(float)
    there = np.rint(rendered.camera.project(lens.rays(np.stack([u, v])))).astype(int)
    there[0] %= SIZE[1]
    there[1] = there[1].clip(0, SIZE[0] - 1)
    found = rendered.depth[there[1], there[0]]
    both = (found > 0) & (round_one.depth > 0)
    assert np.median(np.abs(found / np.where(both, round_one.depth, 1) - 1)[both]) < 0.02
