"""Write the picture of docs/app.md: the page of ``rilievo app`` with two results.

    python tools/write_app_picture.py [http://127.0.0.1:7860/]

Needs playwright with a Chromium, and the app at that address (``rilievo app``).
"""

import os
import sys
from importlib.resources import files
from pathlib import Path

from PIL import Image
from playwright.sync_api import sync_playwright

PICTURE = Path(__file__).parents[1] / "docs" / "pictures" / "app.jpg"
PHOTOGRAPHS = ("photographer.jpg", "coffee.jpg")
"""The last is shown."""
_WAIT = 600_000  # ms, since surfaces are drawn without a graphics card


def main() -> None:
    """Predict two photographs on the page, and write what it shows then."""
    address = sys.argv[1] if len(sys.argv) > 1 else "http://127.0.0.1:7860/"
    folder = files("rilievo.serving.browser") / "examples"
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path=os.environ.get("CHROMIUM"), args=["--enable-unsafe-swiftshader"]
        )
        page = browser.new_page(viewport={"width": 1280, "height": 800}, reduced_motion="reduce")
        page.set_default_timeout(_WAIT)
        page.goto(address)
        page.locator("input[type=file]").first.set_input_files(
            [str(folder / name) for name in PHOTOGRAPHS]
        )
        page.get_by_text("2 of 2 photographs are done").wait_for()
        page.locator("#surface-state").wait_for(state="hidden")
        part = PICTURE.with_suffix(".png")
        page.screenshot(path=part)
        Image.open(part).convert("RGB").save(PICTURE, quality=85, optimize=True)
        part.unlink()
        browser.close()


if __name__ == "__main__":
    main()
