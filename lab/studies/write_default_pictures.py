"""Show the embedded models on what they were made for, and on what they were not.

    python lab/studies/write_default_pictures.py [--models A B.onnx]

A sheet a model, ``docs/pictures/default-NAME.jpg``, from photographs that scikit-image ships. On
the left what the models were made for; on the right what no depth can be known of, or what they
never learnt: depth is made up there, and confidence ought to be low.
"""

import argparse
import sys
from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np
import skimage.data
from jaxtyping import UInt8
from picture_grid import grid, in_colour
from PIL import Image, ImageDraw

from rilievo.errors import RilievoError
from rilievo.io.map_pictures import colourise, normals_picture
from rilievo.models import load_model
from rilievo.models.base import Model
from rilievo.models.default.embedded import embedded_cards

PICTURES = Path(__file__).parents[2] / "docs" / "pictures"
_WIDTH, _HEIGHT, _GAP, _TITLE = 150, 112, 6, 20

MADE_FOR: Mapping[str, Callable[[], np.ndarray]] = {
    "coffee": skimage.data.coffee,
    "motorcycle": lambda: skimage.data.stereo_motorcycle()[0],
    "camera": skimage.data.camera,
    "astronaut": skimage.data.astronaut,
}
NOT_MADE_FOR: Mapping[str, Callable[[], np.ndarray]] = {
    "chelsea": skimage.data.chelsea,
    "page": skimage.data.page,
    "coins": skimage.data.coins,
    "hubble": skimage.data.hubble_deep_field,
}


def sheet(model: Model) -> Image.Image:
    """Photograph, depth, normals and confidence of each, in two blocks."""
    columns = [_block("made for", MADE_FOR, model), _block("not made for", NOT_MADE_FOR, model)]
    return grid([columns], 3 * _GAP)


def _block(
    title: str, photographs: Mapping[str, Callable[[], np.ndarray]], model: Model
) -> Image.Image:
    size = (4 * (_WIDTH + _GAP), _TITLE + len(photographs) * (_HEIGHT + _GAP))
    block = Image.new("RGB", size, "white")
    words = f"{title}: photograph, depth (near is red), normals, confidence (white is sure)"
    ImageDraw.Draw(block).text((2, 4), words, fill="black")
    rows = [_cells(in_colour(take()), model) for take in photographs.values()]
    block.paste(grid(rows, _GAP), (0, _TITLE))
    return block


def _cells(pixels: UInt8[np.ndarray, "h w 3"], model: Model) -> list[Image.Image]:
    [prediction] = model.predict_raw([pixels])
    assert prediction.depth is not None
    assert prediction.normals is not None
    parts = [pixels, colourise(prediction.depth), normals_picture(prediction.normals)]
    cells = [_fitted(part) for part in parts]
    if prediction.confidence is not None:
        sure = _fitted(in_colour((255 * prediction.confidence).astype(np.uint8)))
        said = f"{prediction.confidence.mean():.2f}"
        ImageDraw.Draw(sure).text((4, 3), said, fill="yellow", stroke_width=2, stroke_fill="black")
        cells.append(sure)
    return cells


def _fitted(pixels: UInt8[np.ndarray, "h w 3"]) -> Image.Image:
    """Resize to fit a cell of its own, with its proportions kept."""
    cell = Image.new("RGB", (_WIDTH, _HEIGHT), "white")
    picture = Image.fromarray(pixels)
    picture.thumbnail((_WIDTH, _HEIGHT))
    cell.paste(picture, ((_WIDTH - picture.width) // 2, (_HEIGHT - picture.height) // 2))
    return cell


def main() -> None:
    """Read the options, write the sheets."""
    parser = argparse.ArgumentParser(description=__doc__)
    names = [card.name for card in embedded_cards()]
    parser.add_argument("--models", nargs="+", default=names, help="names or ONNX files")
    options = parser.parse_args()
    for name in options.models:
        try:
            model = load_model(name)
        except RilievoError as error:
            sys.exit(f"error: {error}")
        path = PICTURES / f"default-{model.card.name.rpartition('/')[2]}.jpg"
        sheet(model).save(path, quality=85)


if __name__ == "__main__":
    main()
