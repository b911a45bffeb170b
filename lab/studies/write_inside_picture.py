"""Write the picture of docs/panoramas.md: four views from inside the page of a rendered panorama.

    python lab/studies/write_inside_picture.py

Needs playwright with a Chromium (``CHROMIUM`` names another) and the renderer's numba.
"""

import tempfile
from pathlib import Path
from typing import Any

from evaluate_panoramas import PICTURED
from picture_grid import grid
from PIL import Image
from write_guide_pictures import window

import rilievo
from lab.scenes.wide import render_wide
from rilievo.geometry.cameras.equirectangular import panorama

PICTURE = Path(__file__).parents[2] / "docs" / "pictures" / "panorama-inside.jpg"
SIZE = (1024, 2048)
TURNS = (("0", 1), ("ArrowRight", 13), ("ArrowRight", 13), ("ArrowUp", 9))
"""Keys before each view, from left to right and top to bottom."""


def main() -> None:
    """Render a room, predict it, open its page, look around."""
    sample = render_wide(PICTURED, panorama(SIZE), SIZE)
    with tempfile.TemporaryDirectory() as folder, window(height=900) as page:
        place = Path(folder) / "room"
        rilievo.predict(sample.image, projection="equirect").save(place, ["html"])
        page.goto(place.with_suffix(".html").as_uri())
        page.locator("#surface-state").wait_for(state="hidden")
        views = [_view(page, Path(folder), key, times) for key, times in TURNS]
    whole = grid([views[:2], views[2:]])
    whole.thumbnail((1000, 1000), Image.Resampling.LANCZOS)
    whole.save(PICTURE, quality=82, optimize=True)


def _view(page: Any, folder: Path, key: str, times: int) -> Image.Image:
    """Picture of the surface after a key was pressed so many times, without its round corners."""
    page.locator("#surface").focus()
    for _ in range(times):
        page.keyboard.press(key)
        page.wait_for_timeout(50)
    page.wait_for_timeout(1000)
    page.locator("#surface").screenshot(path=folder / "view.png")
    view = Image.open(folder / "view.png").convert("RGB")
    return view.crop((6, 6, view.width - 6, view.height - 6))


if __name__ == "__main__":
    main()
