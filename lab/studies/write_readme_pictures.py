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
from picture_grid import answers, grid, in_colour, of_height, surface
from PIL import Image

import rilievo
from lab.scenes.venue import Kind
from lab.scenes.wide import render_wide
from rilievo.geometry.cameras.equirectangular import panorama
from rilievo.io.outputs.turning import RATE, turn
from rilievo.prediction import Prediction

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
    return [grid([frames], 0) for frames in zip(*turns, strict=True)]


def _turn(prediction: Prediction) -> Iterator[Image.Image]:
    """Yield frames of the surface, ``STRIP_HEIGHT`` high."""
    for frame in turn(surface(prediction)).frames:
        yield of_height(Image.fromarray(frame), STRIP_HEIGHT)


def overview() -> Image.Image:
    """Three photographs in columns, each above its depth and its normals."""
    photographs = (
        in_colour(skimage.data.camera()),
        skimage.data.astronaut(),
        skimage.data.stereo_motorcycle()[0],
    )
    columns = [
        [of_height(part, HEIGHT) for part in answers(rilievo.predict(pixels))]
        for pixels in photographs
    ]
    return grid([*zip(*columns, strict=True)], 0)


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
