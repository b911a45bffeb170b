"""The count of triangles that bridge occluding edges, and that surfaces of true depth have none."""

import numpy as np
import pytest
from tools.count_bridges import Truth, bridging, strays

from rilievo.geometry.surfaces.lattice import Cut
from rilievo.geometry.surfaces.surface import mesh
from scenes import make_textures, render

K = np.array([[60.0, 0, 19.5], [0, 60.0, 14.5], [0, 0, 1]])
ALL = Cut(grazing=0.0, jump=1e6)
"""Tears nothing."""


def truth_of(depth: np.ndarray, normals: np.ndarray) -> Truth:
    return Truth(
        depth=depth.astype(np.float32),
        normals=np.ascontiguousarray(normals, np.float32),
        valid=np.ones(depth.shape, bool),
        K=K,
    )


def test_a_step_between_two_walls_is_bridged_where_it_is_not_torn() -> None:
    depth = np.where(np.arange(40) < 20, 2.0, 3.0) * np.ones((30, 1))
    normals = np.zeros((3, 30, 40))
    normals[2] = -1
    truth = truth_of(depth, normals)
    whole = mesh(truth.depth, K, truth.valid, cut=ALL)
    # Two triangles for each of the 29 squares of one column.
    assert bridging(whole, truth, 0.08).sum() == 58
    torn = mesh(truth.depth, K, truth.valid)
    assert bridging(torn, truth, 0.02).sum() == 0
    assert len(torn.triangles) == len(whole.triangles) - 58


def test_neither_a_steep_wall_nor_a_corner_is_an_edge() -> None:
    # Two walls at 45 degrees that meet in the middle, farthest there: z = 3 - |x|.
    slope = (np.arange(40) - 19.5) / 60
    depth = 3 / (1 + np.abs(slope)) * np.ones((30, 1))
    normals = np.zeros((3, 30, 40))
    normals[0], normals[2] = -np.sign(slope) / np.sqrt(2), -1 / np.sqrt(2)
    truth = truth_of(depth, normals)
    assert bridging(mesh(truth.depth, K, truth.valid, cut=ALL), truth, 1e-3).sum() == 0


def test_a_small_step_is_torn_and_a_slope_as_steep_is_not() -> None:
    valid, across = np.ones((30, 40), bool), np.arange(40) * np.ones((30, 1))
    step = np.where(across < 20, 2.0, 2.08).astype(np.float32)
    slope = (1 / (0.9 - 0.016 * across)).astype(np.float32)
    ball = (3 - np.sqrt(np.maximum(1 - ((across - 19.5) / 20) ** 2, 0))).astype(np.float32)
    assert len(mesh(step, K, valid).triangles) == 2 * 29 * 38
    for surface in (slope, ball):
        assert np.abs(np.diff(surface) / surface[:, 1:]).max() > 0.04
        assert len(mesh(surface, K, valid).triangles) == 2 * 29 * 39


def test_points_between_two_walls_are_strays() -> None:
    depth = np.where(np.arange(40) < 20, 2.0, 3.0) * np.ones((30, 1), np.float32)
    ramp = depth.astype(np.float32)
    ramp[:, 20] = 2.5
    truth = truth_of(depth, np.zeros((3, 30, 40)))
    surface = mesh(ramp, K, truth.valid, cut=ALL)
    # Four of the six triangles between three columns have a corner in the middle one, twice.
    assert strays(surface, ramp, truth).sum() == 4 * 29
    assert strays(mesh(truth.depth, K, truth.valid, cut=ALL), truth.depth, truth).sum() == 0


@pytest.mark.slow
@pytest.mark.parametrize("specks", [0.0, 2e-4])
def test_surfaces_of_rendered_scenes_bridge_hardly_an_edge(specks: float) -> None:
    bank = make_textures([], share=0.01)
    for seed in range(2):
        truth = Truth.of(render(seed, size=(192, 256), textures=bank))
        torn = mesh(truth.depth, truth.K, truth.valid, cut=Cut(specks=specks))
        whole = mesh(truth.depth, truth.K, truth.valid, cut=ALL)
        # A surface seen nearly edge-on comes close to others at its pixels; those are torn too.
        assert 50 * bridging(torn, truth, 0.08).sum() < bridging(whole, truth, 0.08).sum()
        assert not strays(torn, truth.depth, truth).any()
