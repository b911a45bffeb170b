"""The documentation in a real Chromium: no fault that axe-core knows. Skipped until `make docs`."""

from pathlib import Path
from typing import Any

import pytest

from support.accessible import LOOKS, faults
from support.browser import Opened
from support.static_host import PATIENCE, hosted

SITE = Path(__file__).parents[1] / "site"
PAGES = (
    *("index", "quickstart", "outputs", "training", "gallery", "coming-from"),
    *("reference/index", "reference/metrics", "reference/data"),
)
"""A page of each kind: cards, commands, tables, pictures, signatures."""

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not (SITE / "index.html").is_file(), reason="`make docs` has built no site"),
]


@pytest.mark.parametrize("look", ["light", "dark"])
@pytest.mark.parametrize("name", PAGES)
def test_a_page_of_the_site_has_no_fault(browser: Any, name: str, look: str) -> None:
    context = browser.new_context(**LOOKS[look], reduced_motion="reduce")
    context.set_default_timeout(PATIENCE)
    try:
        opened = Opened(context, SITE / f"{name}.html")
        scheme = opened.page.evaluate("document.body.dataset.mdColorScheme")
        assert scheme == {"light": "default", "dark": "slate"}[look]
        # The theme's script adds buttons to code and wraps tables after the page is there.
        opened.page.wait_for_function(
            "() => !document.querySelector('article pre > code, article table:not([class])')"
            " || document.querySelector('.md-code__nav, .md-typeset__scrollwrap')"
        )
        assert faults(opened.page) == []
    finally:
        context.close()


@pytest.mark.parametrize(
    ("width", "is_there", "is_live"), [(1280, True, True), (1280, False, False), (390, True, False)]
)
def test_the_live_page_is_on_the_first_screen(
    browser: Any, width: int, is_there: bool, is_live: bool
) -> None:
    """Small windows, and sites without the page, have a picture with a link in its place."""
    context = browser.new_context(viewport={"width": width, "height": 800})
    context.set_default_timeout(PATIENCE)
    context.route(
        "**/demo/index.html",
        lambda route: route.fulfill(
            status=200 if is_there else 404, body="<title>The page</title>"
        ),
    )
    try:
        with hosted(SITE) as address:
            page = context.new_page()
            page.goto(f"{address}index.html", wait_until="networkidle")
            place = page.locator("iframe.live" if is_live else "a.live")
            place.wait_for()
            box = place.bounding_box()
            assert box["y"] + box["height"] < 800
            assert page.locator(".live").count() == 1
    finally:
        context.close()
