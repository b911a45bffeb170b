"""Write the pictures of the gallery, ``docs/pictures/gallery-NAME.jpg``.

    python lab/studies/write_gallery.py [--model NAME] [NAME ...]

Each shows a photograph, its depth (near is red), its normals, and its surface as seen from 12
degrees to the left, as the embedded model gives them by default. The photographs are those of
``everyday_photographs.py``, and six of scikit-image that have little depth to find.
"""

import argparse
import sys
from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np
import skimage.data
from everyday_photographs import NAMES, photograph
from jaxtyping import UInt8
from picture_grid import answers, grid, in_colour, of_height, turned
from PIL import Image

import rilievo
from rilievo.errors import RilievoError
from rilievo.models import DEFAULT_MODEL

PICTURES = Path(__file__).parents[2] / "docs" / "pictures"
_HEIGHT, _GAP, _QUALITY = 200, 3, 78
_ASIDE, _UP = -12.0, 3.0

FLAT: Mapping[str, Callable[[], np.ndarray]] = {
    "gravel": skimage.data.gravel,
    "brick": skimage.data.brick,
    "coins": skimage.data.coins,
    "page": skimage.data.page,
    "stars": skimage.data.hubble_deep_field,
    "retina": skimage.data.retina,
}


def strip(pixels: UInt8[np.ndarray, "h w 3"], model: str) -> Image.Image:
    """Photograph, depth, normals and surface side by side."""
    prediction = rilievo.predict(pixels, model=model)
    parts = [*answers(prediction), turned(prediction, _ASIDE, _UP)]
    return grid([[of_height(part, _HEIGHT) for part in parts]], _GAP)


def main() -> None:
    """Read the options, write the pictures."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("names", nargs="*", metavar="NAME", default=[*NAMES, *FLAT])
    parser.add_argument("--model", default=DEFAULT_MODEL, help="name or ONNX file")
    options = parser.parse_args()
    for name in options.names:
        pixels = in_colour(FLAT[name]()) if name in FLAT else photograph(name)
        try:
            made = strip(pixels, options.model)
        except RilievoError as error:
            sys.exit(f"error: {error}")
        made.save(PICTURES / f"gallery-{name}.jpg", quality=_QUALITY, optimize=True)


if __name__ == "__main__":
    main()
