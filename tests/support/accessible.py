"""Faults that axe-core finds in a page in a browser."""

from typing import Any

import pytest

from support.browser import Opened

LOOKS: dict[str, dict[str, Any]] = {
    "light": {"viewport": {"width": 1280, "height": 800}, "color_scheme": "light"},
    "dark": {"viewport": {"width": 1280, "height": 800}, "color_scheme": "dark"},
    "phone": {"viewport": {"width": 390, "height": 844}, "has_touch": True, "is_mobile": True},
}
"""Options of the windows in which pages are looked at."""
_RULES = ("wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice")


def faults(page: Any) -> list[str]:
    """Rules of WCAG 2.2 AA and of good practice that a page breaks, with the elements at fault."""
    axe = pytest.importorskip("axe_playwright_python.base", reason="axe-core is not installed")
    page.evaluate(axe.AXE_SCRIPT)
    # Style sheets are not read again: a page that forbids requests would complain of them.
    found = page.evaluate(
        "(rules) => axe.run({ preload: false, resultTypes: ['violations'],"
        " runOnly: { type: 'tag', values: rules } })",
        list(_RULES),
    )
    assert found["passes"], "axe looked at nothing"
    return [
        f"{each['id']}: {node['target']}" for each in found["violations"] for node in each["nodes"]
    ]


def check_opened(opened: Opened, *own: str) -> None:
    """Check a page that was opened: no fault, no complaint, and no request but to ``own``."""
    found = faults(opened.page)
    assert not found, "\n".join(found)
    assert opened.complaints == []
    allowed = (*own, "data:", "blob:")
    assert [url for url in opened.asked if not url.startswith(allowed)] == []
