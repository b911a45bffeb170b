"""Records of decisions: each has its parts and rests on something measured; the index has all."""

import re
from pathlib import Path

import pytest

FOLDER = Path(__file__).parents[1] / "docs/decisions"
RECORDS = sorted(path for path in FOLDER.glob("*.md") if path.name != "README.md")
HEADINGS = ["What", "Why", "What was measured", "What would change our mind"]
DATE = re.compile(r"Date: (\d{1,2} [A-Z][a-z]+ 20\d\d)")
# A commit, a page or a file of this repository, or a command.
SOURCE = re.compile(r"`[0-9a-f]{8}`|\]\(\.\./|`(?:python|make|tests/|tools/|lab/)")
ROW = re.compile(r"^\| (\d{4}) \| \[(.+)\]\((\S+)\) \| (.+) \|$", re.MULTILINE)
HALF_A_PAGE = 330
"""Most words."""


def parts(text: str) -> dict[str, str]:
    """Texts of a record by their headings; what stands before the first is under ''."""
    pieces = re.split(r"^## (.+)$", text, flags=re.MULTILINE)
    return {"": pieces[0], **dict(zip(pieces[1::2], pieces[2::2], strict=True))}


def faults(text: str) -> list[str]:
    """List what a record lacks."""
    found = parts(text)
    title, *before = found.pop("").strip().split("\n\n")
    wrong = [] if re.fullmatch(r"# [A-Z].+[^.]", title) else ["the first line is no title"]
    if len(before) != 1 or not DATE.fullmatch(before[0]):
        wrong.append("the date does not follow the title")
    if list(found) != HEADINGS:
        wrong.append(f"its headings are {', '.join(found)}; expected {', '.join(HEADINGS)}")
    wrong += [f"nothing stands under {name}" for name, part in found.items() if not part.strip()]
    if not SOURCE.search(found.get("What was measured", "")):
        wrong.append("no commit, page or command is named under What was measured")
    if len(text.split()) > HALF_A_PAGE:
        wrong.append(f"it has {len(text.split())} words; at most {HALF_A_PAGE} are half a page")
    return wrong


@pytest.mark.parametrize("path", RECORDS, ids=lambda path: path.stem)
def test_a_record_has_its_parts(path: Path) -> None:
    assert faults(path.read_text("utf-8")) == []


GOOD = (
    "# A choice\n\nDate: 1 May 2026\n\n## What\n\na\n\n## Why\n\nb\n\n"
    "## What was measured\n\n3 ms (commit `0123abcd`)\n\n## What would change our mind\n\nc\n"
)


@pytest.mark.parametrize(
    ("part", "instead", "words"),
    [
        ("# A choice", "A choice", "title"),
        ("Date: 1 May 2026", "In May", "date"),
        ("## Why\n\nb\n\n", "", "its headings are What, What was measured"),
        ("\n\nb\n", "\n\n", "nothing stands under Why"),
        (" (commit `0123abcd`)", "", "no commit"),
        ("\n\nc\n", "\n\n" + "c " * HALF_A_PAGE, "half a page"),
    ],
)
def test_what_a_record_lacks_is_found(part: str, instead: str, words: str) -> None:
    assert faults(GOOD) == []
    [fault] = faults(GOOD.replace(part, instead))
    assert words in fault


def test_numbers_follow_one_another_and_names_are_words() -> None:
    assert [int(path.name[:4]) for path in RECORDS] == list(range(1, len(RECORDS) + 1))
    assert all(re.fullmatch(r"\d{4}(-[a-z0-9]+)+\.md", path.name) for path in RECORDS)


def test_the_index_lists_every_record_with_its_title_and_date() -> None:
    listed = ROW.findall((FOLDER / "README.md").read_text("utf-8"))
    texts = [path.read_text("utf-8") for path in RECORDS]
    assert listed == [
        (path.name[:4], text.splitlines()[0].removeprefix("# "), path.name, DATE.findall(text)[0])
        for path, text in zip(RECORDS, texts, strict=True)
    ]
