"""Run the tests of the core on newer Pythons, each in an environment of its own.

Usage: python tools/try_pythons.py [--newest]

Every Python newer than this one is tried with the newest and with the oldest dependencies that
pyproject.toml allows, and this one with the oldest; ``--newest`` tries the newest Python with the
newest dependencies alone. Pythons are searched on PATH and among those of pyenv. Tests that need
an extra other than ``video`` skip themselves (tests/support/without_extras.py).
"""

import argparse
import os
import re
import subprocess
import sys
import time
import tomllib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from structure import ROOT
from try_core import folders_of_tests

ASKED = "import sys; print(sys.implementation.name, *sys.version_info[3:4], *sys.version_info[:3])"


@dataclass(frozen=True, slots=True, order=True)
class Python:
    """An installed Python."""

    version: tuple[int, int, int]
    program: Path

    def __str__(self) -> str:
        return f"Python {'.'.join(map(str, self.version))}"


@dataclass(frozen=True, slots=True)
class Trial:
    """A Python, and whether its dependencies are the oldest that are allowed or the newest."""

    python: Python
    oldest: bool

    def __str__(self) -> str:
        return f"{self.python}, {'oldest' if self.oldest else 'newest'} dependencies"


def main() -> int:
    """Run all trials and return the exit code."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--newest", action="store_true", help="the newest Python alone, not oldest")
    given = parser.parse_args()
    this = Python(sys.version_info[:3], Path(sys.executable))
    pythons = newer_pythons(this, places())
    if not pythons:
        print(f"No Python newer than {this.version[0]}.{this.version[1]} is installed.")
    ended = [run(trial) for trial in trials(this, pythons, newest=given.newest)]
    return 0 if all(ended) else 1


def places() -> list[Path]:
    """Folders in which Pythons may lie."""
    pyenv = Path(os.environ.get("PYENV_ROOT") or Path.home() / ".pyenv")
    on_path = [Path(each) for each in os.environ.get("PATH", "").split(os.pathsep) if each]
    return [*on_path, *sorted(pyenv.glob("versions/*/bin"))]


def newer_pythons(this: Python, folders: Sequence[Path]) -> list[Python]:
    """Newest release of every minor version after this one, in order."""
    found: dict[tuple[int, int], Python] = {}
    for python in _pythons(folders):
        minor = python.version[:2]
        if minor > this.version[:2] and (minor not in found or python > found[minor]):
            found[minor] = python
    return sorted(found.values())


def trials(this: Python, pythons: Sequence[Python], *, newest: bool) -> list[Trial]:
    """Trials to run; of the newest Python alone where this is asked."""
    if newest:
        return [Trial(each, oldest=False) for each in pythons[-1:]]
    both = [Trial(each, oldest) for each in pythons for oldest in (False, True)]
    return [Trial(this, oldest=True), *both]


def run(trial: Trial) -> bool:
    """Make the environment of a trial, run the tests in it, and say how it ended."""
    home = ROOT / ".venv/pythons" / re.sub(r"\W+", "-", str(trial)).lower()
    start = time.monotonic()
    try:
        quietly(trial.python.program, "-m", "venv", "--clear", "--without-pip", home)
        python, rilievo = home / "bin" / "python", ("--editable", f"{ROOT}[video]")
        versions = install(python, *rilievo, oldest=trial.oldest)
        print(f"{trial}: {', '.join(versions)}", flush=True)
        passed, printed = run_tests(home, ROOT, versions)
    except subprocess.CalledProcessError as error:
        why = (error.stderr or error.stdout).strip()
        print(f"{trial}: could not be installed:\n{why}", flush=True)
        return False
    word = "passed" if passed else "FAILED"
    print(f"{printed}{trial}: {word} in {time.monotonic() - start:.0f} s", flush=True)
    return passed


def _pythons(folders: Sequence[Path]) -> Iterator[Python]:
    for folder in folders:
        for program in sorted(folder.glob("python3.*")):
            if not re.fullmatch(r"python3\.\d+", program.name):
                continue
            # A shim of pyenv fails for versions that are not switched on.
            said = subprocess.run([program, "-c", ASKED], capture_output=True, text=True).stdout
            name, _, rest = said.strip().partition(" final ")
            if name == "cpython" and rest:
                major, minor, patch = map(int, rest.split())
                yield Python((major, minor, patch), program)


def install(python: Path, *packages: str | Path, oldest: bool) -> list[str]:
    """Install packages with their newest dependencies, or the oldest that are allowed.

    Returns what is then installed, with versions, but for rilievo.
    """
    if oldest:
        # A wheel is what users get, so the oldest that is allowed is the oldest that has one.
        wheels = ["--only-binary=:all:"] + ["--no-binary=rilievo"] * ("--editable" in packages)
        uv = ("-m", "uv", "pip", "install", "--python", python)
        quietly(sys.executable, *uv, *wheels, "--resolution", "lowest-direct", *packages)
    else:
        pip(python, "install", *packages)
    # rilievo itself is named by its place, which a constraint may not be.
    return [line for line in pip(python, "freeze").splitlines() if "==" in line]


def run_tests(home: Path, checkout: Path, versions: Sequence[str], *more: str) -> tuple[bool, str]:
    """Add what tests need to an environment, and run those of the core and of more folders.

    Returns whether they passed, and what pytest printed.
    """
    python, constraints = home / "bin" / "python", home / "versions.txt"
    constraints.write_text("\n".join(versions), encoding="utf-8")
    groups = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["dependency-groups"]
    needs = [
        need for name in ("lab", "test-core") for need in groups[name] if isinstance(need, str)
    ]
    pip(python, "install", "--only-binary", ":all:", "--constraint", constraints, *needs)
    pytest = ("-m", "pytest", "-q", "-r", "fE", "-n", "auto", "-m", "not slow")
    plugins = ("-p", "support.without_extras", "-p", "no:cacheprovider")
    done = subprocess.run(
        [python, *pytest, *plugins, *folders_of_tests(ROOT), *more],
        cwd=checkout,
        # `-p` is read before pytest knows the folder of the tests.
        env={**os.environ, "PYTHONPATH": str(checkout / "tests")},
        stdout=subprocess.PIPE,
        text=True,
        check=False,
    )
    return done.returncode == 0, done.stdout


def pip(python: Path, command: str, *arguments: str | Path) -> str:
    """Run this environment's pip for another environment, which then needs none."""
    return quietly(sys.executable, "-m", "pip", "--quiet", "--python", python, command, *arguments)


def quietly(*command: str | Path) -> str:
    """Run a command for what it prints; one that fails raises what it printed."""
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout


if __name__ == "__main__":
    sys.exit(main())
