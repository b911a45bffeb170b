"""The documentation in a real Chromium: no fault that axe-core knows. Skipped until `make docs`."""

from pathlib import Path
from typing import Any

import pytest

from accessible import LOOKS, faults
from browser import Opened
from static_host import PATIENCE

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
