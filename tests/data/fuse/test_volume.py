"""Volumes and their meshes: analytic surfaces within a voxel, colours, memory, what is carved."""

from collections import Counter
from dataclasses import replace

import numpy as np
import pytest

from rilievo.data.fuse.fused_surface import fuse_views, gltf_R_world
from rilievo.data.fuse.volume import BLOCK_VOXELS, VOXEL_BYTES, Volume
from rilievo.data.fuse.volume_mesh import extract_mesh
from rilievo.errors import InputError
from support.box_rooms import (
    around,
    colours_at,
    distance_to_room,
    pose,
    room_view,
    sphere_view,
    walk,
)

VOXEL = 0.05


def filled(views: list) -> Volume:
    volume = Volume(VOXEL)
    for view in views:
        volume.add(view)
    return volume


def edges_of(triangles: np.ndarray) -> Counter:
    pairs = np.concatenate([triangles[:, [0, 1]], triangles[:, [1, 2]], triangles[:, [2, 0]]])
    return Counter(map(tuple, np.sort(pairs, axis=1).tolist()))


def test_a_sphere_seen_from_all_sides_is_closed_and_within_a_voxel() -> None:
    views = [sphere_view(each, 1.0) for each in around(3.0)]
    mesh = extract_mesh(filled(views), max_speck_fraction=0.01)
    radii = np.linalg.norm(mesh.points, axis=1)
    assert np.abs(radii - 1).max() < VOXEL
    assert np.abs(radii - 1).mean() < VOXEL / 4
    # A surface across several parts of space without a hole or a seam.
    assert (np.ptp(mesh.points, axis=0) / VOXEL).min() > 35
    assert set(edges_of(mesh.triangles).values()) == {2}


def test_normals_and_triangles_face_the_cameras() -> None:
    views = [sphere_view(each, 1.0) for each in around(3.0)]
    mesh = extract_mesh(filled(views), max_speck_fraction=0.01)
    outward = mesh.points / np.linalg.norm(mesh.points, axis=1, keepdims=True)
    assert (mesh.normals * outward).sum(axis=1).min() > 0.8
    a, b, c = (mesh.points[mesh.triangles[:, k]] for k in range(3))
    assert ((np.cross(b - a, c - a) * (a + b + c)).sum(axis=1) > 0).mean() > 0.999


def test_a_room_has_its_walls_and_its_colours() -> None:
    mesh = extract_mesh(filled(walk(7)), max_speck_fraction=0.01)
    assert distance_to_room(mesh.points).max() < VOXEL
    true = colours_at(mesh.points.T).astype(float)
    assert np.abs(mesh.colours.astype(float) - true).mean() < 8
    assert len(mesh.points) > 3000


def test_what_other_views_look_through_is_removed() -> None:
    views = walk(7)
    ghost = views[3].depth.copy()
    ghost[20:52, 30:70] = 1.0
    with_ghost = [*views[:3], replace(views[3], depth=ghost), *views[4:]]
    alone = extract_mesh(filled([with_ghost[3]]), max_speck_fraction=0.0)
    fused = extract_mesh(filled(with_ghost), max_speck_fraction=0.0)
    assert (distance_to_room(alone.points) > 0.5).sum() > 50
    assert (distance_to_room(fused.points) > 0.5).sum() == 0


def test_weights_decide_between_views_that_differ() -> None:
    near, far = room_view(pose((0, 0, 0))), room_view(pose((0, 0, 0)))
    near = replace(near, depth=near.depth * np.float32(0.98))
    volume = Volume(VOXEL)
    volume.add(near, np.full(near.depth.shape, 3, np.float32))
    volume.add(far, np.full(far.depth.shape, 1, np.float32))
    mesh = extract_mesh(volume)
    ahead = mesh.points[(np.abs(mesh.points[:, 0]) < 0.8) & (np.abs(mesh.points[:, 1]) < 0.6), 2]
    # Three parts of 2.45 m and one of 2.5 m.
    assert abs(np.median(ahead) - 2.4625) < 0.005


def test_views_of_one_colour_give_this_colour() -> None:
    view = room_view(pose((0, 0, 0)))
    view = replace(view, pixels=np.full_like(view.pixels, 200))
    views = [replace(view, depth=view.depth * np.float32(1.1)), *[view] * 4]
    colours = extract_mesh(filled(views)).colours
    assert len(colours) > 100
    assert np.abs(colours.astype(float) - 200).max() <= 1


def test_memory_stays_below_its_limit() -> None:
    limit = 300 * BLOCK_VOXELS * VOXEL_BYTES
    views = walk(5)
    with pytest.raises(InputError, match="voxel"):
        fuse_views(views, voxel=0.02, max_bytes=limit)
    found = fuse_views(views, max_bytes=limit)
    assert found.nbytes <= limit
    assert any("farthest" in note for note in found.notes)
    assert distance_to_room(found.mesh.points).max() < found.voxel


def test_depth_beyond_the_farthest_is_left_out() -> None:
    found = fuse_views(walk(5), voxel=VOXEL, max_depth=3.4)
    points = found.mesh.points
    assert len(points) > 100
    assert not ((np.abs(points[:, 0]) < 1.8) & (np.abs(points[:, 1]) < 1.3)).any()
    assert found.notes == ()


def test_a_view_without_valid_depth_changes_nothing() -> None:
    view = walk(1)[0]
    blind = replace(view, valid=np.zeros_like(view.valid))
    volume = filled([view])
    before = volume.distances(0)
    volume.add(blind)
    np.testing.assert_array_equal(volume.distances(0), before)
    with pytest.raises(InputError, match="no surface"):
        fuse_views([blind])


def test_gltf_has_y_up_and_the_first_camera_looks_along_minus_z() -> None:
    R = gltf_R_world([pose((0, 0, 0), 0.3)])
    np.testing.assert_allclose(R @ R.T, np.eye(3), atol=1e-12)
    assert np.linalg.det(R) == pytest.approx(1)
    np.testing.assert_allclose(R @ [0, -1, 0], [0, 1, 0], atol=1e-12)
    np.testing.assert_allclose(R @ pose((0, 0, 0), 0.3)[:3, 2], [0, 0, -1], atol=1e-12)
