"""Tables of the guides on a phone: code in them stays on one line."""

from pathlib import Path

import pytest

from support.browser import chromium

ROOT = Path(__file__).parents[1]
GUIDES = sorted((ROOT / "docs").rglob("*.md"))
WIDTH = 390
# What the site's theme has of tables, by which a cell may break anywhere.
THEME = """
body { margin: 0 .8rem; overflow-wrap: break-word; }
.md-typeset table:not([class]) { display: inline-block; max-width: 100%; overflow: auto; }
.md-typeset code { word-break: break-word; font-size: .85em; padding: 0 .29em; }
.md-typeset th, .md-typeset td { padding: .9375em 1.25em; vertical-align: top; }
"""
BROKEN = """
() => [...document.querySelectorAll("table code")]
  .filter((code) => new Set([...code.getClientRects()].map((box) => Math.round(box.top))).size > 1)
  .map((code) => code.textContent)
"""


@pytest.mark.slow
def test_code_in_tables_has_one_line_box() -> None:
    markdown = pytest.importorskip("markdown")
    style = (ROOT / "docs/site.css").read_text("utf-8")
    pages = [
        markdown.markdown(guide.read_text("utf-8"), extensions=["tables", "fenced_code"])
        for guide in GUIDES
    ]
    with chromium() as browser:
        page = browser.new_page(viewport={"width": WIDTH, "height": 844})
        page.set_content(
            f'<meta name="viewport" content="width=device-width"><style>{THEME}{style}</style>'
            f'<body class="md-typeset">{"".join(pages)}'
        )
        count = page.evaluate("() => document.querySelectorAll('table code').length")
        broken = page.evaluate(BROKEN)
    assert count > 500
    assert broken == []
