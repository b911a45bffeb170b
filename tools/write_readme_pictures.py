"""Make README's pictures with the tool itself, from photographs that scikit-image ships.

    python tools/write_readme_pictures.py

The photographs: astronaut (NASA, public domain), coffee (R. Michal, CC0), chelsea (S. van der
Walt, CC0), motorcycle (Middlebury 2014, D. Scharstein and others).
"""

from pathlib import Path

import numpy as np
import skimage.data
from jaxtyping import Float32, UInt8
from PIL import Image

import rilievo
from rilievo.geometry.surface import point_cloud
from rilievo.io.colour import colourise, normals_picture

PICTURES = Path(__file__).parents[1] / "docs" / "pictures"
HEIGHT = 300


def overview() -> Image.Image:
    """Photograph, depth and normals in columns; one photograph a row."""
    photographs = (
        skimage.data.coffee(),
        skimage.data.stereo_motorcycle()[0],
        skimage.data.chelsea(),
    )
    columns = [_column(pixels) for pixels in photographs]
    sheet = Image.new("RGB", (sum(column.width for column in columns), 3 * HEIGHT))
    left = 0
    for column in columns:
        sheet.paste(column, (left, 0))
        left += column.width
    return sheet


def _column(pixels: UInt8[np.ndarray, "h w 3"]) -> Image.Image:
    prediction = rilievo.predict(pixels)
    assert prediction.depth is not None
    assert prediction.normals is not None
    parts = (pixels, colourise(prediction.depth), normals_picture(prediction.normals))
    width = round(HEIGHT * pixels.shape[1] / pixels.shape[0])
    column = Image.new("RGB", (width, 3 * HEIGHT))
    for row, part in enumerate(parts):
        column.paste(Image.fromarray(part).resize((width, HEIGHT)), (0, row * HEIGHT))
    return column


def surface() -> Image.Image:
    """The point cloud of the cup, seen from where the photograph was taken and from the sides."""
    pixels = skimage.data.coffee()
    prediction = rilievo.predict(pixels, tile=None)
    assert prediction.depth is not None
    assert prediction.camera is not None
    cloud = point_cloud(
        prediction.depth.depth(), prediction.camera.K, prediction.depth.valid, colours=pixels
    )
    assert cloud.colours is not None
    centre = np.median(cloud.points, axis=0)
    views = [
        _splat(_turned(cloud.points, centre, yaw, pitch), cloud.colours, prediction.camera.K)
        for yaw, pitch in ((-28, 8), (0, 0), (28, -12))
    ]
    sheet = Image.new("RGB", (3 * views[0].width, views[0].height), "white")
    for index, view in enumerate(views):
        sheet.paste(view, (index * view.width, 0))
    return sheet


def _turned(
    points: Float32[np.ndarray, "n 3"], centre: np.ndarray, yaw: float, pitch: float
) -> Float32[np.ndarray, "n 3"]:
    a, b = np.deg2rad([yaw, pitch])
    around_y = np.array([[np.cos(a), 0, np.sin(a)], [0, 1, 0], [-np.sin(a), 0, np.cos(a)]])
    around_x = np.array([[1, 0, 0], [0, np.cos(b), -np.sin(b)], [0, np.sin(b), np.cos(b)]])
    return ((points - centre) @ (around_x @ around_y).T + centre).astype(np.float32)


def _splat(
    points: Float32[np.ndarray, "n 3"], colours: UInt8[np.ndarray, "n 3"], K: np.ndarray
) -> Image.Image:
    """Points as small squares, the nearest on top."""
    width, height = 480, 330
    scale = 0.62 * K[0, 0]
    order = np.argsort(-points[:, 2])
    x, y, z = points[order].T
    u = (scale * x / z + width / 2).astype(int)
    v = (scale * y / z + height / 2).astype(int)
    canvas = np.full((height, width, 3), 255, np.uint8)
    for du in (0, 1):
        for dv in (0, 1):
            inside = (u + du >= 0) & (u + du < width) & (v + dv >= 0) & (v + dv < height)
            canvas[v[inside] + dv, u[inside] + du] = colours[order][inside]
    return Image.fromarray(canvas)


if __name__ == "__main__":
    PICTURES.mkdir(parents=True, exist_ok=True)
    overview().save(PICTURES / "overview.png", optimize=True)
    surface().save(PICTURES / "surface.png", optimize=True)
