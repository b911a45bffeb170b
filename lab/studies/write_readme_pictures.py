"""Make README's two pictures with rilievo itself.

    python lab/studies/write_readme_pictures.py overview|strip

``turning.webp`` is a strip of three surfaces that turn: the hat of ``everyday_photographs``, the
workshop that scikit-image ships (Middlebury 2014, D. Scharstein and others), and a panorama of a
rendered street from inside. ``overview.jpg`` shows three photographs of scikit-image with depth and
normals: camera (L. Varshney, CC0), astronaut (NASA, public domain), and the workshop.
"""

import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import skimage.data
from everyday_photographs import photograph
from jaxtyping import UInt8
from PIL import Image
from write_default_pictures import in_colour

import rilievo
from lab.scenes.venue import Kind
from lab.scenes.wide import render_wide
from rilievo.geometry.cameras.equirectangular import panorama
from rilievo.io.colour_pictures import colourise, normals_picture
from rilievo.io.outputs.save_options import SaveOptions
from rilievo.io.outputs.turning import RATE, scene_of, turn
from rilievo.types import Prediction

FOLDER = Path(__file__).parents[2] / "docs" / "pictures"
HEIGHT = 300
STRIP_HEIGHT, QUALITY = 280, 46
"""Height of the strip [px], and the quality of its WebP."""
STREET, STREET_SIZE, STREET_SHIFT = 8, (1024, 2048), 200
"""Seed and size [px] of the rendered street, and columns by which it is moved to the right."""


def strip() -> list[Image.Image]:
    """Frames of three surfaces that turn beside one another."""
    street = render_wide(STREET, panorama(STREET_SIZE), STREET_SIZE, kind=Kind.STREETS).image
    street = np.roll(street, STREET_SHIFT, axis=1)
    turns = (
        _turn(rilievo.predict(photograph("hat"))),
        _turn(rilievo.predict(photograph("motorcycle"))),
        _turn(rilievo.predict(street, projection="equirect")),
    )
    return [_beside([*frames]) for frames in zip(*turns, strict=True)]


def _turn(prediction: Prediction) -> Iterator[Image.Image]:
    """Yield frames of the surface, ``STRIP_HEIGHT`` high."""
    assert prediction.photo is not None
    assert prediction.camera is not None
    scene = scene_of(
        prediction, prediction.depth, prediction.camera, prediction.photo, SaveOptions()
    )
    for frame in turn(scene):
        yield _scaled(Image.fromarray(frame), STRIP_HEIGHT)


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


def _scaled(image: Image.Image, height: int = HEIGHT) -> Image.Image:
    width = round(height * image.width / image.height)
    return image.resize((width, height), Image.Resampling.LANCZOS)


def _beside(images: list[Image.Image]) -> Image.Image:
    sheet = Image.new("RGB", (sum(image.width for image in images), images[0].height))
    left = 0
    for image in images:
        sheet.paste(image, (left, 0))
        left += image.width
    return sheet


def _above(images: list[Image.Image]) -> Image.Image:
    return _beside([image.transpose(Image.Transpose.TRANSPOSE) for image in images]).transpose(
        Image.Transpose.TRANSPOSE
    )


def write_overview() -> None:
    """Write three photographs with their answers."""
    overview().save(FOLDER / "overview.jpg", quality=85, optimize=True)


def write_strip() -> None:
    """Write the frames of the strip as an animated WebP."""
    first, *others = strip()
    first.save(
        FOLDER / "turning.webp",
        save_all=True,
        append_images=others,
        duration=round(1000 / RATE),
        loop=0,
        quality=QUALITY,
        method=6,
    )


if __name__ == "__main__":
    {"overview": write_overview, "strip": write_strip}[sys.argv[1]]()
