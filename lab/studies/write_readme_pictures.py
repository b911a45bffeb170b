"""Make README's pictures of photographs, depth and surfaces with rilievo itself.

    python lab/studies/write_readme_pictures.py overview|strip

``turning.webp`` is a strip: a photograph above its depth in colours, and beside them its surface
from the left and from the right, which sways. One photograph fades in after the other.
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
        left: Degrees to the right where the surface is turned most, seen from the left.
        right: The same seen from the right.
        pitch: Degrees down.
    """

    name: str
    left: float
    right: float
    pitch: float


FOLDER = Path(__file__).parents[2] / "docs" / "pictures"
STRIP = (
    Subject(name="hat", left=-15, right=18, pitch=8),
    Subject(name="coffee", left=-14, right=17, pitch=8),
    Subject(name="desk", left=-20, right=17, pitch=11),
)
OVERVIEW = ("railing", "stonehenge", "cafe")
HEIGHT = 300
FLAT, GAP, LINE = (205, 125), 9, 22
"""Size of the panels of photographs, what is between them, and the height of a label [px]."""
SOLID = (334, 2 * FLAT[1] + LINE + GAP)
"""Size of the panels of surfaces [px]."""
SIZE = (FLAT[0] + 2 * SOLID[0] + 3 * GAP, SOLID[1] + LINE + 2 * GAP)
QUALITY, RATE = 62, 10
"""Quality of the strip's WebP, and its frames a second."""
SWAY = 24
"""Frames of a surface that sways once."""
FADES = (0.35, 0.75)
"""Shares of a picture in the frames that darken it; never so far that it cannot be read."""
SWING, NOD = 9, 2.5
"""Degrees by which a surface turns aside, and up and down, while it sways."""
MARGIN = 10
"""Pixels between a surface and the rim of its panel."""
KEY = (56, 9)
"""Width and height of the colours between "far" and "near" [px]."""
TEXT = (40, 46, 54)
"""Colour of labels."""


def strip() -> list[Image.Image]:
    """Frames of the photographs in turn, each in four panels, out of the ground and into it."""
    frames: list[Image.Image] = []
    for subject in STRIP:
        parts = [*_parts(subject)]
        pale = [_panels(parts[0], share) for share in FADES]
        frames += [*pale, *(_panels(part) for part in parts), *reversed(pale)]
    # Viewers that do not animate show the first frame, which is not pale.
    return [*frames[len(FADES) :], *frames[: len(FADES)]]


def _parts(subject: Subject) -> Iterator[tuple[Image.Image, ...]]:
    """Yield a photograph, its depth and its surface from both sides, which sways once.

    It begins where the surface is turned most to both sides.
    """
    prediction = rilievo.predict(photograph(subject.name))
    assert prediction.normals is not None
    photo, depth, _ = answers(prediction)
    scene = _within(surface(prediction))
    angles = [2 * math.pi * number / SWAY for number in range(SWAY)]
    sides = []
    for most, way in ((subject.left, 1), (subject.right, -1)):
        poses = [
            (most + way * SWING / 2 * (1 - math.cos(angle)), subject.pitch + NOD * math.sin(angle))
            for angle in angles
        ]
        view = _whole(scene, poses)
        sides.append([replace(view, yaw=yaw, pitch=pitch) for yaw, pitch in poses])
    for views in zip(*sides, strict=True):
        turned = (Image.fromarray(lit_picture(scene, prediction.normals, view)) for view in views)
        yield photo, depth, *turned


def _within(scene: Scene) -> Scene:
    """Scene without what is made up beyond the photograph's border, as the page shows it."""
    mesh, (height, width) = scene.mesh, scene.photo.shape[:2]
    columns, rows = scene.camera.project(mesh.points.T)
    half = scene.step + 0.5
    inside = (columns > -half) & (columns < width - 1 + half) & (rows > -half)
    inside &= rows < height - 1 + half
    within = inside[mesh.triangles].all(axis=1)
    return replace(scene, mesh=replace(mesh, triangles=mesh.triangles[within]))


def _whole(scene: Scene, poses: list[tuple[float, float]]) -> View:
    """View in which the whole surface fills a panel, in all of the poses."""
    first = first_view(scene, SOLID[0])
    height, width = first.size
    K = first.K.copy()
    K[:2, 2] += (width, height)
    wide = View(size=(3 * height, 3 * width), K=K)
    there = np.zeros(wide.size, bool)
    for yaw, pitch in poses[:: SWAY // 12]:
        there |= rasterise_view(scene, replace(wide, yaw=yaw, pitch=pitch)).inverse_depth > 0
    rows, columns = np.flatnonzero(there.any(axis=1)), np.flatnonzero(there.any(axis=0))
    begin, end = np.array([(columns[0], rows[0]), (columns[-1] + 1, rows[-1] + 1)])
    panel = np.array(SOLID)
    scale = ((panel - 2 * MARGIN) / (end - begin)).min()
    K[:2] *= scale
    K[:2, 2] += panel / 2 - scale * (begin + end) / 2
    return View(size=(panel[1], panel[0]), K=K)


def _panels(parts: tuple[Image.Image, ...], share: float = 1.0) -> Image.Image:
    """Pictures, or a share of them, in panels, each above its label."""
    frame, beside = Image.new("RGB", SIZE, PAPER), 2 * GAP + FLAT[0]
    panels = {
        "Photograph": (GAP, GAP, *FLAT),
        "Depth": (GAP, 2 * GAP + FLAT[1] + LINE, *FLAT),
        "3-D surface, from the left": (beside, GAP, *SOLID),
        "from the right": (beside + SOLID[0], GAP, *SOLID),
    }
    draw, font = ImageDraw.Draw(frame), ImageFont.load_default(15)
    for part, (label, (left, top, width, height)) in zip(parts, panels.items(), strict=True):
        scale = min(width / part.width, height / part.height)
        inside = (round(scale * part.width), round(scale * part.height))
        fitted = part.resize(inside, Image.Resampling.LANCZOS)
        fitted = Image.blend(Image.new("RGB", inside, PAPER), fitted, share)
        begin = left + (width - inside[0]) // 2
        frame.paste(fitted, (begin, top + (height - inside[1]) // 2))
        base, text = top + height + LINE - 6, math.ceil(font.getlength(label))
        key = _key() if label == "Depth" else Image.new("RGB", (0, 0))
        start = left + (width - text - key.width) // 2
        draw.text((start, base), label, TEXT, font, anchor="ls")
        frame.paste(key, (start + text, base + 6 - key.height))
    return frame


def _key() -> Image.Image:
    """Colours of depth from far to near, as high as a label."""
    font, (width, height) = ImageFont.load_default(13), KEY
    far, near = (math.ceil(font.getlength(text)) for text in ("far", "near"))
    start, bottom = 2 * GAP + far + 6, LINE - 6
    key = Image.new("RGB", (start + width + 6 + near, LINE), PAPER)
    draw = ImageDraw.Draw(key)
    draw.text((start - 6, bottom), "far", TEXT, font, anchor="rs")
    draw.text((key.width, bottom), "near", TEXT, font, anchor="rs")
    colours = Image.fromarray(colour_table(DEPTH_COLOURS)[None])
    key.paste(colours.resize(KEY), (start, bottom - height))
    return key


def overview() -> Image.Image:
    """Three photographs in columns, each above its depth and its normals."""
    columns = [
        [of_height(part, HEIGHT) for part in answers(rilievo.predict(photograph(name)))]
        for name in OVERVIEW
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
        method=4,
    )


if __name__ == "__main__":
    {"overview": write_overview, "strip": write_strip}[sys.argv[1]]()
