"""Pictures of the guides: none is older than what made it."""

import re
import sys
import tomllib
from dataclasses import replace
from fnmatch import fnmatch
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parents[3] / "lab" / "studies"))

import make_pictures

ROOT = Path(__file__).parents[3]
PICTURES = ROOT / "docs" / "pictures"
ROWS = make_pictures.pictures()
ELSEWHERE = tomllib.loads(make_pictures.TABLE.read_text("utf-8"))["elsewhere"]


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row.file)
def test_no_picture_is_older_than_what_made_it(row: make_pictures.Picture) -> None:
    assert [*PICTURES.glob(row.file)], f"make pictures: {row.file} is missing"
    made = make_pictures.made_of().get(row.file)
    assert made == row.key, (
        f"{row.file} is older than what made it: python lab/studies/make_pictures.py {row.file}"
    )


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row.file)
def test_its_guide_shows_the_picture_and_the_command(row: make_pictures.Picture) -> None:
    text = (ROOT / row.guide).read_text("utf-8")
    shown = [Path(place).name for place in re.findall(r"!\[[^\]]*\]\(([^)]+)\)", text)]
    assert any(fnmatch(name, row.file) for name in shown)
    if not row.is_tool:
        assert row.run in text


def test_every_picture_is_made_or_says_why_not() -> None:
    known = [row.file for row in ROWS] + [*ELSEWHERE]
    found = [
        path.name for path in PICTURES.iterdir() if path.is_file() and path != make_pictures.MADE
    ]
    assert [name for name in found if not any(fnmatch(name, each) for each in known)] == []
    assert [each for each in known if not any(fnmatch(name, each) for name in found)] == []


def test_every_picture_of_a_guide_exists() -> None:
    for guide in [ROOT / "README.md", *(ROOT / "docs").rglob("*.md")]:
        for place in re.findall(
            r"!\[[^\]]*\]\(([^)]+\.(?:jpg|png|webp|svg))\)", guide.read_text("utf-8")
        ):
            assert (guide.parent / place).exists(), f"{guide.name}: {place}"


def test_another_command_photograph_or_size_makes_another_picture() -> None:
    first = next(row for row in ROWS if not row.is_tool)
    others = [
        replace(first, run=f"{first.run} --flip"),
        replace(first, photo="coffee"),
        replace(first, width=123),
        replace(first, side=100),
    ]
    assert len({each.key for each in [first, *others]}) == 5


def test_notice_names_every_photograph_that_lies_here() -> None:
    notice = (ROOT / "NOTICE").read_text("utf-8")
    for path in (PICTURES / "photographs").iterdir():
        assert re.search(rf"\b{re.escape(path.stem)}\b", notice), path.name
