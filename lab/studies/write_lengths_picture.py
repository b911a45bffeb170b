"""Draw README's picture of lengths: a sheet of A4, and five lengths that are measured with it.

    RILIEVO_DATA=FOLDER python lab/studies/write_lengths_picture.py

The photograph is a frame of TUM RGB-D's freiburg1_rpy (J. Sturm and others, CC BY 4.0), in
``panel_tum_rpy`` of the folder. The sheet's corners and the focal length give the plane of the
desk, in which all five lengths lie; those that the camera's depth sensor gives are printed.
"""

import os
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw, ImageFont

import rilievo
from rilievo.calibration.readings import Pixel, ray
from rilievo.geometry.cameras.camera import Camera

PICTURE = Path(__file__).parents[2] / "docs" / "pictures" / "lengths.jpg"
FRAME, COUNTS = "1305031242.129682", 5000
"""Name of the frame, and counts of its depth a metre."""
K = np.array([[517.3, 0, 318.6], [0, 516.5, 255.3], [0, 0, 1]])
SHEET = ((265, 248.75), (375.5, 255.5), (385.75, 416.75), (254.5, 413))
"""Corners of a sheet of A4, clockwise from the top left one."""
LINES = {
    "sheet": ((96, 340), (197, 418)),
    "carton to cup": ((290, 246), (366, 212)),
    "pens to keyboard": ((305, 232), (380, 252)),
    "screen's foot": ((444, 191), (560, 197.5)),
    "cup to keyboard": ((372.5, 218.5), (380, 252.5)),
}
_PLACES = {
    "A4": (292, 330),
    "sheet": (36, 426),
    "carton to cup": (110, 262),
    "pens to keyboard": (46, 290),
    "screen's foot": (384, 206),
    "cup to keyboard": (374, 264),
}
"""Upper left corner of the words of each line [px]."""
_WIDTH, _REACH = 1000, 3


def _true_length(depth: np.ndarray, ends: tuple[tuple[float, float], ...]) -> float:
    """Metres between two pixels, by the median of what the sensor has around each."""
    points = []
    for u, v in ((round(u), round(v)) for u, v in ends):
        near = depth[v - _REACH : v + _REACH + 1, u - _REACH : u + _REACH + 1]
        points.append(ray(Camera(K=K), Pixel(u, v, f"{u},{v}")) * np.median(near[near > 0]))
    return float(np.linalg.norm(points[0] - points[1]))


def picture() -> tuple[Image.Image, list[str]]:
    """The photograph with the lines on it, and a line of text for each."""
    folder = Path(os.environ["RILIEVO_DATA"]) / "panel_tum_rpy"
    with Image.open(folder / "rgb" / f"{FRAME}.jpg") as image:
        photo = image.convert("RGB")
    with Image.open(folder / "depth" / f"{FRAME}.png") as image:
        depth = np.asarray(image) / COUNTS
    known = rilievo.KnownRectangle(corners=SHEET, sides=(0.21, 0.297))
    prediction = rilievo.predict(np.asarray(photo), camera=Camera(K=K), known=[known])
    scale = _WIDTH / photo.width
    image = photo.resize((_WIDTH, round(scale * photo.height)), Image.Resampling.LANCZOS)
    draw, font = ImageDraw.Draw(image), ImageFont.load_default(22)
    lines = []

    def line(name: str, places: tuple[tuple[float, float], ...], words: str, colour: str) -> None:
        ends = [(scale * u, scale * v) for u, v in places]
        draw.line(ends, fill="black", width=9)
        draw.line(ends, fill=colour, width=4)
        left, top = _PLACES[name]
        at = (scale * left, scale * top)
        box = draw.textbbox(at, words, font=font)
        draw.rectangle((box[0] - 6, box[1] - 5, box[2] + 6, box[3] + 5), fill="black")
        draw.text(at, words, fill=colour, font=font)

    line("A4", (*SHEET, SHEET[0]), "given: A4", "#7fffd4")
    for name, ends in LINES.items():
        words = f"{name} {prediction.measure(*ends, in_plane=True).text}"
        line(name, ends, words, "#ffd24a")
        lines.append(f"{words}; sensor {_true_length(depth, ends):.3f} m")
    return image, lines


if __name__ == "__main__":
    made, lines = picture()
    made.save(PICTURE, quality=85, optimize=True)
    print("\n".join(lines))
