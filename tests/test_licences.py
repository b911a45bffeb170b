"""Licences of all that the core and each extra install: copyleft stands in docs/wheels.md."""

import json
import re
import tomllib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from fnmatch import fnmatch
from importlib.metadata import Distribution, PackageNotFoundError, distribution
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).resolve().parents[1]
PAGE = ROOT / "docs/wheels.md"
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
EXTRAS: dict[str, list[str]] = PROJECT["optional-dependencies"]

COPYLEFT = re.compile(r"GPL|MPL|EPL|EUPL|CeCILL|OSL|GNU|Mozilla|Eclipse|ShareAlike", re.I)
COPYLEFT_LIBRARIES = re.compile(
    r"lib(x264|x265|av(codec|device|filter|format|util)|sw(scale|resample)|gnutls|nettle|hogweed"
    r"|gmp|unistring|idn2|mp3lame|asound|heif|de265|kvazaar|gfortran|quadmath|gomp)\b"
)
"""Libraries under the GPL or the LGPL that wheels are known to bring."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Licence:
    """What a package states of its licence, and the copyleft libraries in its wheel."""

    package: str
    stated: str
    libraries: frozenset[str]


def installed_by(requirements: Iterable[str]) -> Iterator[Distribution]:
    """Packages of requirements, and all that these require.

    Raises:
        PackageNotFoundError: If one of the first is not installed.
    """
    waiting = [(Requirement(text), "") for text in requirements]
    seen = set()
    for first in waiting[:]:
        distribution(first[0].name)
    while waiting:
        requirement, extra = waiting.pop()
        if requirement.marker and not requirement.marker.evaluate({"extra": extra}):
            continue
        name = canonicalize_name(requirement.name)
        wanted = {(name, extra) for extra in ("", *requirement.extras)} - seen
        if not wanted:
            continue
        try:
            package = distribution(name)
        except PackageNotFoundError:
            continue  # of another system or another Python
        if name not in {known for known, _ in seen}:
            yield package
        seen |= wanted
        texts = package.requires or ()
        waiting += [(Requirement(text), extra) for text in texts for _, extra in wanted]


def licence_of(package: Distribution) -> Licence:
    metadata = package.metadata
    stated = [
        metadata.get("License-Expression", ""),
        metadata.get("License", "").strip().partition("\n")[0],
        *(each for each in metadata.get_all("Classifier", []) if each.startswith("License ::")),
    ]
    libraries = {
        library[0]
        for file in package.files or ()
        if ".so" in file.name and (library := COPYLEFT_LIBRARIES.match(file.name))
    }
    return Licence(
        package=canonicalize_name(package.metadata["Name"]),
        stated="; ".join(filter(None, stated)),
        libraries=frozenset(libraries),
    )


def unnamed_copyleft(licence: Licence, page: str) -> list[str]:
    """What of a package's copyleft has no row of its name in the page's table."""
    rows = [
        line
        for line in page.splitlines()
        if line.startswith("| ") and licence.package in line.split(" | ")[0].strip("| ").split(", ")
    ]
    named = re.findall(r"lib[\w*]+", " ".join(rows))
    missing = [
        library
        for library in sorted(licence.libraries)
        if not any(fnmatch(library, pattern) for pattern in named)
    ]
    if COPYLEFT.search(licence.stated) and not any(COPYLEFT.search(row) for row in rows):
        missing.append(licence.stated)
    return [f"{licence.package}: {each}" for each in missing]


@pytest.mark.parametrize("extra", ["", *EXTRAS])
def test_the_documentation_names_all_copyleft_that_an_extra_installs(extra: str) -> None:
    try:
        packages = [*installed_by([*PROJECT["dependencies"], *EXTRAS.get(extra, [])])]
    except PackageNotFoundError as error:
        pytest.skip(f"{error.name} is not installed")
    assert len(packages) >= len(PROJECT["dependencies"])
    page = PAGE.read_text("utf-8")
    assert [name for each in packages for name in unnamed_copyleft(licence_of(each), page)] == []


def test_copyleft_without_a_row_is_found() -> None:
    plyfile = Licence(
        package="plyfile",
        stated="License :: OSI Approved :: GNU General Public License v3 or later (GPLv3+)",
        libraries=frozenset(),
    )
    assert unnamed_copyleft(plyfile, PAGE.read_text("utf-8")) == [f"plyfile: {plyfile.stated}"]
    codecs = Licence(
        package="av", stated="BSD-3-Clause", libraries=frozenset({"libx264", "libidn2"})
    )
    assert unnamed_copyleft(codecs, PAGE.read_text("utf-8")) == ["av: libidn2"]


def test_the_notices_name_the_versions_of_the_scripts_in_the_package() -> None:
    runtime = json.loads((ROOT / "web/package.json").read_text("utf-8"))["dependencies"]
    ogl = (ROOT / "src/rilievo/pages/surface_view/ogl.js").read_text("utf-8")
    named = [f"ONNX Runtime Web {runtime['onnxruntime-web']}", ogl.partition(",")[0].lstrip("/ ")]
    notice = (ROOT / "NOTICE").read_text("utf-8")
    assert [each for each in named if each not in notice] == []
    assert named[0] in (ROOT / "src/rilievo/serving/browser/licences.txt").read_text("utf-8")
