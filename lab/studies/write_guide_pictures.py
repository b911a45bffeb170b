"""Write pictures of what runs: the app, the page without a server, the server, a notebook.

    python lab/studies/write_guide_pictures.py app|page|serve|python ...

Each starts what it shows, and ends it. The first two need playwright with a Chromium: that of
``playwright install chromium``, or the program that CHROMIUM names, or one on the PATH.
"""

import io
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from importlib.resources import files
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any
from urllib.request import Request, urlopen

from everyday_photographs import photograph
from picture_grid import grid
from PIL import Image

import rilievo

PICTURES = Path(__file__).parents[2] / "docs" / "pictures"
_EXAMPLES = files("rilievo.serving.browser") / "examples"
_WAIT = 600_000  # ms, since surfaces are drawn without a graphics card
_WIDTH, _QUALITY = 840, 72


@contextmanager
def _running(*command: str) -> Iterator[str]:
    """A module that serves on a free port; gives its address."""
    with subprocess.Popen(
        [sys.executable, "-u", "-m", *command],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    ) as process:
        try:
            assert process.stdout is not None
            lines = (re.search(r"http://[^;)\s]+", line) for line in process.stdout)
            address = next(filter(None, lines), None)
            if address is None:
                sys.exit(f"{' '.join(command)} did not start")
            yield address[0]
        finally:
            process.terminate()


@contextmanager
def window(height: int = 720) -> Iterator[Any]:
    """A page of a Chromium that draws WebGL without a graphics card."""
    from playwright.sync_api import sync_playwright

    names = ("chromium", "chromium-browser", "google-chrome")
    program = os.environ.get("CHROMIUM") or next(filter(None, map(shutil.which, names)), None)
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path=program, args=["--no-sandbox", "--enable-unsafe-swiftshader"]
        )
        page = browser.new_page(viewport={"width": 1280, "height": height}, reduced_motion="reduce")
        page.set_default_timeout(_WAIT)
        yield page
        browser.close()


def _shot(page: Any) -> Image.Image:
    """The window once nothing moves any more."""
    before, now = b"", page.screenshot()
    while now != before:
        page.wait_for_timeout(2000)
        before, now = now, page.screenshot()
    return Image.open(io.BytesIO(now))


def app() -> Image.Image:
    """The app after two photographs."""
    with _running("rilievo", "app", "--port", "0") as address, window() as page:
        page.goto(address)
        names = ("hat.jpg", "coffee.jpg")
        page.set_input_files("#photo-file", [str(_EXAMPLES / name) for name in names])
        page.get_by_text("2 of 2 photographs were predicted").wait_for()
        page.locator("#surface-state").wait_for(state="hidden")
        return _shot(page)


def page() -> Image.Image:
    """The page without a server: photograph and normals, the surface turned."""
    with TemporaryDirectory() as name:
        site = Path(name) / "site"
        subprocess.run([sys.executable, "-m", "rilievo", "page", "-o", str(site)], check=True)
        host = ("http.server", "0", "--bind", "127.0.0.1", "--directory", str(site))
        with _running(*host) as address, window() as opened:
            opened.goto(f"{address}?example=hat#t=1")
            opened.locator("#state", has_text="Done").wait_for()
            opened.focus("#surface")
            for key in ("ArrowRight", "ArrowRight", "ArrowUp"):
                opened.keyboard.press(key)
            opened.evaluate("document.activeElement.blur()")
            return _shot(opened)


def serve() -> Image.Image:
    """A photograph, and what the server answers it with."""
    sent = io.BytesIO()
    Image.fromarray(photograph("stonehenge")).save(sent, "JPEG", quality=92)
    parts = [Image.open(sent)]
    with _running("rilievo", "serve", "--port", "0") as address:
        for output in ("colour", "normals"):
            place = f"{address.rstrip('/')}/v1/predict?save={output}"
            with urlopen(Request(place, data=sent.getvalue())) as answer:
                parts.append(Image.open(io.BytesIO(answer.read())))
    return grid([parts])


def python() -> Image.Image:
    """The pictures that a notebook shows of a prediction."""
    prediction = rilievo.predict(photograph("fruit"))
    return Image.open(io.BytesIO(prediction._repr_png_()))


_KNOWN: dict[str, Callable[[], Image.Image]] = {
    each.__name__: each for each in (app, page, serve, python)
}


def main() -> None:
    """Write the pictures that are named."""
    for name in sys.argv[1:]:
        if name not in _KNOWN:
            sys.exit(f"error: no picture '{name}': {', '.join(_KNOWN)}")
        shown = _KNOWN[name]().convert("RGB")
        shown.thumbnail((_WIDTH, _WIDTH), Image.Resampling.LANCZOS)
        shown.save(PICTURES / f"{name}.jpg", quality=_QUALITY, optimize=True)


if __name__ == "__main__":
    main()
