"""Facts that readers look up stay on the pages, whatever is cut or moved."""

import re
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
FACTS = [
    line.partition(" | ")[2]
    for line in Path(__file__).with_name("document_facts.txt").read_text("utf-8").splitlines()
    if not line.startswith("#")
]


@cache
def blocks() -> tuple[str, ...]:
    """Paragraphs, tables and programs of all pages, in small letters and without line breaks."""
    pages = sorted((ROOT / "docs").rglob("*.md"))
    found = (re.split(r"\n\s*\n", page.read_text("utf-8")) for page in pages)
    return tuple(plain(block) for page in found for block in page)


def plain(text: str) -> str:
    return " ".join(text.replace("`", "").replace("*", "").lower().split())


def is_there(fact: str) -> bool:
    pieces = [plain(piece) for piece in fact.split(" & ")]
    return any(all(piece in block for piece in pieces) for block in blocks())


def test_there_are_enough_facts_and_none_twice() -> None:
    assert len(FACTS) >= 340
    assert len(FACTS) == len(set(FACTS))


@pytest.mark.parametrize("fact", FACTS)
def test_the_fact_is_in_the_guides(fact: str) -> None:
    assert is_there(fact)


def test_a_fact_that_no_page_states_is_missed() -> None:
    assert not is_there("at most 200 points & AprilTags")
