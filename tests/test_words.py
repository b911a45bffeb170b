"""Pages use the field's words for a few things that had private words here before."""

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PAGES = tuple(sorted(ROOT.glob("docs/**/*.md")))
CODE = re.compile(r"^([ ]*)```.*?^\1```[ ]*$|<!--.*?-->|`[^`]*`", re.DOTALL | re.MULTILINE)
# The field says ground truth, skipped and resumed.
AVOIDED = re.compile(r"(?<!ground[ -])\btruths?\b|\bpassed over\b|\b(?:go|goes|gone) on with\b")


def prose(page: str) -> str:
    """Text of a page without its programs and code names, in lower case on one line."""
    return " ".join(CODE.sub(" ", page).lower().split())


def test_avoided_words_are_found_across_lines_and_not_in_code() -> None:
    page = "The Truth is\nground\ntruth, `truth.py`. A file is passed\nover; work goes on with it."
    assert AVOIDED.findall(prose(page)) == ["truth", "passed over", "goes on with"]


@pytest.mark.parametrize("page", PAGES, ids=lambda path: path.relative_to(ROOT).as_posix())
def test_pages_have_no_avoided_words(page: Path) -> None:
    assert not AVOIDED.findall(prose(page.read_text("utf-8")))
