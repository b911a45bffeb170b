"""Draw README's picture of lengths: one known length, and five that are measured with it.

    RILIEVO_DATA=FOLDER python lab/studies/write_lengths_picture.py

The photograph is a frame of TUM RGB-D's freiburg1_rpy (J. Sturm and others, CC BY 4.0), in
``panel_tum_rpy`` of the folder. Its depth, measured by the camera's sensor, gives the known length
and the true ones; the network sees the photograph, its focal length and the known length alone.
"""

import os
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw, ImageFont

import rilievo
from rilievo.calibration.readings import Pixel, ray
from rilievo.types import Camera

PICTURE = Path(__file__).parents[2] / "docs" / "pictures" / "lengths.jpg"
FRAME, COUNTS = "1305031242.129682", 5000
"""Name of the frame, and counts of its depth a metre."""
K = np.array([[517.3, 0, 318.6], [0, 516.5, 255.3], [0, 0, 1]])
LINES = {
    "given": ((266, 251), (256, 412)),  # a sheet of A4
    "sheet": ((96, 340), (197, 418)),
    "book": ((71, 119), (149, 137)),
    "carton": ((214, 180), (218, 226)),
    "cup": ((366, 184), (368, 210)),
    "keyboard": ((382, 254), (391, 348)),
}
_LEFTWARD = ("sheet", "carton")
"""Lines whose words end below them, not begin there."""
_WIDTH, _REACH = 1000, 3


def _true_length(depth: np.ndarray, ends: tuple[tuple[int, int], tuple[int, int]]) -> float:
    """Metres between two pixels, by the median of what the sensor has around each."""
    points = []
    for u, v in ends:
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
    true = [_true_length(depth, ends) for ends in LINES.values()]
    known = (*LINES["given"][0], *LINES["given"][1], true[0])
    prediction = rilievo.predict(np.asarray(photo), camera=Camera(K=K), known=[known])
    scale = _WIDTH / photo.width
    image = photo.resize((_WIDTH, round(scale * photo.height)), Image.Resampling.LANCZOS)
    draw, font = ImageDraw.Draw(image), ImageFont.load_default(22)
    said = []
    for name, ends in LINES.items():
        length = prediction.measure(*ends).text if said else f"{true[0]:.3f} m"
        words = f"{name} {length}"
        said.append(words)
        places = [(scale * u, scale * v) for u, v in ends]
        colour = "#7fffd4" if name == "given" else "#ffd24a"
        draw.line(places, fill="black", width=9)
        draw.line(places, fill=colour, width=4)
        width = draw.textlength(words, font)
        begin = places[1][0] - width if name in _LEFTWARD else places[0][0]
        at = (min(begin, _WIDTH - 10 - width), max(v for _, v in places) + 8)
        box = draw.textbbox(at, words, font=font)
        draw.rectangle((box[0] - 6, box[1] - 5, box[2] + 6, box[3] + 5), fill="black")
        draw.text(at, words, fill=colour, font=font)
    return image, [f"{words}; sensor {one:.3f} m" for words, one in zip(said, true, strict=True)]


if __name__ == "__main__":
    made, lines = picture()
    made.save(PICTURE, quality=85, optimize=True)
    print("\n".join(lines))
