"""A Python that has the core's packages and nothing else, as after ``pip install rilievo``."""

import os
import re
import subprocess
import sys
import tomllib
from importlib.metadata import distribution
from pathlib import Path

from packaging.requirements import Requirement

ROOT = Path(__file__).parents[1]


def core_distributions() -> set[str]:
    """Requirements in pyproject.toml without extras, and their requirements in turn."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    found: set[str] = set()
    waiting = [Requirement(line) for line in project["dependencies"]]
    while waiting:
        requirement = waiting.pop()
        name = re.sub(r"[-_.]+", "-", requirement.name).lower()
        if requirement.marker is not None and not requirement.marker.evaluate({"extra": ""}):
            continue
        if name not in found:
            found.add(name)
            waiting += [Requirement(line) for line in distribution(name).requires or ()]
    return found


def link_core(folder: Path) -> None:
    """Fill a folder with links to the core's packages: a place to import from."""
    for name in core_distributions():
        there = distribution(name)
        tops = {file.parts[0] for file in there.files or ()} - {"..", "__pycache__"}
        for top in tops:
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
