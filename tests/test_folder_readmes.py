"""READMEs of folders name files and folders that exist."""

import re
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PACKAGE = ROOT / "src" / "rilievo"
READMES = sorted(PACKAGE.rglob("README.md"))
NAMED = re.compile(r"`([\w./-]+(?:\.py|/))`|^\| `([\w./-]+)` \|", re.MULTILINE)
"""A file or a folder in the text, or the first column of a table."""


def named(text: str) -> Iterator[str]:
    for in_text, in_table in NAMED.findall(text):
        yield (in_text or in_table).rstrip("/")


def paths(folder: Path, name: str) -> Iterator[Path]:
    """Files, with and without their ending, and folders with files, below or beside a folder."""
    for place in (ROOT, PACKAGE, folder.parent, folder, *filter(Path.is_dir, folder.rglob("*"))):
        yield from filter(Path.is_file, (place / name, place / f"{name}.py"))
        if any(file.suffix != ".pyc" for file in (place / name).rglob("*.*")):
            yield place / name


@pytest.mark.parametrize("readme", READMES, ids=lambda path: str(path.relative_to(PACKAGE).parent))
def test_a_readme_names_files_that_exist(readme: Path) -> None:
    names = set(named(readme.read_text(encoding="utf-8")))
    assert {name for name in names if not any(paths(readme.parent, name))} == set()
