"""Each subpackage offers some of its modules to the others, and its READMEs name exactly these."""

import re
import tomllib
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
SOURCE = ROOT / "src" / "rilievo"
HEADING = "## What other parts use"


def contracts() -> Mapping[str, list[str]]:
    """Modules that each subpackage offers, by the contracts of import-linter."""
    settings = tomllib.loads((ROOT / "pyproject.toml").read_text())
    offered: dict[str, list[str]] = {}
    for contract in settings["tool"]["importlinter"]["contracts"]:
        if contract["type"] == "protected":
            [package] = contract["protected_modules"]
            ignored = contract.get("ignore_imports", ())
            offered[package] = [words.partition(" -> ")[2] for words in ignored]
    return offered


OFFERED = sorted({module for modules in contracts().values() for module in modules})


def path_of(module: str) -> Path:
    """File of a module below the source."""
    path = SOURCE.joinpath(*module.split(".")[1:])
    return path / "__init__.py" if path.is_dir() else path.with_suffix(".py")


def sections() -> Iterator[tuple[Path, str]]:
    """Folders, with the section of their README on what other parts use."""
    for readme in sorted(SOURCE.rglob("README.md")):
        text = readme.read_text(encoding="utf-8")
        if HEADING in text:
            yield readme.parent, text.partition(HEADING)[2].partition("\n## ")[0]


SECTIONS = dict(sections())


def test_every_subpackage_has_a_contract_and_a_section() -> None:
    folders = {path.parent for path in SOURCE.glob("*/__init__.py")}
    assert {package for package in contracts()} == {f"rilievo.{path.name}" for path in folders}
    assert folders <= set(SECTIONS)


@pytest.mark.parametrize("module", OFFERED)
def test_a_readme_names_an_offered_module(module: str) -> None:
    path = path_of(module)
    assert path.exists()
    named = [
        folder
        for folder, section in SECTIONS.items()
        if path.is_relative_to(folder) and f"`{path.relative_to(folder)}`" in section
    ]
    assert named, f"name `{path.name}` under '{HEADING}' in the README of its folder"


@pytest.mark.parametrize("folder", SECTIONS, ids=lambda folder: str(folder.relative_to(SOURCE)))
def test_modules_that_a_readme_names_are_offered_or_found_by_name(folder: Path) -> None:
    texts = ("extensions/subpackages.py", "__init__.py")
    found_by_name = "".join((SOURCE / name).read_text() for name in texts)
    offered_paths = {path_of(module) for module in OFFERED}
    for line in SECTIONS[folder].splitlines():
        first_column = line.split("|")[1] if line.startswith("| `") else ""
        for name in re.findall(r"`([\w/]+\.py)`", first_column):
            path = folder / name
            assert path.exists(), name
            module = ".".join(path.relative_to(SOURCE).with_suffix("").parts)
            assert path in offered_paths or module in found_by_name, name
