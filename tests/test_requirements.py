"""Tests of what pyproject.toml asks for: the core's pins with hashes, and the extras."""

import ast
import re
import tomllib
from importlib.metadata import requires
from pathlib import Path

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).parents[1]
TEXT = (ROOT / "requirements" / "tested-core.txt").read_text()
PINS = {
    canonicalize_name(name): (version, re.findall(r"--hash=sha256:([0-9a-f]{64})\b", rest))
    for name, version, rest in re.findall(
        r"^([\w.-]+)==([^\s;\\]+)(.*?)(?=^[\w.-]+==|\Z)", TEXT, re.MULTILINE | re.DOTALL
    )
}


def test_every_dependency_of_the_core_is_pinned_to_a_version_it_takes() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    for line in project["dependencies"]:
        requirement = Requirement(line)
        version, _ = PINS[canonicalize_name(requirement.name)]
        assert requirement.specifier.contains(version), line


def test_every_pin_has_hashes() -> None:
    assert len(PINS) > 10
    assert all(hashes for _, hashes in PINS.values())


def test_what_a_pinned_package_needs_is_pinned_too() -> None:
    """``pip --require-hashes`` refuses a file that leaves out one need of a need."""
    for name in set(PINS) - {"colorama"}:
        for line in requires(name) or []:
            need = Requirement(line)
            if need.marker is None or need.marker.evaluate({"extra": ""}):
                assert canonicalize_name(need.name) in PINS, f"{name} needs {need.name}"


def test_no_address_stands_in_it() -> None:
    assert not re.search("://|index-url|find-links", TEXT)


def test_every_extra_that_the_source_names_exists() -> None:
    """The second argument of two calls, the keyword ``extra`` of records, and a constant."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    named: dict[str, str] = {}
    for path in [*ROOT.glob("src/rilievo/**/*.py"), *ROOT.glob("scenes/*.py")]:
        for node in ast.walk(ast.parse(path.read_text("utf-8"))):
            values: list[ast.expr] = []
            if isinstance(node, ast.Call) and getattr(node.func, "id", None) != "ConfigDict":
                values = [each.value for each in node.keywords if each.arg == "extra"]
                if getattr(node.func, "id", None) in ("needing", "MissingExtraError"):
                    values += node.args[1:2]
            elif isinstance(node, ast.Assign):
                names = {getattr(each, "id", None) for each in node.targets}
                values = [node.value] if names & {"EXTRA", "_EXTRA"} else []
            for each in values:
                if isinstance(each, ast.Constant) and isinstance(each.value, str):
                    named[each.value] = f"{path.name}:{each.lineno}"
    assert {"video", "models", "train"} <= set(named)
    extras = project["optional-dependencies"]
    assert not {extra: place for extra, place in named.items() if extra not in extras}


def test_the_pages_on_installing_name_every_extra_and_every_python_that_is_classified() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
    install, tried, readme = (
        (ROOT / page).read_text("utf-8")
        for page in ("docs/install.md", "docs/tried.md", "README.md")
    )
    rows = {*re.findall(r"\| `([a-z]+)` \|$", install, re.M)}
    assert rows == {*project["optional-dependencies"]}
    extras = readme.partition("## Extras")[2].partition("\n## ")[0]
    assert {*re.findall(r"^\| (.*?) \|", extras, re.M)} >= {"`video`", "`formats`"}
    versions = [each.rpartition(" ")[2] for each in project["classifiers"] if " 3." in each]
    assert versions
    for version in versions:
        assert version in install
        assert re.search(rf"^\|[^|]*\b{re.escape(version)}\.\d+[^|]*\| yes ", tried, re.M), version


def test_the_first_command_is_one_that_works_today() -> None:
    """The name is on no package index: who has a checkout installs that."""
    for page in ("README.md", "docs/quickstart.md", "docs/index.md", "docs/install.md"):
        text = (ROOT / page).read_text("utf-8")
        commands = re.findall(r"^(?:\S+/)?pip install (\S+)", text, re.M)
        assert commands[0] == ".", page
