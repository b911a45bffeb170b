"""Make README's pictures of photographs, depth and surfaces with rilievo itself.

    python lab/studies/write_readme_pictures.py overview|strip

``turning.webp`` is a strip with two panels of the same size. In the left one, a photograph is
covered by its depth in colours, from the left to the right. Meanwhile, the surface turns in the
right one, from one side to the other. Then the next photograph fades in.
``overview.jpg`` shows three more photographs with depth and normals. ``everyday_photographs`` says
where they are from.
"""

import math
import sys
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from everyday_photographs import photograph
from lit_surfaces import PAPER, lit_picture
from picture_grid import answers, grid, of_height, surface
from PIL import Image, ImageDraw, ImageFont

import rilievo
from rilievo.io.map_pictures import DEPTH_COLOURS, colour_table
from rilievo.io.outputs.formats.turn import Scene, View, first_view, rasterise_view


@dataclass(frozen=True, slots=True, kw_only=True)
class Subject:
    """A photograph of the strip, and how far its surface is turned.

    Attributes:
        name: Name in ``everyday_photographs``.
        left: Degrees to the right at the beginning; negative, so that it is seen from the left.
        right: Degrees to the right at the end.
        pitch: Degrees down.
    """

    name: str
    left: float
    right: float
    pitch: float


FOLDER = Path(__file__).parents[2] / "docs" / "pictures"
STRIP = (
    Subject(name="scooter", left=-16, right=18, pitch=10),
    Subject(name="coffee", left=-18, right=18, pitch=14),
    Subject(name="telephone-box", left=-14, right=12, pitch=8),
)
OVERVIEW = ("lane", "tent", "grey-cat")
HEIGHT = 240
PANEL, GAP, LINE = (435, 326), 10, 38
"""Width and height of a panel, space between panels, and height of a label [px]."""
SIZE = (2 * PANEL[0] + 3 * GAP, PANEL[1] + 2 * GAP + LINE)
CORNER = 12
"""Radius of the strip's corners, which are transparent [px]."""
QUALITY, RATE = 55, 9
"""Quality of the strip's WebP, and its frames a second."""
TURN, FADE = 26, 2
"""Number of frames in which a surface turns once, and of those that fade into the next one."""
REST = 0.8
"""Seconds that a photograph stays before its surface turns, and the depth after that."""
FIRST = 9
"""Number of the frame with which the strip begins, for viewers that do not animate.

In it, half of the photograph is covered by its depth, and the surface is turned.
"""
SHADE = 0.12
"""How much darker depth is drawn until it covers the whole photograph.

WebP stores a strip of each frame, and the seams between the strips are visible. When the depth
brightens at the end, WebP stores it anew in one piece, without seams.
"""
MARGIN = 8
"""Space between a surface and the border of its panel [px]."""
TEXT, LABEL = (40, 46, 54), 22
"""Colour and size of labels, which are legible even if the strip is only 360 pixels wide."""
KEY = (64, 14)
"""Width and height of the colours between "far" and "near" [px]."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Frame:
    """A picture of the strip.

    Attributes:
        seconds: How long it is shown.
    """

    picture: Image.Image
    seconds: float = 1 / RATE


def strip() -> list[Frame]:
    """Make the frames of all photographs, one photograph after the other, with fades between."""
    turns = [[*_turn(subject)] for subject in STRIP]
    frames: list[Frame] = []
    for frames_of_one, (following, *_) in zip(turns, [*turns[1:], turns[0]], strict=True):
        frames += frames_of_one
        last = frames_of_one[-1].picture
        for number in range(1, FADE + 1):
            blended = Image.blend(last, following.picture, number / (FADE + 1))
            frames.append(Frame(picture=blended))
    return [*frames[FIRST:], *frames[:FIRST]]


def _turn(subject: Subject) -> Iterator[Frame]:
    """Yield frames in which the depth is uncovered, while the surface turns."""
    prediction = rilievo.predict(photograph(subject.name))
    assert prediction.normals is not None
    photo, depth, _ = answers(prediction)
    scene = surface(prediction)
    progress = [_ease(number / (TURN - 1)) for number in range(TURN)]
    yaws = [subject.left + part * (subject.right - subject.left) for part in progress]
    view = _find_view(scene, yaws, subject.pitch)
    for number, yaw in enumerate(yaws):
        turned = lit_picture(scene, prediction.normals, replace(view, yaw=yaw))
        # The depth is uncovered in the first two thirds, and is seen whole in the last one.
        part = _ease(min(1.0, 1.5 * number / (TURN - 1)))
        panels = _draw_card(
            _fit_into_panel(_cover_with_depth(photo, depth, part)), Image.fromarray(turned)
        )
        yield Frame(picture=panels, seconds=REST if number in (0, TURN - 1) else 1 / RATE)


def _ease(part: float) -> float:
    """Fraction of a movement that is done after a fraction of its time, slow at both ends."""
    return (1 - math.cos(math.pi * part)) / 2


def _fit_into_panel(image: Image.Image) -> Image.Image:
    """Resize a picture until it just fits into a panel, and centre it there."""
    scale = min(PANEL[0] / image.width, PANEL[1] / image.height)
    size = (round(scale * image.width), round(scale * image.height))
    panel = Image.new("RGB", PANEL, PAPER)
    place = ((PANEL[0] - size[0]) // 2, (PANEL[1] - size[1]) // 2)
    panel.paste(image.resize(size, Image.Resampling.LANCZOS), place)
    return panel


def _cover_with_depth(photo: Image.Image, depth: Image.Image, part: float) -> Image.Image:
    """Cover the left part of a photograph, a fraction of its width, with depth and a line."""
    border = round(part * photo.width)
    if border == photo.width:
        return depth
    wiped = photo.copy()
    uncovered = depth.crop((0, 0, border, depth.height))
    wiped.paste(Image.blend(uncovered, Image.new("RGB", uncovered.size), SHADE))
    if border > 0:
        ImageDraw.Draw(wiped).rectangle((border - 2, 0, border + 1, photo.height), "white")
    return wiped


def _find_view(scene: Scene, yaws: list[float], pitch: float) -> View:
    """Find the view in which a surface is as large as a panel allows, at each of the angles."""
    first = first_view(scene, PANEL[0])
    height, width = first.size
    K = first.K.copy()
    K[:2, 2] += (width, height)
    wide = View(size=(3 * height, 3 * width), K=K, pitch=pitch)
    there = np.zeros(wide.size, bool)
    for yaw in [*yaws[::4], yaws[-1]]:
        there |= rasterise_view(scene, replace(wide, yaw=yaw)).inverse_depth > 0
    rows, columns = np.flatnonzero(there.any(axis=1)), np.flatnonzero(there.any(axis=0))
    begin, end = np.array([(columns[0], rows[0]), (columns[-1] + 1, rows[-1] + 1)])
    panel = np.array(PANEL)
    scale = ((panel - 2 * MARGIN) / (end - begin)).min()
    K[:2] *= scale
    K[:2, 2] += panel / 2 - scale * (begin + end) / 2
    return View(size=(panel[1], panel[0]), K=K, pitch=pitch)


def _draw_card(flat: Image.Image, solid: Image.Image) -> Image.Image:
    """Put both panels above their labels, on a card that suits light and dark pages."""
    frame = Image.new("RGB", SIZE, PAPER)
    frame.paste(flat, (GAP, GAP))
    frame.paste(solid, (2 * GAP + PANEL[0], GAP))
    draw, font = ImageDraw.Draw(frame), ImageFont.load_default(LABEL)
    base = SIZE[1] - GAP - LINE // 4
    frame.paste(_draw_depth_label(), (GAP + 2, base - LINE + LINE // 4))
    draw.text((GAP + PANEL[0] - 2, base), "Photograph", TEXT, font, anchor="rs")
    middle = 2 * GAP + PANEL[0] * 3 // 2
    draw.text((middle, base), "3-D surface, turning", TEXT, font, anchor="ms")
    mask = Image.new("L", SIZE, 0)
    ImageDraw.Draw(mask).rounded_rectangle((0, 0, SIZE[0] - 1, SIZE[1] - 1), CORNER, 255)
    frame.putalpha(mask)
    return frame


def _draw_depth_label() -> Image.Image:
    """Draw the label below the depth: its colours, between the words "far" and "near"."""
    font = ImageFont.load_default(LABEL)
    before, after = "Depth: far", "near"
    left, right = (math.ceil(font.getlength(text)) for text in (before, after))
    key = Image.new("RGB", (left + right + KEY[0] + 14, LINE), PAPER)
    draw, base = ImageDraw.Draw(key), LINE - LINE // 4
    draw.text((0, base), before, TEXT, font, anchor="ls")
    draw.text((key.width, base), after, TEXT, font, anchor="rs")
    colours = Image.fromarray(colour_table(DEPTH_COLOURS)[None])
    key.paste(colours.resize(KEY), (left + 7, base - KEY[1]))
    return key


def overview() -> Image.Image:
    """Put three photographs side by side, each above its depth and its normals."""
    columns = [
        [of_height(part, HEIGHT) for part in answers(rilievo.predict(photograph(name)))]
        for name in OVERVIEW
    ]
    return grid([*zip(*columns, strict=True)])


def write_overview() -> None:
    """Write the picture of three photographs with depth and normals."""
    overview().save(FOLDER / "overview.jpg", quality=85, optimize=True)


def write_strip() -> None:
    """Write the frames of the strip as an animated WebP."""
    first, *others = strip()
    first.picture.save(
        FOLDER / "turning.webp",
        save_all=True,
        append_images=[frame.picture for frame in others],
        duration=[round(1000 * frame.seconds) for frame in (first, *others)],
        loop=0,
        quality=QUALITY,
        method=6,
        minimize_size=True,
    )


if __name__ == "__main__":
    {"overview": write_overview, "strip": write_strip}[sys.argv[1]]()
