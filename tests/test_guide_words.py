"""Pages and docstrings stay short: ``tools/words.py`` says what counts as a word."""

import runpy
from collections.abc import Mapping
from pathlib import Path

import pytest

WORDS = runpy.run_path(str(Path(__file__).parents[1] / "tools/words.py"))
GUIDES: Mapping[str, int] = WORDS["guides"]()
MOST_OF_A_GUIDE = 1800
MOST = {
    "guides and README": 26_000,
    "all pages and README": 50_000,
    "pages in the navigation": 35_200,
    "docstrings of src": 68_500,
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
    assert WORDS["words"](text) == count


def test_docstrings_are_those_of_modules_classes_functions_and_fields(tmp_path: Path) -> None:
    path = tmp_path / "module.py"
    path.write_text(
        '"""A module."""\nclass A:\n    """Of it."""\n    b: int = 1\n    """A field."""\n'
    )
    assert WORDS["words_of_docstrings"](path) == 6
    path.write_text('text = "not counted"\nprint("nor this")  # nor this\n')
    assert WORDS["words_of_docstrings"](path) == 0


@pytest.mark.parametrize("name", GUIDES)
def test_no_guide_is_too_long(name: str) -> None:
    assert GUIDES[name] <= MOST_OF_A_GUIDE


def test_no_part_has_more_words_than_it_had() -> None:
    """``python tools/words.py --pages`` lists them all."""
    totals = WORDS["totals"]()
    assert totals.keys() == MOST.keys()
    assert {name: count for name, count in totals.items() if count > MOST[name]} == {}
