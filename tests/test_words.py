"""Docstrings, help texts, names and sections of the documents are in plain English."""

import ast
import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from itertools import pairwise
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PACKAGE = ROOT / "src" / "rilievo"
PROGRAMS = ("src", "lab", "tests", "tools", "benchmarks", "examples")
PAGES = (*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md"), *ROOT.glob("*/README.md"))
FENCE = re.compile(r"^```.*?^```$", re.DOTALL | re.MULTILINE)
CODE = re.compile(r"^([ ]*)```.*?^\1```[ ]*$|<!--.*?-->|`[^`]*`", re.DOTALL | re.MULTILINE)
# A section that begins so has no subject. "For a video, ..." and "Without a camera, ..." may have.
HEADLESS = re.compile(r"(Of|That|What|Where|Whose|From) ")
DOCS = tuple(sorted(ROOT.glob("docs/**/*.md")))
QUESTION = re.compile(r"[^.?]*\?")
# A text that begins so has no noun or verb to begin with: "That read frames ahead."
FRAGMENT = re.compile(
    r"("
    r"about|after|against|along|among|and|are|as|at|because|before|behind|beside|between"
    r"|beyond|but|by|for|from|here|how|in|into|is|its|like|not|of|on|once|or|out|over|per"
    r"|since|so|such|than|that|their|them|then|there|they|through|under|until|up|upon|was"
    r"|what|whatever|when|where|wherever|which|who|whose|why|with|within|without"
    r")\b",
    re.IGNORECASE,
)
# Classes whose docstrings below fields are the help of command lines and settings.
HELPFUL = re.compile(r"(Options|Arguments|Settings|Config)$")
# Words that the field has others for: ground truth, skipped, resumed.
FOREIGN = re.compile(r"(?<!ground )\btruths?\b|\bpassed over\b|\b(?:go|goes|gone) on with\b")
KIND = re.compile(r"\bkinds?\b")
DEFINITION = re.compile(r"\[[^\]]*\bkinds?\b[^\]]*\]\([^)]+\)|\*\*kinds?\*\*")
# Pages on which a kind is one of scenes.
OF_SCENES = frozenset(("synthetic.md", "scenes.md", "training-record.md"))
# Metaphors that modules, classes and functions once had as names; the field has words for all.
STALE = frozenset({"desk", "exhibit", "exhibition", "visit", "whim", "sureness"})
SECTIONS = re.compile(r"(Args|Attributes):$")
ENTRY = re.compile(r"\*{0,2}\w+: (.+)")


@dataclass(frozen=True, slots=True, kw_only=True)
class Text:
    """One text of a module's docstrings.

    Attributes:
        line: Line of the docstring.
        first: First words of the text.
        is_help: Whether it is a help text.
    """

    line: int
    first: str
    is_help: bool

    @property
    def is_fragment(self) -> bool:
        """Whether it begins with neither a noun nor a verb."""
        return FRAGMENT.match(self.first) is not None


def texts_of(source: str) -> Iterator[Text]:
    """Docstrings of modules, classes and functions, their entries, and those below fields."""
    for node in ast.walk(ast.parse(source)):
        body = getattr(node, "body", None)
        if not isinstance(body, list):
            continue
        is_help = isinstance(node, ast.ClassDef) and HELPFUL.search(node.name) is not None
        for place, statement in enumerate(body):
            match statement:
                case ast.Expr(value=ast.Constant(value=str(text))):
                    below_a_field = place > 0
                    yield Text(
                        line=statement.lineno,
                        first=text.strip(),
                        is_help=is_help and below_a_field,
                    )
                    for entry in entries_of(text):
                        yield Text(line=statement.lineno, first=entry, is_help=False)


def entries_of(docstring: str) -> Iterator[str]:
    """Descriptions of the arguments and attributes in a docstring of Google's form."""
    indent, column = None, 0
    for line in docstring.splitlines()[1:]:
        width = len(line) - len(line.lstrip())
        if SECTIONS.fullmatch(line.strip()):
            indent, column = width, 0
        elif indent is not None and line.strip():
            column = column or width
            if width <= indent:
                indent = None
            elif width == column and (entry := ENTRY.fullmatch(line.strip())):
                yield entry[1]


@cache
def texts() -> tuple[tuple[Path, Text], ...]:
    """All texts of the package, its tests and its tools, with their file."""
    files = [path for folder in PROGRAMS for path in sorted((ROOT / folder).rglob("*.py"))]
    return tuple((path, text) for path in files for text in texts_of(path.read_text("utf-8")))


def openings(page: str) -> Iterator[str]:
    """First lines of a page's sections, other than questions."""
    lines = [line for line in FENCE.sub("", page).splitlines() if line.strip()]
    for title, line in pairwise(lines):
        if title.startswith("#") and not QUESTION.match(line):
            yield line


def shown(found: list[tuple[Path, Text]]) -> str:
    """Places and first words of texts, a line each."""
    lines = (f"{path.relative_to(ROOT)}:{text.line}: {text.first[:60]!r}" for path, text in found)
    return "\n".join(lines)


def names_of(path: Path) -> Iterator[str]:
    """Words of the names of a module, its classes and its functions."""
    yield from path.stem.split("_")
    for node in ast.walk(ast.parse(path.read_text("utf-8"))):
        if isinstance(node, ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
            yield from re.findall(r"[A-Z]?[a-z]+", node.name)


SAMPLE = '''"""What is read."""

class RunOptions:
    """Options of a run.

    Attributes:
        seed: Of the noise.
        name: Name of the run,
            of which there is one.
    """

    workers: int = 1
    """That read frames ahead."""

def read(path):
    """Read a file.

    Args:
        path: Where it lies.

    Raises:
        InputError: If it is broken.
    """
'''


def test_fragments_are_found_in_each_kind_of_text() -> None:
    found = [text for text in texts_of(SAMPLE) if text.is_fragment]
    assert {text.first for text in found} == {
        "What is read.",
        "Of the noise.",
        "That read frames ahead.",
        "Where it lies.",
    }
    assert [text.first for text in found if text.is_help] == ["That read frames ahead."]


def test_docstrings_begin_with_a_noun_or_a_verb() -> None:
    found = [(path, text) for path, text in texts() if text.is_fragment]
    assert not found, shown(found)


def test_sections_without_a_subject_are_found() -> None:
    page = (
        "# A\n## B\n\nOf each kind one.\n\n```\n# What\n```\n## What is it?\nWhat is it? A map.\n"
    )
    assert [each for each in openings(page) if HEADLESS.match(each)] == ["Of each kind one."]


@pytest.mark.parametrize("page", PAGES, ids=lambda path: path.relative_to(ROOT).as_posix())
def test_sections_begin_with_their_subject(page: Path) -> None:
    assert not [each for each in openings(page.read_text("utf-8")) if HEADLESS.match(each)]


def test_no_help_text_is_a_fragment() -> None:
    helps = [(path, text) for path, text in texts() if text.is_help]
    assert len(helps) > 200  # of predict alone there are 40
    found = [(path, text) for path, text in helps if text.is_fragment]
    assert not found, shown(found)


@pytest.mark.parametrize("folder", ["app", "models", "io", "views", "cli", "predicting", "measure"])
def test_names_are_the_fields_words(folder: str) -> None:
    stale = {
        (str(path.relative_to(ROOT)), word)
        for path in (PACKAGE / folder).rglob("*.py")
        for word in names_of(path)
        if word.lower() in STALE
    }
    assert not stale


def prose(page: str) -> str:
    """Text of a page without its programs and names in code, in small letters on one line."""
    return " ".join(CODE.sub(" ", page).lower().split())


def undefined_kind(page: str) -> str:
    """Words around the first kind in the prose of a page, unless it is explained or linked."""
    text = prose(page)
    first, explained = KIND.search(text), DEFINITION.search(text)
    if first is None or (explained is not None and explained.start() < first.end()):
        return ""
    return text[max(0, first.start() - 40) : first.end() + 40]


def test_words_that_the_field_lacks_are_found() -> None:
    page = "The Truth is\nground\ntruth, `truth.py`. A file is passed\nover; work goes on with it."
    assert FOREIGN.findall(prose(page)) == ["truth", "passed over", "goes on with"]


@pytest.mark.parametrize("page", DOCS, ids=lambda path: path.relative_to(ROOT).as_posix())
def test_pages_have_the_fields_words(page: Path) -> None:
    assert not FOREIGN.findall(prose(page.read_text("utf-8")))


def test_a_kind_that_is_not_explained_is_found() -> None:
    assert undefined_kind("Depth of any kind. The [kind](a.md) says it.").startswith("depth of any")
    assert undefined_kind("A [kind of\ndepth](a.md), then its kind; `kind`.") == ""
    assert undefined_kind("The **kind** says it, and the kind.") == ""


@pytest.mark.parametrize("page", DOCS, ids=lambda path: path.relative_to(ROOT).as_posix())
def test_a_kind_of_depth_is_explained_at_its_first_use(page: Path) -> None:
    assert page.name in OF_SCENES or not undefined_kind(page.read_text("utf-8"))
