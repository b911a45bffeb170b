"""Surfaces of whole panoramas: closed behind the camera and at the poles."""

import numpy as np
import pytest
import trimesh

from rilievo.geometry.cameras.camera import Camera, CameraSource
from rilievo.geometry.cameras.equirectangular import panorama
from rilievo.geometry.surfaces.meshes import Mesh, mesh

SIZE = 48, 96


def camera(size: tuple[int, int] = SIZE, **angles: float) -> Camera:
    return Camera(lens=panorama(size, **angles), source=CameraSource.GIVEN)


def box(size: tuple[int, int]) -> np.ndarray:
    """Distance from inside a box of 4 x 3 x 5 m."""
    height, width = size
    rays = camera(size).rays(
        np.stack(np.meshgrid(np.arange(width), np.arange(height))).astype(float)
    )
    with np.errstate(divide="ignore"):
        sides = np.array([2.0, 1.5, 2.5])[:, None, None] / np.abs(rays)
    return sides.min(axis=0).astype(np.float32)


def solid(found: Mesh) -> trimesh.Trimesh:
    """The mesh with its seam sewn up, seen from outside."""
    triangles = found.triangles[:, ::-1]
    whole = trimesh.Trimesh(found.points.round(4), triangles, process=True)
    whole.merge_vertices()
    return whole


@pytest.mark.parametrize("step", [1, 2, 3])
def test_a_ball_from_inside_is_closed(step: int) -> None:
    depth = np.full(SIZE, 2, np.float32)
    found = solid(mesh(depth, camera(), np.ones(SIZE, bool), step=step))
    assert found.is_watertight
    assert found.volume == pytest.approx(4 / 3 * np.pi * 8, rel=0.03 * step)


def test_a_room_is_closed_and_has_its_volume() -> None:
    size = 180, 360
    found = solid(mesh(box(size), camera(size), np.ones(size, bool)))
    assert found.is_watertight
    assert found.volume == pytest.approx(60, rel=0.01)


def test_columns_that_the_step_does_not_divide_overlap_by_less_than_one() -> None:
    depth = np.full(SIZE, 2, np.float32)
    found = mesh(depth, camera(), np.ones(SIZE, bool), step=5)
    last = found.pixels[:, 0].max()
    assert SIZE[1] + found.pixels[:, 0].min() < last < SIZE[1] + found.pixels[:, 0].min() + 5
    # Solid angles by Van Oosterom and Strackee: all round, and the overlap twice.
    a, b, c = (found.points[found.triangles[:, i]].astype(float) for i in range(3))
    a, b, c = (each / np.linalg.norm(each, axis=1, keepdims=True) for each in (a, b, c))
    dots = [np.einsum("nk,nk->n", p, q) for p, q in ((a, b), (b, c), (c, a))]
    volumes = np.einsum("nk,nk->n", a, np.cross(b, c))
    angles = 2 * np.arctan2(np.abs(volumes), 1 + sum(dots))
    turns = (last - found.pixels[:, 0].min()) / SIZE[1]
    assert angles.sum() == pytest.approx(4 * np.pi * turns, rel=5e-3)


def test_a_part_of_a_panorama_stays_open() -> None:
    size = 40, 80
    lens = camera(size, horizontal=180.0, vertical=90.0)
    found = mesh(np.full(size, 2, np.float32), lens, np.ones(size, bool))
    assert found.pixels[:, 0].max() == 79
    assert len(found.triangles) == 2 * 39 * 79


def test_a_hole_at_a_pole_is_not_capped() -> None:
    valid = np.ones(SIZE, bool)
    valid[0, 10:20] = False
    depth = np.full(SIZE, 2, np.float32)
    found, whole = mesh(depth, camera(), valid), mesh(depth, camera(), np.ones(SIZE, bool))
    assert not (found.points[:, 1] < -1.999).any()
    assert (whole.points[:, 1] < -1.99).any()
    assert (found.points[:, 1] > 1.99).any(), "the other pole is closed"


def test_triangles_face_the_camera() -> None:
    found = mesh(box(SIZE), camera(), np.ones(SIZE, bool))
    a, b, c = (found.points[found.triangles[:, i]] for i in range(3))
    towards = -np.einsum("nk,nk->n", np.cross(b - a, c - a), (a + b + c) / 3)
    assert (towards > 0).all()
