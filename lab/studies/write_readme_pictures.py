"""Make README's pictures of photographs, depth and surfaces with rilievo itself.

    python lab/studies/write_readme_pictures.py overview|strip

``turning.webp`` is a strip of three photographs: in each a wipe shows the depth in colours, and
another one the surface, which then turns. The first frame, which viewers show that do not animate,
has all three side by side. ``overview.jpg`` shows three more photographs with depth and normals.
``everyday_photographs`` says where they are from.
"""

import math
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
from everyday_photographs import photograph
from picture_grid import answers, grid, of_height, surface
from PIL import Image

import rilievo
from rilievo.io.outputs.turning import first_view, picture

FOLDER = Path(__file__).parents[2] / "docs" / "pictures"
STRIP, OVERVIEW = {"houseboat": 5.0, "hat": 10.0, "lane": 8.0}, ("railing", "bear", "cafe")
"""Photographs of the strip with their largest turn to the side [degrees]; those of the overview."""
HEIGHT = 300
STRIP_HEIGHT, QUALITY, RATE = 280, 50, 12
"""Height of the strip [px], the quality of its WebP, and its frames a second."""
FIRST, STILL = 1600, 700
"""Milliseconds of the first frame, and of a picture that stands."""
WIPE, TURN = 12, 36
"""Frames of a wipe, and of the surface that turns once."""
PITCH, ZOOM = 2.0, 1.1
"""Largest turn down [degrees], and enlargement that hides the surface's rim."""
_WHOLE = (1, 2 + WIPE, 3 + 2 * WIPE + TURN // 4)
"""Frames of a panel with the photograph, the depth, and the surface at its largest turn."""


def strip() -> list[Image.Image]:
    """Frames of the three photographs beside one another; the first has all that two become."""
    panels = [[*_panel(name, yaw)] for name, yaw in STRIP.items()]
    first, *others = (grid([frames], 0) for frames in zip(*panels, strict=True))
    # The portrait, whole in every form; its photograph stays where it moves afterwards.
    photo, depth, turned = (panels[1][place] for place in _WHOLE)
    left = panels[0][0].width
    for place, part in enumerate((photo, depth, turned)):
        first.paste(part, (left + place * (part.width + 1), 0))
    return [first, *others]


def _panel(name: str, most: float) -> Iterator[Image.Image]:
    """Yield frames of a photograph, its depth and its surface, ``STRIP_HEIGHT`` high.

    The first one has a third of each side by side.
    """
    prediction = rilievo.predict(photograph(name))
    photo, depth, _ = (of_height(part, STRIP_HEIGHT) for part in answers(prediction))
    scene = surface(prediction)
    view = first_view(scene)
    K = view.K.copy()
    K[:2, :2] *= ZOOM
    K[:2, 2] += (ZOOM - 1) * (K[:2, 2] - (np.array(view.size[::-1]) - 1) / 2)

    def turned(share: float) -> Image.Image:
        yaw, pitch = most * share, PITCH * share**2
        frame = picture(scene, replace(view, K=K, yaw=yaw, pitch=pitch))
        return Image.fromarray(frame).resize(photo.size, Image.Resampling.LANCZOS)

    swing = [round(math.sin(2 * math.pi * number / TURN), 6) for number in range(TURN)]
    drawn = {share: turned(share) for share in dict.fromkeys(swing)}
    third = photo.width / 3
    yield _split(_split(photo, depth, round(third)), drawn[-1.0], round(2 * third))
    yield photo
    yield from _wipe(photo, depth)
    yield depth
    yield from _wipe(depth, drawn[0.0])
    yield from (drawn[share] for share in swing)
    yield from _wipe(drawn[0.0], photo)


def _wipe(before: Image.Image, after: Image.Image) -> Iterator[Image.Image]:
    """Yield frames in which a picture comes over another from the left, behind a white line."""
    for number in range(WIPE):
        # Slow at both ends.
        share = (1 - math.cos(math.pi * (number + 1) / (WIPE + 1))) / 2
        yield _split(after, before, round(share * before.width))


def _split(left: Image.Image, right: Image.Image, edge: int) -> Image.Image:
    """A picture up to a column, a white line, and another picture after it."""
    frame = right.copy()
    frame.paste(left.crop((0, 0, edge, left.height)))
    frame.paste("white", (max(0, edge - 1), 0, edge + 1, frame.height))
    return frame


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
    frame = round(1000 / RATE)
    times = [FIRST, STILL, *[frame] * WIPE, STILL, *[frame] * (2 * WIPE + TURN)]
    first.save(
        FOLDER / "turning.webp",
        save_all=True,
        append_images=others,
        duration=times,
        loop=0,
        quality=QUALITY,
        method=4,
    )


if __name__ == "__main__":
    {"overview": write_overview, "strip": write_strip}[sys.argv[1]]()
