"""A real Chromium for tests of pages; where there is none, they are skipped."""

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

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
            args=["--no-sandbox", "--enable-unsafe-swiftshader", *arguments],
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
    """A page from disk, with everything that it asked for and complained of."""

    def __init__(self, context: Any, path: Path) -> None:
        self.page = context.new_page()
        self.asked: list[str] = []
        self.complaints: list[str] = []
        self.page.on("request", lambda each: self.asked.append(each.url))
        self.page.on("pageerror", lambda each: self.complaints.append(str(each)))
        self.page.on("console", self._hear)
        self.page.goto(path.as_uri())

    def _hear(self, message: Any) -> None:
        # What a software renderer says of its own speed is no fault of the page.
        if message.type in ("error", "warning") and "GPU stall" not in message.text:
            self.complaints.append(message.text)
