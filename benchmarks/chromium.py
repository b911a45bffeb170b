"""A real Chromium for the benchmarks of pages."""

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.util import find_spec
from typing import Any

from benchmarks.measure import NotHereError


@contextmanager
def chromium(*arguments: str) -> Iterator[Any]:
    """A browser that draws WebGL without a graphics card, started with more arguments."""
    program = shutil.which("chromium") or shutil.which("google-chrome")
    if find_spec("playwright") is None or program is None:
        raise NotHereError("playwright or Chromium is not installed")
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path=program,
            args=["--no-sandbox", "--enable-unsafe-swiftshader", *arguments],
        )
        yield browser
        browser.close()
