"""The first screen of ``rilievo app`` and ``rilievo page`` in a real Chromium, at four sizes.

Usage: python tools/first_screens.py FOLDER

Measured are the share of the screen that is picture, layout shifts until a photograph that follows
the example has a surface, overflow, and the contrast of labels on pictures over white and black. Of
the surface its pixels count, not its background. The screens are written into the folder; the exit
status is 1 where a bar is missed.
"""

import io
import re
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from benchmarks.app import server
from benchmarks.chromium import chromium
from benchmarks.measure import rilievo_command
from benchmarks.page import host
from benchmarks.photographs import make_photographs
from benchmarks.settings import SHIPPED, Settings

SIZES = ((1280, 800), (1440, 900), (768, 1024), (390, 844))
"""Widths and heights of the windows [px]."""
LEAST_PICTURE = 0.75
"""Share of the first screen that is picture."""
LARGEST_SHIFT = 0.05
"""Sum of all layout shifts, from the first paint to the surface of a second photograph."""
LEAST_CONTRAST = 4.5
"""Contrast of labels on pictures, whatever lies below them."""

_STEP = 4
"""Pixels between two places that are looked at."""
_UNLIKE = 6
"""Levels of 255 by which a pixel of the surface differs from its background at least."""
_PATIENCE = 180_000
_PHONE = 480

_LISTEN = """
window.shifts = [];
const named = ({ node }) => node?.id || node?.getAttribute?.("class") || node?.nodeName;
new PerformanceObserver((list) => {
  for (const { value, sources } of list.getEntries()) {
    shifts.push([value, sources.map(named).join(" ")]);
  }
}).observe({ type: "layout-shift", buffered: true });
"""
_LABELS = ".stage span, .reading, .lines text"
# What is on top at every so many-th pixel: 1 a picture, 2 the surface, 0 anything else.
_ON_TOP = """([step, names]) => {
  const boxes = [...document.querySelectorAll(names)]
    .filter((each) => each.checkVisibility() && each.textContent)
    .map((each) => each.getBoundingClientRect());
  const isIn = (x, y) => ({ left, right, top, bottom }) =>
    x >= left && x < right && y >= top && y < bottom;
  const codes = [];
  for (let y = step / 2; y < innerHeight; y += step) {
    for (let x = step / 2; x < innerWidth; x += step) {
      const top = boxes.some(isIn(x, y)) ? null : document.elementFromPoint(x, y);
      codes.push(top?.closest(".solid .scene") ? 2 : top?.closest(".stage, video") ? 1 : 0);
    }
  }
  return codes;
}"""
_BACKGROUND = "() => getComputedStyle(document.querySelector('.views')).backgroundColor"
# Text of each label on a picture, its colour and that right behind it.
_COLOURS = """(names) => [...document.querySelectorAll(names)]
  .filter((each) => each.textContent)
  .map((each) => {
    const style = getComputedStyle(each), { textContent } = each;
    return each instanceof SVGElement ? [textContent, style.fill, style.stroke]
      : [textContent, style.color, style.backgroundColor];
  })"""
_OVERFLOW = "document.documentElement.scrollWidth - document.documentElement.clientWidth"


@dataclass(frozen=True, slots=True, kw_only=True)
class Look:
    """First screen of a page in a window of one size.

    Attributes:
        picture: Share of the window that is picture.
        shift: Sum of layout shifts.
        shifts: The largest of them, each with what moved.
        overflow: Width of the page beyond the window [px].
        contrast: Least contrast of a label, over white and over black.
        screen: The screen as PNG.
    """

    picture: float
    shift: float
    shifts: Sequence[str]
    overflow: int
    contrast: float
    screen: bytes

    @property
    def is_good(self) -> bool:
        """Whether all bars are met."""
        return (
            self.picture >= LEAST_PICTURE
            and self.shift <= LARGEST_SHIFT
            and self.contrast >= LEAST_CONTRAST
            and not self.overflow
        )


def looks(
    work: Path, photo: Path, sizes: Sequence[tuple[int, int]]
) -> dict[tuple[str, tuple[int, int]], Look]:
    """Look at both pages in windows of all sizes."""
    pages: Mapping[str, AbstractContextManager[str]] = {"app": _app(), "page": _page(work / "page")}
    screens = {}
    for name, served in pages.items():
        with served as address, chromium() as browser:
            for size in sizes:
                screens[name, size] = _look(browser, address, size, photo)
    return screens


@contextmanager
def _app() -> Iterator[str]:
    with server("app") as (address, _):
        yield address


@contextmanager
def _page(folder: Path) -> Iterator[str]:
    command = [str(part) for part in rilievo_command("page", "--output", folder)]
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
    with host(folder) as (address, _):
        yield address


def _look(browser: Any, address: str, size: tuple[int, int], photo: Path) -> Look:
    width, height = size
    is_phone = width <= _PHONE
    context = browser.new_context(
        viewport={"width": width, "height": height},
        is_mobile=is_phone,
        has_touch=is_phone,
        reduced_motion="reduce",
        service_workers="block",
    )
    context.set_default_timeout(_PATIENCE)
    context.add_init_script(_LISTEN)
    page = context.new_page()
    page.goto(address)
    _wait(page)
    screen = page.screenshot()
    picture = _picture_share(page, screen)
    page.set_input_files("#photo-file", photo)
    page.locator("#result-title", has_text=photo.stem).wait_for(state="attached")
    _wait(page)
    for kind in ("line", "height", "angle"):
        page.evaluate("(id) => document.getElementById(id).click()", f"add-{kind}")
    contrast = min(_contrast(*colours) for _, *colours in page.evaluate(_COLOURS, _LABELS))
    overflow, shifts = page.evaluate(_OVERFLOW), page.evaluate("shifts")
    context.close()
    largest = sorted(shifts, reverse=True)[:3]
    return Look(
        picture=picture,
        shift=sum(value for value, _ in shifts),
        shifts=[f"{value:.3f} {what}" for value, what in largest],
        overflow=overflow,
        contrast=contrast,
        screen=screen,
    )


def _wait(page: Any) -> None:
    """Wait for a photograph, its depth and its surface."""
    page.locator("#state", has_text="Done").wait_for(state="attached")
    page.locator("#surface-state").wait_for(state="hidden")
    page.wait_for_timeout(300)


def _picture_share(page: Any, screen: bytes) -> float:
    """Share of places of a screen where a picture is on top; of the surface, where it is drawn."""
    with Image.open(io.BytesIO(screen)) as image:
        pixels = np.asarray(image.convert("RGB")).astype(int)[
            _STEP // 2 :: _STEP, _STEP // 2 :: _STEP
        ]
    codes = np.array(page.evaluate(_ON_TOP, [_STEP, _LABELS])).reshape(pixels.shape[:2])
    is_drawn = (np.abs(pixels - _numbers(page.evaluate(_BACKGROUND))[:3]) > _UNLIKE).any(axis=2)
    return float(np.mean((codes == 1) | ((codes == 2) & is_drawn)))


def _numbers(colour: str) -> np.ndarray:
    return np.array([float(number) for number in re.findall(r"[\d.]+", colour)])


def _contrast(front: str, back: str) -> float:
    """Least contrast of a colour before another one, which lies over white or over black."""
    red, green, blue, *alpha = _numbers(back)
    share = alpha[0] if alpha else 1.0
    return min(
        _ratio(_numbers(front)[:3], share * np.array([red, green, blue]) + (1 - share) * below)
        for below in (0.0, 255.0)
    )


def _ratio(one: np.ndarray, other: np.ndarray) -> float:
    """Contrast of two colours, as WCAG defines it."""
    light, dark = sorted((_luminance(one), _luminance(other)), reverse=True)
    return (light + 0.05) / (dark + 0.05)


def _luminance(colour: np.ndarray) -> float:
    share = colour / 255
    linear = np.where(share <= 0.04045, share / 12.92, ((share + 0.055) / 1.055) ** 2.4)
    return float(linear @ np.array([0.2126, 0.7152, 0.0722]))


def main(folder: Path) -> int:
    """Look at all screens; returns 1 if a bar is missed."""
    folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as work:
        settings = Settings(quick=False, work=Path(work), weights=SHIPPED)
        [photo] = make_photographs(settings.folder("photo"), 1)
        screens = looks(Path(work), photo, SIZES)
    for (name, (width, height)), look in screens.items():
        (folder / f"{name}-{width}x{height}.png").write_bytes(look.screen)
        print(
            f"{name} {width}x{height}: picture {look.picture:.3f}, shift {look.shift:.3f} "
            f"({', '.join(look.shifts)}), overflow {look.overflow}, contrast {look.contrast:.1f}"
        )
    return int(not all(look.is_good for look in screens.values()))


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1])))
