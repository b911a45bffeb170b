"""Write the pictures of the gallery, ``docs/pictures/gallery-NAME.jpg``.

    python tools/write_gallery.py [--model NAME]

Each shows a photograph that scikit-image ships, its depth (near is bright) and its normals, as the
embedded model gives them by default.
"""

import argparse
import sys
from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np
import skimage.data
from jaxtyping import UInt8
from PIL import Image
from write_default_pictures import in_colour

import rilievo
from rilievo.errors import RilievoError
from rilievo.io.colour_pictures import colourise, normals_picture
from rilievo.models import DEFAULT_MODEL

PICTURES = Path(__file__).parents[1] / "docs" / "pictures"
_HEIGHT, _GAP = 240, 4

PHOTOGRAPHS: Mapping[str, Callable[[], np.ndarray]] = {
    "motorcycle": lambda: skimage.data.stereo_motorcycle()[0],
    "coffee": skimage.data.coffee,
    "camera": skimage.data.camera,
    "astronaut": skimage.data.astronaut,
    "rocket": skimage.data.rocket,
    "cat": skimage.data.chelsea,
    "gravel": skimage.data.gravel,
    "brick": skimage.data.brick,
    "coins": skimage.data.coins,
    "page": skimage.data.page,
    "stars": skimage.data.hubble_deep_field,
    "retina": skimage.data.retina,
}


def strip(pixels: UInt8[np.ndarray, "h w 3"], model: str) -> Image.Image:
    """Photograph, depth and normals side by side."""
    prediction = rilievo.predict(pixels, model=model)
    parts = [pixels, colourise(prediction.depth)]
    if prediction.normals is not None:
        parts.append(normals_picture(prediction.normals))
    width = round(_HEIGHT * pixels.shape[1] / pixels.shape[0])
    whole = Image.new("RGB", (len(parts) * (width + _GAP) - _GAP, _HEIGHT), "white")
    for number, part in enumerate(parts):
        cell = Image.fromarray(part).resize((width, _HEIGHT), Image.Resampling.LANCZOS)
        whole.paste(cell, (number * (width + _GAP), 0))
    return whole


def main() -> None:
    """Read the options, write the pictures."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--model", default=DEFAULT_MODEL, help="name or ONNX file")
    options = parser.parse_args()
    for name, take in PHOTOGRAPHS.items():
        try:
            picture = strip(in_colour(take()), options.model)
        except RilievoError as error:
            sys.exit(f"error: {error}")
        picture.save(PICTURES / f"gallery-{name}.jpg", quality=80, optimize=True)


if __name__ == "__main__":
    main()
