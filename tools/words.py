"""Count the words of the documentation and of docstrings.

Usage: python tools/words.py [--pages]

A word is what stands between blanks and has a letter or a digit. Of a page those are counted that a
reader meets: headings, paragraphs, lists, cells of tables and descriptions of pictures, since a
page is not shorter because its sentences stand in a table. Blocks of code, front matter, comments,
tags and the addresses of links are left out. A guide is a page of ``docs/`` itself, outside the
internals, and README: pages of ``reference`` and ``decisions`` are for looking things up. Of
docstrings all words count, also those below fields and constants.
"""

import ast
import re
import sys
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import yaml

ROOT = Path(__file__).parents[1]
INTERNALS = frozenset(("reliability.md", "wheels.md"))
"""Pages of ``docs/`` that are for maintainers."""

_UNREAD = (
    re.compile(r"\A---\n.*?^---\n", re.DOTALL | re.MULTILINE),
    re.compile(r"<!--.*?-->", re.DOTALL),
    re.compile(r"^([ ]*)```[^\n]*\n.*?^\1```[ ]*$", re.DOTALL | re.MULTILINE),
    re.compile(r"</?[a-z][^>]*>"),
)
"""Front matter, comments, blocks of code and tags."""
_ADDRESS = re.compile(r"\]\([^)]*\)")


def main(arguments: Sequence[str]) -> int:
    """Print the totals; with ``--pages`` each page before them."""
    if "--pages" in arguments:
        for name, count in sorted(pages().items(), key=lambda pair: pair[1]):
            print(f"{count:7,} {name}")
    for name, count in totals().items():
        print(f"{count:7,} {name}")
    print(f"{len(navigation()):7,} pages that the navigation has")
    return 0


def totals() -> Mapping[str, int]:
    """Words of each part."""
    counts = pages()
    shown = set(navigation())
    return {
        "guides and README": sum(guides().values()),
        "all pages and README": sum(counts.values()),
        "pages in the navigation": sum(count for name, count in counts.items() if name in shown),
        "docstrings of src": sum(map(words_of_docstrings, sorted((ROOT / "src").rglob("*.py")))),
    }


def guides() -> Mapping[str, int]:
    """Words of README and of each guide, by its name."""
    return {
        name: count for name, count in pages().items() if "/" not in name and name not in INTERNALS
    }


def pages() -> Mapping[str, int]:
    """Words of README and of each page, by its path below ``docs``."""
    docs = ROOT / "docs"
    paths = {path.relative_to(docs).as_posix(): path for path in sorted(docs.rglob("*.md"))}
    paths["README.md"] = ROOT / "README.md"
    return {name: words(path.read_text(encoding="utf-8")) for name, path in paths.items()}


def words(text: str) -> int:
    """Count the words that a reader of a page meets."""
    for unread in _UNREAD:
        text = unread.sub(" ", text)
    return _count(_ADDRESS.sub("]", text).replace("|", " "))


def words_of_docstrings(path: Path) -> int:
    """Count the words of a file's docstrings."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    return sum(map(_count, _docstrings(tree)))


def _docstrings(tree: ast.AST) -> Iterator[str]:
    """Texts that stand alone as a statement."""
    for node in ast.walk(tree):
        match node:
            case ast.Expr(value=ast.Constant(value=str(text))):
                yield text


def _count(text: str) -> int:
    return sum(bool(re.search(r"\w", word)) for word in text.split())


def navigation() -> Sequence[str]:
    """Pages of the navigation, in its order."""
    config = yaml.safe_load((ROOT / "mkdocs.yml").read_text(encoding="utf-8"))
    return [*_pages_in(config["nav"])]


def _pages_in(entry: Any) -> Iterator[str]:
    if isinstance(entry, str):
        yield entry
        return
    for part in entry.values() if isinstance(entry, dict) else entry:
        yield from _pages_in(part)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
