"""The documentation as a site: nothing is left out of it, and nothing is loaded from elsewhere."""

import ast
import importlib
import inspect
import re
from pathlib import Path
from typing import Any

import pytest
import yaml

import rilievo

ROOT = Path(__file__).parents[1]
CONFIG = yaml.safe_load((ROOT / "mkdocs.yml").read_text("utf-8"))
LEFT_OUT = CONFIG["not_in_nav"].split()
REFERENCE = sorted((ROOT / "docs" / "reference").glob("*.md"))
DIRECTIVE = re.compile(r"^::: (\S+)$", re.MULTILINE)
HEADER = re.compile(r"^(\|.*\|)\n\|(?: *:?-+:? *\|)+$", re.MULTILINE)
"""First row of a table, above the row of dashes."""
WHOLE_PACKAGES = ("geometry", "evaluation.metrics", "training.losses")


def pages(entry: Any) -> list[str]:
    if isinstance(entry, str):
        return [entry]
    parts = entry.values() if isinstance(entry, dict) else entry
    return [page for part in parts for page in pages(part)]


def documented() -> list[str]:
    return [name for page in REFERENCE for name in DIRECTIVE.findall(page.read_text("utf-8"))]


LINK = re.compile(r"\]\(([^)#:]+\.md)(?:#[^)]*)?\)")


def is_left_out(page: str) -> bool:
    """Whether the configuration says that a page is not in the navigation."""
    return any(page == line or page.startswith(f"{line.rstrip('/')}/") for line in LEFT_OUT)


def test_every_page_is_in_the_navigation_once_or_named_as_left_out() -> None:
    found = sorted(path.relative_to(ROOT / "docs").as_posix() for path in ROOT.glob("docs/**/*.md"))
    shown = pages(CONFIG["nav"])
    assert sorted(shown) == [page for page in found if not is_left_out(page)]


def test_every_page_is_reached_by_links_from_the_navigation() -> None:
    docs = (ROOT / "docs").resolve()
    reached, waiting = set[Path](), [docs / page for page in pages(CONFIG["nav"])]
    while waiting:
        page = waiting.pop()
        if page not in reached:
            reached.add(page)
            links = LINK.findall(page.read_text("utf-8"))
            waiting += [path for link in links if (path := (page.parent / link).resolve()).exists()]
    assert sorted(path for path in docs.rglob("*.md") if path not in reached) == []


def resolved(name: str) -> Any:
    """A module, or what is in one."""
    try:
        return importlib.import_module(name)
    except ModuleNotFoundError:
        module, _, member = name.rpartition(".")
        return getattr(importlib.import_module(module), member)


@pytest.mark.parametrize("name", documented())
def test_everything_in_the_reference_is_there_and_documented(name: str) -> None:
    thing = resolved(name)
    if inspect.ismodule(thing) or callable(thing):
        assert inspect.getdoc(thing)


def test_examples_of_docstrings_stand_in_a_section() -> None:
    """Markdown quotes a line that begins with ">>>"; the section makes it a block of code."""
    quoted = [
        f"{path.relative_to(ROOT)}: {text.partition(chr(10))[0]}"
        for path in sorted((ROOT / "src").rglob("*.py"))
        for text in docstrings(path)
        if re.search("^>>>", text, re.MULTILINE)
    ]
    assert quoted == []


def docstrings(path: Path) -> list[str]:
    """Texts that stand alone as statements, without their indentation."""
    statements = ast.walk(ast.parse(path.read_text("utf-8")))
    values = [each.value for each in statements if isinstance(each, ast.Expr)]
    constants = [value.value for value in values if isinstance(value, ast.Constant)]
    return [inspect.cleandoc(text) for text in constants if isinstance(text, str)]


def test_nothing_is_in_the_reference_twice() -> None:
    names = documented()
    assert len(names) == len(set(names))


def test_every_public_name_is_in_the_reference() -> None:
    """A name may be listed itself, or as a part of a module that is there as a whole."""
    index = (ROOT / "docs/reference/index.md").read_text("utf-8")
    linked = dict(re.findall(r"^\| \[`(\w+)`\]\(\w+\.md#([\w.]+)\) \|", index, re.MULTILINE))
    assert sorted(linked) == sorted(name for name in rilievo.__all__ if name != "__version__")
    for name, address in linked.items():
        assert {address, address.rpartition(".")[0]} & set(documented()), name
        thing = getattr(rilievo, name)
        assert resolved(address) is thing, name


@pytest.mark.parametrize("package", WHOLE_PACKAGES)
def test_every_module_of_the_pure_packages_is_in_the_reference(package: str) -> None:
    folder = ROOT / "src/rilievo" / package.replace(".", "/")
    paths = (path.relative_to(ROOT / "src") for path in folder.rglob("[a-z]*.py"))
    modules = {".".join(path.with_suffix("").parts) for path in paths}
    assert modules == {name for name in documented() if name.startswith(f"rilievo.{package}.")}


def test_the_site_loads_nothing_from_elsewhere() -> None:
    assert CONFIG["theme"]["font"] is False
    local = [*CONFIG["extra_css"], *CONFIG["extra_javascript"], *CONFIG["extra"]["polyfills"]]
    assert all((ROOT / "docs" / path).is_file() for path in local)
    assert "repo_url" not in CONFIG  # the theme would ask its host for stars
    assert not re.search(r"https?://", (ROOT / "docs/site.css").read_text("utf-8"))


def test_every_column_of_a_table_has_a_header() -> None:
    """A header without text says nothing to a screen reader."""
    empty = [
        f"{path.relative_to(ROOT)}: {head}"
        for path in ROOT.glob("docs/**/*.md")
        for head in HEADER.findall(path.read_text("utf-8"))
        if not all(cell.strip() for cell in head.strip("|").split("|"))
    ]
    assert empty == []


@pytest.mark.parametrize("word", ["license", "webcam", "color", "mac"])
def test_words_of_others_are_found(word: str) -> None:
    """The search of the site knows the words between the separators, in lower case."""
    [search] = [each["search"] for each in CONFIG["plugins"] if "search" in each]
    questions = (ROOT / "docs/faq.md").read_text("utf-8").lower()
    assert word in re.split(search["separator"], questions)


def test_the_landing_page_begins_with_the_live_page_and_has_cards_with_pictures() -> None:
    text = (ROOT / "docs/index.md").read_text("utf-8")
    assert 0 < text.index('<a class="live" href="demo/index.html">') < text.index("```")
    cards = re.findall(r"^- (.*\n(?:\n|    .*\n)+)", text.partition("<div")[2], re.MULTILINE)
    assert len(cards) >= 6
    for card in cards:
        assert (picture := re.match(r"!\[[^]]+\]\((\S+)\)\n\n    \*\*", card)), card
        assert (ROOT / "docs" / picture[1]).is_file()
        assert len(LINK.findall(card)) >= 3


@pytest.mark.parametrize(
    ("words", "page"),
    [
        *((words, "outputs.md") for words in ("displacement", "normal map", "image sequence")),
        *((words, "outputs.md") for words in ("alpha", "thermal")),
        *(
            (words, "install.md")
            for words in ("jetson", "raspberry pi", "cpu-only torch", "windows")
        ),
        *((words, "cookbook.md") for words in ("blender", "point cloud", "ros 2", "flicker")),
        *((words, "faq.md") for words in ("cors", "base64", "fine-tune", "cite", "webcam")),
        ("realsense", "numbers.md"),
        ("focal length", "conventions.md"),
        ("docker", "serve.md"),
    ],
)
def test_what_strangers_search_stands_in_a_heading(words: str, page: str) -> None:
    """The search of the site ranks headings first: else names of Python come before the guide."""
    text = (ROOT / "docs" / page).read_text("utf-8").lower()
    assert [line for line in text.splitlines() if line.startswith("#") and words in line]
