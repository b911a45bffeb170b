"""Make the picture of docs/measure.md of a known rectangle, and measure a box by a sheet on it.

    python lab/studies/write_rectangle_picture.py

The picture is motorcycle of Middlebury 2014, as in ``write_measure_picture``. The opening between
two boards of the shelf is given as known, by structured light; the camera is not given. With the
folder RILIEVO_DATA, frames of ``realsense_10`` are measured too: a sheet of Letter is glued to a
box, whose front is measured in the plane of the sheet.
"""

import os
from pathlib import Path

import numpy as np
from everyday_photographs import MOTORCYCLE_K
from PIL import Image, ImageDraw, ImageFont
from write_measure_picture import Scene, scene

import rilievo

PICTURE = Path(__file__).parents[2] / "docs" / "pictures" / "rectangle.jpg"
OPENING = ((528, 12.3), (710.8, 13.4), (702.2, 104.8), (524.2, 100.2))
"""Edges of two boards and two posts; the motorcycle hides the last corner a little."""
LINES = (
    ((348, 8), (510.3, 11.6)),  # the opening beside it
    ((710.8, 13.4), (692.3, 188.5)),  # three boards down
    ((347.3, 104.4), (700.5, 118.6)),  # along the second board
)
SHEETS = {
    "000000": (
        "166.7,133.3,334,216.3,287.7,338.3,139.7,255.3,letter",
        ((137.3, 79.7), (388, 197), (317, 380.3), (107.3, 263)),
    ),
    "000002": (
        "295.3,86.7,502.3,97.3,485.7,256.7,286.7,242.7,letter",
        ((248, 44.7), (552, 52.3), (532.3, 289.7), (244.3, 272.3)),
    ),
}
"""Corners of the sheet and of the front of the box, clockwise from the top left one."""
_WIDTH = 1000
_PART = (290, 0, 741, 250)
"""Left, top, right and bottom of the part that the picture shows [px]."""


def true_length(shown: Scene, ends: tuple[tuple[float, float], ...]) -> float:
    """Metres between two pixels, by the nearest depth within 3 px: edges of boards are nearest."""
    places = []
    for u, v in ends:
        row, column = max(round(v) - 3, 0), max(round(u) - 3, 0)
        window = np.s_[row : round(v) + 4, column : round(u) + 4]
        depth = np.quantile(shown.truth.values[window][shown.truth.valid[window]], 0.1)
        places.append(shown.camera.rays(np.array([u, v])) * depth)
    return float(np.linalg.norm(places[1] - places[0]))


def picture() -> tuple[Image.Image, list[str]]:
    """The photograph with the rectangle and the lines on it, and a line of text for each."""
    shown = scene()
    sides = true_length(shown, OPENING[:2]), true_length(shown, OPENING[1:3])
    known = rilievo.KnownRectangle(corners=OPENING, sides=sides)
    prediction = rilievo.predict(shown.pixels, known=[known])
    scale = _WIDTH / (_PART[2] - _PART[0])
    image = Image.fromarray(shown.pixels).crop(_PART)
    image = image.resize((_WIDTH, round(scale * image.height)), Image.Resampling.LANCZOS)
    draw, font = ImageDraw.Draw(image), ImageFont.load_default(20)
    focal = prediction.known_camera.focal
    told = [f"focal length: {focal:.0f} px by the rectangle, true {MOTORCYCLE_K[0, 0]:.0f} px"]

    def line(places: tuple[tuple[float, float], ...], words: str, colour: str) -> None:
        ends = [(scale * (u + 0.5 - _PART[0]), scale * (v + 0.5 - _PART[1])) for u, v in places]
        draw.line(ends, fill="black", width=7)
        draw.line(ends, fill=colour, width=3)
        middle = np.mean(ends[:2], axis=0)
        left = min(max(middle[0] - draw.textlength(words, font) / 2, 8), _WIDTH - 8)
        left = min(left, _WIDTH - 8 - draw.textlength(words, font))
        at = (left, middle[1] + (28 if len(places) > 2 else 6))
        box = draw.textbbox(at, words, font=font)
        draw.rectangle((box[0] - 4, box[1] - 3, box[2] + 4, box[3] + 3), fill="black")
        draw.text(at, words, fill=colour, font=font)
        told.append(words)

    line((*OPENING, OPENING[0]), f"known: {sides[0]:.3f} x {sides[1]:.3f} m", "#7fffd4")
    for ends in LINES:
        found = prediction.measure(*ends, in_plane=True)
        line(ends, f"{found.text}, true {true_length(shown, ends):.2f} m", "#ffd24a")
    return image, told


def boxes(folder: Path) -> list[str]:
    """Sides of the front of the box in each frame, by the sheet and by the sensor."""
    told = []
    for name, (sheet, front) in SHEETS.items():
        photo = folder / "color" / f"{name}.png"
        prediction = rilievo.predict(photo, known=[sheet])
        sides = [
            prediction.measure(front[at], front[(at + 1) % 4], in_plane=True) for at in range(4)
        ]
        words = ", ".join(f"{each.value:.3f}" for each in sides)
        error = (sides[0].high - sides[0].low) / 2
        focal = prediction.known_camera
        told.append(f"{name}: {words} m (the first ± {error:.3f}); camera: {focal}")
    return told


if __name__ == "__main__":
    made, lines = picture()
    made.save(PICTURE, quality=85)
    print("\n".join(lines))
    if "RILIEVO_DATA" in os.environ:
        print("\n".join(boxes(Path(os.environ["RILIEVO_DATA"]) / "realsense_10")))
