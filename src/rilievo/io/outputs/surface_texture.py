"""The texture of a mesh: the photograph, with soft colours of what lies behind edges below it."""

from dataclasses import dataclass

import numpy as np
from PIL import Image

from rilievo.arrays.shapes import Float32, Pixels
from rilievo.geometry.surfaces.meshes import Mesh

_SOFT_FRACTION = 1 / 8
"""Height of the soft colours over that of the photograph. They are blurred, so this is enough."""
_PADDING = 8
"""Rows between both [px], so that they do not mix where the texture is drawn small."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SurfaceTexture:
    """Texture of a mesh.

    Attributes:
        coordinates: Horizontal and vertical position of each vertex in ``picture``, from 0 to 1.
            (0, 0) is the outer corner of the top-left pixel.
    """

    picture: Pixels
    coordinates: Float32[np.ndarray, "n 2"]


def photo_coordinates(surface: Mesh, shape: tuple[int, int]) -> Float32[np.ndarray, "n 2"]:
    """Position of each vertex in a photograph of a height and width, from 0 to 1."""
    height, width = shape
    return (surface.pixels + np.float32(0.5)) / np.array([width, height], np.float32)


def surface_texture(surface: Mesh, photo: Pixels, shape: tuple[int, int]) -> SurfaceTexture:
    """Put the photograph and the soft colours of a mesh into one picture.

    Args:
        surface: Mesh.
        photo: Photograph, which may be smaller than the original.
        shape: Height and width of the original photograph, to which ``surface.pixels`` refer.
    """
    coordinates = photo_coordinates(surface, shape)
    if surface.soft_picture is None:
        return SurfaceTexture(picture=photo, coordinates=coordinates)

    rows, columns = photo.shape[:2]
    soft_rows = max(2, round(_SOFT_FRACTION * rows))
    soft = np.asarray(
        Image.fromarray(surface.soft_picture).resize((columns, soft_rows), Image.Resampling.BICUBIC)
    )
    picture = np.concatenate([photo, photo[-1:].repeat(_PADDING, axis=0), soft])
    is_soft = np.arange(len(coordinates)) >= len(coordinates) - surface.soft_vertices
    # Half a row at each end of the soft colours stays unused, where they would mix with others.
    soft_row = rows + _PADDING + np.float32(0.5) + (soft_rows - 1) * coordinates[:, 1]
    photo_row = rows * coordinates[:, 1]
    coordinates[:, 1] = np.where(is_soft, soft_row, photo_row) / np.float32(len(picture))
    return SurfaceTexture(picture=picture, coordinates=coordinates)
