"""READMEs of folders, and comments of scripts, name files that exist."""

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


def test_scripts_name_modules_that_exist() -> None:
    scripts = [*(ROOT / "web/source").glob("*.js"), *PACKAGE.rglob("*.js")]
    names = {
        name
        for script in scripts
        if script.parent.name != "built"
        for name in re.findall(r"rilievo(?:\.[a-z_]+\d*){2,}", script.read_text(encoding="utf-8"))
    }
    assert names
    assert {name for name in names if not is_in_package(name)} == set()


def is_in_package(name: str) -> bool:
    """Whether a dotted name is a module, a folder, or something that a module defines."""
    path = PACKAGE.joinpath(*name.split(".")[1:])
    if path.is_dir() or path.with_suffix(".py").is_file():
        return True
    module = path.parent.with_suffix(".py")
    defined = re.compile(rf"^(def|class) {path.name}\b", re.MULTILINE)
    return module.is_file() and defined.search(module.read_text(encoding="utf-8")) is not None
