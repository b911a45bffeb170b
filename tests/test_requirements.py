"""Tests of what pyproject.toml asks for: the core's pins with hashes, and the extras."""

import ast
import re
import tomllib
from importlib.metadata import PackageNotFoundError, distribution
from pathlib import Path
from typing import Any

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).parents[1]
FILES = {path.stem.removeprefix("tested-"): path for path in ROOT.glob("requirements/tested-*.txt")}
WITH_CORE = sorted(FILES.keys() - {"build"})
"""Files of what a user installs; the other builds a release."""


def project() -> dict[str, Any]:
    """The table ``project`` of pyproject.toml."""
    return tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]


def pins(part: str) -> dict[str, tuple[str, list[str]]]:
    """Version and hashes of every package that a file pins."""
    return {
        canonicalize_name(name): (version, re.findall(r"--hash=sha256:([0-9a-f]{64})\b", rest))
        for name, version, rest in re.findall(
            r"^([\w.-]+)==([^\s;\\]+)(.*?)(?=^[\w.-]+==|\Z)",
            FILES[part].read_text("utf-8"),
            re.MULTILINE | re.DOTALL,
        )
    }


def test_the_core_the_server_the_models_and_a_release_are_pinned() -> None:
    assert {*FILES} == {"core", "serve", "models", "build"}


@pytest.mark.parametrize("part", WITH_CORE)
def test_every_dependency_is_pinned_to_a_version_that_it_takes(part: str) -> None:
    pinned = pins(part)
    asked = project()
    for line in [*asked["dependencies"], *asked["optional-dependencies"].get(part, ())]:
        requirement = Requirement(line)
        version, _ = pinned[canonicalize_name(requirement.name)]
        assert requirement.specifier.contains(version), line


def test_what_builds_a_release_is_pinned_to_versions_that_it_takes() -> None:
    whole = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))
    pinned = pins("build")
    for line in [*whole["dependency-groups"]["build"], *whole["build-system"]["requires"]]:
        requirement = Requirement(line)
        version, _ = pinned[canonicalize_name(requirement.name)]
        assert requirement.specifier.contains(version), line


def test_the_container_and_the_release_install_nothing_without_a_hash() -> None:
    for file in ("Dockerfile", ".github/workflows/release.yml"):
        text = (ROOT / file).read_text("utf-8").replace("\\\n", " ")
        commands = re.findall(r"\bpip (?:--python \S+ )?(?:install|wheel) .*", text)
        assert commands
        for command in commands:
            by_hash = re.search(r"--require-hashes -r \S*requirements/tested-(\w+)\.txt", command)
            assert "--no-deps" in command or (by_hash and by_hash[1] in FILES), command


def test_actions_are_named_by_the_hash_of_a_commit() -> None:
    named = [
        line.strip()
        for path in ROOT.glob(".github/workflows/*.yml")
        for line in path.read_text("utf-8").splitlines()
        if "uses:" in line
    ]
    assert len(named) > 10
    for line in named:
        assert re.search(r"uses: [\w.-]+/[\w.-]+@[0-9a-f]{40} # v\d+\.\d+\.\d+$", line), line


@pytest.mark.parametrize("part", FILES)
def test_every_pin_has_hashes(part: str) -> None:
    pinned = pins(part)
    assert len(pinned) > 10
    assert all(hashes for _, hashes in pinned.values())


@pytest.mark.parametrize("part", FILES)
def test_what_a_pinned_package_needs_is_pinned_too(part: str) -> None:
    """``pip --require-hashes`` refuses a file that leaves out one need of a need."""
    pinned = pins(part)
    read = 0
    for name, (version, _) in pinned.items():
        try:
            installed = distribution(name)
        except PackageNotFoundError:  # of another system
            continue
        if installed.version != version:
            continue
        read += 1
        for line in installed.requires or []:
            need = Requirement(line)
            if need.marker is None or need.marker.evaluate({"extra": ""}):
                assert canonicalize_name(need.name) in pinned, f"{name} needs {need.name}"
    assert read or part != "core"


@pytest.mark.parametrize("part", WITH_CORE)
def test_the_core_has_the_same_versions_everywhere(part: str) -> None:
    pinned = pins(part)
    for name, (version, _) in pins("core").items():
        assert pinned[name][0] == version, name


@pytest.mark.parametrize("part", FILES)
def test_no_address_stands_in_it(part: str) -> None:
    assert not re.search("://|index-url|find-links", FILES[part].read_text("utf-8"))


def test_every_extra_that_the_source_names_exists() -> None:
    """The second argument of two calls, the keyword ``extra`` of records, and a constant."""
    named: dict[str, str] = {}
    for path in [*ROOT.glob("src/rilievo/**/*.py"), *ROOT.glob("lab/scenes/*.py")]:
        for node in ast.walk(ast.parse(path.read_text("utf-8"))):
            values: list[ast.expr] = []
            if isinstance(node, ast.Call) and getattr(node.func, "id", None) != "ConfigDict":
                values = [each.value for each in node.keywords if each.arg == "extra"]
                if getattr(node.func, "id", None) in ("explain_missing_extra", "MissingExtraError"):
                    values += node.args[1:2]
            elif isinstance(node, ast.Assign):
                names = {getattr(each, "id", None) for each in node.targets}
                values = [node.value] if names & {"EXTRA", "_EXTRA"} else []
            for each in values:
                if isinstance(each, ast.Constant) and isinstance(each.value, str):
                    named[each.value] = f"{path.name}:{each.lineno}"
    assert {"video", "models", "train"} <= set(named)
    extras = project()["optional-dependencies"]
    assert not {extra: place for extra, place in named.items() if extra not in extras}


def test_the_pages_on_installing_name_every_extra_and_every_python_that_is_classified() -> None:
    install, tried, readme = (
        (ROOT / page).read_text("utf-8")
        for page in ("docs/install.md", "docs/reference/tried.md", "README.md")
    )
    rows = {*re.findall(r"\| `([a-z]+)` \|$", install, re.M)}
    assert rows == {*project()["optional-dependencies"]}
    extras = readme.partition("## Extras")[2].partition("\n## ")[0]
    assert {*re.findall(r"^\| (.*?) \|", extras, re.M)} >= {"`video`", "`formats`"}
    versions = [each.rpartition(" ")[2] for each in project()["classifiers"] if " 3." in each]
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
