"""Decisions: each section has its parts, and rests on something measured."""

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PAGE = ROOT / "docs/decisions/README.md"
PARTS = ("**Why**", "**Measured**", "**Would change it**")
DATE = re.compile(r"Decided on \d{1,2} [A-Z][a-z]+ 20\d\d\. ")
# A commit, a page or a file of this repository, or a command.
SOURCE = re.compile(r"`[0-9a-f]{8}`|\]\(\.\./|`(?:python|make|tests/|tools/|lab/)")


def records(page: str) -> dict[str, str]:
    """Texts of the decisions by their headings."""
    pieces = re.split(r"^## (.+)$", page, flags=re.MULTILINE)
    sections = dict(zip(pieces[1::2], pieces[2::2], strict=True))
    return {title: text for title, text in sections.items() if title != "When to write one"}


RECORDS = records(PAGE.read_text("utf-8"))


def faults(text: str) -> list[str]:
    """List what a decision lacks."""
    wrong = [] if DATE.match(text.strip()) else ["no date begins it"]
    places = [text.find(part) for part in PARTS]
    wrong += [f"it has no {part}" for part, place in zip(PARTS, places, strict=True) if place < 0]
    if places != sorted(places):
        wrong.append(f"the order is not {', '.join(PARTS)}")
    if not SOURCE.search(text[max(places[1], 0) :]):
        wrong.append("no commit, page or command is named under Measured")
    return wrong


@pytest.mark.parametrize("title", RECORDS)
def test_a_record_has_its_parts(title: str) -> None:
    assert faults(RECORDS[title]) == []


GOOD = (
    "\n\nDecided on 1 May 2026. What.\n**Why**: b. **Measured**: 3 ms (commit `0123abcd`).\n"
    "**Would change it**: c.\n"
)


@pytest.mark.parametrize(
    ("part", "instead", "words"),
    [
        ("on 1 May 2026. ", "in May. ", "date"),
        ("**Why**: b. ", "", "no **Why**"),
        ("**Why**", "**Would change it**: c. **Why**", "order"),
        (" (commit `0123abcd`)", "", "no commit"),
    ],
)
def test_what_a_record_lacks_is_found(part: str, instead: str, words: str) -> None:
    assert faults(GOOD) == []
    [fault] = faults(GOOD.replace(part, instead))
    assert words in fault


def test_numbers_follow_one_another_and_titles_are_sentences() -> None:
    assert [int(title[:4]) for title in RECORDS] == list(range(1, len(RECORDS) + 1))
    assert len(RECORDS) >= 26
    assert all(re.fullmatch(r"\d{4} \S.+[^.]", title) for title in RECORDS)
