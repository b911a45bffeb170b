"""Make README's overview with rilievo itself, from photographs that scikit-image ships.

    python lab/studies/write_readme_pictures.py

``overview.jpg`` shows three photographs with depth and normals: astronaut (NASA, public domain),
camera (L. Varshney, CC0), motorcycle (Middlebury 2014, D. Scharstein and others).
"""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import skimage.data
from jaxtyping import UInt8
from PIL import Image
from write_default_pictures import in_colour

import rilievo
from rilievo.io.colour_pictures import colourise, normals_picture

PICTURE = Path(__file__).parents[2] / "docs" / "pictures" / "overview.jpg"
HEIGHT = 300


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
    overview().save(PICTURE, quality=85, optimize=True)
