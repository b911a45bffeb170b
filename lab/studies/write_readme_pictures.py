"""Make README's pictures of photographs, depth and surfaces with rilievo itself.

    python lab/studies/write_readme_pictures.py overview|strip

``turning.webp`` is a strip of three panels: a photograph, its depth in colours, and its surface,
which is seen from the side in every frame and sways there. One photograph fades in after the other.
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
from picture_grid import answers, grid, of_height, surface
from PIL import Image, ImageDraw, ImageFont

import rilievo
from rilievo.io.colour_pictures import DEPTH_COLOURS, colour_table
from rilievo.io.outputs.turning import GROUND, Scene, View, first_view, picture, seen


@dataclass(frozen=True, slots=True, kw_only=True)
class Subject:
    """A photograph of the strip, and the side from which its surface is seen.

    Attributes:
        name: Name in ``everyday_photographs``.
        yaw: Degrees to the right, at the least and at the most.
        pitch: Degrees down.
        crop: Columns and rows of the photograph that are shown: left, top, right, bottom.
    """

    name: str
    yaw: tuple[float, float]
    pitch: float
    crop: tuple[int, int, int, int] | None = None


FOLDER = Path(__file__).parents[2] / "docs" / "pictures"
STRIP = (
    Subject(name="tent", yaw=(14, 27), pitch=10),
    Subject(name="desk", yaw=(9, 19), pitch=11),
    Subject(name="kitten", yaw=(-27, -14), pitch=8),
)
OVERVIEW = ("railing", "bear", "cafe")
HEIGHT = 300
PANELS = {"Photograph": 262, "Depth": 262, "Surface, turned": 340}
"""Labels of the strip's panels, and their widths [px]."""
STRIP_HEIGHT, GAP = 236, 9
"""Height of a panel, and pixels between panels and around them."""
QUALITY, RATE = 72, 12
"""Quality of the strip's WebP, and its frames a second."""
SWAY = 36
"""Frames of a surface that sways once."""
FADES = (0.35, 0.75)
"""Shares of a picture in the frames that darken it; never so far that it cannot be read."""
NOD = 2.5
"""Degrees by which a surface turns up and down while it sways."""
MARGIN = 6
"""Pixels between a surface and the rim of its panel."""
KEY = (56, 9)
"""Width and height of the colours between "far" and "near" [px]."""


def strip() -> list[Image.Image]:
    """Frames of the photographs in turn, each in three panels, from the dark and into it."""
    frames: list[Image.Image] = []
    for subject in STRIP:
        parts = [*_parts(subject)]
        dark = [_panels(parts[0], share) for share in FADES]
        frames += [*dark, *(_panels(part) for part in parts), *reversed(dark)]
    # Viewers that do not animate show the first frame, which is not dark.
    return [*frames[len(FADES) :], *frames[: len(FADES)]]


def _parts(subject: Subject) -> Iterator[tuple[Image.Image, ...]]:
    """Yield a photograph, its depth and its surface, which sways once.

    It begins where the surface is turned most.
    """
    image = Image.fromarray(photograph(subject.name)).crop(subject.crop)
    prediction = rilievo.predict(np.asarray(image))
    photo, depth, _ = answers(prediction)
    scene = _within(surface(prediction))
    least, most = subject.yaw
    poses = []
    for number in range(SWAY):
        angle = 2 * math.pi * number / SWAY
        yaw = (most + least) / 2 + (most - least) / 2 * math.cos(angle)
        poses.append((yaw, subject.pitch + NOD * math.sin(angle)))
    view = _whole(scene, poses)
    for yaw, pitch in poses:
        turned = Image.fromarray(picture(scene, replace(view, yaw=yaw, pitch=pitch)))
        yield photo, depth, turned


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
    first = first_view(scene, PANELS["Surface, turned"])
    height, width = first.size
    K = first.K.copy()
    K[:2, 2] += (width, height)
    wide = View(size=(3 * height, 3 * width), K=K)
    there = np.zeros(wide.size, bool)
    for yaw, pitch in poses[:: SWAY // 12]:
        there |= seen(scene, replace(wide, yaw=yaw, pitch=pitch)).inverse_depth > 0
    rows, columns = np.flatnonzero(there.any(axis=1)), np.flatnonzero(there.any(axis=0))
    begin, end = np.array([(columns[0], rows[0]), (columns[-1] + 1, rows[-1] + 1)])
    panel = np.array([PANELS["Surface, turned"], STRIP_HEIGHT])
    scale = ((panel - 2 * MARGIN) / (end - begin)).min()
    K[:2] *= scale
    K[:2, 2] += panel / 2 - scale * (begin + end) / 2
    return View(size=(panel[1], panel[0]), K=K)


def _panels(parts: tuple[Image.Image, ...], share: float = 1.0) -> Image.Image:
    """Pictures, or a share of them, in dark panels beside one another, each with its label."""
    size = (sum(PANELS.values()) + GAP * (len(PANELS) + 1), STRIP_HEIGHT + 2 * GAP)
    frame, left = Image.new("RGB", size, GROUND), GAP
    draw, font = ImageDraw.Draw(frame, "RGBA"), ImageFont.load_default(15)
    for part, (label, width) in zip(parts, PANELS.items(), strict=True):
        scale = min(width / part.width, STRIP_HEIGHT / part.height)
        inside = (round(scale * part.width), round(scale * part.height))
        fitted = part.resize(inside, Image.Resampling.LANCZOS)
        fitted = Image.blend(Image.new("RGB", inside, GROUND), fitted, share)
        begin, top = left + (width - inside[0]) // 2, GAP + (STRIP_HEIGHT - inside[1]) // 2
        frame.paste(fitted, (begin, top))
        bottom, right = top + inside[1] - 14, begin + inside[0] - 15
        x0, _, x1, _ = draw.textbbox((begin + 15, bottom), label, font, anchor="ls")
        _tag(draw, x0, x1, bottom)
        draw.text((x0, bottom), label, "white", font, anchor="ls")
        if label == "Depth":
            _key(frame, draw, right, bottom)
        left += width + GAP
    return frame


def _tag(draw: ImageDraw.ImageDraw, left: float, right: float, bottom: float) -> None:
    """Dark ground of a line of text."""
    draw.rounded_rectangle((left - 8, bottom - 17, right + 8, bottom + 7), 6, fill=(0, 0, 0, 170))


def _key(frame: Image.Image, draw: ImageDraw.ImageDraw, right: int, bottom: int) -> None:
    """Colours of depth from far to near, up to a column."""
    font, (width, height) = ImageFont.load_default(13), KEY
    far, near = (math.ceil(font.getlength(text)) for text in ("far", "near"))
    start = right - near - 6 - width
    _tag(draw, start - 6 - far, right, bottom)
    draw.text((start - 6, bottom), "far", "white", font, anchor="rs")
    draw.text((right, bottom), "near", "white", font, anchor="rs")
    colours = Image.fromarray(colour_table(DEPTH_COLOURS)[None])
    frame.paste(colours.resize(KEY), (start, bottom - height))


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
