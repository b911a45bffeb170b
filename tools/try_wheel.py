"""Install the wheel as a stranger does, alone and with each extra, and run its tests there.

Usage: python tools/try_wheel.py [EXTRA ...] [--oldest] [--python PROGRAM] [--folder FOLDER]

The wheel and the source archive are built from what git tracks. For each extra (``core`` is none of
them; without names the core and every extra but those of ``LEFT_OUT``) an empty environment gets
the wheel with that extra, then what the tests need beside it, held to the versions that came with
the wheel. The tests run in a folder without the package's sources, so what they import is what was
installed. Those of the core run, and those of the subpackages of the extra; tests that need
another extra skip themselves (tests/support/without_extras.py). A table says how large each
environment is and how its tests ended. ``--oldest`` installs every dependency at the lower bound
that pyproject.toml names.
"""

import argparse
import re
import shutil
import subprocess
import sys
import time
import tomllib
from pathlib import Path

from structure import ROOT
from try_core import copy_tracked
from try_pythons import install, quietly, run_tests

CORE = "core"
LEFT_OUT = ("cluster", "view")
"""Extras with tests of their own: ``make test-ray`` and ``make test-view``."""
SUBPACKAGES_OF = {
    "app": ("serving",),
    "evaluate": ("data", "evaluation"),
    "mcp": ("serving/assistant",),
    "serve": ("serving",),
    "train": ("training",),
}
"""Subpackages whose tests an extra is for, beside those of the core."""


def main() -> int:
    """Run all trials and return the exit code."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("extras", nargs="*", metavar="EXTRA")
    parser.add_argument("--oldest", action="store_true", help="dependencies at their lower bounds")
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
    ended = [
        run(extra, wheel=wheel, python=given.python, folder=given.folder, oldest=given.oldest)
        for extra in extras
    ]
    print("\n| extra | packages | installed | tests |\n|---|---:|---:|---|")
    print(*(row for row, _ in ended), sep="\n", flush=True)
    return 0 if all(passed for _, passed in ended) else 1


def build(checkout: Path, to: Path) -> Path:
    """Build the source archive, and from it the wheel; says how large both are."""
    quietly(sys.executable, "-m", "build", "--outdir", to, checkout)
    [wheel], [archive] = to.glob("*.whl"), to.glob("*.tar.gz")
    for each in (wheel, archive):
        print(f"{each.name}: {each.stat().st_size / 1e6:.1f} MB", flush=True)
    return wheel


def run(extra: str, *, wheel: Path, python: str, folder: Path, oldest: bool) -> tuple[str, bool]:
    """Make the environment of an extra and run the tests in it; its row, and whether all passed."""
    home = folder / extra
    start = time.monotonic()
    try:
        quietly(python, "-m", "venv", "--without-pip", home)
        package = wheel if extra == CORE else f"{wheel}[{extra}]"
        versions = install(home / "bin" / "python", package, oldest=oldest)
        size = sum(name.lstat().st_size for name in home.rglob("*") if name.is_file()) / 1e6
        subpackages = [f"tests/{name}" for name in SUBPACKAGES_OF.get(extra, ())]
        passed, printed = run_tests(home, folder / "checkout", versions, *subpackages)
    except subprocess.CalledProcessError as error:
        print(f"{extra}: {(error.stderr or error.stdout).strip()}", flush=True)
        return f"| `{extra}` | | | could not be installed |", False
    print(
        f"{extra}, in {time.monotonic() - start:.0f} s, {', '.join(versions)}:\n{printed}",
        flush=True,
    )
    words = re.sub(r"=+|in [\d.]+s.*", "", printed.strip().rpartition("\n")[2]).strip()
    if passed:
        shutil.rmtree(home)
    return f"| `{extra}` | {len(versions) + 1} | {size:.0f} MB | {words} |", passed


if __name__ == "__main__":
    sys.exit(main())
