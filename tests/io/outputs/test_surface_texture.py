"""The texture of a mesh: each vertex finds its colour in the photograph or among the soft ones."""

import numpy as np
import pytest
from PIL import Image

from rilievo.geometry.intrinsics import K_from_focal
from rilievo.geometry.surfaces.meshes import Mesh, mesh
from rilievo.io.outputs.surface_texture import surface_texture

SIZE = (90, 120)
RED, GREEN = (200, 0, 0), (0, 200, 0)
V, U = np.mgrid[: SIZE[0], : SIZE[1]]
DISC = np.hypot(U - 60, V - 45) < 30
PHOTO = np.where(DISC[..., None], RED, GREEN).astype(np.uint8)


def disc_before_a_wall(colours: np.ndarray | None) -> Mesh:
    depth = np.where(DISC, 2.0, 4.0).astype(np.float32)
    K = K_from_focal(100.0, 100.0, SIZE)
    return mesh(depth, K, np.ones(SIZE, bool), colours=colours, backing=0.5)


def found_colours(picture: np.ndarray, coordinates: np.ndarray) -> np.ndarray:
    height, width = picture.shape[:2]
    column, row = np.floor(coordinates.T * [[width], [height]]).astype(int)
    return picture[row, column]


@pytest.mark.parametrize("scale", [1, 3])
def test_the_surface_has_the_photographs_colours_and_the_layer_soft_ones(scale: int) -> None:
    surface = disc_before_a_wall(PHOTO)
    photo = np.asarray(Image.fromarray(PHOTO).resize((SIZE[1] * scale, SIZE[0] * scale), 0))
    texture = surface_texture(surface, photo, SIZE)
    np.testing.assert_array_equal(texture.picture[: len(photo)], photo)
    assert len(texture.picture) < 1.25 * len(photo)
    colours = found_colours(texture.picture, texture.coordinates)
    first_soft = len(surface.points) - surface.soft_vertices
    columns, rows = surface.pixels[:first_soft].astype(int).T
    np.testing.assert_array_equal(colours[:first_soft], PHOTO[rows, columns])
    assert surface.soft_vertices
    assert (colours[first_soft:] == GREEN).all()


def test_without_a_layer_the_texture_is_the_photograph() -> None:
    flat = mesh(np.ones(SIZE, np.float32), K_from_focal(100.0, 100.0, SIZE), V >= 0, backing=0.5)
    texture = surface_texture(flat, PHOTO, SIZE)
    np.testing.assert_array_equal(texture.picture, PHOTO)
    assert len(disc_before_a_wall(None).points) == len(disc_before_a_wall(PHOTO).points)
