"""The backdrop for the sky has colours of the sky, also behind what stands before it."""

from dataclasses import replace

import numpy as np

from rilievo.geometry.surfaces.meshes import Mesh
from rilievo.io.outputs.sky_backdrop import sky_backdrop
from rilievo.prediction import Prediction
from rilievo.records.sample import Photo
from support.predictions import prediction

HEIGHT, WIDTH = 120, 160
GROUND = 80
"""First row of the ground."""


def towers() -> Prediction:
    """A wide and a narrow tower before the sky, at 5, and ground before them, at 3."""
    rows, columns = np.mgrid[:HEIGHT, :WIDTH]
    is_tower = (abs(columns - 50) < 15) & (rows > 25) | (abs(columns - 120) < 3) & (rows > 40)
    values = np.where(rows >= GROUND, 3, np.where(is_tower, 5, 100))
    given = prediction(values=values, holes=False, with_normals=False, with_confidence=False)
    pixels = np.where(values[..., None] == 100, (90, 140, 230), (60, 30, 0)).astype(np.uint8)
    return replace(given, sky=values == 100, photo=Photo(pixels=pixels, name="towers.png"))


def backdrop_of(given: Prediction) -> Mesh:
    assert given.sky is not None
    assert given.camera is not None
    backdrop = sky_backdrop(given, given.depth.depth()[~given.sky], given.camera, ())
    assert backdrop is not None
    return backdrop


def coloured_by(backdrop: Mesh) -> np.ndarray:
    """Columns and rows of pixels that give the triangles their colours, at many places of each."""
    weights = np.random.default_rng(0).dirichlet((1, 1, 1), 200)
    return np.rint(np.einsum("pc,tcd->tpd", weights, backdrop.pixels[backdrop.triangles]))


def test_no_triangle_has_the_colours_of_what_stands_before_the_sky() -> None:
    given = towers()
    assert given.sky is not None
    columns, rows = coloured_by(backdrop_of(given)).astype(int).reshape(-1, 2).T
    assert given.sky[rows, columns].all()


def test_the_backdrop_is_behind_all_from_the_top_to_a_little_below_the_sky() -> None:
    given = towers()
    assert given.camera is not None
    backdrop = backdrop_of(given)
    np.testing.assert_allclose(backdrop.points[:, 2], 2 * 5, rtol=1e-6)
    seen_at = backdrop.points[:, :2] / backdrop.points[:, 2:]
    columns, rows = seen_at.T * np.diag(given.camera.K)[:2, None] + given.camera.K[:2, 2:]
    assert GROUND < rows.max() < GROUND + HEIGHT / 12
    ends = (rows.min(), columns.min(), columns.max())
    np.testing.assert_allclose(ends, (0, 0, WIDTH - 1), atol=1e-4)


def test_where_the_sky_is_wide_the_backdrop_shows_the_photograph() -> None:
    given = towers()
    assert given.camera is not None
    backdrop = backdrop_of(given)
    seen_at = backdrop.points[:, :2] / backdrop.points[:, 2:]
    own = seen_at * np.diag(given.camera.K)[:2] + given.camera.K[:2, 2]
    is_clear = own[:, 1] < 20
    assert is_clear.sum() > 100
    np.testing.assert_allclose(backdrop.pixels[is_clear], own[is_clear], atol=1e-3)
