"""A Python that has the core's packages and nothing else, as after ``pip install rilievo``."""

import os
import re
import subprocess
import sys
import tomllib
from importlib.metadata import distribution
from pathlib import Path

from packaging.requirements import Requirement

ROOT = Path(__file__).parents[2]


def core_distributions(group: str | None = None, extra: str | None = None) -> set[str]:
    """Requirements in pyproject.toml without extras, and their requirements in turn.

    Args:
        group: A dependency group whose requirements are wanted too, with those that it includes.
        extra: An extra whose own requirements are wanted too.
    """
    tables = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    found: set[str] = set()
    lines = [*tables["project"]["dependencies"]]
    groups = [] if group is None else [group]
    while groups:
        for line in tables["dependency-groups"][groups.pop()]:
            if isinstance(line, str):
                lines.append(line)
            else:
                groups.append(line["include-group"])
    if extra is not None:
        lines += tables["project"]["optional-dependencies"][extra]
    waiting = [Requirement(line) for line in lines]
    while waiting:
        requirement = waiting.pop()
        name = re.sub(r"[-_.]+", "-", requirement.name).lower()
        if requirement.marker is not None and not requirement.marker.evaluate({"extra": ""}):
            continue
        if name not in found:
            found.add(name)
            waiting += [Requirement(line) for line in distribution(name).requires or ()]
    return found


def link_core(folder: Path, group: str | None = None, extra: str | None = None) -> None:
    """Fill a folder with links to the core's packages: a place to import from.

    Args:
        folder: An empty folder.
        group: A dependency group whose packages are wanted too.
        extra: An extra whose packages are wanted too.
    """
    for name in core_distributions(group, extra):
        there = distribution(name)
        tops = {file.parts[0] for file in there.files or ()} - {"..", "__pycache__"}
        for top in tops:
            if not (folder / top).exists():
                (folder / top).symlink_to(Path(str(there.locate_file(top))))


def run_core(
    packages: Path, arguments: list[str], folder: Path, text: str = ""
) -> subprocess.CompletedProcess[str]:
    """Run Python with these packages and ours, and no others."""
    return subprocess.run(
        # -S: nothing of the environment that the tests run in.
        [sys.executable, "-S", *arguments],
        capture_output=True,
        text=True,
        input=text,
        cwd=folder,
        env={**os.environ, "PYTHONPATH": os.pathsep.join((str(ROOT / "src"), str(packages)))},
        timeout=1800,
    )
