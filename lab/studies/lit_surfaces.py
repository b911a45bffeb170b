"""Pictures of a turned surface as a thing in space: in soft light, above a level grid.

Light comes from the upper left of who looks, and falls on the model's normals; what faces it
half keeps the photograph's colours.
"""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float, UInt8
from PIL import Image

from rilievo.arrays.shapes import Matrix
from rilievo.geometry.intrinsics import resize_K
from rilievo.io.outputs.formats.turn import Scene, View, rasterise_view

LIGHT = np.array([-0.55, -0.65, -0.5]) / np.linalg.norm([0.55, 0.65, 0.5])
STRENGTH, USUAL = 0.8, 0.5
"""Change of colour from no light to full light, and the light that changes none."""
LEAST, MOST = 0.75, 1.12
"""Factors of colours in the least and the most light."""
PAPER, INK = (243, 244, 246), (120, 130, 145)
"""Colours behind the surface and of the grid."""
CELLS, REACH = 8, 13
"""Cells of the grid in the photograph's width at the surface's middle, and up to where it fades."""
OPACITY, RIM = 0.6, 0.2
"""Opacity of its lines, and the share of half the picture's width in which they fade."""
FINE = 2
"""Samples a pixel, along rows and along columns."""


@dataclass(frozen=True, slots=True)
class Rays:
    """Rays of a view's samples in the scene.

    Attributes:
        start: The view's camera.
        ways: Directions.
    """

    start: Float[np.ndarray, "3"]
    ways: Float[np.ndarray, "h w 3"]


def lit_picture(
    scene: Scene, normals: Float[np.ndarray, "3 h w"], view: View
) -> UInt8[np.ndarray, "h w 3"]:
    """Draw a surface in soft light, above a grid."""
    raster = rasterise_view(scene, view, FINE)
    there = raster.inverse_depth > 0
    height, width = scene.texture.shape[:2]
    column, row = (
        np.rint(axis).clip(0, length - 1).astype(int)
        for axis, length in zip(raster.pixels, (width, height), strict=True)
    )
    # What lies behind edges has no normals; it is lit as what faces the camera.
    is_photo = row[there] < normals.shape[1]
    facing = np.tile(view.rotation @ [[0.0], [0.0], [-1.0]], len(is_photo))
    facing[:, is_photo] = view.rotation @ normals[:, row[there][is_photo], column[there][is_photo]]
    light = np.clip(1 + STRENGTH * (LIGHT @ facing - USUAL), LEAST, MOST)
    samples = _floor(scene, view, there)
    samples[there] = np.clip(scene.texture[row[there], column[there]] * light[:, None], 0, 255)
    picture = Image.fromarray(np.rint(samples).astype(np.uint8))
    return np.asarray(picture.resize(view.size[::-1], Image.Resampling.BOX))


def _rays(scene: Scene, view: View, shape: tuple[int, ...]) -> Rays:
    """Rays of the samples of a view."""
    K: Matrix = resize_K(view.K, size=view.size, new_size=(shape[0], shape[1]))
    rows, columns = np.indices(shape)
    across, down = (columns - K[0, 2]) / K[0, 0], (rows - K[1, 2]) / K[1, 1]
    ways = np.stack([across, down, np.ones_like(across)], axis=-1) @ view.rotation
    return Rays(start=scene.pivot - scene.pivot @ view.rotation, ways=ways)


def _floor(scene: Scene, view: View, there: Bool[np.ndarray, "h w"]) -> Float[np.ndarray, "h w 3"]:
    """Samples of the grid, as low as the surface's lowest points, which fades away from it."""
    rays, points = (
        _rays(scene, view, there.shape),
        scene.mesh.points[np.unique(scene.mesh.triangles)],
    )
    low = np.percentile(points[:, 1], 99.8)
    cell = scene.pivot[2] * scene.photo.shape[1] / scene.camera.K[0, 0] / CELLS
    with np.errstate(divide="ignore", invalid="ignore"):
        far = (low - rays.start[1]) / rays.ways[..., 1]
    places = (rays.start + far[..., None] * rays.ways - scene.pivot)[..., ::2] / cell
    widths = sum(abs(np.gradient(places, axis=axis)) for axis in (0, 1))
    lines = np.clip(1.6 - abs(places - np.rint(places)) / widths, 0, 1).max(axis=-1)
    fade = np.clip(1 - np.linalg.norm(places, axis=-1) / REACH, 0, 1)
    aside = np.linspace(-1, 1, there.shape[1])
    fade *= np.clip((1 - abs(aside)) / RIM, 0, 1)
    opacity = np.where((far > 0) & ~there, OPACITY * lines * fade, 0)[..., None]
    return np.array(PAPER) * (1 - opacity) + np.array(INK) * opacity
