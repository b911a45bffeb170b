"""A real Chromium for tests of pages; where there is none, they are skipped."""

import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

COARSE: Mapping[str, Any] = {"device_scale_factor": 0.5, "reduced_motion": "reduce"}
"""Options of a window for tests of what a page does: a quarter of the pixels, and no swaying.

Its layout is that of any window, but without a graphics card drawing is most of the work.
"""
_UNUSED = (
    *("WebUIOmniboxPopup", "WebUIOmniboxAimPopup", "WebUIOmniboxFullPopup"),
    *("AimEnabled", "AvoidUnnecessaryBeforeUnloadCheckSync", "DestroyProfileOnBrowserClose"),
    *("HttpsFirstBalancedModeAutoEnable", "HttpsUpgrades", "LensOverlay", "MediaRouter"),
    *("NetworkTimeServiceQuerying", "OptimizationHints", "PaintHolding", "PreconnectToSearch"),
    *("AvoidCorsURLLoaderRestartOnRedirect", "ThirdPartyStoragePartitioning"),
)
"""Features of Chromium that tests do without.

The first three draw lists below the address bar, which a window without a screen has too: two
pages more for each page, and two thirds of what it costs to open one. Playwright turns the others
off by the same argument, of which Chromium takes the last.
"""
CAMERAS = """
globalThis.cameras = [];
const { uniformMatrix4fv } = WebGL2RenderingContext.prototype;
WebGL2RenderingContext.prototype.uniformMatrix4fv = function (place, transpose, matrix, ...others) {
  // Of a camera; the last number of a projection is 0.
  if (matrix[15] === 1) globalThis.cameras.push([...matrix]);
  return uniformMatrix4fv.call(this, place, transpose, matrix, ...others);
};
"""
"""Script for a page that keeps where the camera stands in every picture of the surface."""
_running: list[Any] = []


@contextmanager
def chromium(*arguments: str) -> Iterator[Any]:
    """A browser that draws WebGL without a graphics card, started with more arguments."""
    playwright = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
    program = next(
        filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None
    )
    if program is None:
        pytest.skip("there is no Chromium here")
    with _started(playwright) as running:
        browser = running.chromium.launch(
            executable_path=program,
            args=[
                "--no-sandbox",
                "--enable-unsafe-swiftshader",
                # Four samples a pixel are half of what a processor draws of a surface.
                "--webgl-msaa-sample-count=0",
                f"--disable-features={','.join(_UNUSED)}",
                *arguments,
            ],
        )
        try:
            yield browser
        finally:
            browser.close()


@contextmanager
def _started(playwright: Any) -> Iterator[Any]:
    """Playwright, which refuses a second start in a thread while it runs there."""
    if _running:
        yield _running[0]
        return
    with playwright.sync_playwright() as running:
        _running.append(running)
        try:
            yield running
        finally:
            _running.clear()


class Opened:
    """A page from disk or at an address, with everything that it asked for and complained of."""

    def __init__(self, context: Any, path: Path | str) -> None:
        self.page = context.new_page()
        self.asked: list[str] = []
        self.complaints: list[str] = []
        self.page.on("request", lambda each: self.asked.append(each.url))
        self.page.on("pageerror", lambda each: self.complaints.append(str(each)))
        self.page.on("console", self._hear)
        self.page.goto(path if isinstance(path, str) else path.as_uri())

    def _hear(self, message: Any) -> None:
        # What a software renderer says of its own speed is no fault of the page.
        if message.type in ("error", "warning") and "GPU stall" not in message.text:
            self.complaints.append(message.text)


def unfold(page: Any, menu: str) -> None:
    """Open a menu of the page, and close the others."""
    page.evaluate(
        "(menu) => document.querySelectorAll('details.menu')"
        ".forEach((each) => { each.open = each.matches(menu); })",
        menu,
    )


def bare(page: Any) -> None:
    """Take away what stands on the surface, so that a picture of it shows the surface alone."""
    page.evaluate(
        "document.querySelectorAll('#surface-controls, .solid .reading')"
        ".forEach((each) => { each.style.display = 'none'; })"
    )


def share_of_pictures(page: Any) -> float:
    """Share of the window that pictures take, where no button lies on them."""
    return page.evaluate(
        """() => {
            const seen = new Uint8Array(innerWidth * innerHeight);
            const within = (at, most) => Math.max(0, Math.min(most, Math.round(at)));
            const fill = (selector, value) => {
                for (const each of document.querySelectorAll(selector)) {
                    if (!each.checkVisibility()) continue;
                    const { left, right, top, bottom } = each.getBoundingClientRect();
                    const ends = [left, right].map((x) => within(x, innerWidth));
                    for (let y = within(top, innerHeight); y < within(bottom, innerHeight); y++) {
                        seen.fill(value, y * innerWidth + ends[0], y * innerWidth + ends[1]);
                    }
                }
            };
            fill(".stage, #surface", 1);
            fill("header, button, summary, output, .head, .foot", 0);
            return seen.reduce((sum, each) => sum + each, 0) / seen.length;
        }"""
    )
