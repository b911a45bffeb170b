"""Install the wheel as a stranger does, alone and with each extra, and run its tests there.

Usage: python tools/try_wheel.py [EXTRA ...] [--python PROGRAM] [--folder FOLDER]

The wheel and the source archive are built from what git tracks. For each extra (``core`` is none of
them; without names the core and every extra but those of ``LEFT_OUT``) an empty environment gets
the wheel with that extra, then what the tests need beside it, held to the versions that came with
the wheel. The tests run in a folder without the package's sources, so what they import is what was
installed. Those of the house run, and those of the wings that the extra is for; tests that need
another extra skip themselves (tests/without_extras.py). A table says how large each environment is
and how its tests ended.
"""

import argparse
import os
import re
import shutil
import subprocess
import sys
import time
import tomllib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from house_alone import folders_of_tests
from try_pythons import pip, quietly
from walls import ROOT

CORE = "core"
LEFT_OUT = ("cluster", "view")
"""Extras with tests of their own: ``make test-ray`` and ``make test-view``."""
WINGS_OF = {
    "app": ("serving",),
    "evaluate": ("data", "evaluation"),
    "mcp": ("serving/assistant",),
    "serve": ("serving",),
    "train": ("training",),
}
"""Wings whose tests an extra is for, beside those of the house."""


@dataclass(frozen=True, slots=True)
class Ended:
    """Outcome of the trial of one extra."""

    extra: str
    megabytes: float
    packages: int
    words: str
    passed: bool

    def __str__(self) -> str:
        return f"| `{self.extra}` | {self.packages} | {self.megabytes:.0f} MB | {self.words} |"


def main() -> int:
    """Run all trials and return the exit code."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("extras", nargs="*", metavar="EXTRA")
    parser.add_argument("--python", default=sys.executable, help="the Python of the environments")
    parser.add_argument("--folder", type=Path, default=ROOT / ".venv" / "wheels")
    given = parser.parse_args()
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    known = [CORE, *project["project"]["optional-dependencies"]]
    if unknown := {*given.extras} - {*known}:
        parser.error(f"no such extra: {', '.join(sorted(unknown))}; there are {', '.join(known)}")
    extras = given.extras or [each for each in known if each not in LEFT_OUT]
    shutil.rmtree(given.folder, ignore_errors=True)
    given.folder.mkdir(parents=True)
    copy_tracked(given.folder / "checkout")
    wheel = build(given.folder / "checkout", given.folder / "built")
    shutil.rmtree(given.folder / "checkout" / "src")
    needs = project["dependency-groups"]["test-core"]
    ended = [
        run(extra, wheel=wheel, python=given.python, folder=given.folder, needs=needs)
        for extra in extras
    ]
    print("\n| extra | packages | installed | tests |\n|---|---:|---:|---|")
    print(*ended, sep="\n", flush=True)
    return 0 if all(each.passed for each in ended) else 1


def copy_tracked(to: Path) -> None:
    """Copy the files that git tracks."""
    listed = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, check=True)
    for name in filter(None, listed.stdout.decode().split("\0")):
        if (ROOT / name).is_file():
            (to / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(ROOT / name, to / name)


def build(checkout: Path, to: Path) -> Path:
    """Build the source archive, and from it the wheel; says how large both are."""
    quietly(sys.executable, "-m", "build", "--outdir", to, checkout)
    [wheel], [archive] = to.glob("*.whl"), to.glob("*.tar.gz")
    for each in (wheel, archive):
        print(f"{each.name}: {each.stat().st_size / 1e6:.1f} MB", flush=True)
    return wheel


def run(extra: str, *, wheel: Path, python: str, folder: Path, needs: Sequence[str]) -> Ended:
    """Make the environment of an extra, run the tests in it, and say how it ended."""
    home = folder / extra
    start = time.monotonic()
    program = home / "bin" / "python"
    try:
        quietly(python, "-m", "venv", "--without-pip", home)
        pip(program, "install", wheel if extra == CORE else f"{wheel}[{extra}]")
        size = sum(each.lstat().st_size for each in home.rglob("*") if each.is_file()) / 1e6
        kept = pip(program, "freeze")
        # The wheel itself is named by its place, which a constraint may not be.
        lines = [line for line in kept.splitlines() if " @ " not in line]
        (home / "kept.txt").write_text("\n".join(lines), encoding="utf-8")
        pip(program, "install", "--constraint", home / "kept.txt", *needs)
    except subprocess.CalledProcessError as error:
        print(f"{extra}: {(error.stderr or error.stdout).strip()}", flush=True)
        return Ended(extra, 0, 0, "could not be installed", passed=False)
    checkout = folder / "checkout"
    wings = [f"tests/{each}" for each in WINGS_OF.get(extra, ())]
    pytest = ("-m", "pytest", "-q", "-r", "fE", "-n", "auto", "-m", "not slow")
    plugins = ("-p", "without_extras", "-p", "no:cacheprovider")
    done = subprocess.run(
        [program, *pytest, *plugins, *folders_of_tests(ROOT), *wings],
        cwd=checkout,
        # `-p` is read before pytest knows the folder of the tests.
        env={
            **os.environ,
            "PYTHONPATH": str(checkout / "tests"),
            "RILIEVO_WEIGHTS": str(checkout / "weights"),
        },
        stdout=subprocess.PIPE,
        text=True,
        check=False,
    )
    print(f"{extra}, in {time.monotonic() - start:.0f} s:\n{done.stdout}", flush=True)
    words = re.sub(r"=+|in [\d.]+s.*", "", done.stdout.strip().rpartition("\n")[2]).strip()
    if done.returncode == 0:
        shutil.rmtree(home)
    return Ended(extra, size, len(lines) + 1, words, passed=done.returncode == 0)


if __name__ == "__main__":
    sys.exit(main())
