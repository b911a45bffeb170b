"""Make the picture of docs/measure.md: true lengths beside ours, on a photograph with true depth.

    python lab/studies/write_measure_picture.py

The photograph is motorcycle of Middlebury 2014 (D. Scharstein and others), as scikit-image ships
it. Its calibration gives the camera, and its disparity, measured with structured light, the true
length of every line. One line is given as known; the others are measured.
"""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from everyday_photographs import MOTORCYCLE_K, motorcycle, photograph
from PIL import Image, ImageDraw, ImageFont

import rilievo
from rilievo.calibration.readings import Pixel, median_around, ray
from rilievo.geometry.cameras.camera import Camera
from rilievo.records.depth_map import DepthMap

PICTURE = Path(__file__).parents[2] / "docs" / "pictures" / "measure.jpg"
KNOWN = ((205, 245), (205, 398))
"""The rear wheel."""
LINES = (
    ((176, 306), (320, 360)),  # the exhaust
    ((325, 200), (475, 195)),  # the tank
    ((325, 270), (420, 280)),  # the engine
    ((530, 74), (586, 74)),  # a cardboard box far behind
)
_WIDTH = 1000


@dataclass(frozen=True, slots=True, kw_only=True)
class Scene:
    """The photograph, its camera, and its true depth."""

    pixels: np.ndarray
    camera: Camera
    truth: DepthMap

    def true_length(self, ends: tuple[tuple[int, int], tuple[int, int]]) -> float:
        """Metres between two pixels."""
        pixels = [Pixel(u, v, f"{u},{v}") for u, v in ends]
        first, second = (ray(self.camera, at) * median_around(self.truth, at) for at in pixels)
        return float(np.linalg.norm(first - second))


def scene() -> Scene:
    """The photograph as scikit-image ships it, with its calibration."""
    camera = Camera(K=MOTORCYCLE_K)
    return Scene(pixels=photograph("motorcycle"), camera=camera, truth=motorcycle())


def picture() -> tuple[Image.Image, list[str]]:
    """The photograph with the lines on it, and a line of text for each."""
    shown = scene()
    known = (*KNOWN[0], *KNOWN[1], shown.true_length(KNOWN))
    prediction = rilievo.predict(shown.pixels, camera=shown.camera, known=[known])
    scale = _WIDTH / shown.pixels.shape[1]
    image = Image.fromarray(shown.pixels)
    image = image.resize((_WIDTH, round(scale * image.height)), Image.Resampling.LANCZOS)
    draw, font = ImageDraw.Draw(image), ImageFont.load_default(20)
    said = []
    for ends in (KNOWN, *LINES):
        true = shown.true_length(ends)
        words = f"known: {true:.2f} m"
        if ends is not KNOWN:
            words = f"{prediction.measure(*ends).text}, true {true:.2f} m"
        said.append(words)
        places = [(scale * u, scale * v) for u, v in ends]
        colour = "#7fffd4" if ends is KNOWN else "#ffd24a"
        draw.line(places, fill="black", width=7)
        draw.line(places, fill=colour, width=3)
        left = min(places[0][0], places[1][0], _WIDTH - 8 - draw.textlength(words, font))
        at = (left, max(places[0][1], places[1][1]) + 6)
        box = draw.textbbox(at, words, font=font)
        draw.rectangle((box[0] - 4, box[1] - 3, box[2] + 4, box[3] + 3), fill="black")
        draw.text(at, words, fill=colour, font=font)
    return image, said


if __name__ == "__main__":
    made, lines = picture()
    made.save(PICTURE, quality=85)
    print("\n".join(lines))
