"""Make README's pictures with rilievo itself, from photographs that scikit-image ships.

    python tools/write_readme_pictures.py

``turning.webp`` shows a photograph, its depth and its surface, which turns; ``overview.png`` three
photographs with depth and normals. The photographs: coffee (R. Michal, CC0), astronaut (NASA,
public domain), camera (L. Varshney, CC0), motorcycle (Middlebury 2014, D. Scharstein and others).
"""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import skimage.data
from jaxtyping import Float32, Float64, UInt8
from PIL import Image
from write_default_pictures import in_colour

import rilievo
from rilievo.geometry.surfaces.surface import Mesh, mesh
from rilievo.io.colour_pictures import colourise, normals_picture
from rilievo.prediction import Prediction

PICTURES = Path(__file__).parents[1] / "docs" / "pictures"
HEIGHT = 300
FRAMES = 36
SWING = (11.0, 3.0)
"""Degrees to either side, and down."""
NOT_NEARER = 0.002
"""Difference of depth below which a point does not cover its neighbour's place."""
GROUND = (24, 26, 30)
"""Colour behind the surface, which suits light and dark pages."""


def overview() -> Image.Image:
    """Three photographs in columns, each above its depth and its normals."""
    photographs = (
        in_colour(skimage.data.camera()),
        skimage.data.astronaut(),
        skimage.data.stereo_motorcycle()[0],
    )
    return _beside([_above([*parts(pixels)]) for pixels in photographs])


def parts(pixels: UInt8[np.ndarray, "h w 3"]) -> Iterator[Image.Image]:
    """Yield a photograph, its depth and its normals, all ``HEIGHT`` high."""
    prediction = rilievo.predict(pixels)
    assert prediction.normals is not None
    for part in (pixels, colourise(prediction.depth), normals_picture(prediction.normals)):
        yield _scaled(Image.fromarray(part))


def turning(pixels: UInt8[np.ndarray, "h w 3"]) -> list[Image.Image]:
    """Frames of photograph, depth and a surface that turns once to the left and to the right."""
    prediction = rilievo.predict(pixels)
    still = [_scaled(Image.fromarray(each)) for each in (pixels, colourise(prediction.depth))]
    samples = Samples(prediction)
    quarter = FRAMES // 4
    frames = []
    for turn in np.sin(np.linspace(-np.pi / 2, np.pi / 2, 2 * quarter + 1)):
        seen = samples.seen(SWING[0] * turn, SWING[1] * turn**2)
        frames.append(_beside([*still, _scaled(seen)]))
    # It swings back through the same views.
    return [*frames[quarter:], *frames[-2::-1], *frames[1:quarter]]


class Samples:
    """Points spread over all triangles of a surface, so dense that they hide what is behind."""

    def __init__(self, prediction: Prediction) -> None:
        assert prediction.camera is not None
        assert prediction.photo is not None
        photo, depth = prediction.photo.pixels, prediction.depth
        self._K, self._shape = prediction.camera.K, depth.shape
        surface = mesh(
            depth.depth(),
            self._K,
            depth.valid,
            normals=prediction.normals,
            smooth=True,
            backing=0.12,
        )
        corners = list(_corners(surface))
        self._points = np.concatenate(
            [surface.points, *(w @ surface.points[c] for w, c in corners)]
        )
        places = np.concatenate([surface.pixels, *(w @ surface.pixels[c] for w, c in corners)])
        columns, rows = np.rint(places.T).astype(int)
        self._colours = photo[rows.clip(0, depth.shape[0] - 1), columns.clip(0, depth.shape[1] - 1)]
        self._centre = np.median(self._points, axis=0)

    def seen(self, yaw: float, pitch: float) -> Image.Image:
        """Picture from a camera that went around the middle of the surface by these degrees."""
        turned = (self._points - self._centre) @ _rotation(yaw, pitch).T + self._centre
        order = np.argsort(-turned[:, 2])
        x, y, z = turned[order].T
        height, width = (2 * side for side in self._shape)
        u = np.rint(2 * (self._K[0, 0] * x / z + self._K[0, 2]) + 0.5).astype(int)
        v = np.rint(2 * (self._K[1, 1] * y / z + self._K[1, 2]) + 0.5).astype(int)
        canvas = np.full((height, width, 3), GROUND, np.uint8)
        nearest = np.full((height, width), np.inf, np.float32)
        colours = self._colours[order]
        for shift in np.ndindex(3, 3):
            a, b = v + shift[0] - 1, u + shift[1] - 1
            inside = (a >= 0) & (a < height) & (b >= 0) & (b < width)
            layer = np.full((height, width), np.inf, np.float32)
            drawn = np.empty_like(canvas)
            # The last of several at one place is the nearest.
            layer[a[inside], b[inside]] = z[inside]
            drawn[a[inside], b[inside]] = colours[inside]
            is_nearer = layer < nearest * (1 - NOT_NEARER * (shift != (1, 1)))
            canvas[is_nearer], nearest[is_nearer] = drawn[is_nearer], layer[is_nearer]
        return Image.fromarray(canvas)


def _corners(surface: Mesh) -> Iterator[tuple[Float32[np.ndarray, "3"], np.ndarray]]:
    """Yield weights of the corners, and the corners, of points inside the triangles."""
    pixels = surface.pixels[surface.triangles]
    side = np.abs(pixels - np.roll(pixels, 1, axis=1)).max(axis=(1, 2))
    for low, high, count in ((1.2, 4, 6), (4, 16, 20), (16, 1e9, 60)):
        chosen = surface.triangles[(side > low) & (side <= high)]
        for a in range(count + 1):
            for b in range(count + 1 - a):
                yield np.array([a, b, count - a - b], np.float32) / count, chosen


def _rotation(yaw: float, pitch: float) -> Float64[np.ndarray, "3 3"]:
    a, b = np.deg2rad([yaw, pitch])
    around_y = np.array([[np.cos(a), 0, np.sin(a)], [0, 1, 0], [-np.sin(a), 0, np.cos(a)]])
    around_x = np.array([[1, 0, 0], [0, np.cos(b), -np.sin(b)], [0, np.sin(b), np.cos(b)]])
    return around_x @ around_y


def _scaled(image: Image.Image) -> Image.Image:
    width = round(HEIGHT * image.width / image.height)
    return image.resize((width, HEIGHT), Image.Resampling.LANCZOS)


def _beside(images: list[Image.Image]) -> Image.Image:
    sheet = Image.new("RGB", (sum(each.width for each in images), images[0].height))
    left = 0
    for each in images:
        sheet.paste(each, (left, 0))
        left += each.width
    return sheet


def _above(images: list[Image.Image]) -> Image.Image:
    return _beside([each.transpose(Image.Transpose.TRANSPOSE) for each in images]).transpose(
        Image.Transpose.TRANSPOSE
    )


if __name__ == "__main__":
    PICTURES.mkdir(parents=True, exist_ok=True)
    overview().save(PICTURES / "overview.png", optimize=True)
    first, *rest = turning(skimage.data.coffee())
    first.save(
        PICTURES / "turning.webp", append_images=rest, duration=90, loop=0, quality=62, method=6
    )
