"""Guides stay short: the words that a reader reads, counted page by page and together.

A guide is a page of ``docs/`` itself: pages of ``reference`` and ``decisions`` are for looking
things up, and the three pages of the navigation's section Internals for maintainers. Words are
counted as a reader meets them: headings, paragraphs, lists and the cells of tables, since a page is
not shorter because its sentences stand in a table. Blocks of code, front matter, comments and the
addresses of links and pictures do not count; a picture's description does. A word is what stands
between blanks and has a letter or a digit. ``python tests/test_guide_words.py`` lists all pages.
"""

import re
import sys
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import yaml

ROOT = Path(__file__).parents[1]
MOST_OF_A_PAGE, MOST_TOGETHER = 1800, 29_620
INTERNALS = {"reliability.md", "wheels.md", "hundred-million.md"}
FRONT_MATTER = re.compile(r"\A---\n.*?^---\n", re.DOTALL | re.MULTILINE)
COMMENT = re.compile(r"<!--.*?-->", re.DOTALL)
FENCE = re.compile(r"^([ ]*)```[^\n]*\n.*?^\1```[ ]*$", re.DOTALL | re.MULTILINE)
ADDRESS = re.compile(r"\]\([^)]*\)")
TAG = re.compile(r"</?[a-z][^>]*>")


def words(text: str) -> int:
    """Number of words that a reader of a page meets."""
    for unread in (FRONT_MATTER, COMMENT, FENCE, TAG):
        text = unread.sub(" ", text)
    text = ADDRESS.sub("]", text).replace("|", " ")
    return sum(bool(re.search(r"\w", word)) for word in text.split())


def internals() -> set[str]:
    """Pages of the navigation's section Internals."""
    nav: list[dict[str, Any]] = yaml.safe_load((ROOT / "mkdocs.yml").read_text("utf-8"))["nav"]
    [section] = [entry["Internals"] for entry in nav if "Internals" in entry]
    return {page for entry in section for page in entry.values()}


@cache
def guides() -> dict[str, int]:
    """Words of every guide, by its name."""
    pages = sorted((ROOT / "docs").glob("*.md"))
    return {
        page.name: words(page.read_text("utf-8")) for page in pages if page.name not in INTERNALS
    }


@pytest.mark.parametrize(
    ("text", "count"),
    [
        ("# Two words\n\nA [link to](docs/a.md#b) it, of 3 m.\n", 9),
        ("| a cell | 1.5 |\n| --- | ---: |\n| `code` | – |\n", 4),
        ("Before.\n\n```python\nnot = counted\n```\n\n1. One\n\n   ```\n   not this\n   ```\n", 3),
        ("---\ntitle: No\n---\n<!-- nor this -->\n![A picture](a.jpg)\n", 2),
        ('<div class="grid" markdown>\nOne word<br>more\n</div>\n', 3),
    ],
)
def test_words_are_those_that_are_read(text: str, count: int) -> None:
    assert words(text) == count


def test_internals_are_three_pages() -> None:
    assert internals() == INTERNALS


@pytest.mark.parametrize("name", guides())
def test_no_guide_is_too_long(name: str) -> None:
    assert guides()[name] <= MOST_OF_A_PAGE


def test_all_guides_together_are_not_too_long() -> None:
    total = sum(guides().values())
    assert total <= MOST_TOGETHER, f"{total:,} words"


if __name__ == "__main__":
    counts = sorted((count, name) for name, count in guides().items())
    lines = [f"{count:6,} {name}" for count, name in counts]
    sys.stdout.write("\n".join([*lines, f"{sum(guides().values()):6,} together", ""]))
