"""Surfaces in pages, decoded independently of the page's script."""

import zlib

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from rilievo.geometry.surfaces.lattice import Cut
from rilievo.geometry.surfaces.meshes import mesh
from rilievo.pages.relief import Relief, pack_relief

K = np.array([[60.0, 0.0, 20.5], [0.0, 55.0, 14.0], [0.0, 0.0, 1.0]])


def read_back(relief: Relief) -> tuple[np.ndarray, np.ndarray]:
    """Depth on the lattice, NaN where there is none, and the byte of every four neighbours."""
    form, data = relief.form, zlib.decompress(relief.data)
    count = form.rows * form.columns
    high, low = (np.frombuffer(data[i * count : (i + 1) * count], np.uint8) for i in (0, 1))
    steps = (256 * high.astype(int) + low).reshape(form.rows, form.columns)
    codes = np.cumsum(steps, axis=1) % 65536
    depth = np.where(codes > 0, np.exp(form.nearest + (codes - 1) * form.spacing), np.nan)
    faces = np.frombuffer(data[2 * count :], np.uint8).reshape(form.rows - 1, form.columns - 1)
    return depth, faces


def scene(seed: int, height: int, width: int) -> tuple[np.ndarray, np.ndarray]:
    """A slope with steps and holes."""
    rng = np.random.default_rng(seed)
    v, u = np.mgrid[:height, :width]
    depth = 1 + 0.02 * u + 0.03 * v + 2 * (u > width // 2)
    return depth.astype(np.float32), rng.random((height, width)) > 0.05


@given(
    seed=st.integers(0, 1000),
    height=st.integers(4, 40),
    width=st.integers(4, 40),
    step=st.integers(1, 2),
)
def test_a_page_has_the_triangles_of_the_mesh(
    seed: int, height: int, width: int, step: int
) -> None:
    depth, valid = scene(seed, height, width)
    expected = mesh(depth, K, valid, step=step, backing=0.1)
    triangles = expected.triangles[: len(expected.triangles) - expected.behind]
    relief = pack_relief(depth, K, valid, step=step, cut=Cut())
    if relief is None:
        assert not len(triangles)
        return
    _, faces = read_back(relief)
    found = set()
    for (i, j), bits in np.ndenumerate(faces):
        a, b, c, d = ((i, j), (i, j + 1), (i + 1, j), (i + 1, j + 1))
        if bits & 2:
            found.add((a, c, d if bits & 1 else b))
        if bits & 4:
            found.add((b, a if bits & 1 else c, d))
    form = relief.form
    places = {
        tuple(
            tuple(
                int(n)
                for n in (
                    (v - form.first_row) // form.step,
                    (u - form.first_column) // form.step,
                )
            )
            for u, v in expected.pixels[triangle]
        )
        for triangle in triangles
    }
    assert found == places
    assert relief.triangles == len(triangles)
    assert relief.points == len(np.unique(triangles))


@pytest.mark.parametrize("farthest", [1.0, 1.5, 100.0, 1e5])
def test_depth_is_within_a_ten_thousandth_near_and_far(farthest: float) -> None:
    depth = np.geomspace(1, farthest, 900 * 30).reshape(900, 30).astype(np.float32)
    valid = np.ones(depth.shape, bool)
    valid[700, 3] = False
    relief = pack_relief(depth, np.diag([400.0, 400.0, 1.0]), valid, step=1, cut=Cut(grazing=0.0))
    assert relief is not None
    back, _ = read_back(relief)
    assert np.isnan(back[700, 3])
    np.testing.assert_allclose(back[valid], depth[valid], rtol=1e-4)


def test_the_unit_may_be_of_any_size() -> None:
    depth, _ = scene(1, 20, 30)
    valid = depth > 0
    for unit in (1e-20, 1e20):
        relief = pack_relief(depth * np.float32(unit), K, valid, step=1, cut=Cut())
        assert relief is not None
        back, _ = read_back(relief)
        np.testing.assert_allclose(back[valid], depth[valid] * unit, rtol=1e-4)


def test_a_line_of_pixels_and_a_map_of_holes_have_no_surface() -> None:
    depth = np.ones((8, 8), np.float32)
    assert pack_relief(depth[:1], K, depth[:1] > 0, step=1, cut=Cut()) is None
    assert pack_relief(depth, K, depth < 0, step=1, cut=Cut()) is None
