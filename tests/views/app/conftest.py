"""A running app and a real Chromium, for the tests of the page."""

from collections.abc import Iterator
from typing import Any

import pytest

from app_server import CHROMIUM, FLAGS, Served, serving
from app_visitor import opened

SOON = 30_000


@pytest.fixture(scope="session")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    options = ("--max-megabytes", "2", "--max-megapixels", "3", "--max-seconds", "20")
    with serving(tmp_path_factory.mktemp("server"), *options) as app:
        yield app
    assert not list(app.folder.glob("rilievo-*")), "what was uploaded is gone with the server"


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    """Open for one module: Playwright holds the event loop that others need."""
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        found = playwright.chromium.launch(executable_path=CHROMIUM, args=list(FLAGS))
        yield found
        found.close()


@pytest.fixture
def page(browser: Any, served: Served) -> Iterator[Any]:
    """A visitor who has the page open; all that was asked for came from the server."""
    context = browser.new_context(viewport={"width": 1280, "height": 900}, accept_downloads=True)
    page = context.new_page()
    page.set_default_timeout(SOON)
    elsewhere: list[str] = []
    faults: list[str] = []
    page.on("request", lambda request: elsewhere.append(request.url))
    page.on("pageerror", lambda error: faults.append(str(error)))
    opened(page, served)
    yield page
    context.close()
    own = (served.address, "data:", f"blob:{served.address}")
    assert [url for url in elsewhere if not url.startswith(own)] == []
    assert faults == []
