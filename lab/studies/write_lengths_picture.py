"""Draw README's picture of lengths: one opening of a rack is given, and five lengths are measured.

    python lab/studies/write_lengths_picture.py

The photograph is motorcycle of Middlebury 2014 (D. Scharstein and others), as scikit-image ships
it. The sides of the opening give the focal length and the plane of the rack, in which all five
lengths lie. The true lengths are those of its disparity, which was measured with structured light.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw, ImageFont
from write_measure_picture import scene
from write_rectangle_picture import OPENING, true_length

import rilievo

PICTURE = Path(__file__).parents[2] / "docs" / "pictures" / "lengths.jpg"

Ends = tuple[tuple[float, float], ...]
Box = tuple[float, float, float, float]


@dataclass(frozen=True, slots=True, kw_only=True)
class LineStyle:
    """A line of the photograph, its colour, and where its label stands.

    Attributes:
        ends: Corners of the line [px of the photograph].
        label: Upper left corner of the label [px of the picture].
        touched: Share of the line, from its beginning, where the leader of the label ends.
    """

    ends: Ends
    colour: str
    label: tuple[float, float]
    touched: float = 0.5


@dataclass(frozen=True, slots=True, kw_only=True)
class Label:
    """Words in a box, and a leader from the box to their line."""

    words: str
    box: Box
    leader: tuple[tuple[float, float], tuple[float, float]]


GIVEN = LineStyle(ends=(*OPENING, OPENING[0]), colour="#7fffd4", label=(600, 92), touched=0.12)
MEASURED = (
    LineStyle(ends=((348, 8), (510.3, 11.6)), colour="#ffd24a", label=(128, 66), touched=0.3),
    LineStyle(
        ends=((347.3, 104.4), (700.5, 118.6)), colour="#ff9d5c", label=(250, 292), touched=0.35
    ),
    LineStyle(
        ends=((710.8, 13.4), (692.3, 188.5)), colour="#ff8fb8", label=(540, 340), touched=0.82
    ),
    LineStyle(ends=((692.3, 188.5), (684.9, 277.4)), colour="#8fc7ff", label=(520, 500)),
    LineStyle(ends=((343.5, 106.5), (342.5, 157)), colour="#d0ff6a", label=(150, 360), touched=0.7),
)
SIZE, _PART = (1000, 665), (290, 0)
"""Size of the picture, and upper left corner of the part of the photograph that it shows [px]."""
_SCALE = SIZE[0] / (741 - _PART[0])
_FONT = ImageFont.load_default(20)
_MARGIN = (7, 5)


def place_label(style: LineStyle, words: str) -> Label:
    """Place words, with a leader from the middle of their box to their line."""
    left, top = style.label
    width, height = _FONT.getbbox(words)[2:]
    box = (
        left - _MARGIN[0],
        top - _MARGIN[1],
        left + width + _MARGIN[0],
        top + height + _MARGIN[1],
    )
    begin, end = (np.array(place) for place in on_picture(style.ends)[:2])
    target = begin + style.touched * (end - begin)
    # The leader begins at the side of the box that is nearest to its line.
    start = np.clip(target, (box[0], box[1]), (box[2], box[3]))
    return Label(words=words, box=box, leader=(tuple(start.tolist()), tuple(target.tolist())))


def measured_labels() -> Iterator[tuple[LineStyle, Label]]:
    """Every line with its label."""
    shown = scene()
    sides = true_length(shown, OPENING[:2]), true_length(shown, OPENING[1:3])
    known = rilievo.KnownRectangle(corners=OPENING, sides=sides)
    prediction = rilievo.predict(shown.pixels, known=[known])
    yield GIVEN, place_label(GIVEN, f"given: {sides[0]:.3f} x {sides[1]:.3f} m")
    for style in MEASURED:
        found = prediction.measure(*style.ends, in_plane=True).text
        yield style, place_label(style, f"{found}, true {true_length(shown, style.ends):.2f} m")


def picture(labels: Sequence[tuple[LineStyle, Label]]) -> Image.Image:
    """Draw the photograph with lines, leaders and labels."""
    right, bottom = (first + size / _SCALE for first, size in zip(_PART, SIZE, strict=True))
    image = Image.fromarray(scene().pixels).resize(
        SIZE, Image.Resampling.LANCZOS, box=(*_PART, right, bottom)
    )
    draw = ImageDraw.Draw(image)
    for style, _ in labels:
        ends = on_picture(style.ends)
        draw.line(ends, fill="black", width=8, joint="curve")
        draw.line(ends, fill=style.colour, width=4, joint="curve")
    for style, label in labels:
        draw.line(label.leader, fill="black", width=5)
        draw.line(label.leader, fill=style.colour, width=2)
        _draw_dot(draw, label.leader[1], style.colour)
    for style, label in labels:
        draw.rectangle(label.box, fill="black", outline=style.colour)
        draw.text(style.label, label.words, fill=style.colour, font=_FONT)
    return image


def _draw_dot(draw: ImageDraw.ImageDraw, place: tuple[float, float], colour: str) -> None:
    x, y = place
    draw.ellipse((x - 6, y - 6, x + 6, y + 6), fill=colour, outline="black")


def on_picture(ends: Ends) -> list[tuple[float, float]]:
    """Places of pixels of the photograph on the picture."""
    return [(_SCALE * (u + 0.5 - _PART[0]), _SCALE * (v + 0.5 - _PART[1])) for u, v in ends]


if __name__ == "__main__":
    labels = [*measured_labels()]
    picture(labels).save(PICTURE, quality=85, optimize=True)
    print("\n".join(label.words for _, label in labels))
